"""What a remote that is hostile, damaged or unwilling cannot do, and what a crash leaves behind."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import clones
import evidence
import pytest
from clones import RUN, World, refs_of, said
from conftest import Checkout

from evogit.model import RunName
from evogit.store import private
from evogit.store.repository import open_repository
from evogit.store.takeover import Situation

_EMPTY_TREE = "4b825dc642cb6eb9a060e54bf8d69288fbee4904"


@pytest.fixture
def both(tmp_path: Path, world: dict[str, str]) -> World:
    return clones.make(tmp_path, world)


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
    both.settle()
    before = both.one.tip(mine), both.one.tip(theirs)
    for name in (mine, theirs):
        ref = f"refs/notes/evogit/r/{name}.journal"
        both.hub.git("update-ref", ref, act(both.hub, both.hub.git("rev-parse", ref)))
    evil = refs_of(both.hub)
    exchange = both.one.exchange()
    for _ in range(2):
        report = exchange.round()
        assert said(report) == {f"r/{mine}": "diverged", f"r/{theirs}": "rewritten", "r: task": "unchanged"}
        assert len(report.problems) == 2
    done = both.one.checkout.evogit("sync", expect=6).stdout
    assert "problem  r/" in done
    assert done.endswith("origin: 0 taken, 0 sent, 1 unchanged, 2 problems\n")
    assert (both.one.tip(mine), both.one.tip(theirs)) == before
    assert refs_of(both.hub) == evil
    # What is well goes on moving beside it.
    fresh = both.one.write(number=2)
    assert said(exchange.round())[f"r/{fresh}"] == "ahead"


def test_a_remote_that_went_back_gets_what_it_lost_again(both: World) -> None:
    mine, theirs = both.one.write(3), both.two_begins().write(3)
    both.settle()
    before = refs_of(both.hub)
    for name in (mine, theirs):
        ref = f"refs/notes/evogit/r/{name}.journal"
        both.hub.git("update-ref", ref, _went_back(both.hub, ref))
    assert said(both.one.sync()) == {f"r/{mine}": "ahead", f"r/{theirs}": "ahead", "r: task": "unchanged"}
    assert refs_of(both.hub) == before


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


def _raw(hub: Checkout, kind: str, content: bytes) -> str:
    return hub.git("hash-object", "-w", "--literally", "-t", kind, "--stdin", stdin=content)


def _commit_object(tree: str, parent: str, author: str) -> bytes:
    who = f"author {author}\ncommitter a <a@b> 1 +0000\n" if author else ""
    return f"tree {tree}\nparent {parent}\n{who}\nx\n".encode()


@pytest.mark.heavy
def test_objects_that_are_made_to_hurt_hurt_only_their_journal(both: World) -> None:
    name = both.one.write(2)
    both.one.sync()
    hub, main = both.hub, both.hub.git("rev-parse", "main")
    start = _commit(hub, _EMPTY_TREE)
    prose = hub.git("hash-object", "-w", "--stdin", stdin=b"prose")
    deep = bomb = hub.git("mktree", stdin=f"100644 blob {prose}\taa\n".encode())
    for _ in range(80):
        deep = hub.git("mktree", stdin=f"040000 tree {deep}\tab\n".encode())
    for _ in range(8):
        bomb = _raw(hub, "tree", b"".join(b"40000 %02x\0" % n + bytes.fromhex(bomb) for n in range(16)))
    twice = _raw(hub, "tree", 2 * (b"100644 " + main.encode() + b"\0" + bytes.fromhex(prose)))
    module = hub.git("mktree", stdin=f"160000 commit {main}\t{main}\n".encode())
    hub.git("tag", "-a", "-m", "tag", "tagged", start)
    evil = {
        "deep": _commit(hub, deep, start),
        "bomb": _commit(hub, bomb, start),
        "module": _commit(hub, module, start),
        "twice": _commit(hub, twice, start),
        "late": _raw(hub, "commit", _commit_object(_EMPTY_TREE, start, "a <a@b> 99999999999999999999 +0000")),
        "early": _raw(hub, "commit", _commit_object(_EMPTY_TREE, start, "a <a@b> -1 +0000")),
        "nobodys": _raw(hub, "commit", _commit_object(_EMPTY_TREE, start, "")),
        "tag": hub.git("rev-parse", "tagged"),
    }
    for agent, tip in evil.items():
        hub.git("update-ref", f"refs/notes/evogit/r/{agent}.journal", tip)
    found = said(both.two.sync())
    assert found == {**{f"r/{agent}": "invalid" for agent in evil}, f"r/{name}": "new", "r: task": "new"}
    assert evidence.fsck(both.two.checkout) == []
    both.two.checkout.evogit("status")


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


def test_a_task_that_is_none_is_not_taken(both: World) -> None:
    for run, at in (("x", "main"), ("y", both.hub.git("rev-parse", "main:knob.txt"))):
        both.hub.git("update-ref", f"refs/evogit/{run}/task", at)
    assert said(both.two.sync()) == {"x: task": "invalid", "y: task": "invalid"}
    assert both.two.checkout.git("for-each-ref", "refs/evogit/") == ""


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
    both.settle()
    fresh = both.two.write(number=2)
    both.two.sync()
    git = both.one.checkout.path / ".git"
    for ref in (f"refs/notes/evogit/r/{name}.journal", "refs/evogit-remote/origin/r/task"):
        (git / ref).write_bytes(b"")
    assert said(both.one.sync()) == {f"r/{name}": "new", f"r/{fresh}": "new", "r: task": "unchanged"}
    assert both.one.tip(name) == both.two.tip(name)
    assert evidence.fsck(both.one.checkout) == []


@pytest.mark.heavy
def test_too_many_journals_are_left(both: World) -> None:
    both.one.sync()
    start = _commit(both.hub, _EMPTY_TREE)
    lines = "".join(f"create refs/notes/evogit/r/a-{number}-abcdef.journal {start}\n" for number in range(1003))
    both.hub.git("update-ref", "--stdin", stdin=lines.encode())
    found = list(said(both.two.sync()).values())
    assert (found.count("new"), found.count("invalid")) == (1001, 3)  # a thousand journals and the task
    assert both.two.sync().taken == 0
