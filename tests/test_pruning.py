"""Pruning: what is kept is as it was, the rest is known and gone, and other clones follow what they have checked."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import clones
import evidence
import plain_reader
import pytest
from clones import RUN, Clone, World, said
from conftest import Checkout

from evogit.model import AgentName, CommitId, Direction, RunName, TreeId
from evogit.store import private, refs
from evogit.store.repository import open_repository
from evogit.store.snapshot import Snapshot

_EVALUATOR = "e" * 64
pytestmark = pytest.mark.timeout(600)  # many processes, one after another: a busy machine takes its time


@pytest.fixture
def both(tmp_path: Path, world: dict[str, str]) -> World:
    return clones.make(tmp_path, world)


def _status(checkout: Checkout, run: str = RUN) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(checkout.evogit("status", "--json", "--run", run).stdout)
    return found


def _totals(status: dict[str, Any]) -> dict[str, Any]:
    agents = {row["agent"]: (row["evaluations"], row["best_value"], row["candidates"]) for row in status["agents"]}
    same = ("candidates", "evaluations", "best", "best_value", "base_value", "problems", "spent")
    made = {name: (row["candidates"], row["in_best"]) for name, row in status["operators"].items()}
    return {**{name: status[name] for name in same}, "agents": agents, "operators": made}


def _lines(checkout: Checkout, run: str = RUN) -> set[tuple[str, bytes]]:
    return {(commit, line) for _, commit, line in evidence.lines(checkout, run)}


def _stones(checkout: Checkout, run: str = RUN) -> list[dict[str, Any]]:
    return [record for record in evidence.records(checkout, run) if record["kind"] == "tombstone"]


def _prune(checkout: Checkout, keep: str = "best", *more: str) -> str:
    return checkout.evogit("clean", "--run", RUN, "--keep", keep, "--yes", *more).stdout


def _all_objects(checkout: Checkout) -> set[str]:
    said = checkout.git("cat-file", "--batch-all-objects", "--batch-check=%(objectname)")
    return set(said.split())


@pytest.mark.heavy
def test_a_pruned_run_says_what_it_said_and_goes_on(toy: Checkout) -> None:
    toy.evogit("run", "-n", "1", "--evals", "8", "--run", RUN, "--seed", "3")
    pens = Clone(toy, open_repository(toy.path))
    pens.write(3)  # no agent's luck decides whether there is something to drop
    before, lines, journals = _status(toy), _lines(toy), set(evidence.journals(toy, RUN))
    values = plain_reader.read_run(toy.path, RUN, toy.environment)["values"]
    looking = Snapshot(open_repository(toy.path), RunName(RUN), before["evaluator"], Direction.MAXIMIZE)
    looking.refresh()
    assert "drop " in toy.evogit("clean", "--run", RUN, "--keep", "best", "--dry-run").stdout
    assert _lines(toy) == lines
    own = evidence.users_own(toy)
    _prune(toy)
    assert evidence.users_own(toy) == own
    stones = _stones(toy)
    dropped = {stone["id"] for stone in stones}
    assert len(dropped) >= 3
    # Nothing of what is kept is another, and nothing is kept that was not there.
    kept = {(commit, line) for commit, line in lines if commit not in dropped}
    now = {(c, line) for c, line in _lines(toy) if b'"tombstone"' not in line and b'"successor"' not in line}
    assert now == kept
    assert _totals(_status(toy)) == _totals(before)
    assert _status(toy)["dropped"] == len(dropped)
    assert {c: v for c, v in values.items() if c not in dropped} == (
        plain_reader.read_run(toy.path, RUN, toy.environment)["values"]
    )
    # A process that had read the old journals tells the same, and forgets what is gone.
    looking.refresh()
    assert looking.evaluations == before["evaluations"]
    assert dropped == set(looking.dropped)
    assert looking.problems == {}
    # git frees what is dropped, and whatever the best came from is still there.
    assert dropped <= _all_objects(toy)
    toy.git("gc", "-q", "--prune=now")
    left = _all_objects(toy)
    assert not dropped & left
    assert {commit for commit, _ in kept} <= left
    assert evidence.fsck(toy) == []
    toy.evogit("run", "-n", "1", "--evals", "4", "--run", RUN, "--seed", "3")
    assert not journals & set(evidence.journals(toy, RUN))
    scores = [record for record in evidence.records(toy, RUN) if record["kind"] == "score"]
    measured = {record["tree"] for record in scores if record["agent"] not in journals}
    assert len(measured) == 4
    assert not measured & {stone["tree"] for stone in stones}
    pens.write(2, number=2)
    toy.evogit("tree", "--all")
    toy.evogit("best")
    again = _status(toy)
    _prune(toy, "2")
    assert _totals(_status(toy)) == _totals(again)
    assert len(evidence.journals(toy, RUN)) == 1


@pytest.mark.heavy
def test_what_is_kept_is_what_was_asked_for(both: World) -> None:
    both.one.write(6)
    names = [record["commit"] for record in evidence.records(both.one.checkout, RUN) if record["kind"] == "score"]
    landed, spoken = sorted(names)[:2]
    both.one.checkout.git("branch", "mine", landed)
    both.one.checkout.evogit("verdict", spoken, "comment", "look at this", "--run", RUN)
    _prune(both.one.checkout)
    buried = {stone["id"] for stone in _stones(both.one.checkout)}
    assert not {landed, spoken} & buried
    assert len(buried) == 4  # the pens' scores are of no evaluator of this run, so none of them is its best


def test_agents_that_work_are_not_pruned(both: World) -> None:
    toy = both.one.checkout
    held = private.take_name(both.one.repo, RUN, both.one.write(2))
    lines = evidence.lines(toy, RUN)
    refused = toy.evogit("clean", "--run", RUN, "--keep", "best", "--yes", expect=2)
    assert "living agents" in refused.stderr
    held.release()
    assert evidence.lines(toy, RUN) == lines
    for wrong in (("--keep", "0"), ("--keep", "best", "--gone", "123456"), ("--gone", "123456")):
        assert toy.evogit("clean", "--run", RUN, *wrong, expect=2).stderr.count("\n") == 1
    assert "--yes" in toy.evogit("clean", "--run", RUN, "--keep", "best", expect=2).stderr


def test_other_clones_follow(both: World) -> None:
    first = both.one.write(4)
    both.two_begins()
    second = both.two.write(3)
    both.two.sync()
    both.one.sync()
    _prune(both.one.checkout)
    (heir,) = (name for name in evidence.journals(both.one.checkout, RUN) if name.startswith("kept-"))
    report = said(both.one.sync())
    assert report[f"r/{heir}"] == "ahead"
    assert report[f"r/{first}"] == "superseded"
    assert set(evidence.journals(both.hub, RUN)) == {heir, second}
    report = said(both.two.sync())
    assert (report[f"r/{heir}"], report[f"r/{first}"]) == ("new", "superseded")
    assert evidence.lines(both.two.checkout, RUN) == evidence.lines(both.one.checkout, RUN)
    assert "evogit-remote" not in " ".join(n for n in clones.refs_of(both.two.checkout).split() if first in n)
    for one in (both.one, both.two):
        report_ = one.sync()
        assert (report_.taken, report_.sent, report_.problems) == (0, 0, ())
    dropped = {stone["id"] for stone in _stones(both.two.checkout)}
    both.two.checkout.git("gc", "-q", "--prune=now")
    assert not dropped & _all_objects(both.two.checkout)
    # An old one that somebody sends again goes again.
    both.one.write(1)
    both.settle()
    assert _status(both.one.checkout)["evaluations"] == _status(both.two.checkout)["evaluations"] == 8
    for checkout in (both.one.checkout, both.two.checkout, both.hub):
        assert evidence.fsck(checkout) == []


@pytest.mark.heavy
def test_a_clone_that_is_gone_is_folded_when_a_person_says_so(both: World) -> None:
    both.two_begins()
    second = both.two.write(4)
    first = both.one.write(2)
    both.two.sync()
    both.one.sync()
    _prune(both.one.checkout, "best", "--gone", private.clone_id(both.two.repo))
    (heir,) = evidence.journals(both.one.checkout, RUN)
    both.one.sync()
    assert set(evidence.journals(both.hub, RUN)) == {heir}
    # It was not gone: its own journal stays its own, and comes back with what it wrote since.
    both.two.write(1)
    both.two.sync()
    assert second in evidence.journals(both.two.checkout, RUN)
    both.one.sync()
    assert {heir, second} == set(evidence.journals(both.one.checkout, RUN))
    assert first not in evidence.journals(both.two.checkout, RUN)
    assert _status(both.one.checkout)["evaluations"] == 7
    assert _status(both.one.checkout)["problems"] == {}


def _without_stone(lines: list[bytes]) -> list[bytes]:
    return [line for line in lines if b'"tombstone"' not in line]


def _with_false_stone(lines: list[bytes]) -> list[bytes]:
    return [line.replace(b'"value":', b'"value":-') if b'"tombstone"' in line else line for line in lines]


def _without_score(lines: list[bytes]) -> list[bytes]:
    return [line for line in lines if b'"kind":"score"' not in line]


def _with_forged_score(lines: list[bytes]) -> list[bytes]:
    more = [line.replace(b'"seq":', b'"seq":9').replace(b'"value":', b'"value":9') for line in lines]
    return [*lines, *(line for line in more if b'"kind":"score"' in line)]


@pytest.mark.parametrize(
    "tamper",
    [
        _with_false_stone,
        *(pytest.param(one, marks=pytest.mark.heavy) for one in (_without_stone, _without_score, _with_forged_score)),
    ],
)
def test_a_successor_that_holds_less_or_more_is_ignored(
    both: World, tamper: Callable[[list[bytes]], list[bytes]]
) -> None:
    first = both.one.write(4)
    both.two_begins()
    lines = evidence.lines(both.two.checkout, RUN)
    both.one.checkout.git("branch", "mine", sorted(commit for _, commit, _ in lines)[0])  # something is kept
    _prune(both.one.checkout)
    (heir,) = evidence.journals(both.one.checkout, RUN)
    ref = refs.journal_ref(RUN, AgentName(heir))
    _rewrite(both.one, ref, tamper)
    both.one.checkout.git("push", "-q", "origin", f"{ref}:{ref}", f":{refs.journal_ref(RUN, first)}")
    report = both.two.sync()
    assert said(report)[f"r/{heir}"] == "invalid"
    (wrong,) = report.problems
    assert "stands for" in wrong.detail
    assert evidence.lines(both.two.checkout, RUN) == lines


def _rewrite(clone: Clone, ref: str, tamper: Callable[[list[bytes]], list[bytes]]) -> None:
    """Change every note of a journal's last commit, as somebody who writes it by hand would."""
    checkout = clone.checkout
    rows = [line.split() for line in checkout.git("notes", f"--ref={ref}", "list").splitlines()]
    listing = ""
    for (_, commit), content in zip(rows, evidence.blobs(checkout, [row[0] for row in rows]), strict=True):
        blob = clone.repo.raw.create_blob(b"".join(line + b"\n" for line in tamper(content.splitlines())))
        listing += f"100644 blob {blob}\t{commit}\n"
    scratch = checkout.path.parent / "listing"
    scratch.write_text(listing)
    tree = checkout.git("-c", "alias.made=!git mktree <../listing", "made").strip()
    parents = checkout.git("rev-parse", f"{ref}^@").split()
    commit = checkout.git("commit-tree", tree, *(word for one in parents for word in ("-p", one)), "-m", "x").strip()
    checkout.git("update-ref", ref, commit)


def test_a_tree_that_was_measured_is_known_after_its_candidate_went(both: World) -> None:
    both.one.write(5)
    trees = {record["tree"] for record in evidence.records(both.one.checkout, RUN) if record["kind"] == "score"}
    _prune(both.one.checkout)
    snapshot = Snapshot(both.one.repo, RUN, _EVALUATOR, Direction.MAXIMIZE)
    snapshot.refresh()
    assert all(snapshot.measured(TreeId(tree)) for tree in trees)
    assert snapshot.evaluations == 5
    # What somebody built on a dropped one meanwhile is a candidate all the same.
    (stone, *_) = _stones(both.one.checkout)
    assert CommitId(stone["id"]) not in snapshot.candidates
