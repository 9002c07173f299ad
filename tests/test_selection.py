"""What each policy draws, and that a plan depends on nothing but records, policy and seed."""

from __future__ import annotations

from collections import Counter
from random import Random

import pytest
from conftest import Checkout
from family import Family

from evogit.model import AgentName, CommitId, Operator
from evogit.planning import SELECTORS, Planner, Policy, seed_of

_DRAWS = 4000


def _shares(family: Family, selection: str, merges: float = 0.0) -> dict[tuple[CommitId, ...], float]:
    planner = Planner(family.repo, family.graph(), Policy(selection=selection, merges=merges))
    plans = [planner.plan(seed) for seed in range(_DRAWS)]
    counts = Counter(plan.parents for plan in plans if plan)
    return {parents: count / _DRAWS for parents, count in counts.items()}


@pytest.mark.parametrize("selection", list(SELECTORS))
def test_nothing_scored_gives_no_plan(toy: Checkout, selection: str) -> None:
    family = Family(toy.path)
    assert Planner(family.repo, family.graph(), Policy(selection=selection, merges=1.0)).plan(1) is None


def test_greedy_takes_the_best_and_crosses_plateaus(family: Family) -> None:
    leaders = [family.child(family.base, value=3.0) for _ in range(4)]
    family.child(family.base, value=2.0)
    shares = _shares(family, "greedy")
    assert set(shares) == {(leader,) for leader in leaders}
    assert all(share == pytest.approx(0.25, abs=0.03) for share in shares.values())


def test_greedy_walks_on_across_a_plateau(family: Family) -> None:
    """Of five equals that are drawn, the one with the longest lineage is taken."""
    leaders = [family.child(family.base, value=3.0)]
    for _ in range(5):
        leaders.append(family.child(leaders[-1], value=3.0))
    shares = _shares(family, "greedy")
    for number, leader in enumerate(leaders, 1):
        assert shares.get((leader,), 0) == pytest.approx((number**5 - (number - 1) ** 5) / 6**5, abs=0.03)


def test_origin_goes_back_to_where_the_best_was_first_reached(family: Family) -> None:
    better = family.child(family.base, value=2.0)
    best = family.child(better, value=3.0)
    same = family.child(family.child(best, value=3.0), value=3.0)
    shares = _shares(family, "origin")
    assert shares[(best,)] == pytest.approx(0.5 + 0.1 / 3, abs=0.03)
    assert shares[(better,)] == pytest.approx(0.2, abs=0.03)
    assert shares[(family.base,)] == pytest.approx(0.2, abs=0.03)
    assert shares[(same,)] == pytest.approx(0.1 / 3, abs=0.02)


def test_base_is_best_of_n(family: Family) -> None:
    family.child(family.base, value=3.0)
    assert _shares(family, "base") == {(family.base,): 1.0}


def test_a_tournament_of_four_has_its_pressure(family: Family) -> None:
    """Of n candidates in order, number k from the top wins with ((n-k+1)/n)**4 - ((n-k)/n)**4."""
    ranked = [family.base]
    for value in (2.0, 3.0, 4.0, 5.0):
        ranked.insert(0, family.child(ranked[0], value=value))
    shares = _shares(family, "tournament")
    for number, commit in enumerate(ranked):
        left = len(ranked) - number
        expected = (left / 5) ** 4 - ((left - 1) / 5) ** 4
        assert shares.get((commit,), 0) == pytest.approx(expected, abs=0.03)


def test_clades_are_drawn_by_what_came_of_them(family: Family) -> None:
    """A worse candidate whose descendants keep getting better is preferred to a better one whose do not."""
    dead_end = family.child(family.base, value=5.0)
    for _ in range(6):
        family.child(dead_end, value=1.0)
    fertile = family.child(family.base, value=2.0)
    at = fertile
    for value in (2.5, 2.6, 2.7):
        at = family.child(at, value=value)
    shares = _shares(family, "clade")
    assert shares[(fertile,)] > 3 * shares.get((dead_end,), 0)
    expected = _draws({fertile: (4, 0), dead_end: (1, 6), family.base: (5, 6), **_chain(family, fertile)})
    for commit, share in expected.items():
        assert shares.get((commit,), 0) == pytest.approx(share, abs=0.03)


def _chain(family: Family, start: CommitId) -> dict[CommitId, tuple[int, int]]:
    graph = family.graph()
    found = {}
    at = start
    wins = 3
    while children := graph.ancestry.children(at):
        at = children[0]
        found[at] = (wins, 0)
        wins -= 1
    return found


def _draws(counts: dict[CommitId, tuple[int, int]]) -> dict[CommitId, float]:
    """Return how often each has the highest draw from Beta(1 + wins, 1 + losses), by another generator."""
    rng = Random(99)
    won: Counter[CommitId] = Counter()
    for _ in range(20_000):
        drawn = {commit: rng.betavariate(1 + wins, 1 + losses) for commit, (wins, losses) in counts.items()}
        won[max(drawn, key=lambda commit: drawn[commit])] += 1
    return {commit: won[commit] / 20_000 for commit in counts}


def test_promoted_lineages_get_half_of_the_plans_and_more(family: Family) -> None:
    leader = family.child(family.base, value=9.0)
    liked = family.child(family.base, value=2.0)
    family.say(liked, "promote")
    shares = _shares(family, "greedy")
    assert shares[(liked,)] == pytest.approx(0.5, abs=0.03)
    assert shares[(leader,)] == pytest.approx(0.5, abs=0.03)
    family.say(liked, "prune")
    assert _shares(family, "greedy") == {(leader,): 1.0}


@pytest.mark.parametrize("selection", list(SELECTORS))
def test_two_readers_make_the_same_plans(family: Family, selection: str) -> None:
    """One followed the run record by record, the other reads it cold."""
    followed = family.graph()
    policy = Policy(selection=selection, merges=0.5)
    planner = Planner(family.repo, followed, policy)
    rng = Random(7)
    made = [family.base]
    for number in range(25):
        by = f"a-{rng.randrange(4)}-000000"
        parent = rng.choice(made[-5:])
        made.append(
            family.child(parent, value=rng.gauss(number, 4), by=by, files={f"f{rng.randrange(3)}": b"%d\n" % number})
        )
        followed.snapshot.refresh()
        followed.refresh()
        planner.plan(number)  # what it derives on the way must not show in later plans
    cold = Planner(family.repo, family.graph(), policy)
    plans = [planner.plan(seed) for seed in range(200)]
    assert plans == [cold.plan(seed) for seed in range(200)]
    assert {plan.operator for plan in plans if plan} == {Operator.MERGE, Operator.MUTATE}


def test_seeds_depend_on_the_agent_and_not_on_the_clone() -> None:
    here, there = AgentName("tuner-1-aaaaaa"), AgentName("tuner-1-bbbbbb")
    assert seed_of(1, here, 5) == seed_of(1, there, 5)
    others = {seed_of(1, here, 6), seed_of(2, here, 5), seed_of(1, AgentName("tuner-2-aaaaaa"), 5)}
    assert len(others | {seed_of(1, here, 5)}) == 4
