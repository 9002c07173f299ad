"""Git hooks for people: what they do on a run's branches, and that they are in nobody's way anywhere else."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import CONFIG, Checkout
from fingerprint import changed, fingerprint
from test_people import begin_run, commit_knob, show, until

_SCORE = 'read -r _ _ level < knob.txt; echo "{\\"score\\": $level}" > "$EVOGIT_RESULT"\n'
_NAMES = ["prepare-commit-msg", "commit-msg", "post-commit", "post-merge"]
_TRAILERS = "Evogit-Run: r\nEvogit-Agent: u-ada\nEvogit-Operator: {}\n"


@pytest.fixture
def here(new_checkout: Callable[..., Checkout]) -> Checkout:
    """A repository with a run whose base is scored, hooks that score in the foreground, and a person's branch."""
    return _prepared(new_checkout, _SCORE)


def _prepared(new_checkout: Callable[..., Checkout], score: str) -> Checkout:
    config = CONFIG.replace("python bench.py", "sh score.sh").replace("knobs.py", "*.txt").replace("evals = 20", "")
    made = new_checkout("repo", {"score.sh": score, "knob.txt": "level = 3\n", "evogit.toml": config})
    shutil.rmtree(made.path / ".git" / "hooks")  # as with an empty template
    begin_run(made)
    made.git("config", "evogit.scoreInForeground", "true")
    made.git("branch", "evogit/r/ada")
    return made


def commit(checkout: Checkout, *words: str, **more: str) -> subprocess.CompletedProcess[str]:
    """Run `git commit` and return what it said."""
    return subprocess.run(
        ["git", "commit", *words],
        cwd=checkout.path,
        env=checkout.environment | more,
        capture_output=True,
        text=True,
        timeout=120,
    )


def hook_file(checkout: Checkout, name: str) -> Path:
    """Return where git looks for a hook."""
    return checkout.path / ".git" / "hooks" / name


def write_hook(checkout: Checkout, name: str, script: str) -> Path:
    """Write a hook of the user's own."""
    path = hook_file(checkout, name)
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path


def trailers(checkout: Checkout, revision: str = "HEAD") -> str:
    """Return the trailers of a commit as git reads them."""
    return checkout.git("log", "-1", "--format=%(trailers:only)", revision).strip() + "\n"


def states(checkout: Checkout) -> list[str]:
    """Return the state of each hook."""
    return [row["state"] for row in json.loads(checkout.evogit("hooks", "--json").stdout)["hooks"]]


def scores(found: dict[str, Any]) -> list[tuple[str, float]]:
    """Return who measured what."""
    return [(score["agent"].rpartition("-")[0], score["value"]) for score in found["scores"]]


def test_a_commit_on_a_runs_branch_is_scored_at_once(here: Checkout) -> None:
    said = here.evogit("hooks", "install").stdout
    assert said == "".join(f"wrote {hook_file(here, name)}\n" for name in _NAMES)
    here.git("checkout", "-q", "evogit/r/ada")
    (here.path / "knob.txt").write_text("level = 41\n")
    done = commit(here, "-a", "-m", "Raise it\n\nSigned-off-by: Bob <bob@example.invalid>")
    head = here.git("rev-parse", "HEAD")
    assert f"evogit: {head[:12]} scored 41\n" in done.stderr
    assert trailers(here) == "Signed-off-by: Bob <bob@example.invalid>\n" + _TRAILERS.format("human")
    found = show(here, "HEAD")
    assert scores(found) == [("u-ada", 41)]
    assert (found["proposal"]["operator"], found["proposal"]["use"]) == ("human", "person")
    assert found["scores"][0]["agent"] == found["proposal"]["agent"]
    assert here.git("notes", f"--ref=refs/notes/evogit/r/{found['proposal']['agent']}.journal", "show", head)
    here.git("fsck", "--strict")


@pytest.mark.heavy
def test_the_commit_does_not_wait_for_the_evaluation(here: Checkout) -> None:
    here.git("config", "--unset", "evogit.scoreInForeground")
    here.evogit("hooks", "install")
    here.git("checkout", "-q", "evogit/r/ada")
    for level in (41, 42, 43):
        commit_knob(here, level, f"Raise it to {level}")
    done = commit(here, "--allow-empty", "-m", "Nothing")
    short = here.git("rev-parse", "--short", "HEAD")
    assert f"evogit: {short} is being scored; see: evogit show {short}\n" in done.stderr
    for number, level in enumerate((43, 42, 41), 1):
        until(lambda number=number: show(here, f"HEAD~{number}")["scores"], f"HEAD~{number} is scored")  # type: ignore[misc]
        assert scores(show(here, f"HEAD~{number}")) == [("u-ada", level)]
    until(lambda: show(here, "HEAD")["proposal"], "HEAD is a candidate")
    assert show(here, "HEAD")["scores"] == []  # its files were measured already


@pytest.mark.heavy
def test_merges_by_a_person(here: Checkout) -> None:
    here.evogit("hooks", "install")
    here.git("checkout", "-q", "-b", "evogit/r/bob", "evogit/r/ada")
    (here.path / "other.txt").write_text("1\n")
    here.commit("Another file")
    here.git("checkout", "-q", "evogit/r/ada")
    commit_knob(here, 41, "Raise it")
    here.git("merge", "-q", "-m", "Both", "evogit/r/bob")
    assert here.git("log", "-1", "--format=%B") == "Both\n\n" + _TRAILERS.format("merge").strip()
    found = show(here, "HEAD")
    assert (found["proposal"]["operator"], scores(found)) == ("merge", [("u-ada", 41)])
    assert len(found["parents"]) == 2
    commit_knob(here, 50, "Fifty")
    here.git("checkout", "-q", "evogit/r/bob")
    commit_knob(here, 60, "Sixty")
    here.git("merge", "evogit/r/ada", check=False)
    (here.path / "knob.txt").write_text("level = 55\n")
    here.commit("Settle on the middle")  # a conflict that a person settled
    assert trailers(here) == _TRAILERS.format("merge")
    assert show(here, "HEAD")["value"] == 55


def test_commits_elsewhere_are_left_alone(here: Checkout) -> None:
    here.evogit("hooks", "install")
    here.git("branch", "evogit/no-such-run/ada")
    here.git("branch", "evogit/r/pr-1")
    before = here.git("for-each-ref", "refs/notes")
    for branch in ("main", "evogit/no-such-run/ada", "evogit/r/pr-1"):
        here.git("checkout", "-q", branch)
        done = commit(here, "--allow-empty", "-q", "-m", "mine")
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
        assert here.git("log", "-1", "--format=%B") == "mine"
    here.git("checkout", "-q", "--detach")
    assert commit(here, "--allow-empty", "-q", "-m", "mine").stderr == ""
    assert here.git("log", "-1", "--format=%B") == "mine"
    assert here.git("for-each-ref", "refs/notes") == before


def test_messages_people_write_in_an_editor(here: Checkout) -> None:
    here.evogit("hooks", "install")
    here.git("checkout", "-q", "evogit/r/ada")
    head = here.git("rev-parse", "HEAD")
    (here.path / "knob.txt").write_text("level = 41\n")
    left = commit(here, "-a", "-v", GIT_EDITOR="true")
    assert left.returncode == 1  # leaving the editor without a word still calls it off
    assert "Aborting commit due to empty commit message" in left.stderr
    assert here.git("rev-parse", "HEAD") == head
    written = commit(here, "-a", "-v", GIT_EDITOR='sh -c \'printf "Raise it\\n" | cat - "$1" > m && mv m "$1"\' -')
    assert written.returncode == 0, written.stderr
    assert here.git("log", "-1", "--format=%B") == "Raise it\n\n" + _TRAILERS.format("human").strip()
    again = commit(here, "--amend", "-m", here.git("log", "-1", "--format=%B"))
    assert again.returncode == 0
    assert trailers(here) == _TRAILERS.format("human")


@pytest.mark.heavy
def test_an_agents_commit_that_a_person_picks_says_so(here: Checkout) -> None:
    here.evogit("run", "-n", "1", "--evals", "6", "--run", "r")
    best = here.evogit("best", "-q").stdout.strip()
    here.evogit("hooks", "install")
    here.git("checkout", "-q", "evogit/r/ada")
    here.git("commit", "-q", "--allow-empty", "-m", "mine")
    here.git("cherry-pick", "-X", "theirs", best)
    assert trailers(here) == _TRAILERS.format("human")
    assert show(here, "HEAD")["proposal"]["use"] == "person"


@pytest.mark.heavy
def test_foreign_hooks_are_kept_and_run_first(here: Checkout) -> None:
    write_hook(here, "commit-msg", 'echo "foreign $1" >> "$GIT_DIR/../ran"; grep -q good "$1"')
    foreign = hook_file(here, "commit-msg").read_bytes()
    said = here.evogit("hooks", "install").stdout
    assert f"kept {hook_file(here, 'commit-msg')} as {hook_file(here, 'commit-msg.legacy')}; it runs first\n" in said
    assert states(here) == ["installed"] * 4
    assert here.evogit("hooks", "install").stdout == "nothing to do: the hooks are installed\n"
    here.git("checkout", "-q", "evogit/r/ada")
    assert commit(here, "--allow-empty", "-m", "bad", GIT_DIR=".git").returncode == 1  # theirs may still say no
    assert commit(here, "--allow-empty", "-m", "good", GIT_DIR=".git").returncode == 0
    assert (here.path / "ran").read_text() == "foreign .git/COMMIT_EDITMSG\n" * 2
    assert trailers(here) == _TRAILERS.format("human")
    said = here.evogit("hooks", "uninstall").stdout
    assert f"put {hook_file(here, 'commit-msg.legacy')} back as {hook_file(here, 'commit-msg')}\n" in said
    assert hook_file(here, "commit-msg").read_bytes() == foreign
    assert [path.name for path in hook_file(here, "").iterdir()] == ["commit-msg"]
    assert states(here) == ["absent", "foreign", "absent", "absent"]
    assert here.evogit("hooks", "uninstall").stdout == "nothing to do: the hooks are not installed\n"


def test_two_foreign_hooks_of_one_kind_are_not_guessed_about(here: Checkout) -> None:
    for name in ("commit-msg", "commit-msg.legacy"):
        write_hook(here, name, f"echo {name}")
    before = fingerprint(here.path, here.environment)
    assert "a hook is kept beside it already (commit-msg.legacy)" in here.evogit("hooks", "install", expect=2).stderr
    assert changed(before, fingerprint(here.path, here.environment)) == {}


def test_beside_the_pre_commit_framework(here: Checkout) -> None:
    """Its hook runs `<hook>.legacy` by itself and refuses to be one: so ours goes there."""
    theirs = write_hook(
        here,
        "commit-msg",
        '# File generated by pre-commit: https://pre-commit.com\n"$(dirname "$0")/commit-msg.legacy" "$@"',
    ).read_bytes()
    here.evogit("hooks", "install")
    assert hook_file(here, "commit-msg").read_bytes() == theirs
    assert states(here) == ["installed"] * 4
    here.git("checkout", "-q", "evogit/r/ada")
    hook_file(here, "prepare-commit-msg").unlink()
    commit_knob(here, 41, "Raise it")
    assert trailers(here) == _TRAILERS.format("human")
    here.evogit("hooks", "uninstall")
    assert [path.name for path in hook_file(here, "").iterdir()] == ["commit-msg"]
    assert hook_file(here, "commit-msg").read_bytes() == theirs


def test_hooks_elsewhere_are_refused(here: Checkout) -> None:
    here.git("config", "core.hooksPath", "/somewhere/shared")
    before = fingerprint(here.path, here.environment)
    said = here.evogit("hooks", "install", expect=2).stderr
    assert "core.hooksPath is /somewhere/shared: git looks for hooks there" in said
    assert changed(before, fingerprint(here.path, here.environment)) == {}


def test_looking_and_trying_change_nothing(here: Checkout) -> None:
    before = fingerprint(here.path, here.environment)
    assert states(here) == ["absent"] * 4
    done = json.loads(here.evogit("hooks", "install", "--dry-run", "--json").stdout)["done"]
    assert done == [f"wrote {hook_file(here, name)}" for name in _NAMES]
    here.evogit("hooks", "uninstall", "--dry-run")
    assert changed(before, fingerprint(here.path, here.environment)) == {}


def without_evogit(checkout: Checkout, tmp_path: Path) -> dict[str, str]:
    """Return an environment whose PATH has git and a shell but no evogit, and take the shims' own Python away."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for program in ("git", "sh", "basename", "grep"):
        (folder / program).symlink_to(str(shutil.which(program)))
    for name in _NAMES:
        path = hook_file(checkout, name)
        lines = path.read_text().splitlines(keepends=True)
        path.write_text("".join("python=/gone/python\n" if line.startswith("python=") else line for line in lines))
    return checkout.environment | {"PATH": str(folder)}


def test_no_commit_is_blocked_where_evogit_is_gone(here: Checkout, tmp_path: Path) -> None:
    here.evogit("hooks", "install")
    environment = without_evogit(here, tmp_path)
    assert states(here) == ["outdated"] * 4
    here.git("checkout", "-q", "evogit/r/ada")
    done = subprocess.run(
        ["git", "commit", "-q", "--allow-empty", "-m", "mine"],
        cwd=here.path,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert here.git("log", "-1", "--format=%B") == "mine"
    here.evogit("hooks", "install")
    assert states(here) == ["installed"] * 4


def test_no_commit_is_blocked_where_evogit_fails(here: Checkout) -> None:
    here.evogit("hooks", "install")
    here.git("checkout", "-q", "evogit/r/ada")
    head = here.git("rev-parse", "refs/evogit/r/task")
    broken = here.git("hash-object", "-w", "--stdin", stdin=b"{}")
    tree = here.git("mktree", stdin=f"100644 blob {broken}\ttask.json\n".encode())
    here.git("update-ref", "refs/evogit/r/task", here.git("commit-tree", tree, "-m", "x"))
    done = commit(here, "--allow-empty", "-q", "-m", "mine")
    assert done.returncode == 0
    assert "evogit: the task of run r is damaged" in done.stderr
    here.git("update-ref", "refs/evogit/r/task", head)
    (here.path / "knob.txt").write_text("level = 1x\n")
    done = commit(here, "-a", "-q", "-m", "Broken")
    assert done.returncode == 0
    assert f"evogit: {here.git('rev-parse', 'HEAD')[:12]} scored invalid\n" in done.stderr
    assert [score["status"] for score in show(here, "HEAD")["scores"]] == ["invalid"]


def test_what_may_not_enter_a_journal_is_committed_but_not_scored(here: Checkout) -> None:
    here.evogit("hooks", "install")
    here.git("checkout", "-q", "evogit/r/ada")
    (here.path / "token.txt").write_text("ghp_" + "a1B2" * 9)
    here.git("add", ".")
    done = commit(here, "-q", "-m", "With a token")
    assert done.returncode == 0
    assert "'token.txt' looks as if it holds a GitHub token; amend it (git commit --amend), or drop it" in done.stderr
    assert show(here, "HEAD")["proposal"] is None
    (here.path / "token.txt").write_text("none")
    assert "scored 3" in commit(here, "-a", "-q", "--amend", "-m", "Without").stderr


def test_in_a_linked_work_tree(here: Checkout, tmp_path: Path) -> None:
    here.git("worktree", "add", "-q", str(tmp_path / "linked"), "evogit/r/ada")
    linked = Checkout(tmp_path / "linked", here.environment)
    said = linked.evogit("hooks", "install").stdout
    assert f"wrote {hook_file(here, 'post-commit')}\n" in said
    head = here.git("rev-parse", "HEAD")
    (linked.path / "knob.txt").write_text("level = 41\n")
    done = commit(linked, "-a", "-q", "-m", "Raise it", GIT_PREFIX="")
    assert f"evogit: {linked.git('rev-parse', 'HEAD')[:12]} scored 41\n" in done.stderr
    assert trailers(linked) == _TRAILERS.format("human")
    assert here.git("rev-parse", "HEAD") == head
    assert here.git("status", "--porcelain") == ""


def test_a_run_from_elsewhere_is_not_executed_unasked(here: Checkout) -> None:
    here.evogit("hooks", "install")
    (here.path / ".git" / "evogit" / "trusted.txt").unlink()
    here.git("checkout", "-q", "evogit/r/ada")
    (here.path / "knob.txt").write_text("level = 41\n")
    done = commit(here, "-a", "-q", "-m", "Raise it")
    assert done.returncode == 0
    assert "the definition of run r came from elsewhere" in done.stderr
    assert show(here, "HEAD")["scores"] == []


def test_hooks_that_cannot_be_written(here: Checkout) -> None:
    (here.path / ".git" / "hooks").write_text("a file")
    assert "cannot write" in here.evogit("hooks", "install", expect=2).stderr
    assert "needs what git gives its hook" in here.evogit("hook", "commit-msg", "r", expect=2).stderr
    assert "there is no run 'x'" in here.evogit("hook", "commit-msg", "x", "f", expect=2).stderr
    assert "hook " not in here.evogit("--help").stdout.replace("hooks ", "")
    assert os.listdir(here.path / ".git" / "evogit")


@pytest.mark.heavy
def test_a_killed_scoring_is_taken_up_when_its_claim_ends(here: Checkout) -> None:
    """Its claim holds agents back for the longest an evaluation may take; then one of them scores the commit."""
    here.git("config", "--unset", "evogit.scoreInForeground")
    here.git("checkout", "-q", "evogit/r/ada")
    (here.path / "knob.txt").write_text("level = 41\n")
    head = here.commit("Raise it")
    (here.path / "score.sh").write_text("sleep 5\n" + _SCORE)
    (here.path / "evogit.toml").write_text((here.path / "evogit.toml").read_text().replace("20", "8"))
    here.git("checkout", "-q", "main")
    base = here.commit("A slow evaluator")
    here.evogit("run", "--new", "--run", "s", "-n", "1", "--evals", "1")
    here.git("checkout", "-q", "-b", "evogit/s/ada")
    head = commit_knob(here, 42, "Raise it again")
    scorer = here.start("hook", "score", "s", head)
    until(lambda: here.git("for-each-ref", "refs/notes/evogit/s/u-*"), "a claim")
    scorer.kill()
    scorer.communicate()
    assert show(here, head)["scores"] == []
    assert json.loads(here.evogit("status", "--run", "s", "--json").stdout)["waiting"] == [head]
    here.git("checkout", "-q", base)
    here.evogit("agent", "tuner", "--run", "s", "--minutes", "0.8")
    assert scores(show(here, head)) == [("tuner-1", 42)]
    here.git("fsck", "--strict")


@pytest.mark.heavy
@pytest.mark.timeout(600)
def test_three_people_and_two_agents_at_once(new_checkout: Callable[..., Checkout], tmp_path: Path) -> None:
    here = _prepared(new_checkout, "sleep 0.2\n" + _SCORE)
    here.git("config", "--unset", "evogit.scoreInForeground")
    here.evogit("hooks", "install")
    agents = here.start("run", "-n", "2", "--run", "r", "--minutes", "9")
    script = (
        'for level in 1 2 3 4 5; do echo "level = $1$level" > knob.txt; echo "$1$level" > who.md; git add .; '
        'git commit -qam "$level" || exit 1; done; git merge -q -X ours -m "Join" evogit/r/ada'
    )
    people = []
    for number, name in enumerate(("cyd", "dee", "eve"), 1):
        here.git("worktree", "add", "-q", "-b", f"evogit/r/{name}", str(tmp_path / name), "main")
        environment = here.environment | {"GIT_COMMITTER_NAME": name}
        words = ["sh", "-c", script, "sh", f"10{number}"]
        people.append(subprocess.Popen(words, cwd=tmp_path / name, env=environment, stderr=subprocess.PIPE))
    for person in people:
        assert person.wait(300) == 0, person.communicate()
        person.communicate()
    made = here.git(
        "rev-list", "--first-parent", *(f"evogit/r/{name}" for name in ("cyd", "dee", "eve")), "--not", "main"
    )
    for made_one in made.split():
        until(lambda made_one=made_one: show(here, made_one)["proposal"], f"{made_one} is a candidate")  # type: ignore[misc]
    here.evogit("stop")
    agents.communicate(timeout=120)
    assert agents.returncode == 0
    found = json.loads(here.evogit("status", "--json").stdout)
    assert (found["waiting"], found["problems"]) == ([], {})
    values = {show(here, one)["value"] for one in made.split()} - {None}
    assert values >= {float(f"10{number}{level}") for number in (1, 2, 3) for level in range(1, 6)}
    here.git("fsck", "--strict")
