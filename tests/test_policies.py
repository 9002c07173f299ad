"""What the policies of the field draw, against weights worked out from their papers by other code."""

from __future__ import annotations

import itertools
import json
import math
from collections import Counter
from collections.abc import Iterator
from random import Random
from statistics import median

import pytest
from conftest import Checkout
from family import Family

from evogit.model import CommitId, Direction
from evogit.phylogeny import Phylogeny
from evogit.planning import Planner, Policy
from evogit.selection.protocol import Field
from evogit.selection.standing import Standing

_DRAWS = 4000
_ABOUT = 0.03


@pytest.fixture
def family(toy: Checkout) -> Iterator[Family]:
    """A run whose base scores 0.2."""
    made = Family(toy.path)
    made.score(made.base, 0.2)
    yield made
    made.close()


def _shares(family: Family, selection: str, **more: object) -> dict[CommitId, float]:
    policy = Policy(selection=selection, merges=0.0, **more)  # type: ignore[arg-type]
    planner = Planner(family.repo, family.graph(), policy)
    counts = Counter(plan.parents[0] for plan in map(planner.plan, range(_DRAWS)) if plan)
    return {commit: count / _DRAWS for commit, count in counts.items()}


def _agree(shares: dict[CommitId, float], weights: dict[CommitId, float]) -> None:
    total = sum(weights.values())
    for commit, weight in weights.items():
        assert shares.get(commit, 0.0) == pytest.approx(weight / total, abs=_ABOUT)
    assert set(shares) <= set(weights)


def test_rank_is_a_power_law_over_places(family: Family) -> None:
    """The k-th of n has the share (1 / k) / (1 + 1/2 + ... + 1/n); equals share theirs."""
    best = family.child(family.base, value=0.9)
    equal = [family.child(family.base, value=0.5) for _ in range(2)]
    _agree(_shares(family, "rank"), {best: 1.0, equal[0]: 5 / 12, equal[1]: 5 / 12, family.base: 1 / 4})


@pytest.mark.parametrize("scale", [1.0, 1000.0])
def test_sigmoid_times_novelty(toy: Checkout, scale: float) -> None:
    """On shares of passed tasks the published weights; on other scores those of the median and the best."""
    family = Family(toy.path)
    values = {family.base: 0.2}
    family.score(family.base, 0.2 * scale)
    for value, children in ((0.5, 0), (0.6, 3), (0.7, 1)):
        parent = family.child(family.base, value=value * scale)
        values[parent] = value
        for _ in range(children):
            values[family.child(parent, value=0.3 * scale)] = 0.3
    family.child(family.base, value=None)
    born = {family.base: 3, **{commit: 0 for commit in values if commit != family.base}}
    born |= {commit: {0.6: 3, 0.7: 1}.get(value, 0) for commit, value in values.items() if commit != family.base}
    middle = sorted(values.values())[(len(values) - 1) // 2]
    weights = {}
    for commit, value in values.items():
        merit = value if scale == 1.0 else 0.5 + 0.5 * (value - middle) / (0.7 - middle)
        weights[commit] = 1 / (1 + math.exp(-10 * (merit - 0.5))) / (1 + born[commit])
    _agree(_shares(family, "sigmoid"), weights)
    family.close()


def test_pareto_takes_those_that_are_the_best_somewhere(family: Family) -> None:
    """`twice` is the best on a and b, `once` on c with `shadow`, who is the best nowhere else and scores less."""
    twice = family.child(family.base, value=0.6, instances={"a": 9, "b": 9, "c": 1})
    once = family.child(family.base, value=0.5, instances={"a": 1, "b": 1, "c": 9})
    family.child(family.base, value=0.4, instances={"a": 0, "b": 0, "c": 9})
    family.child(family.base, value=0.9, instances={"a": 8, "b": 8, "c": 8})
    _agree(_shares(family, "pareto"), {twice: 2.0, once: 1.0})


def test_pareto_without_instances_takes_the_best(family: Family) -> None:
    best = family.child(family.base, value=0.6)
    _agree(_shares(family, "pareto"), {best: 1.0})


def test_lexicase_as_the_orders_of_instances_have_it(family: Family) -> None:
    results = [
        {"a": 9.0, "b": 0.0, "c": 5.0},
        {"a": 0.0, "b": 9.0, "c": 5.0},
        {"a": 8.9, "b": 1.0, "c": 0.0},
        {"a": 4.0, "b": 4.0, "c": 9.0},
        {"a": 1.0, "b": 2.0, "c": 3.0},
    ]
    made = [family.child(family.base, value=0.5, instances=result) for result in results]
    family.say(family.base, "prune")
    for commit in made:
        family.say(commit, "promote")
    weights: Counter[CommitId] = Counter()
    for order in itertools.permutations("abc"):
        left = list(range(len(made)))
        for name in order:
            values = [result[name] for result in results]
            width = median(abs(value - median(values)) for value in values)
            best = max(results[one][name] for one in left)
            left = [one for one in left if results[one][name] >= best - width]
        for one in left:
            weights[made[one]] += 1 / len(left)  # type: ignore[assignment]
    _agree(_shares(family, "lexicase"), {commit: float(weights[commit]) for commit in made if weights[commit]})


def test_elites_are_the_best_of_each_cell_on_each_island(family: Family) -> None:
    """Nine in ten plans draw an island, then a cell; the others draw from the cells of all islands together."""
    graph_of = {}
    for number in range(12):
        value = 0.3 + number / 100
        graph_of[family.child(family.base, value=value, instances={})] = value
    islands: dict[int, CommitId] = {int(family.base[:8], 16) % 4: family.base}
    best = {family.base: 0.2} | graph_of
    for commit, value in graph_of.items():
        island = int(commit[:8], 16) % 4
        if island not in islands or value > best[islands[island]]:
            islands[island] = commit
    weights: Counter[CommitId] = Counter({max(best, key=lambda commit: best[commit]): 0.1})
    for elite in islands.values():
        weights[elite] += 0.9 / len(islands)  # type: ignore[assignment]
    _agree(_shares(family, "elites"), dict(weights))


def test_elites_of_declared_features(toy: Checkout) -> None:
    """By the length of the program in steps of 10: a short one is kept beside a better long one."""
    family = Family(toy.path, direction=Direction.MINIMIZE)
    family.score(family.base, 9.0, metrics={"length": 55})
    short = family.child(family.base, value=5.0, metrics={"length": 12})
    at = short
    for value, length in ((4.0, 31), (6.0, 18), (3.0, 39), (3.5, 33)):
        at = family.child(at, value=value, metrics={"length": length})
    family.child(at, value=1.0)  # it does not tell its length
    shares = _shares(family, "elites", features={"length": 10.0})
    graph = family.graph()
    lengths = {commit: graph.snapshot.candidates[commit].scores[0].metrics["length"] for commit in shares}
    assert {int(length) for length in lengths.values()} == {55, 12, 39}
    family.close()


def test_uct_goes_down_where_the_bound_is_highest(family: Family) -> None:
    """As a plain walk by the formula has it, at every size of the tree."""
    rng = Random(5)
    made = [family.base]
    for number in range(40):
        graph = family.graph()
        expected = _walk(graph, family.base)
        planner = Planner(family.repo, graph, Policy(selection="uct", merges=0.0))
        plans = {plan.parents[0] for plan in map(planner.plan, range(30)) if plan}
        assert plans <= expected
        assert len(plans) == 1 or len(expected) > 1
        parent = sorted(expected)[0] if number % 3 else rng.choice(made)
        before = graph.value(parent) or 0.2
        made.append(family.child(parent, value=rng.uniform(0, before + 0.1)))


def _walk(graph: Phylogeny, at: CommitId) -> set[CommitId]:
    def counts(commit: CommitId) -> tuple[int, int]:
        judged = [one for one in graph.ancestry.clade(commit) if one != graph.base]
        return sum(graph.is_gain(one) for one in judged), len(judged)

    found, walking = set(), {at}
    while walking:
        at = walking.pop()
        children = graph.ancestry.children(at)
        tried = counts(at)[1]
        if not children or len(children) < math.sqrt(tried):
            found.add(at)
            continue
        bounds = {}
        for child in children:
            wins, visits = counts(child)
            bounds[child] = wins / visits + math.sqrt(2) * math.sqrt(math.log(tried) / visits)
        walking |= {child for child, bound in bounds.items() if bound == max(bounds.values())}
    return found


def test_distant_takes_the_loner_of_the_better_half(family: Family) -> None:
    """Of five in the better half, four are siblings and one stands at the end of a long line of worse ones."""
    siblings = [family.child(family.base, value=0.8) for _ in range(4)]
    at = family.base
    for value in (0.1, 0.11, 0.12, 0.13, 0.14):
        at = family.child(at, value=value)
    loner = family.child(at, value=0.7)
    assert _shares(family, "distant") == {loner: 1.0}
    assert siblings


def test_a_standing_that_followed_is_that_of_one_who_reads_all(family: Family) -> None:
    followed, graph = Standing(), family.graph()
    rng = Random(3)
    for number in range(160):
        family.child(family.base, value=rng.choice((0.1, 0.5, 0.9)))
        if number % 7 == 0 or number > 150:
            graph.snapshot.refresh()
            graph.refresh()
            followed.refresh(Field(graph, graph.field))
    fresh = Standing()
    fresh.refresh(Field(family.graph(), family.graph().field))
    assert followed.order == fresh.order
    assert len(fresh.order) == 161
    assert [len(fresh.equals(place)) for place in (0, 160)] == [
        sum(key == fresh.order[place][0] for key, _ in fresh.order) for place in (0, 160)
    ]


def test_the_command_line_shows_the_weights(toy: Checkout) -> None:
    """As a person sees it, with ten thousand draws."""
    assert toy.evogit("run", "--evals", "12", "--seed", "3", "--run", "p").returncode == 0
    shown = json.loads(
        toy.evogit("plan", "--run", "p", "--policy", "rank", "--merges", "0", "--draws", "10000", "--json").stdout
    )
    assert shown["policy"]["selection"] == "rank"
    counts = [found["count"] for found in shown["counts"]]
    assert sum(counts) == 10_000
    places = sum(1 / place for place in range(1, len(counts) + 1))
    assert max(counts) / 10_000 <= 1 / places + _ABOUT
