"""Merging as crossover: which pairs are worth it, what a merge in memory gives, and that a run's best comes of it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random

import pygit2
import pytest
from conftest import Checkout
from family import Family
from msgspec.structs import replace

from evogit.merging import Combined, combine
from evogit.model import CommitId, Craft, Operator, Plan, TreeId
from evogit.planning import Planner, Policy
from evogit.records import Call
from evogit.store import trees

_TEXT = "".join(f"line {number}\n" for number in range(20))


@pytest.fixture
def family(new_checkout: Callable[..., Checkout]) -> Iterator[Family]:
    """A run from a base with a few texts, which scores 1."""
    checkout = new_checkout("repo", {"a.txt": _TEXT, "b.txt": _TEXT, "lib/one.txt": "one\n", "lib/two.txt": "two\n"})
    made = Family(checkout.path)
    made.score(made.base, 1.0)
    yield made
    made.close()


def _text(**changed: str) -> bytes:
    lines = _TEXT.splitlines()
    for number, line in changed.items():
        lines[int(number[1:])] = line
    return "".join(f"{line}\n" for line in lines).encode()


def _files(family: Family, tree: TreeId) -> dict[str, bytes]:
    found = trees.files(family.repo, pygit2.Oid(hex=tree))
    return {path.decode(): trees.read_blob(family.repo, entry.id) for path, entry in found.items()}


def _combine(family: Family, *parents: CommitId, seed: int = 0) -> dict[str, bytes] | str:
    combined = combine(family.repo, family.graph(), parents, Random(seed))
    if isinstance(combined, str):
        return combined
    assert isinstance(combined, Combined)
    return _files(family, combined.write())


def test_changes_of_both_sides_come_together(family: Family) -> None:
    """One file each, both ends of one file, a new file, a deleted one: as `git merge` has it."""
    left = family.child(family.base, value=2.0, files={"a.txt": _text(n1="L"), "b.txt": _text(n1="L"), "new": b"n\n"})
    right = family.child(family.base, value=2.0, files={"b.txt": _text(n18="R"), "lib/one.txt": None})
    merged = _combine(family, left, right)
    assert merged == {
        "a.txt": _text(n1="L"),
        "b.txt": _text(n1="L", n18="R"),
        "new": b"n\n",
        "lib/two.txt": b"two\n",
    }


@pytest.mark.parametrize("seed", range(6))
def test_merges_agree_with_git(family: Family, tmp_path: Path, seed: int, world: dict[str, str]) -> None:
    rng = Random(seed)
    sides = []
    for side in "LR":
        lines = {f"n{number}": side for number in range(0, 20, 1) if rng.random() < 0.08}
        files: dict[str, bytes | None] = {"a.txt": _text(**lines), "b.txt": _text(**{f"n{rng.randrange(20)}": side})}
        if rng.random() < 0.5:
            files[f"lib/{side}.txt"] = b"new\n"
        sides.append(family.child(family.base, value=2.0, files=files))
    ours = combine(family.repo, family.graph(), sides, Random(seed))
    checkout = Checkout(family.repo.work or tmp_path, world)
    theirs = checkout.git("merge-tree", "--write-tree", *sides, check=False).splitlines()
    conflicts = len(theirs) > 1
    if isinstance(ours, str):
        assert conflicts
    elif not conflicts:
        assert ours.settled == 0
        assert ours.write() == theirs[0]
    else:
        assert ours.settled


def test_a_conflict_is_decided_hunk_by_hunk_by_chance(family: Family) -> None:
    left = family.child(family.base, value=2.0, files={"a.txt": _text(n2="L", n10="L", n18="L")})
    right = family.child(family.base, value=2.0, files={"a.txt": _text(n2="R", n10="R", n18="R")})
    seen = set()
    for seed in range(60):
        merged = _combine(family, left, right, seed=seed)
        assert isinstance(merged, dict)
        lines = merged["a.txt"].decode().splitlines()
        assert len(lines) == 20
        seen.add(lines[2] + lines[10] + lines[18])
        assert merged == _combine(family, left, right, seed=seed)
    assert seen == {a + b + c for a in "LR" for b in "LR" for c in "LR"}


@pytest.mark.parametrize(
    ("left", "right", "why"),
    [
        ({"a.txt": b"\0binary L\n"}, {"a.txt": b"\0binary R\n"}, "a.txt"),
        ({"a.txt": None}, {"a.txt": _text(n3="R")}, "a.txt"),
        ({"a.txt": b"<<<<<<< ours\nL\n"}, {"a.txt": b"R\n"}, "conflict markers"),
        ({"a.txt": "é\n".encode("latin-1")}, {"a.txt": "è\n".encode("latin-1")}, "UTF-8"),
        ({"new.txt": b"L\n"}, {"new.txt": b"R\n"}, "new.txt"),
    ],
)
def test_what_no_choice_of_hunks_can_settle_is_given_up(
    family: Family, left: dict[str, bytes | None], right: dict[str, bytes | None], why: str
) -> None:
    sides = [family.child(family.base, value=2.0, files=files) for files in (left, right)]
    said = _combine(family, *sides)
    assert isinstance(said, str)
    assert why in said


def test_too_many_conflicts_are_given_up(family: Family) -> None:
    long = "".join(f"{number}\n\n\n\n\n" for number in range(30))
    start = family.child(family.base, value=2.0, files={"a.txt": long.encode()})
    gap = "\n\n\n\n\n"
    sides = [
        family.child(start, value=3.0, files={"a.txt": long.replace(gap, f"{side}{gap}").encode()}) for side in "LR"
    ]
    assert "more than" in str(_combine(family, *sides))


def test_a_file_new_in_a_folder_the_other_side_moved_is_a_conflict(family: Family) -> None:
    """git says so, too; libgit2 would leave the file behind in the old folder and call it clean."""
    moved = {"lib/one.txt": None, "lib/two.txt": None, "src/one.txt": b"one\n", "src/two.txt": b"two\n"}
    mover = family.child(family.base, value=2.0, files=moved)
    adder = family.child(family.base, value=2.0, files={"lib/three.txt": b"three\n"})
    assert "moved or removed" in str(_combine(family, mover, adder))
    assert "moved or removed" in str(_combine(family, adder, mover))


def test_a_renamed_file_is_followed(family: Family) -> None:
    renamed = family.child(family.base, value=2.0, files={"a.txt": None, "c.txt": _TEXT.encode()})
    edited = family.child(family.base, value=2.0, files={"a.txt": _text(n4="R")})
    for parents in ((renamed, edited), (edited, renamed)):
        merged = _combine(family, *parents)
        assert isinstance(merged, dict)
        assert merged["c.txt"] == _text(n4="R")
        assert "a.txt" not in merged


def test_several_best_common_ancestors(family: Family) -> None:
    """A criss-cross: both tips merged both sides before they went on."""
    one = family.child(family.base, value=2.0, files={"a.txt": _text(n1="1")})
    two = family.child(family.base, value=2.0, files={"a.txt": _text(n18="2")})
    both = {"a.txt": _text(n1="1", n18="2")}
    left = family.child(one, two, value=3.0, files=both)
    right = family.child(two, one, value=3.5, files={"a.txt": _text(n1="1", n18="2", n10="R")})
    left = family.child(left, value=4.0, files={"b.txt": _text(n5="L")})
    assert len(family.graph().ancestry.common_ancestors(left, right)) == 2
    assert _combine(family, left, right) == {
        "a.txt": _text(n1="1", n18="2", n10="R"),
        "b.txt": _text(n5="L"),
        "lib/one.txt": b"one\n",
        "lib/two.txt": b"two\n",
    }


def test_three_lineages_that_do_not_touch_come_together(family: Family) -> None:
    sides = [family.child(family.base, value=2.0, files={path: b"new\n"}) for path in ("a.txt", "b.txt", "lib/one.txt")]
    merged = _combine(family, *sides)
    assert merged == {"a.txt": b"new\n", "b.txt": b"new\n", "lib/one.txt": b"new\n", "lib/two.txt": b"two\n"}
    mates = family.mates()
    drawn = {frozenset(mates.choose(Random(seed))) for seed in range(200)}
    assert frozenset(sides) in drawn
    assert all(len(parents) in (2, 3) for parents in drawn)


def test_all_gains_that_git_can_put_together_come_together_at_once(family: Family) -> None:
    """In one file, too, and small ones, of which two alone would not beat the best; not what would be in conflict."""
    best = family.child(family.base, value=9.0, files={"a.txt": _text(n1="far ahead")})
    fitting = [
        family.child(family.base, value=1.5, files=files)
        for files in ({"a.txt": _text(n18="1")}, {"a.txt": _text(n9="1")}, {"b.txt": b"1\n"}, {"lib/one.txt": b"1\n"})
    ]
    clashing = family.child(family.base, value=1.5, files={"a.txt": _text(n1="else")})
    mates = family.mates()
    drawn = [mates.choose(Random(seed)) for seed in range(200)]
    together = [parents for parents in drawn if len(parents) > 2]
    assert len(together) > 150
    assert {frozenset(parents) for parents in together} == {frozenset((best, *fitting))}
    assert {frozenset(parents) for parents in drawn if clashing in parents} == {frozenset((best, clashing))}


def test_what_is_in_conflict_is_merged_now_and_then(family: Family) -> None:
    family.child(family.base, value=5.0, files={"a.txt": _text(n1="1")})
    family.child(family.base, value=4.0, files={"a.txt": _text(n1="2")})
    mates = family.mates()
    merged = sum(len(mates.choose(Random(seed))) for seed in range(400)) / 800
    assert merged == pytest.approx(0.25, abs=0.08)


def test_nobody_merges_beside_a_merge_that_is_being_measured(family: Family) -> None:
    """It counts until it has a score, its maker wrote something else, or another agent did four evaluations since."""
    sides = [family.child(family.base, value=5.0) for _ in range(6)]

    def merges() -> bool:
        return bool(family.mates().choose(Random(1)))

    assert merges()
    first = family.child(*sides[:2], value=None, is_measured=False, by="b-1-000000")
    assert not merges()
    family.score(first, 1.5, by="b-1-000000")
    assert merges()
    family.child(*sides[1:3], value=None, is_measured=False, by="b-1-000000")
    assert not merges()
    family.child(family.base, value=1.0, by="b-1-000000")
    assert merges(), "whoever goes on to something else has given it up"
    family.child(*sides[2:4], value=None, is_measured=False, by="b-1-000000")
    for agent in ("c-1-000000", "c-2-000000") * 3:
        family.child(family.base, value=1.0, by=agent)
        assert not merges()
    family.child(family.base, value=1.0, by="c-1-000000")
    assert merges(), "whoever was killed keeps nobody from merging"
    family.child(*sides[3:5], value=None, is_measured=False, by="b-1-000000", calls=[_ANSWERED])
    assert merges(), "a model has been asked, which takes its time, and of lines it says nothing"


def test_only_pairs_that_both_got_better_apart_are_merged(family: Family) -> None:
    good = family.child(family.base, value=5.0, files={"a.txt": b"1\n"})
    other = family.child(family.base, value=4.0, files={"b.txt": b"1\n"})
    family.child(family.base, value=0.5, files={"b.txt": b"worse\n"})
    family.child(family.base, value=None, files={"b.txt": b"failed\n"})
    assert [pair.parents for pair in family.mates().pairs()] == [(good, other)]
    better = family.child(good, value=6.0, files={"a.txt": b"2\n"})
    pairs = family.mates().pairs()
    assert [pair.parents for pair in pairs] == [(better, other)], "a candidate is merged by its best descendant"
    assert (pairs[0].base, pairs[0].promise, pairs[0].disjoint) == (family.base, 9.0, True)


def test_a_pair_is_tried_once_by_anybody(family: Family) -> None:
    one = family.child(family.base, value=5.0, files={"a.txt": b"1\n"})
    two = family.child(family.base, value=4.0, files={"b.txt": b"1\n"}, by="b-1-000000")
    three = family.child(family.base, value=3.0, files={"lib/one.txt": b"1\n"}, by="c-1-000000")
    family.give_up(two, one, by="c-1-000000")
    family.child(one, three, value=2.0, by="b-1-000000", files={"lib/one.txt": b"1\n"})
    assert [set(pair.parents) for pair in family.mates().pairs()] == [{two, three}]


def test_what_was_merged_in_vain_is_not_merged_with_what_came_of_it(family: Family) -> None:
    left, right = family.child(family.base, value=5.0), family.child(family.base, value=6.0)
    family.child(left, right, value=5.5)
    further = family.child(right, value=7.0)
    other = family.child(family.base, value=4.0)
    pairs = {frozenset(pair.parents) for pair in family.mates().pairs()}
    assert frozenset((left, further)) not in pairs
    assert {frozenset((left, other)), frozenset((further, other))} <= pairs


def test_pairs_whose_gains_would_not_beat_the_best_are_left(family: Family) -> None:
    family.child(family.base, value=50.0, files={"a.txt": b"far ahead\n"})
    family.child(family.base, value=2.0, files={"b.txt": b"1\n"})
    family.child(family.base, value=3.0, files={"lib/one.txt": b"1\n"})
    found = family.mates().pairs()
    assert all(pair.promise > 50 for pair in found)
    assert len(found) == 2


def test_disjoint_and_complementary_pairs_are_preferred(family: Family) -> None:
    best = family.child(family.base, value=5.0, files={"a.txt": _text(n1="1")}, instances={"x": 5.0, "y": 0.0})
    touching = family.child(family.base, value=4.0, files={"a.txt": _text(n18="1")}, instances={"x": 4.0, "y": 0.0})
    apart = family.child(family.base, value=4.0, files={"b.txt": _text(n1="1")}, instances={"x": 0.0, "y": 4.0})
    pairs = {frozenset(pair.parents): pair for pair in family.mates().pairs()}
    assert not pairs[frozenset((best, touching))].disjoint
    assert pairs[frozenset((best, apart))].complement == 1.0
    mates = family.mates()
    drawn = [frozenset(mates.choose(Random(seed))[:2]) for seed in range(300)]
    assert drawn.count(frozenset((best, apart))) > 3 * drawn.count(frozenset((best, touching)))


def test_pruned_lineages_are_not_merged(family: Family) -> None:
    one = family.child(family.base, value=5.0, files={"a.txt": b"1\n"})
    family.child(family.base, value=4.0, files={"b.txt": b"1\n"})
    family.say(one, "prune")
    assert family.mates().pairs() == []


_ANSWERED = Call(model="m", outcome="unusable", seconds=1.0, tokens_in=10, tokens_out=10)
_DEAD = Call(model="m", outcome="no connection", seconds=1.0)


def test_what_models_tried_and_what_lines_tried_is_remembered_apart(family: Family) -> None:
    one = family.child(family.base, value=5.0, files={"a.txt": _text(n1="1")})
    two = family.child(family.base, value=4.0, files={"a.txt": _text(n1="2")}, by="b-1-000000")
    three = family.child(family.base, value=3.0, files={"lib/one.txt": b"1\n"}, by="c-1-000000")

    def left() -> list[list[set[CommitId]]]:
        mates = family.mates()
        return [[set(pair.parents) for pair in mates.pairs(by_meaning=meant)] for meant in (False, True)]

    every = [{one, two}, {one, three}, {two, three}]
    assert left() == [every, every]
    family.give_up(one, two)
    family.give_up(two, three, calls=[_DEAD])
    assert left() == [every[1:], every], "what lines cannot is for models, who was not reached has tried nothing"
    family.give_up(three, one, calls=[_DEAD, _ANSWERED])
    assert left() == [every[1:], [every[0], every[2]]], "an answer of no use keeps nobody from merging lines"
    merged = replace(_ANSWERED, outcome="ok")
    family.child(two, three, value=2.0, files={"lib/one.txt": b"1\n"}, calls=[merged])
    assert left() == [[every[1]], [every[0]]]


def test_models_are_asked_first_about_what_lines_gave_up(family: Family) -> None:
    best = family.child(family.base, value=5.0, files={"b.txt": _text(n1="1")})
    one = family.child(family.base, value=4.0, files={"a.txt": _text(n1="1")})
    two = family.child(family.base, value=4.0, files={"a.txt": _text(n1="2")})
    planner = Planner(family.repo, family.graph(), Policy(selection="greedy", crosses=1.0))
    before = [planner.plan(seed) for seed in range(200)]
    family.give_up(one, two)
    planner = Planner(family.repo, family.graph(), Policy(selection="greedy", crosses=1.0))
    after = [planner.plan(seed) for seed in range(200)]
    assert {plan.craft for plan in (*before, *after) if plan} == {Craft.CROSS}
    asked = [sum(set(plan.parents) == {one, two} for plan in plans if plan) for plans in (before, after)]
    assert asked[1] > asked[0] > 0
    again = Planner(family.repo, family.graph(), Policy(selection="greedy", crosses=1.0))
    assert [again.plan(seed) for seed in range(200)] == after
    for pair in ((best, one), (best, two), (one, two)):
        family.give_up(*pair, calls=[_ANSWERED])
    planner = Planner(family.repo, family.graph(), Policy(selection="greedy", crosses=1.0))
    assert planner.plan(1) == Plan(operator=Operator.MUTATE, parents=(best,), seed=1), "then it edits like anybody"


_SUM = """import json, os
read = lambda name: [float(word) for word in open(name).read().split()]
off = lambda name, to: -sum(abs(x - y) for x, y in zip(read(name), to))
left, right = off("left.txt", (7, -4, 12)), off("right.txt", (-9, 5, 3))
json.dump({"score": left + right, "instances": {"left": left, "right": right}}, open(os.environ["EVOGIT_RESULT"], "w"))
"""


@pytest.mark.heavy
def test_with_two_files_whose_scores_add_up_merges_carry_the_best(new_checkout: Callable[..., Checkout]) -> None:
    """Real agents: the best descends from merges, each keeps what it began with, and each plan can be made again."""
    numbers = "1.0\n\n\n1.0\n\n\n1.0\n"
    config = """direction = "maximize"
editable = ["*.txt"]
[evaluator]
command = "python bench.py"
"""
    repo = new_checkout("two", {"left.txt": numbers, "right.txt": numbers, "bench.py": _SUM, "evogit.toml": config})
    repo.evogit("run", "--agent", "tuner:2", "--agent", "merger", "--evals", "150", "--run", "r", "--seed", "3")
    best = repo.evogit("best", "-q").stdout.strip()
    merges = repo.git("rev-list", "--merges", f"main..{best}").split()
    assert merges, "no merge leads to the best"
    told = repo.git("log", "--format=%s", "--glob=refs/notes/evogit/r/*").splitlines()
    assert {f"evogit: propose {merge[:12]}" for merge in merges} <= {*told}, "nobody could know of it in time"
    shown = json.loads(repo.evogit("show", merges[0], "--json").stdout)
    made = shown["proposal"]["merge"]
    parents = repo.git("log", "-1", "--format=%P", merges[0]).split()
    assert made["base"] in repo.git("merge-base", "--octopus", "--all", *parents).split()
    values = [json.loads(repo.evogit("show", parent, "--json").stdout)["value"] for parent in parents]
    assert made["values"] == values
    assert "interaction" in repo.evogit("show", merges[0]).stdout
    for commit in (best, merges[0]):
        assert "follows from" in repo.evogit("plan", "--replay", commit).stdout
    steps = json.loads(repo.evogit("lineage", "-p", "--json").stdout)["steps"]
    assert any(step["merged"] for step in steps)
    assert sum(step["gain"] for step in steps[1:]) == pytest.approx(steps[-1]["value"] - steps[0]["value"])
    drawn = repo.evogit("tree").stdout
    assert drawn.splitlines()[0].startswith("*")
    assert best[:9] in drawn
    assert "|\\" in drawn
    status = json.loads(repo.evogit("status", "--json").stdout)
    assert status["operators"]["merge"]["in_best"] == len(merges)
    plans = json.loads(repo.evogit("plan", "--agent", "tuner", "--draws", "50", "--json").stdout)
    again = json.loads(repo.evogit("plan", "--agent", "tuner", "--draws", "50", "--json").stdout)
    assert plans == again
    assert sum(kind["count"] for kind in plans["counts"]) == 50
