"""How strong each of some things is, by comparisons of two of them at a time: the model of Bradley and Terry.

Knows nothing of commits or records. The same comparisons give the same ratings, in whatever order they became known.
"""

from __future__ import annotations

import heapq
import math
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

_PRIOR = 0.5
"""Wins that each of two is given beside those it has, for each pair that was compared at all."""
_DIGITS = 4
_STEPS = 60
_SMALL = 1e-6
"""Each step of Newton's leaves about the square of the error before it."""
_HALVINGS = 40

_Wins = dict[str, dict[str, float]]


@dataclass(frozen=True, slots=True)
class Result:
    """A comparison: `points` from 0 (`other` is better) to 1 (`one` is), and what it weighs."""

    one: str
    other: str
    points: float
    weight: float = 1.0


def rate(base: str, results: Iterable[Result]) -> dict[str, float]:
    """Return the rating of all that comparisons connect with `base`, which has 0; rounded to four digits.

    Ratings are natural logarithms of odds: of two whose ratings differ by d, the better is preferred with probability
    1 / (1 + exp(-d)) (Bradley and Terry, "Rank analysis of incomplete block designs", Biometrika 39, 1952). They are
    those of greatest likelihood, with half a win for either side added to each pair that was compared. So whatever
    leads to the base is connected with it by wins both ways, which is what Hunter shows the maximum to need to be there
    and the only one ("MM algorithms for generalized Bradley-Terry models", Annals of Statistics 32, 2004, theorem 1);
    and a single comparison is worth log 3, and no more.
    """
    wins = _count(results)
    order = _reached(wins, base)
    core, leaves = _without_leaves(wins, order, base)
    found = {base: 0.0}
    if len(core) > 1:
        found |= _fit(wins, core, base, _guess(wins, order))
    for leaf, at in reversed(leaves):
        # Where one edge is all that connects two parts, the rest has no say in the difference of its two ends.
        found[leaf] = found[at] + math.log(wins[leaf][at] / wins[at][leaf])
    return {one: round(value, _DIGITS) + 0.0 for one, value in sorted(found.items())}


def _count(results: Iterable[Result]) -> _Wins:
    """Return how often each beat each, with the prior; the sums are exact, since weights are of few binary digits."""
    wins: _Wins = {}
    for result in results:
        if result.one == result.other:
            continue
        ends = (result.one, result.other, result.points), (result.other, result.one, 1 - result.points)
        for one, other, points in ends:
            row = wins.setdefault(one, {})
            row[other] = row.get(other, _PRIOR) + points * result.weight
    return wins


def _reached(wins: _Wins, base: str) -> list[tuple[str, str | None]]:
    """Return all that is connected with the base, each with the one it was reached from, the nearest first."""
    order: list[tuple[str, str | None]] = [(base, None)]
    seen, queue = {base}, deque([base])
    while queue:
        at = queue.popleft()
        for other in sorted(wins.get(at, ())):
            if other not in seen:
                seen.add(other)
                order.append((other, at))
                queue.append(other)
    return order


def _without_leaves(
    wins: _Wins, order: Sequence[tuple[str, str | None]], base: str
) -> tuple[set[str], list[tuple[str, str]]]:
    """Return what is left when all that hangs on by one edge is taken off, and this, each with what it hung on."""
    core = {one for one, _ in order}
    left = {one: len(wins.get(one, ())) for one in core}
    leaves: list[tuple[str, str]] = []
    todo = sorted(one for one in core if left[one] == 1 and one != base)
    while todo:
        leaf = todo.pop()
        at = next(other for other in wins[leaf] if other in core)
        core.remove(leaf)
        leaves.append((leaf, at))
        left[at] -= 1
        if left[at] == 1 and at != base:
            todo.append(at)
    return core, leaves


def _guess(wins: _Wins, order: Sequence[tuple[str, str | None]]) -> dict[str, float]:
    """Return ratings along a tree of comparisons, to begin with."""
    found: dict[str, float] = {}
    for one, at in order:
        found[one] = 0.0 if at is None else found[at] + math.log(wins[one][at] / wins[at][one])
    return found


def _fit(wins: _Wins, core: set[str], base: str, found: dict[str, float]) -> dict[str, float]:
    """Return the ratings of greatest likelihood of the core, the base's kept at 0, by Newton's method.

    The likelihood is concave; where a whole step leads past its top, half of it is tried.
    """
    free = sorted(core - {base})
    edges = [(one, other) for one in sorted(core) for other in sorted(wins[one]) if other in core and one < other]
    known = {one: found[one] for one in (*free, base)}
    height = _likelihood(wins, edges, known)
    for _ in range(_STEPS):
        step = _newton(wins, edges, known, free)
        for _ in range(_HALVINGS):
            tried = {one: value + step.get(one, 0.0) for one, value in known.items()}
            reached = _likelihood(wins, edges, tried)
            if reached >= height:
                break
            step = {one: value / 2 for one, value in step.items()}
        else:
            break
        known, height = tried, reached
        if max(map(abs, step.values())) < _SMALL:
            break
    return known


def _likelihood(wins: _Wins, edges: Sequence[tuple[str, str]], known: Mapping[str, float]) -> float:
    total = 0.0
    for one, other in edges:
        ahead = known[one] - known[other]
        total -= wins[one][other] * _softplus(-ahead) + wins[other][one] * _softplus(ahead)
    return total


def _softplus(value: float) -> float:
    return max(value, 0.0) + math.log1p(math.exp(-abs(value)))


def _newton(
    wins: _Wins, edges: Sequence[tuple[str, str]], known: Mapping[str, float], free: Sequence[str]
) -> dict[str, float]:
    """Return the step to where a parabola through the likelihood here has its top."""
    slope = dict.fromkeys(free, 0.0)
    bend: dict[str, dict[str, float]] = {one: {one: 0.0} for one in free}
    for one, other in edges:
        ahead = known[one] - known[other]
        chance = math.exp(-_softplus(-ahead))
        both = wins[one][other] + wins[other][one]
        pull, stiff = wins[one][other] - both * chance, both * chance * math.exp(-_softplus(ahead))
        for end, sign in ((one, 1.0), (other, -1.0)):
            if end in slope:
                slope[end] += sign * pull
                bend[end][end] += stiff
        if one in slope and other in slope:
            bend[one][other] = bend[other][one] = -stiff
    return _solved(bend, slope)


def _solved(bend: dict[str, dict[str, float]], slope: dict[str, float]) -> dict[str, float]:
    """Return the solution of a sparse symmetric system, always eliminating what has the fewest neighbours left."""
    queue = [(len(row), one) for one, row in bend.items()]
    heapq.heapify(queue)
    gone: list[tuple[str, dict[str, float]]] = []
    while queue:
        count, one = heapq.heappop(queue)
        if one not in bend:
            continue
        if count != len(bend[one]):
            heapq.heappush(queue, (len(bend[one]), one))
            continue
        row = bend.pop(one)
        pivot = row.pop(one)
        gone.append((one, {**row, one: pivot}))
        for other, factor in row.items():
            slope[other] -= factor / pivot * slope[one]
            target = bend[other]
            del target[one]
            for third, amount in row.items():
                target[third] = target.get(third, 0.0) - factor / pivot * amount
            heapq.heappush(queue, (len(target), other))
    found: dict[str, float] = {}
    for one, row in reversed(gone):
        found[one] = (slope[one] - sum(row[other] * found[other] for other in row if other != one)) / row[one]
    return found
