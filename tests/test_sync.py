"""Exchange between clones: what moves, what a person asks for, and loops that are killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from contextlib import suppress
from pathlib import Path
from random import Random

import clones
import evidence
import pytest
from clones import RUN, World, refs_of, said
from conftest import Checkout

from evogit.errors import RemoteUnreachable, RepositoryError, UsageError
from evogit.model import AgentName, RunName
from evogit.store import outcomes, remote
from evogit.store.exchange import Wish
from evogit.store.takeover import Situation


@pytest.fixture
def both(tmp_path: Path, world: dict[str, str]) -> World:
    return clones.make(tmp_path, world)


def test_two_clones_end_with_the_same_records(both: World) -> None:
    first = both.one.write(3)
    assert said(both.one.sync()) == {f"r/{first}": "ahead", "r: task": "ahead"}
    assert said(both.two.sync()) == {f"r/{first}": "new", "r: task": "new"}
    second = both.two.write(2)
    both.one.write(2)
    assert said(both.two.sync())[f"r/{second}"] == "ahead"
    report = both.one.sync()
    assert said(report) == {f"r/{first}": "ahead", f"r/{second}": "new", "r: task": "unchanged"}
    assert said(both.two.sync())[f"r/{first}"] == "fast-forward"
    assert evidence.lines(both.one.checkout, RUN) == evidence.lines(both.two.checkout, RUN)
    assert len(evidence.lines(both.one.checkout, RUN)) == 14
    for checkout in (both.one.checkout, both.two.checkout, both.hub):
        assert evidence.fsck(checkout) == []
    assert both.one.sync().sent == both.two.sync().taken == 0


def test_nothing_of_the_user_changes(both: World) -> None:
    both.one.write()
    checkout = both.one.checkout
    hook = checkout.path / ".git/hooks/pre-push"
    for key in ("fetch.prune", "remote.origin.prune", "push.followTags", "fetch.pruneTags"):
        checkout.git("config", key, "true")
    checkout.git("tag", "mine")
    checkout.git("update-ref", "refs/remotes/origin/gone", "HEAD")
    for name in ("pre-push", "reference-transaction", "post-merge"):
        hook.with_name(name).write_text("#!/bin/sh\ntouch $(dirname $0)/../ran\nexit 1\n")
        hook.with_name(name).chmod(0o755)
    before, tracked = evidence.users_own(checkout), checkout.git("for-each-ref", "refs/remotes")
    both.one.sync()
    both.two.sync()
    both.two.write()
    both.two.sync()
    both.one.sync()
    assert evidence.users_own(checkout) == before
    assert checkout.git("for-each-ref", "refs/remotes") == tracked
    assert both.hub.git("tag") == ""
    assert not (checkout.path / ".git/ran").exists()
    assert not (checkout.path / ".git/FETCH_HEAD").exists()


def test_a_dry_run_changes_nothing(both: World) -> None:
    both.one.write()
    both.two.checkout.git("fetch", "-q")
    before = refs_of(both.one.checkout), refs_of(both.hub)
    done = both.one.checkout.evogit("sync", "--dry-run").stdout
    assert done.splitlines()[-1] == "origin: 0 would be taken, 2 would be sent, 0 unchanged, 0 problems"
    assert (refs_of(both.one.checkout), refs_of(both.hub)) == before
    both.one.sync()
    before = refs_of(both.two.checkout), refs_of(both.hub)
    found = json.loads(both.two.checkout.evogit("sync", "--dry-run", "--json").stdout)
    assert [row["situation"] for row in found["refs"]] == ["new", "new"]
    assert (found["schema"], found["taken"], found["dry_run"]) == (1, 2, True)
    assert (refs_of(both.two.checkout), refs_of(both.hub)) == before
    assert not list((both.two.checkout.path / ".git/evogit").glob("sync-*"))


def test_one_run_only(both: World) -> None:
    other = RunName("other")
    both.one.begin(other)
    both.one.write()
    both.one.write(run=other)
    assert set(said(both.one.sync(wish=Wish(run=other, relay=True)))) == {f"other/{both.one.agent()}", "other: task"}
    assert both.hub.git("for-each-ref", "refs/evogit", "--format=%(refname)") == "refs/evogit/other/task"
    done = both.two.checkout.evogit("sync", "--run", "other").stdout
    assert done.splitlines()[-1] == "origin: 2 taken, 0 sent, 0 unchanged, 0 problems"


def test_journals_of_others_are_relayed_by_a_person_and_by_no_loop(both: World, tmp_path: Path) -> None:
    name = both.one.write()
    both.settle()
    subprocess.run(["git", "init", "-q", "--bare", str(tmp_path / "new.git")], check=True)
    there = str(tmp_path / "new.git")
    report = both.two.sync(there, Wish())
    assert {one.name: one.sent for one in report.outcomes} == {f"r/{name}": False, "r: task": True}
    report = both.two.sync(there)
    assert {one.name: one.sent for one in report.outcomes} == {f"r/{name}": True, "r: task": False}


def test_branches_are_published_on_request_only(both: World) -> None:
    name = both.one.write()
    checkout = both.one.checkout
    checkout.git("branch", f"evogit/r/{name}", "HEAD")
    checkout.git("branch", "evogit/r/mine", "HEAD")
    both.one.sync()
    assert both.hub.git("branch", "--list", "evogit/*") == ""
    publish = Wish(publish_branches=True)
    assert both.one.sync(wish=publish).sent == 1
    best = checkout.git("commit-tree", "-m", "better", "HEAD^{tree}")
    checkout.git("update-ref", f"refs/heads/evogit/r/{name}", best)
    assert both.one.sync(wish=publish).sent == 1
    assert both.hub.git("for-each-ref", "--format=%(objectname) %(refname)", "refs/heads/evogit") == (
        f"{best} refs/heads/evogit/r/{name}"
    )
    both.two.sync()
    assert both.two.checkout.git("rev-parse", f"origin/evogit/r/{name}") == best
    assert both.two.checkout.git("branch", "--list", "evogit/*") == ""


def _amend(checkout: Checkout, text: str, file: str = "task.json") -> str:
    """Put a task commit on top, as people do, with something said in `file`."""
    tip = checkout.git("rev-parse", "refs/evogit/r/task")
    content = checkout.git("show", f"{tip}:{file}")
    changed = content.replace("{", f'{{"goal":"{text}",', 1) if file == "task.json" else content + f"\n{text}\n"
    blob = checkout.git("hash-object", "-w", "--stdin", stdin=changed.encode())
    listing = checkout.git("ls-tree", tip).splitlines()
    lines = [line if not line.endswith(f"\t{file}") else f"100644 blob {blob}\t{file}" for line in listing]
    tree = checkout.git("mktree", stdin=("\n".join(lines) + "\n").encode())
    new = checkout.git("commit-tree", "-m", "amend", "-p", tip, tree)
    checkout.git("update-ref", "refs/evogit/r/task", new)
    return new


def test_the_task_moves_forward_on_both_sides(both: World) -> None:
    both.one.sync()
    both.two.sync()
    new = _amend(both.two.checkout, "higher")
    assert said(both.two.sync()) == {"r: task": "ahead"}
    assert said(both.one.sync()) == {"r: task": "fast-forward"}
    assert both.one.checkout.git("rev-parse", "refs/evogit/r/task") == new
    kept = _amend(both.one.checkout, "mine")
    _amend(both.two.checkout, "theirs")
    both.two.sync()
    (problem,) = both.one.sync().problems
    assert problem.situation is Situation.DIVERGED
    assert "make your change again on top of theirs: git update-ref refs/evogit/r/task" in problem.detail
    assert both.one.checkout.git("rev-parse", "refs/evogit/r/task") == kept


def test_a_bundle_carries_runs_both_ways(both: World, tmp_path: Path) -> None:
    name = both.one.write(2)
    file = str(tmp_path / "out.bundle")
    done = both.one.checkout.evogit("sync", "--write", file)
    assert done.stdout == f"wrote {file}: 2 refs of r; read it with `evogit sync {file}`\n"
    done = both.two.checkout.evogit("sync", file)
    assert done.stdout.endswith(f"{file}: 2 taken, 0 sent, 0 unchanged, 0 problems\n")
    second = both.two.write()
    both.two.checkout.evogit("sync", "--write", file, "--run", "r")
    assert said(both.one.sync(file)) == {f"r/{name}": "unchanged", f"r/{second}": "new", "r: task": "unchanged"}
    assert evidence.lines(both.one.checkout, RUN) == evidence.lines(both.two.checkout, RUN)
    assert "-remote/" not in refs_of(both.one.checkout)


@pytest.mark.parametrize(
    ("words", "code", "text"),
    [
        (["nobody"], 2, "'nobody' is no remote, address, path or bundle file here; remotes: origin"),
        (["--", "--upload-pack=x"], 2, "'--upload-pack=x' is no remote"),
        (["ext::sh -c id"], 2, "is no remote"),
        (["evogit.toml"], 2, "is a file, and no git bundle"),
        (["--run", "Bad/Name"], 2, "run name 'Bad/Name': use"),
        (["--run", "none", "--write", "x"], 2, "there is no run none in"),
        (["--every", "5", "--json"], 2, "--every needs a remote that changes"),
        (["../gone.git/"], 2, "is no remote"),
        (["file:///no/such/hub"], 6, "cannot reach file:///no/such/hub: fatal: '/no/such/hub' does not appear to be"),
        (["https://ada:secret@example.invalid/x.git"], 6, "cannot reach https://example.invalid/x.git: fatal:"),
    ],
)
def test_wrong_words_and_remotes_that_are_not_there(words: list[str], code: int, text: str, both: World) -> None:
    done = both.one.checkout.evogit("sync", *words, expect=code)
    assert text in done.stderr
    assert "secret" not in done.stderr


def test_a_configured_refspec_that_would_destroy_journals_is_refused(both: World) -> None:
    both.one.checkout.git("config", "--add", "remote.origin.fetch", "+refs/notes/*:refs/notes/*")
    with pytest.raises(RepositoryError, match="would overwrite journals; remove it"):
        both.one.sync()


def test_a_remote_that_is_down_is_remembered(both: World) -> None:
    both.one.write()
    both.hub.path.rename(both.hub.path.with_name("away"))
    with pytest.raises(RemoteUnreachable):
        both.one.sync()
    both.one.checkout.evogit("sync", expect=6)
    (last,) = outcomes.last_outcomes(both.one.repo)
    assert (last.waiting, last.reached, last.remote) == (1, "", "origin")
    assert "1 of this clone's refs wait to be sent" in last.words
    both.hub.path.with_name("away").rename(both.hub.path)
    both.one.checkout.evogit("sync")
    (last,) = outcomes.last_outcomes(both.one.repo)
    assert (last.waiting, last.sent, last.error) == (0, 2, "")


def test_names_of_remotes_become_one_component() -> None:
    for text in ("a/b", "https://u:p@h/x.git", "/tmp/hub.git", "host:path", "..", "x.lock"):
        slug = remote._slug(text)
        assert "/" not in slug
        assert not slug.startswith(".")
        assert not slug.endswith(".lock")
    assert remote._slug("https://u:p@h/x.git") == remote._slug("https://h/x.git")
    assert remote._slug("origin") == "origin"


def test_which_remote_is_meant(both: World, tmp_path: Path) -> None:
    one = both.one
    assert remote.find(one.repo, None).name == "origin"
    assert remote.find(one.repo, str(both.hub.path)).name == "origin"
    one.checkout.git("remote", "rename", "origin", "hub")
    assert remote.find(one.repo, None).name == "hub"
    one.checkout.git("remote", "add", "other", str(tmp_path))
    with pytest.raises(UsageError, match="which remote"):
        remote.find(one.repo, None)


def test_a_loop_killed_at_random_leaves_nothing_that_the_next_one_cannot_mend(both: World) -> None:
    rng = Random(7)
    loop = ("sync", "--every", "1", "--run", "r")
    both.one.write()
    both.one.sync()
    both.two.sync()
    mine: AgentName | None = None
    for _ in range(4):
        processes = [clone.checkout.start(*loop) for clone in (both.one, both.two)]
        for _ in range(rng.randrange(1, 6)):
            both.one.write(3)
            mine = both.two.write(3)
        evidence.wait_for(lambda: (both.one.checkout.path / ".git/evogit/sync-origin.json").exists(), "a first round")
        for process in processes:
            process.kill()
            process.communicate()
    assert mine
    both.settle()
    both.two.sync()
    assert evidence.lines(both.one.checkout, RUN) == evidence.lines(both.two.checkout, RUN)
    for checkout in (both.one.checkout, both.two.checkout, both.hub):
        assert evidence.fsck(checkout) == []


def test_a_loop_ends_after_a_last_exchange(both: World) -> None:
    both.one.sync()
    started = both.one.checkout.start("sync", "--every", "3600", "--run", "r")
    status = both.one.checkout.path / ".git/evogit/sync-origin.json"
    first = status.stat().st_mtime_ns if status.exists() else 0
    evidence.wait_for(lambda: status.exists() and status.stat().st_mtime_ns != first, "the first round")
    second = both.one.checkout.start("sync", "--every", "3600", "--run", "r")
    evidence.wait_for(lambda: evidence.catches(second.pid, signal.SIGTERM), "the second one to be ready")
    name = both.one.write()
    os.kill(started.pid, signal.SIGTERM)
    assert started.wait(30) == 143
    assert both.hub.git("rev-parse", f"refs/notes/evogit/r/{name}.journal") == both.one.tip(name)
    os.kill(second.pid, signal.SIGINT)
    assert second.wait(30) == 130
    for process in (started, second):
        process.communicate()


@pytest.mark.heavy
def test_syncs_killed_at_any_moment_lose_and_break_nothing(both: World) -> None:
    rng = Random(11)
    both.one.write(200)
    both.two_begins().write(200)
    for number in range(80):
        clone = (both.one, both.two)[number % 2]
        clone.write(rng.randrange(1, 30))
        process = clone.checkout.start("sync")
        with suppress(subprocess.TimeoutExpired):
            process.wait(rng.uniform(0.1, 0.6))
        process.kill()
        process.communicate()
    both.settle()
    both.two.sync()
    assert evidence.lines(both.one.checkout, RUN) == evidence.lines(both.two.checkout, RUN)
    for checkout in (both.one.checkout, both.two.checkout, both.hub):
        assert evidence.fsck(checkout) == []
