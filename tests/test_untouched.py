"""Whatever state a repository is in: evogit works there, and nothing of the user's is touched."""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
import time
import zlib
from collections.abc import Collection
from pathlib import Path
from typing import Any

import pytest
from conftest import Checkout
from fingerprint import changed, fingerprint
from states import PROJECT, STATES, programs, project, together, write

SHORT = (("doctor",), ("diff",), ("apply", "--dry-run"))
ALL = (
    *(*SHORT, ("status",), ("log",), ("show",), ("best",), ("evaluate", "HEAD"), ("runs",)),
    *(("clean", "--dry-run"), ("clean", "--all", "--dry-run")),
)
THOROUGH = ("dirty", "linked", "programs")


@pytest.mark.parametrize(
    "touch",
    [
        "touch notes.txt; git status",
        "touch -d 2020-01-01 notes.txt",
        "chmod +x notes.txt",
        "touch new; rm new",
        "mkdir -p .git/refs/heads/evogit; cp .git/HEAD .git/refs/heads/evogit/mine",
        "git branch evogit/mine",
        "git config a.b c",
        "git update-server-info",
        "git stash drop",
        "git reflog expire --expire=now --all",
        "rm .git/hooks/mine",
        "git pack-refs --all; git update-ref -d refs/tags/v1",
    ],
)
def test_a_fingerprint_notices(tmp_path: Path, world: dict[str, str], touch: str) -> None:
    here = project(tmp_path / "repo", world)
    (here.path / ".git" / "hooks" / "mine").touch()
    before = fingerprint(here.path, here.environment)
    assert changed(before, fingerprint(here.path, here.environment)) == {}
    here.git("-c", f"alias.touch=!{touch}", "touch")
    assert changed(before, fingerprint(here.path, here.environment)) != {}


_FIRST = ("dirty", "bare")
_LATER = [pytest.param(name, marks=pytest.mark.heavy) for name in STATES if name not in _FIRST]


@pytest.mark.parametrize("name", [*_FIRST, *_LATER])
def test_a_state_is_left_as_it_is(tmp_path: Path, world: dict[str, str], name: str) -> None:
    start = project(tmp_path / "repo", world)
    (tmp_path / "aside").mkdir()
    here = STATES[name](start, tmp_path / "aside")
    also = [start] if start.path.is_dir() and start.path != here.path else []
    prove(here, also=also, aside=tmp_path / "aside", commands=ALL if name in THOROUGH else SHORT)


@pytest.mark.heavy
def test_a_folder_of_any_name(tmp_path: Path, world: dict[str, str]) -> None:
    names = [
        "a space",
        "'one' and \"two\"",
        "two\nlines",
        "$(touch ran) `touch ran` $HOME;&",
        "-C",
        "b\udcffd",
        "*?[a]",
    ]
    here = project(tmp_path.joinpath(*names), world)
    prove(here, aside=tmp_path, commands=(*SHORT, ("evaluate",), ("clean", "--dry-run")))


@pytest.mark.heavy
def test_files_of_any_name(tmp_path: Path, world: dict[str, str]) -> None:
    names = ["a b.ini", "'\"$(touch ran)`.ini", "-n.ini", "b\udcffd.ini", "\\back*?[a].ini", "e\u0301\u202e.ini"]
    here = project(tmp_path / "repo", world)
    for name in names:
        write(here, name, "C=1.5\n")
    (here.path / "-dir\udcfe" / "\udcff").mkdir(parents=True)
    write(here, "-dir\udcfe/\udcff/other file.txt", "not to evolve\n")
    here.commit("names")
    prove(here, aside=tmp_path, editable=[*names, "knobs.ini"], commands=(("doctor",), ("log",), ("diff", "--stat")))


@pytest.mark.parametrize(
    "name",
    [
        pytest.param("knobs.ini", id="plain", marks=pytest.mark.heavy),
        pytest.param("a\n\tb.ini", id="control", marks=pytest.mark.heavy),
        pytest.param("-n\udcff\"'$(touch ran) *[a].ini", id="odd"),
    ],
)
def test_apply_stages_the_change_and_nothing_else(tmp_path: Path, world: dict[str, str], name: str) -> None:
    here = project(tmp_path / "repo", world)
    (here.path / "knobs.ini").rename(here.path / name)
    write(here, ".gitignore", "*.log\n*.tmp\n")
    here.commit("another name")
    write(here, "notes.txt", "staged\n")
    here.git("add", "notes.txt")
    write(here, "notes.txt", "unstaged\n")
    write(here, "untracked.txt", "x\n")
    prove(here, aside=tmp_path, editable=[name], commands=())
    before = fingerprint(here.path, here.environment)
    here.evogit("apply")
    touched = changed(before, fingerprint(here.path, here.environment))
    work = os.fsencode(here.path)
    names = [".git/b'index'", f"status in {work!r}", f"{work!r}: b''", f"{work!r}: {os.fsencode(name)!r}"]
    assert sorted(touched) == sorted(names)
    best = here.evogit("best", "-q").stdout.strip()
    assert here.git("diff", "--cached", "--name-only", best, "--", ":/*.ini") == ""
    assert here.git("diff", "--", ":/*.ini") == ""
    assert here.git("show", ":notes.txt") == "staged"


@pytest.mark.heavy
def test_apply_refuses_when_a_changed_file_is_in_the_way(tmp_path: Path, world: dict[str, str]) -> None:
    here = project(tmp_path / "repo", world)
    here.evogit("run", "-n", "1", "--evals", "6", "--seed", "2")
    best = here.evogit("best", "-q").stdout.strip()
    base = here.git("rev-parse", "HEAD")
    for content, staged in (("A=2\nB=40\n", False), ("A=2\nB=40\n", True)):
        write(here, "knobs.ini", content)
        if staged:
            here.git("add", "knobs.ini")
        before = fingerprint(here.path, here.environment)
        for options in ([], ["--dry-run"]):
            said = here.evogit("apply", *options, expect=2).stderr.splitlines()
            assert said[0] == (
                f"evogit: the change of {best[:12]} does not fit the work tree; commit or stash your own changes of "
                f"these files, or check out {base[:12]} first"
            )
        assert changed(before, fingerprint(here.path, here.environment)) == {}


@pytest.mark.parametrize("branch", ["evogit", pytest.param("evogit/first", marks=pytest.mark.heavy)])
def test_a_branch_where_those_of_the_agents_would_be(tmp_path: Path, world: dict[str, str], branch: str) -> None:
    here = project(tmp_path / "repo", world)
    here.git("checkout", "-q", "-b", branch)
    before = fingerprint(here.path, here.environment)
    said = here.evogit("run", "-n", "2", "--evals", "20", "--seed", "1", "--run", "first").stderr
    assert f"refs/heads/{branch} " in said
    assert changed(before, fingerprint(here.path, here.environment)) == {}
    status = document(here, "status")
    assert status["evaluations"] >= 8
    assert status["best_value"] >= 1.5
    assert here.git("branch", "--list", "evogit/first/*") == ""


def test_packing_runs_none_of_the_users_programs(tmp_path: Path, world: dict[str, str]) -> None:
    """A run that packs leaves no file behind that a plain repack would, and calls no hook."""
    (tmp_path / "aside").mkdir()
    here = programs(project(tmp_path / "repo", world), tmp_path / "aside")
    loose = pretend_many_objects(here)
    before = fingerprint(here.path, here.environment)
    here.evogit("run", "-n", "1", "--evals", "52", "--seed", "1")
    assert not any(path.exists() for path in loose)
    assert changed(before, fingerprint(here.path, here.environment)) == {}
    assert not (tmp_path / "aside" / "ran").exists()
    here.git("-c", "core.fsmonitor=false", "fsck", "--strict")


def pretend_many_objects(here: Checkout) -> list[Path]:
    """Write blobs into the one folder of 256 that Git counts to guess how many loose objects there are."""
    made: list[Path] = []
    number = 0
    while len(made) < 12:
        number += 1
        content = b"%d\n" % number
        blob = b"blob %d\0%s" % (len(content), content)
        name = hashlib.sha1(blob, usedforsecurity=False).hexdigest()
        if name.startswith("17"):
            path = here.path / ".git" / "objects" / "17" / name[2:]
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(zlib.compress(blob))
            made.append(path)
    return made


@pytest.mark.heavy
def test_a_repository_that_was_cleaned_is_as_it_was(tmp_path: Path, world: dict[str, str]) -> None:
    """After `clean --all` and Git's own pruning nothing is left of a run that even packed."""
    here = project(tmp_path / "repo", world)
    pretend_many_objects(here)
    before = fingerprint(here.path, here.environment)
    refs = here.git("for-each-ref")
    here.evogit("run", "-n", "1", "--evals", "52", "--seed", "1")
    here.git("pack-refs", "--all")
    here.evogit("clean", "--all", "--yes")
    assert here.git("for-each-ref") == refs
    here.git("prune-packed")
    here.git("repack", "-a", "-d", "-q")
    here.git("fsck", "--strict", "--no-dangling")
    assert set(changed(before, fingerprint(here.path, here.environment))) <= {".git/b'packed-refs'", *_OF_REPACK}
    assert not (here.path / ".git" / "evogit").exists() or not list((here.path / ".git" / "evogit").glob("*/"))


_OF_REPACK = (".git/b'info/refs'",)


def test_housekeeping_may_drop_what_has_no_record_yet(tmp_path: Path, world: dict[str, str]) -> None:
    """A candidate is on no ref while it is evaluated; packed then, it is gone after the user's own repack."""
    go, waiting = tmp_path / "go", tmp_path / "waiting"
    wait = f'if [ "$A" != 1.5 ]; then touch "{waiting}"; while [ ! -e "{go}" ]; do sleep 0.02; done; fi\n'
    here = project(tmp_path / "repo", world, {"lib/score.sh": PROJECT["lib/score.sh"] + wait})
    running = here.start("run", "-n", "1", "--evals", "6", "--seed", "1", "--run", "first")
    while not waiting.exists():
        assert running.poll() is None, running.communicate()
        time.sleep(0.01)
    here.git("repack", "--geometric=2", "-d", "-q")
    here.git("repack", "-a", "-d", "-q")
    go.touch()
    _, errors = running.communicate()
    assert running.returncode == 0, errors
    status = document(here, "status")
    assert status["evaluations"] == 6
    check_candidates(here, status, ["knobs.ini"])
    here.git("fsck", "--strict")


@pytest.mark.heavy
def test_what_people_do_during_a_run(tmp_path: Path, world: dict[str, str]) -> None:
    """Commits, switching, stashing and Git's own housekeeping work beside agents, and lose nothing of either side."""
    calls = tmp_path / "calls"
    score = PROJECT["lib/score.sh"] + f'echo "$A $B" >> "{calls}"\nsleep 0.05\n'
    here = project(tmp_path / "repo", world, {"lib/score.sh": score})
    running = here.start("run", "-n", "2", "--evals", "80", "--seed", "1", "--run", "first")
    rounds = 0
    while running.poll() is None:
        rounds += 1
        here.git("switch", "-q", "-c", f"work-{rounds}")
        write(here, "notes.txt", f"{rounds}\n")
        here.commit(f"work {rounds}")
        write(here, "notes.txt", "unfinished\n")
        for command in ("stash", "pack-refs --all", "worktree prune", "repack -a -d -q", "gc --quiet", "stash pop"):
            here.git(*command.split())
        here.git("checkout", "-q", "notes.txt")
        here.git("switch", "-q", "main")
    said, errors = running.communicate()
    assert running.returncode == 0, errors
    assert rounds > 1
    assert "warning" not in errors
    status = document(here, "status")
    assert status["problems"] == {}
    assert f"run first: {status['evaluations']} evaluations" in said.splitlines()
    assert status["evaluations"] == len(calls.read_text().splitlines()) >= 80
    check_candidates(here, status, ["knobs.ini"])
    assert here.git("log", "--format=%s", f"main..work-{rounds}") == f"work {rounds}"
    here.git("fsck", "--strict")


def test_modules_of_the_repository_are_not_imported(tmp_path: Path, world: dict[str, str]) -> None:
    """A module of the repository does not stand in for one of evogit's or Python's."""
    here = project(tmp_path / "repo", world)
    for name in ("evogit/__main__.py", "evogit.py", "json.py", "click.py", "sitecustomize.py"):
        write(here, name, "raise SystemExit(99)\n")
    here.commit("modules")
    done = subprocess.run(
        [str(Path(sys.executable).parent / "evogit"), "run", "-n", "1", "--evals", "2"],
        cwd=here.path,
        env=here.environment,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.heavy
def test_the_next_commit_after_a_long_run_meets_no_garbage_collection(tmp_path: Path, world: dict[str, str]) -> None:
    here = project(tmp_path / "repo", world)
    before = fingerprint(here.path, here.environment)
    here.evogit("run", "-n", "2", "--evals", "1100", "--seed", "1", timeout=170)
    assert changed(before, fingerprint(here.path, here.environment)) == {}
    counted = dict(line.split(": ") for line in here.git("count-objects", "-v").splitlines())
    assert int(counted["count"]) + int(counted["in-pack"]) > 7000
    assert int(counted["packs"]) < 20
    write(here, "notes.txt", "more\n")
    assert here.git("-c", "gc.autoDetach=false", "commit", "-am", "more", "--quiet") == ""
    assert int(here.git("count-objects").split()[0]) <= int(counted["count"]) + 3
    assert not (here.path / ".git" / "gc.log").exists()
    here.git("fsck", "--strict")


def prove(
    here: Checkout,
    *,
    aside: Path,
    also: Collection[Checkout] = (),
    editable: Collection[str] = ("knobs.ini",),
    commands: Collection[tuple[str, ...]],
) -> None:
    """Run evogit for real, and check that the user's things are the same and that what was evaluated is stored."""
    watched = [here, *also]
    before = [fingerprint(each.path, each.environment) for each in watched]
    ran = aside / "ran"
    ran.unlink(missing_ok=True)
    ended = here.evogit("run", "-n", "2", "--evals", "6", "--seed", "2", "--run", "first", "--json")
    assert "warning" not in ended.stderr
    is_bare = here.git("rev-parse", "--is-bare-repository") == "true"
    for command, (code, said, errors) in zip(commands, together(here, commands), strict=True):
        assert code == (2 if is_bare and "apply" in command else 0), (command, said, errors)
    assert not ran.exists(), ran.read_text()
    for old, each in zip(before, watched, strict=True):
        assert changed(old, fingerprint(each.path, each.environment)) == {}
    result = json.loads(ended.stdout)
    assert result["evaluations"] >= 6
    check_candidates(here, result, editable)
    here.git("fsck", "--strict")


def check_candidates(here: Checkout, result: dict[str, Any], editable: Collection[str]) -> None:
    """Check that every candidate is there, was scored as the base was, and differs from it only in its numbers."""
    base = result["base"]
    assert result["base_value"] == 1.5
    log = document(here, "log", "--all")["log"]
    assert len(log) == result["evaluations"]
    assert {row["status"] for row in log} == {"ok"}
    scored = [row["commit"] for row in log]
    candidates = set(scored) - {base}
    # Two agents that claim the base in the same moment may both score it; the others' evaluations are of others.
    assert scored.count(base) <= 2
    assert len(candidates) >= 6 - scored.count(base)
    allowed = {os.fsencode(name).decode("utf-8", "replace") for name in editable}
    for candidate in candidates:
        *found, end = here.git("--no-replace-objects", "diff-tree", "-r", "-z", "--raw", base, candidate).split("\0")
        assert (bool(found), end) == (True, "")
        for modes, path in zip(found[::2], found[1::2], strict=True):
            assert path in allowed
            assert modes.startswith(":100644 100644 ")
            old, new = modes.split()[2:4]
            assert shape(here, old) == shape(here, new)


def shape(here: Checkout, blob: str) -> str:
    """Return a file's content with its numbers left out."""
    return re.sub(r"-?[0-9][0-9.e+-]*", "#", here.git("--no-replace-objects", "cat-file", "blob", blob))


def document(here: Checkout, *arguments: str) -> dict[str, Any]:
    """Return what a command prints with --json."""
    return dict(json.loads(here.evogit(*arguments, "--json").stdout))
