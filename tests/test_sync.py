"""Exchange between clones: what moves, what is never moved, and what a hostile or broken remote cannot do."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from random import Random

import clones
import evidence
import pytest
from clones import RUN, World, said
from conftest import Checkout

from evogit.errors import RemoteUnreachable, RepositoryError, UsageError
from evogit.model import AgentName, RunName
from evogit.store import outcomes, private, remote
from evogit.store.exchange import Wish
from evogit.store.repository import open_repository
from evogit.store.takeover import Situation

_EMPTY_TREE = "4b825dc642cb6eb9a060e54bf8d69288fbee4904"


@pytest.fixture
def both(tmp_path: Path, world: dict[str, str]) -> World:
    return clones.make(tmp_path, world)


def _refs(checkout: Checkout) -> str:
    return checkout.git("for-each-ref")


def _settle(both: World) -> None:
    both.one.sync()
    both.two.sync()
    both.one.sync()


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
    before = _refs(both.one.checkout), _refs(both.hub)
    done = both.one.checkout.evogit("sync", "--dry-run").stdout
    assert done.splitlines()[-1] == "origin: 0 would be taken, 2 would be sent, 0 unchanged, 0 problems"
    assert (_refs(both.one.checkout), _refs(both.hub)) == before
    both.one.sync()
    before = _refs(both.two.checkout), _refs(both.hub)
    found = json.loads(both.two.checkout.evogit("sync", "--dry-run", "--json").stdout)
    assert [row["situation"] for row in found["refs"]] == ["new", "new"]
    assert (found["schema"], found["taken"], found["dry_run"]) == (1, 2, True)
    assert (_refs(both.two.checkout), _refs(both.hub)) == before
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
    _settle(both)
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


def _commit(hub: Checkout, tree: str, *parents: str) -> str:
    return hub.git("commit-tree", "-m", "evil", *(word for one in parents for word in ("-p", one)), tree)


def _emptied(hub: Checkout, tip: str) -> str:
    return _commit(hub, _EMPTY_TREE, tip)


def _rewritten(hub: Checkout, tip: str) -> str:
    return _commit(hub, f"{tip}^{{tree}}", _commit(hub, _EMPTY_TREE))


def _second_parent(hub: Checkout, tip: str) -> str:
    return _commit(hub, f"{tip}^{{tree}}", _commit(hub, _EMPTY_TREE), tip)


def _dropped_line(hub: Checkout, tip: str) -> str:
    hub.git("update-ref", "refs/notes/edit", tip)
    _, commit = hub.git("notes", "--ref=refs/notes/edit", "list").splitlines()[0].split()
    note = hub.git("notes", "--ref=refs/notes/edit", "show", commit).splitlines()
    hub.git("notes", "--ref=refs/notes/edit", "add", "-f", "-m", note[0], commit)
    return hub.git("rev-parse", "refs/notes/edit")


def _went_back(hub: Checkout, tip: str) -> str:
    return hub.git("rev-parse", f"{tip}~1")


@pytest.mark.parametrize("act", [_emptied, _rewritten, _second_parent, _dropped_line])
def test_a_journal_that_did_not_grow_is_never_taken(both: World, act: Callable[[Checkout, str], str]) -> None:
    mine, theirs = both.one.write(2), both.two_begins().write(2)
    _settle(both)
    before = both.one.tip(mine), both.one.tip(theirs)
    for name in (mine, theirs):
        ref = f"refs/notes/evogit/r/{name}.journal"
        both.hub.git("update-ref", ref, act(both.hub, both.hub.git("rev-parse", ref)))
    evil = _refs(both.hub)
    exchange = both.one.exchange()
    for _ in range(2):
        report = exchange.round()
        assert said(report) == {f"r/{mine}": "diverged", f"r/{theirs}": "rewritten", "r: task": "unchanged"}
        assert len(report.problems) == 2
    done = both.one.checkout.evogit("sync", expect=6).stdout
    assert "problem  r/" in done
    assert done.endswith("origin: 0 taken, 0 sent, 1 unchanged, 2 problems\n")
    assert (both.one.tip(mine), both.one.tip(theirs)) == before
    assert _refs(both.hub) == evil
    # What is well goes on moving beside it.
    fresh = both.one.write(number=2)
    assert said(exchange.round())[f"r/{fresh}"] == "ahead"


def test_a_remote_that_went_back_gets_what_it_lost_again(both: World) -> None:
    mine, theirs = both.one.write(3), both.two_begins().write(3)
    _settle(both)
    before = _refs(both.hub)
    for name in (mine, theirs):
        ref = f"refs/notes/evogit/r/{name}.journal"
        both.hub.git("update-ref", ref, _went_back(both.hub, ref))
    assert said(both.one.sync()) == {f"r/{mine}": "ahead", f"r/{theirs}": "ahead", "r: task": "unchanged"}
    assert _refs(both.hub) == before


def test_what_is_no_journal_is_not_taken(both: World) -> None:
    name = both.one.write(2)
    both.one.sync()
    hub, tip = both.hub, both.one.tip(name)
    blob = hub.git("hash-object", "-w", "--stdin", stdin=b"x" * (5 << 20))
    big = hub.git("mktree", stdin=f"100644 blob {blob}\t{'ab' * 20}\n".encode())
    evil = {
        "foreign-1-abcdef": tip,
        "no-beginning": hub.git("rev-parse", "main"),
        "huge-1-abcdef": _commit(hub, big, _commit(hub, _EMPTY_TREE)),
        "a-blob": hub.git("rev-parse", "main:knob.txt"),
    }
    for agent, at in evil.items():
        hub.git("update-ref", f"refs/notes/evogit/r/{agent}.journal", at)
    odd = ["r/Bad_Name.journal", "r/x", "r/-x.journal", "$(id)/a.journal", "r/a;b.journal", "r/deep/a.journal"]
    for ref in odd:
        hub.git("update-ref", f"refs/notes/evogit/{ref}", tip)
    report = both.two.sync()
    found = {one.name: one for one in report.outcomes}
    assert found[f"r/{name}"].taken
    assert {found[f"r/{agent}"].situation for agent in evil} == {Situation.INVALID}
    assert "holds a record of agent" in found["r/foreign-1-abcdef"].detail
    assert "whose tree is not empty" in found["r/no-beginning"].detail
    assert "bytes" in found["r/huge-1-abcdef"].detail
    assert {f"refs/notes/evogit/{ref}" for ref in odd} <= found.keys()
    assert list(evidence.journals(both.two.checkout, RUN)) == [name]
    done = both.two.checkout.evogit("sync", expect=6)
    assert "no name of a journal" in done.stdout


def test_a_poisoned_journal_does_not_keep_the_others_out(both: World) -> None:
    names = [both.one.write(number=number) for number in (1, 2, 3)]
    both.one.sync()
    hub = both.hub
    blob = hub.git("rev-parse", "main:knob.txt")
    inner = hub.git("mktree", stdin=f"100644 blob {blob}\tconfig\n".encode())
    poison = _commit(hub, hub.git("mktree", stdin=f"040000 tree {inner}\t.git\n".encode()))
    hub.git("update-ref", "refs/notes/evogit/r/poison-1-abcdef.journal", _commit(hub, _EMPTY_TREE, poison))
    ours = _commit(hub, f"{both.one.tip(names[1])}^{{tree}}", both.one.tip(names[1]), poison)
    hub.git("update-ref", f"refs/notes/evogit/r/{names[1]}.journal", ours)
    exchange = both.two.exchange()
    report = exchange.round()
    assert said(report) == {
        f"r/{names[0]}": "new", f"r/{names[1]}": "invalid", f"r/{names[2]}": "new", "r/poison-1-abcdef": "invalid",
        "r: task": "new",
    }  # fmt: skip
    assert "hasDotgit" in next(one.detail for one in report.problems)
    assert said(exchange.round())["r/poison-1-abcdef"] == "invalid"
    assert poison not in both.two.checkout.git("cat-file", "--batch-all-objects", "--batch-check")


def test_a_remote_that_refuses_one_journal_gets_the_others(both: World) -> None:
    names = [both.one.write(number=number) for number in (1, 2)]
    hook = both.hub.path / "hooks/pre-receive"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(f"#!/bin/sh\nif grep -q {names[0]}; then echo not this one >&2; exit 1; fi\n")
    hook.chmod(0o755)
    report = both.one.sync()
    assert {one.name: one.sent for one in report.outcomes} == {
        f"r/{names[0]}": False, f"r/{names[1]}": True, "r: task": True,
    }  # fmt: skip
    (problem,) = report.problems
    assert problem.detail == "the remote refused it: pre-receive hook declined: not this one"
    hook.write_text("#!/bin/sh\nexit 1\n")
    both.one.write(number=2)
    done = both.one.checkout.evogit("sync", expect=6).stdout
    assert "origin: 0 taken, 0 sent, 1 unchanged, 2 problems" in done


def test_two_writers_of_one_name(both: World, tmp_path: Path) -> None:
    """A copied repository has the same clone id: its journal is refused by the hub, and told, not merged."""
    name = both.one.write()
    both.one.sync()
    subprocess.run(["cp", "-r", str(both.one.checkout.path), str(tmp_path / "copy")], check=True)
    copy = clones.Clone(Checkout(tmp_path / "copy", both.hub.environment), open_repository(tmp_path / "copy"))
    both.one.write()
    copy.write()
    both.one.sync()
    before = copy.tip(name)
    assert said(copy.sync())[f"r/{name}"] == "diverged"
    assert copy.tip(name) == before
    assert both.hub.git("rev-parse", f"refs/notes/evogit/r/{name}.journal") == both.one.tip(name)


def test_a_clone_put_back_from_a_backup_gets_its_own_records_back(both: World) -> None:
    name = both.one.write(2)
    early = both.one.tip(name)
    both.one.write(2)
    both.one.sync()
    late = both.one.tip(name)
    both.one.checkout.git("update-ref", f"refs/notes/evogit/r/{name}.journal", early)
    held = private.take_name(both.one.repo, RUN, name)
    (problem,) = both.one.sync().problems
    assert (problem.situation, problem.taken) == (Situation.DIVERGED, False)
    held.release()
    assert said(both.one.sync())[f"r/{name}"] == "fast-forward"
    assert both.one.tip(name) == late


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


def test_a_task_that_is_none_is_not_taken(both: World) -> None:
    for run, at in (("x", "main"), ("y", both.hub.git("rev-parse", "main:knob.txt"))):
        both.hub.git("update-ref", f"refs/evogit/{run}/task", at)
    assert said(both.two.sync()) == {"x: task": "invalid", "y: task": "invalid"}
    assert both.two.checkout.git("for-each-ref", "refs/evogit/") == ""


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
    assert "-remote/" not in _refs(both.one.checkout)


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


def test_a_remote_with_a_cut_off_history_gives_only_what_is_whole(both: World, tmp_path: Path) -> None:
    both.one.checkout.git("commit", "-q", "--allow-empty", "-m", "more")
    both.one.checkout.git("push", "-q", "origin", "main")
    both.one.sync()
    subprocess.run(
        ["git", "clone", "-q", "--depth=1", both.hub.path.as_uri(), str(tmp_path / "shallow")], check=True, timeout=60
    )
    cut = Checkout(tmp_path / "shallow", both.hub.environment)
    shallow = clones.Clone(cut, open_repository(cut.path))
    assert said(shallow.sync()) == {"r: task": "new"}
    shallow.begin(RunName("cut"))
    name = shallow.write(run=RunName("cut"))
    report = both.two.sync(str(cut.path))
    assert said(report) == {"r: task": "new", "cut: task": "invalid", f"cut/{name}": "invalid"}
    assert "cut off" in report.problems[0].detail
    assert "cut/" not in both.two.checkout.git("for-each-ref", "refs/evogit", "refs/notes")
    assert evidence.fsck(both.two.checkout) == []
    assert shallow.sync().sent == 2
    assert said(both.two.sync())[f"cut/{name}"] == "new"
    subprocess.run(["git", "init", "-q", "--bare", str(tmp_path / "empty.git")], check=True, timeout=60)
    (problem, *_) = shallow.sync(str(tmp_path / "empty.git")).problems
    assert problem.detail == (
        "the remote refused it: shallow update not allowed: history is cut off here; run `git fetch --unshallow`"
    )
    assert "run `git fetch --unshallow` first" in cut.evogit("sync", "--write", "x.bundle", expect=2).stderr
    for checkout in (cut, both.two.checkout, both.hub):
        assert evidence.fsck(checkout) == []


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


def test_stale_locks_of_a_killed_sync_block_nothing(both: World) -> None:
    name = both.one.write()
    both.one.sync()
    both.two.sync()
    both.one.write()
    both.one.sync()
    git = both.two.checkout.path / ".git"
    for ref in (f"refs/notes/evogit/r/{name}.journal", f"refs/notes/evogit-remote/origin/r/{name}.journal"):
        (git / f"{ref}.lock").touch()
    assert said(both.two.sync())[f"r/{name}"] == "fast-forward"
    assert both.two.tip(name) == both.one.tip(name)


def test_refs_that_a_power_cut_left_empty_are_fetched_again(both: World) -> None:
    name = both.two_begins().write()
    _settle(both)
    fresh = both.two.write(number=2)
    both.two.sync()
    git = both.one.checkout.path / ".git"
    for ref in (f"refs/notes/evogit/r/{name}.journal", "refs/evogit-remote/origin/r/task"):
        (git / ref).write_bytes(b"")
    assert said(both.one.sync()) == {f"r/{name}": "new", f"r/{fresh}": "new", "r: task": "unchanged"}
    assert both.one.tip(name) == both.two.tip(name)
    assert evidence.fsck(both.one.checkout) == []


def test_too_many_journals_are_left(both: World) -> None:
    both.one.sync()
    start = _commit(both.hub, _EMPTY_TREE)
    lines = "".join(f"create refs/notes/evogit/r/a-{number}-abcdef.journal {start}\n" for number in range(1003))
    both.hub.git("update-ref", "--stdin", stdin=lines.encode())
    found = list(said(both.two.sync()).values())
    assert (found.count("new"), found.count("invalid")) == (1001, 3)  # a thousand journals and the task
    assert both.two.sync().taken == 0


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
    _settle(both)
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
    _settle(both)
    both.two.sync()
    assert evidence.lines(both.one.checkout, RUN) == evidence.lines(both.two.checkout, RUN)
    for checkout in (both.one.checkout, both.two.checkout, both.hub):
        assert evidence.fsck(checkout) == []
