"""Search as a whole: when it widens, when one clade has taken over, and what the bench compares agents with."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from random import Random

import pytest
from conftest import CONFIG, Checkout
from family import EVALUATOR, Family

from evogit import lineup
from evogit.config import parse
from evogit.model import CommitId, Craft, Direction, Edit, Measurement, RepoPath, Status
from evogit.phylogeny import takeover
from evogit.planning import Planner, Policy
from evogit.proposers.protocol import Request
from evogit.selection.stagnation import Stagnation, wideness

sys.path.insert(0, str(Path(__file__).parent / "bench"))
from climber import Climber


def test_how_wide_is_a_matter_of_evaluations_alone() -> None:
    assert [wideness(since, 10) for since in (0, 60, 120, 180, 5000)] == [0, 0, 0.5, 1, 1]
    assert [wideness(since, 400) for since in (60, 400, 800, 1200)] == [0, 0, 0.5, 1]


def test_stagnation_counts_from_the_first_of_the_best(family: Family) -> None:
    """One that equals the best is no progress, nor is a score of another evaluator."""
    assert Stagnation(family.graph()).counts() == (0, 1)
    best = family.child(family.base, value=3.0)
    assert Stagnation(family.graph()).counts() == (0, 2)
    family.child(best, value=2.0)
    family.child(best, value=None)
    family.child(best, value=3.0)
    other = Family(Path(family.repo.work or ""), evaluator="f" * 64)
    other.score(best, 9.0, by="b-1-000000")
    other.close()
    assert Stagnation(family.graph()).counts() == (3, 2)
    known = family.graph()
    counted = Stagnation(known)
    assert counted.counts() == (3, 2)
    family.child(best, value=4.0)
    known.snapshot.refresh()
    known.refresh()
    assert counted.counts() == (0, 6) == Stagnation(family.graph()).counts()


def _stalled(family: Family, evaluations: int) -> CommitId:
    """Make a line that got better twice, one aside from the base, and evaluations that brought nothing."""
    first = family.child(family.base, value=5.0)
    best = family.child(first, value=9.0)
    family.child(family.base, value=4.0)
    for _ in range(evaluations):
        family.child(best, value=0.5)
    return best


def test_a_stalled_run_starts_further_away_and_moves_hunks(family: Family) -> None:
    best = _stalled(family, 180)
    graph = family.graph()
    narrow, wide = (Planner(family.repo, graph, Policy(selection="greedy", widens=share)) for share in (0.0, 0.5))
    plans = [plan for plan in map(wide.plan, range(150)) if plan]
    assert {plan.parents for plan in map(narrow.plan, range(100)) if plan} == {(best,)}
    away = [plan for plan in plans if plan.parents != (best,)]
    assert 0.25 < len(away) / len(plans) < 0.6
    assert any(plan.craft is Craft.TRANSPLANT for plan in away)
    again = Planner(family.repo, family.graph(), Policy(selection="greedy", widens=0.5))
    assert [again.plan(seed) for seed in range(150)] == plans


def test_while_it_gets_better_plans_are_as_without(family: Family) -> None:
    _stalled(family, 40)
    graph = family.graph()
    narrow, wide = (Planner(family.repo, graph, Policy(selection="greedy", widens=share)) for share in (0.0, 1.0))
    assert [wide.plan(seed) for seed in range(50)] == [narrow.plan(seed) for seed in range(50)]


def test_a_widened_plan_can_be_replayed_when_the_run_went_on(family: Family) -> None:
    _stalled(family, 180)
    then = family.graph()
    policy = Policy(selection="greedy", widens=1.0)
    planner = Planner(family.repo, then, policy)
    plans = [planner.plan(seed) for seed in range(20)]
    family.child(family.base, value=20.0)
    known = type(then.snapshot)(family.repo, then.snapshot.run, EVALUATOR, family.direction, until=then.snapshot.seen())
    planner = Planner(family.repo, family.graph(known), policy)
    assert [planner.plan(seed) for seed in range(20)] == plans


def test_a_takeover_is_named_by_the_youngest_that_nearly_all_descend_from(family: Family) -> None:
    founder = family.child(family.base, value=2.0)
    heir = family.child(founder, value=3.0)
    for _ in range(44):
        family.child(heir, value=2.5)
    assert takeover(family.graph()) is None  # 46 candidates: too few to say
    for _ in range(4):
        family.child(family.base, value=0.5)
    found = takeover(family.graph())  # 44 descend from the heir, and the heir from its founder, too
    assert found
    assert (found.commit, found.descend, found.recent) == (founder, 45, 50)
    for _ in range(4):
        family.child(heir, value=2.6, by="b-1-000000")
    found = takeover(family.graph())
    assert found
    assert (found.commit, found.descend, found.recent) == (heir, 46, 50)
    family.say(founder, "prune")
    assert takeover(family.graph()) is None


@pytest.mark.heavy
def test_status_says_when_one_clade_has_taken_over(toy: Checkout) -> None:
    (toy.path / "score.sh").write_text('read -r _ _ a < knob.txt; echo "{\\"score\\": $a}" > "$EVOGIT_RESULT"\n')
    (toy.path / "knob.txt").write_text("level = 3\n")
    (toy.path / "evogit.toml").write_text(
        CONFIG.replace("python bench.py", "sh score.sh").replace("knobs.py", "knob.txt")
    )
    folder = toy.path / ".evogit" / "agents"
    folder.mkdir(parents=True)
    # Every candidate after the first gain descends from it.
    (folder / "climber.toml").write_text('summary = "Climbs"\nproposer = "tuner"\nselection = "greedy"\n')
    toy.commit("quick")
    toy.evogit("run", "--agent", "climber", "--evals", "80", "--run", "r", "--seed", "1")
    said = json.loads(toy.evogit("status", "--json").stdout)["takeover"]
    assert said["recent"] == 50
    assert said["descend"] >= 45
    assert f"takeover {said['descend']} of the last 50 candidates descend from {said['commit'][:12]}" in (
        toy.evogit("status").stdout
    )


class _Steps:
    """Proposes the next of some values, whatever it is given, and notes what it was given."""

    def __init__(self, values: list[int]) -> None:
        self.values, self.given = values, list[tuple[bytes, float]]()

    def propose(self, request: Request, rng: Random) -> Edit:
        self.given.append((request.files[0].content, request.params.get("step", 0.0)))
        value = self.values.pop(0)
        return Edit(files={RepoPath("x"): b"%d" % value}, subject="", params={"step": float(value)})


def test_the_climber_keeps_what_is_not_worse_and_repeats_nothing() -> None:
    """7 is better, 3 worse, 6 as good as 7 (both are one off 8 on a dial of pairs), 9 fails, 3 was tried, 8 is best."""
    steps = _Steps([7, 3, 6, 9, 3, 8])

    def measure(files: Mapping[str, bytes]) -> Measurement:
        value = int(files["x"])
        return (
            Measurement(status=Status.FAILED) if value == 9 else Measurement(status=Status.OK, value=value // 2 * 2.0)
        )

    found = Climber(measure, Direction.MAXIMIZE, [steps]).climb({"x": b"0"}, 6, Random(1))
    assert found == [0.0, 6.0, 2.0, 6.0, None, 8.0]
    assert steps.given == [(b"0", 0.0), (b"7", 7.0), (b"7", 7.0), (b"6", 6.0), (b"6", 6.0), (b"6", 6.0)]


@pytest.mark.parametrize(
    ("evaluator", "four"),
    [
        ('function = "bench:score"', {"tuner": 4}),
        ('command = "python bench.py"', {"tuner": 4}),
        ('pytest = "tests"', {"surgeon": 3, "tuner": 1}),
        ('command = "make test"\nresult = "exit-code"', {"surgeon": 3, "tuner": 1}),
        ('command = "python bench.py"\nresult = "lines"', {"surgeon": 3, "tuner": 1}),
    ],
)
def test_the_default_mix_goes_by_what_is_scored(evaluator: str, four: Mapping[str, int]) -> None:
    config = parse(f'direction = "minimize"\neditable = ["a"]\n[evaluator]\n{evaluator}\n'.encode())
    assert {use.use: use.count for use in lineup.mix(4, lineup.shares_for(config.evaluator))} == four
