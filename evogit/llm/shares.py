"""Which of several models is asked, or prompts used: by weights people gave, and by what each came to so far."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import fsum
from random import Random
from statistics import fmean, median

from evogit.phylogeny import Asking

BANDIT = "bandit"
_DRAWS = 1000
_EXPLORING = 0.1
"""The part of all questions that goes by weight and cost alone, whatever was gained: none starves."""
_CHEAPEST = 1 / 50
"""What a proposal costs at least, in terms of the dearest model's: it has to be measured as well."""


def shares(weights: Mapping[str, float], learned: Sequence[Asking], how: str = BANDIT) -> dict[str, float]:
    """Return each model's, or each prompt's, share of the questions to come; they add up to 1.

    Budgeted Thompson sampling (Xia and others, "Thompson sampling for budgeted multi-armed bandits", IJCAI 2015): from
    what is known of each model its mean reward is drawn, and the model with the most reward for its cost is asked. The
    reward of a proposal is, after ShinkaEvolve (arXiv 2509.19349), what the candidate gained on its parent and on the
    base, 0 for none; `g / (g + typical)` brings a relative gain between 0 and 1, where a typical one, the median of all
    that are gains, is worth one half. Rewards are added up as parts of successes on a uniform prior. The cost is not
    drawn, since it differs little between two proposals of a model: it is the mean, with one more of average cost.

    A share is the probability of such a draw, found by drawing often from a generator of its own, times the model's
    weight, which is what people held of it beforehand. A tenth of the questions is shared out so that what they cost
    goes by the weights alone. So the shares are the weights while nothing is known, and the same records give the same
    shares everywhere. Cost is USD where anybody's is known in USD, else tokens; who was asked and is of unknown cost is
    taken to be as dear as the dearest.
    """
    given = _normal(weights)
    mine = [asking for asking in learned if asking.name in weights]
    if how != BANDIT or len(weights) < 2 or not mine:
        return given
    by_name = {name: [asking for asking in mine if asking.name == name] for name in sorted(weights)}
    costs = _costs(by_name)
    won = _wins(by_name, costs)
    learnt = _normal({name: given[name] * won[name] for name in weights})
    spread = _normal({name: given[name] / costs[name] for name in weights})
    return {name: _EXPLORING * spread[name] + (1 - _EXPLORING) * learnt[name] for name in weights}


def order(of: Mapping[str, float], rng: Random) -> list[str]:
    """Return the models, the first drawn by these shares, the others as they would be drawn next."""
    # Efraimidis and Spirakis, "Weighted random sampling with a reservoir", IPL 97, 2006: the k-th of these keys.
    keys = {name: rng.random() ** (1 / share) for name, share in sorted(of.items())}
    return sorted(keys, key=lambda name: (-keys[name], name))


def _normal(amounts: Mapping[str, float]) -> dict[str, float]:
    whole = fsum(amounts.values())
    return {name: amount / whole for name, amount in amounts.items()}


def _wins(by_name: Mapping[str, Sequence[Asking]], costs: Mapping[str, float]) -> dict[str, int]:
    """Return how many of many draws each model wins."""
    gains = [asking.gain for found in by_name.values() for asking in found if asking.gain > 0]
    typical = median(gains or [1.0])
    arms = []
    for name, found in by_name.items():
        reward = fsum(asking.gain / (asking.gain + typical) for asking in found)
        arms.append((name, 1 + reward, 1 + len(found) - reward, costs[name]))
    rng, won = Random(0), dict.fromkeys(by_name, 0)
    for _ in range(_DRAWS):
        won[max((rng.betavariate(alpha, beta) / cost, name) for name, alpha, beta, cost in arms)[1]] += 1
    return won


def _costs(by_name: Mapping[str, Sequence[Asking]]) -> dict[str, float]:
    """Return what a proposal of each model costs, in one unit for all; the dearest costs 1."""
    known = _known(by_name, "usd") or _known(by_name, "tokens")
    if not any(sum(found) for found in known.values()):
        return dict.fromkeys(by_name, 1.0)
    average = fmean(fmean(found) for found in known.values())
    means = {name: (fsum(found) + average) / (len(found) + 1) for name, found in known.items()}
    dearest = max(means.values())
    # Of one that was asked, all of it for an unknown price, nobody can say that it is cheap.
    other = {name: dearest if found else average for name, found in by_name.items()}
    return {name: max(means.get(name, other[name]) / dearest, _CHEAPEST) for name in by_name}


def _known(by_name: Mapping[str, Sequence[Asking]], unit: str) -> dict[str, list[float]]:
    """Return the costs that are known in a unit, of each model that has any."""
    costs = {
        name: [cost for one in found if (cost := getattr(one, unit)) is not None] for name, found in by_name.items()
    }
    return {name: found for name, found in costs.items() if found}
