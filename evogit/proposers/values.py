"""New values for constants: one by one, several together, or on along what made the score better before."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from enum import IntEnum
from random import Random
from statistics import median

from evogit.model import SourceFile
from evogit.proposers.numbers import LIMIT, Constant, find_constants
from evogit.proposers.protocol import Advance
from evogit.proposers.text_numbers import Negative

Values = dict[Constant, int | float]
_MIN_STEP, _MAX_STEP = 1e-6, 3.0
_RESTART = 0.05
_SPREAD = 0.7
"""How much shorter or longer a step along is than what it repeats: the deviation of the logarithm."""
_BACK = 0.1
"""How often it goes the other way."""
_DIGITS = 6


class Move(IntEnum):
    """What was done; with 100 added it is the `op` of the edit's params."""

    ONE = 1
    """One constant took a step."""
    SOME = 2
    """Two or three constants of a file did."""
    ALL = 3
    """All constants of a file did, or of all files."""
    BOLD = 4
    """One constant was doubled, divided, negated, set to 0 or 1 or to another's value, or two were swapped."""
    ALONG = 5
    """All constants that changed when the score got better did so once more, less or further."""


def draw_step(parent: float, start: float, count: int, rng: Random) -> float:
    """Return the step of a child that moves some of `count` constants; `start` is that of a lineage that has none."""
    if not 0 < parent < math.inf or rng.random() < _RESTART:
        parent = start  # a lineage whose step shrank on a plateau would stay there
    # The learning rate of one step size for `count` values; the bounds keep it useful for two and for a thousand.
    rate = min(0.6, max(0.2, 1 / math.sqrt(count)))
    return min(_MAX_STEP, max(_MIN_STEP, parent * math.exp(rate * rng.gauss(0, 1))))


def draw_values(move: Move, pool: Sequence[Constant], step: float, rng: Random) -> Values:
    """Return what a move makes of constants, those left out that stay what they are. `ALONG` is `go_along`."""
    if move is Move.BOLD:
        drawn = _leap(pool, rng)
    elif move is Move.ONE or len(pool) == 1:
        constant = rng.choice(pool)
        drawn = {constant: _step_alone(constant, pool, step, rng)}
    else:
        chosen = pool if move is Move.ALL else rng.sample(pool, min(len(pool), rng.choice((2, 3))))
        sigma, unit = step / math.sqrt(len(chosen)), _typical(pool)
        drawn = {constant: _step_together(constant, sigma, unit, rng) for constant in chosen}
    # A leap lands on a value as it is written elsewhere; a step has no use for digits far below its size.
    digits = 12 if move is Move.BOLD else max(4, 3 - math.floor(math.log10(step)))
    fitted = {constant: _fit(constant, value, digits) for constant, value in drawn.items()}
    return {constant: value for constant, value in fitted.items() if value != constant.value}


def go_along(made: Advance, pools: Sequence[tuple[SourceFile, Sequence[Constant]]], rng: Random) -> Values:
    """Return the constants moved by what an advance moved them by, times a factor that is the same for all.

    The pattern move of direct search (Hooke and Jeeves, "Direct search solution of numerical and statistical problems",
    Journal of the ACM 8, 1961), where the advance is the lineage's own; where it is another's, its change comes over
    even where lines of both sides would conflict.
    """
    factor = math.exp(_SPREAD * rng.gauss(0, 1)) * (-1 if rng.random() < _BACK else 1)
    before, after = ({file.path: file for file in side} for side in (made.before, made.after))
    moved: Values = {}
    for file, constants in pools:
        for constant, change in _changes(file, before.get(file.path), after.get(file.path), constants):
            value = constant.value + factor * change
            moved[constant] = _fit(constant, math.floor(value + rng.random()) if constant.is_int else value, _DIGITS)
    return {constant: value for constant, value in moved.items() if value != constant.value}


def _changes(
    file: SourceFile, before: SourceFile | None, after: SourceFile | None, constants: Sequence[Constant]
) -> Iterator[tuple[Constant, float]]:
    """Yield which of a file's constants an advance changed, with their changes; none where the file had others then."""
    if before is None or after is None or before.content == after.content:
        return
    here, old, new = map(find_constants, (file, before, after))
    kinds = [[(constant.name, constant.is_int) for constant in side] for side in (here, old, new)]
    if kinds[0] == kinds[1] == kinds[2]:
        movable = set(constants)
        for constant, one, other in zip(here, old, new, strict=True):
            if one.value != other.value and constant in movable:
                yield constant, other.value - one.value


def _step_alone(constant: Constant, pool: Sequence[Constant], step: float, rng: Random) -> float:
    """Return a new value of a constant that moves alone: a whole one by at least 1."""
    if constant.is_int:
        return constant.value + _int_delta(int(constant.value), step, rng)
    if constant.value == 0:
        return _typical(pool) * 10 ** rng.uniform(-2, 1) * rng.choice((1, -1))
    # In proportion to itself a value reaches zero only slowly, and never the other side.
    scale = _typical(pool) if rng.random() < 0.15 else constant.scale
    return constant.value + rng.gauss(0, 1) * step * scale


def _int_delta(value: int, step: float, rng: Random) -> int:
    draw = rng.random()
    if draw < 0.35:
        delta = rng.choice((1, 1, 2)) * rng.choice((1, -1))
    elif draw < 0.75 and value:
        delta = round(rng.gauss(0, 1) * step * abs(value))
    else:
        # A threshold that is 0 has no size to go by and may belong at 40: all orders of size are as likely.
        reach = math.log2(max(128, 2 * abs(value)))
        delta = int(2 ** rng.uniform(0, reach)) * rng.choice((1, -1))
    delta = delta or rng.choice((1, -1))
    return abs(delta) if value == 0 and rng.random() < 0.75 else delta


def _step_together(constant: Constant, sigma: float, unit: float, rng: Random) -> float:
    if constant.is_int:
        # Rounded by chance, so that a step smaller than 1 still moves some of many.
        return constant.value + math.floor(rng.gauss(0, 1) * sigma * constant.scale + rng.random())
    return constant.value + rng.gauss(0, 1) * sigma * (constant.scale if constant.value else unit)


def _leap(pool: Sequence[Constant], rng: Random) -> dict[Constant, float]:
    constant = rng.choice(pool)
    peers = [peer for peer in pool if peer.is_int == constant.is_int and peer.value != constant.value]
    if peers and rng.random() < 0.35:
        peer = rng.choice(peers)
        swap = rng.random() < 0.4
        return {constant: peer.value, peer: constant.value} if swap else {constant: peer.value}
    value = constant.value
    return {constant: rng.choice((value * 2, value / 2, value * 10, value / 10, -value, 0, 1))}


def _typical(pool: Sequence[Constant]) -> float:
    sizes = [abs(constant.value) for constant in pool if constant.value and not constant.is_int]
    return min(1e3, max(1e-3, median(sizes))) if sizes else 1.0


def _fit(constant: Constant, value: float, digits: int) -> int | float:
    """Return `value` as the constant's place takes it: of its kind, within bounds, with so many significant digits."""
    value = min(LIMIT, max(-LIMIT, abs(value) if constant.negative is Negative.NEVER else value))
    if constant.is_int:
        return round(value)
    return float(f"{value:.{max(digits, min(constant.digits, 6))}g}") + 0.0  # no -0.0
