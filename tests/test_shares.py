"""Which of several models is asked: what a run's records teach, and which shares follow from that."""

from __future__ import annotations

from collections import Counter
from math import gamma
from random import Random

import pytest
from conftest import Checkout
from family import EVALUATOR, Family

from evogit.asking import all_shares, choose
from evogit.llm import order, shares
from evogit.model import Direction
from evogit.phylogeny import Asking, askings
from evogit.records import Call, Choice

_STEPS = 2000


def _call(model: str, outcome: str = "ok", usd: float | None = 0.01, tokens: int | None = 500) -> Call:
    return Call(model=model, outcome=outcome, seconds=1.0, usd=usd, tokens_in=tokens, tokens_out=tokens)


def _trials(model: str, gains: int, of: int, **cost: float) -> list[Asking]:
    return [Asking(name=model, gain=0.25 if number < gains else 0.0, **cost) for number in range(of)]


def _density(alpha: float, beta: float, x: float) -> float:
    return float(gamma(alpha + beta) / gamma(alpha) / gamma(beta) * x ** (alpha - 1) * (1 - x) ** (beta - 1))


def _probability(first: tuple[float, float], other: tuple[float, float], ratio: float) -> float:
    """Return how probable it is that a draw from one Beta is more than `ratio` times one from another."""
    below, total, at = 0.0, 0.0, 0
    for step in range(_STEPS):
        x = (step + 0.5) / _STEPS
        while at < _STEPS and (at + 0.5) / _STEPS <= x / ratio:
            below += _density(*other, (at + 0.5) / _STEPS) / _STEPS
            at += 1
        total += _density(*first, x) / _STEPS * below
    return total


def test_the_shares_are_the_weights_until_something_is_known() -> None:
    assert shares({"a": 1.0, "b": 3.0}, []) == {"a": 0.25, "b": 0.75}
    assert shares({"a": 1.0, "b": 3.0}, _trials("other", 3, 9)) == {"a": 0.25, "b": 0.75}
    assert shares({"a": 1.0, "b": 3.0}, _trials("a", 9, 9), how="weights") == {"a": 0.25, "b": 0.75}
    assert shares({"a": 5.0}, _trials("a", 0, 9)) == {"a": 1.0}


@pytest.mark.parametrize("weight", [1.0, 3.0])
def test_shares_are_what_the_posteriors_say(weight: float) -> None:
    """All gains are equal, and so each is half a success: 4 of 8 give Beta(3, 7), 2 of 8 Beta(2, 8)."""
    found = shares({"a": weight, "b": 1.0}, [*_trials("a", 4, 8), *_trials("b", 2, 8)])
    better = _probability((3, 7), (2, 8), 1.0)
    odds = weight * better / (weight * better + 1 - better)
    assert found["a"] == pytest.approx(0.1 * weight / (weight + 1) + 0.9 * odds, abs=0.06)
    assert sum(found.values()) == pytest.approx(1.0)


@pytest.mark.parametrize("unit", ["usd", "tokens"])
def test_what_costs_more_has_to_gain_more(unit: str) -> None:
    """Means with one more proposal of average cost, 2.5: (8 + 2.5) / 9 and (32 + 2.5) / 9; a tenth goes by them."""
    learned = [*_trials("a", 4, 8, **{unit: 1.0}), *_trials("b", 6, 8, **{unit: 4.0})]
    cheaper = _probability((3, 7), (4, 6), 10.5 / 34.5)
    expected = 0.1 * 34.5 / (10.5 + 34.5) + 0.9 * cheaper
    assert shares({"a": 1.0, "b": 1.0}, learned)["a"] == pytest.approx(expected, abs=0.06)


def test_an_unknown_cost_is_that_of_the_dearest() -> None:
    learned = [*_trials("a", 4, 8, usd=1.0), *_trials("b", 4, 8, usd=4.0), *_trials("c", 4, 8, tokens=10.0)]
    found = shares({"a": 1.0, "b": 1.0, "c": 1.0}, learned)
    assert found["c"] == pytest.approx(found["b"], abs=0.06)
    assert found["a"] > found["b"] + 0.2
    free = [*_trials("a", 4, 8, usd=0.0), *_trials("b", 4, 8, usd=0.0)]
    assert shares({"a": 1.0, "b": 1.0}, free)["a"] == pytest.approx(0.5, abs=0.06)


def test_nobody_starves_and_a_large_gain_counts_more() -> None:
    """What the tenth costs goes by the weights: half for each."""
    hopeless = shares({"a": 1.0, "b": 1.0}, [*_trials("a", 199, 199, usd=1.0), *_trials("b", 0, 199, usd=9.0)])
    means = (199 * 1.0 + 5.0) / 200, (199 * 9.0 + 5.0) / 200
    assert hopeless["b"] == pytest.approx(0.1 * means[0] / sum(means))
    assert hopeless["a"] == pytest.approx(1 - hopeless["b"])
    large = [Asking(name="a", gain=0.5)] * 9 + [Asking(name="b", gain=0.05)] * 9
    assert shares({"a": 1.0, "b": 1.0}, large)["a"] > 0.8


def test_shares_do_not_hang_on_the_order_of_anything() -> None:
    learned = [
        Asking(name=name, gain=Random(f"{name}{number}").random(), usd=0.1 * number)
        for name in "abc" for number in range(7)
    ]  # fmt: skip
    first = shares({"a": 1.0, "b": 2.0, "c": 3.0}, learned)
    assert shares({"c": 3.0, "b": 2.0, "a": 1.0}, learned[::-1]) == first


def test_models_are_drawn_by_their_shares() -> None:
    given = {"a": 0.6, "b": 0.3, "c": 0.1}
    drawn = [order(given, Random(seed)) for seed in range(4000)]
    first = Counter(names[0] for names in drawn)
    assert all(first[name] / 4000 == pytest.approx(share, abs=0.03) for name, share in given.items())
    second = Counter(names[1] for names in drawn if names[0] == "a")
    assert second["b"] / sum(second.values()) == pytest.approx(0.75, abs=0.04)
    weights = {"model": {"a": 2.0, "b": 1.0}, "prompt": {"refiner": 1.0}}
    choices, orders = choose(weights, {"model": {"b": 0.25, "a": 0.75}}, 7)
    choice = Choice(chosen=orders["model"][0], shares={"b": 0.25, "a": 0.75}, weights={"a": 2.0, "b": 1.0})
    assert choices == {"model": choice}, "of one prompt there is no choice"
    assert orders["prompt"] == ["refiner"]
    assert all_shares(weights, {"model": _trials("b", 9, 9), "prompt": _trials("refiner", 0, 9)}, "weights") == {
        "model": {"a": pytest.approx(2 / 3, abs=1e-6), "b": pytest.approx(1 / 3, abs=1e-6)}
    }


def test_the_most_for_its_cost_is_asked_most() -> None:
    """Simulated: as often right as another at a fifth of its cost, and ten times as often as a third."""
    truth, rng = {"good": (0.5, 1.0), "dear": (0.5, 5.0), "poor": (0.05, 1.0)}, Random(5)
    learned: list[Asking] = []
    for seed in range(80):
        name = order(shares(dict.fromkeys(truth, 1.0), learned), Random(seed))[0]
        chance, usd = truth[name]
        learned.append(Asking(name=name, gain=rng.random() if rng.random() < chance else 0.0, usd=usd))
    asked = Counter(asking.name for asking in learned)
    assert asked["good"] > 40, asked


def test_a_run_teaches_what_its_records_say(family: Family) -> None:
    """Gains are relative, beside the parent the base counts, and each model answers for its own part."""
    better = family.child(family.base, value=2.0, calls=[_call("a", "unusable"), _call("a")])
    worse = family.child(family.base, value=0.5, calls=[_call("a", "unusable", usd=0.5), _call("b", usd=None)])
    family.child(worse, value=0.8, calls=[_call("b")])
    family.child(better, value=None, calls=[_call("b", tokens=None)], by="b-1-000000")
    family.child(better, value=2.5, calls=[_call("a", "rate limit", usd=None, tokens=None), _call("b")])
    family.child(better, value=9.0, calls=[_call("a", "unusable")])
    family.child(better, value=9.0, calls=[_call("a")], is_measured=False)
    family.child(better, value=9.0)
    family.give_up(better, calls=[_call("a", "truncated")])
    learned = askings(family.graph())
    found = sorted(learned["model"], key=lambda one: (one.name, -one.gain, one.usd or 0.0, one.tokens or 0.0))
    assert found == [
        Asking(name="a", gain=0.5, usd=0.02, tokens=2000.0),
        Asking(name="a", usd=0.01, tokens=1000.0),
        Asking(name="a", usd=0.01, tokens=1000.0),
        Asking(name="a", usd=0.5, tokens=1000.0),
        Asking(name="b", gain=0.2, usd=0.01, tokens=1000.0),
        Asking(name="b", usd=None, tokens=1000.0),
        Asking(name="b", usd=0.01, tokens=None),
        Asking(name="b", usd=0.01, tokens=1000.0),
    ]
    assert learned["prompt"] == [], "there was never more than one"
    assert askings(family.graph(), tools={"test"}) == {"model": [], "prompt": []}


def test_a_prompt_answers_for_all_calls_of_its_proposals(family: Family) -> None:
    shares = {"bold": 0.5, "sober": 0.5}
    bold, sober = (
        {"prompt": Choice(chosen=name, shares=shares, weights={"bold": 1.0, "sober": 1.0})} for name in shares
    )
    family.child(family.base, value=2.0, calls=[_call("a", "unusable"), _call("b")], choices=bold)
    family.child(family.base, value=2.0, calls=[_call("a", "unusable")], choices=sober)
    family.give_up(family.base, calls=[_call("b", "truncated")], choices=sober)
    found = sorted(askings(family.graph())["prompt"], key=lambda one: (one.name, -one.gain))
    assert found == [
        Asking(name="bold", gain=0.5, tokens=2000.0),
        Asking(name="sober", tokens=1000.0),
        Asking(name="sober", tokens=1000.0),
    ], "dear tokens are the model's"


def test_less_may_be_better_and_another_epoch_counts(toy: Checkout) -> None:
    family = Family(toy.path, direction=Direction.MINIMIZE)
    family.score(family.base, -2.0)
    family.child(family.base, value=-4.0, calls=[_call("a")])
    family.child(family.base, value=-1.0, calls=[_call("b")])
    family.evaluator = "f" * 64
    assert family.evaluator != EVALUATOR
    later = family.graph()
    assert {one.name: one.gain for one in askings(later)["model"]} == {"a": 0.5, "b": 0.0}
    family.close()
