"""The tuner: moves the numbers of a parent, with a step size that its lineage has learned.

Knows where numbers are only through `find_constants`; does not know what a score is.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from random import Random
from statistics import median

from evogit import marked
from evogit.model import Edit, RepoPath, SourceFile
from evogit.proposers.numbers import LIMIT, Constant, find_constants, replace_constants
from evogit.proposers.protocol import Request
from evogit.proposers.subjects import MAX_SUBJECT, clean, place
from evogit.proposers.text_numbers import Negative

STEP = 0.3
"""The step size of a lineage that has none recorded."""

_MIN_STEP, _MAX_STEP = 1e-6, 3.0
_RESTART = 0.05
_TRIES = 12
_Values = dict[Constant, int | float]


class Move(IntEnum):
    """What was done; `Edit.params["move"]` holds its number."""

    ONE = 1
    """One constant took a step."""
    SOME = 2
    """Two or three constants of a file did."""
    ALL = 3
    """All constants of a file did, or of all files."""
    BOLD = 4
    """One constant was doubled, divided, negated, set to 0 or 1 or to another's value, or two were swapped."""


_WEIGHTS = {Move.ONE: 0.4, Move.SOME: 0.15, Move.ALL: 0.25, Move.BOLD: 0.2}


@dataclass(frozen=True, slots=True, kw_only=True)
class Tuner:
    """Proposes other values for the numeric constants of the files.

    The step size adapts itself, as in evolution strategies (Beyer and Schwefel, "Evolution strategies: a comprehensive
    introduction", Natural Computing 1, 2002): the child's step is the parent's times a log-normal factor, the values
    move by the child's step, and the step is kept in the child's record. A lineage so inherits the steps that worked,
    and no state is kept here.

    The step is relative to the constants' sizes and means the length of a whole move: `k` constants moved together
    move by `step / sqrt(k)` each. `step` is where a lineage begins that has none recorded.
    """

    step: float = STEP

    def propose(self, request: Request, rng: Random) -> Edit | None:
        """Return an edit of one or more constants.

        The result depends on the request and the state of `rng` alone.

        Returns:
            The edit, with the params `step` and `move`; None when the files have no constant or, which is rare, no
            drawn value could be written in its place.

        Raises:
            Nothing.
        """
        pools = [(file, _movable(file)) for file in request.files]
        pools = [(file, constants) for file, constants in pools if constants]
        for _ in range(_TRIES if pools else 0):
            chosen = rng.choices(pools, [math.sqrt(len(constants)) for _, constants in pools])[0]
            move = rng.choices(list(_WEIGHTS), list(_WEIGHTS.values()))[0]
            touched = pools if move is Move.ALL and rng.random() < 0.25 else [chosen]
            constants = [constant for _, pool in touched for constant in pool]
            step = _draw_step(request.params.get("step", self.step), self.step, len(constants), rng)
            values = _draw_values(move, constants, step, rng)
            files = _rewrite([file for file, _ in touched], values)
            if files:
                params = {"step": float(f"{step:.6g}"), "move": float(move)}
                return Edit(files=files, subject=_describe(values), params=params)
        return None


def _movable(file: SourceFile) -> Sequence[Constant]:
    """Return the constants of a file that may be changed."""
    allowed = marked.places(file.content)
    return [constant for constant in find_constants(file) if marked.is_within(allowed, constant.start, constant.end)]


def _rewrite(files: Sequence[SourceFile], values: _Values) -> dict[RepoPath, bytes | None]:
    """Return the changed files; none at all when one of them would not parse."""
    changed: dict[RepoPath, bytes | None] = {}
    for file in files:
        own = {constant: value for constant, value in values.items() if constant.path == file.path}
        if own:
            content = replace_constants(file, own)
            if content is None:
                return {}
            changed[file.path] = content
    return changed


def _draw_step(parent: float, start: float, count: int, rng: Random) -> float:
    if not 0 < parent < math.inf or rng.random() < _RESTART:
        parent = start  # a lineage whose step shrank on a plateau would stay there
    # The learning rate of one step size for `count` values; the bounds keep it useful for two and for a thousand.
    rate = min(0.6, max(0.2, 1 / math.sqrt(count)))
    return min(_MAX_STEP, max(_MIN_STEP, parent * math.exp(rate * rng.gauss(0, 1))))


def _draw_values(move: Move, pool: Sequence[Constant], step: float, rng: Random) -> _Values:
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


def _describe(values: _Values) -> str:
    """Return the subject line: short, and with no character of a path or name that could end it or hide a part."""
    # The one that changed most says most.
    first = max(values, key=lambda constant: abs(values[constant] - constant.value) / constant.scale)
    paths = sorted({constant.path for constant in values})
    before, after = _brief(first.value, values[first])
    name = clean(first.name or "", 12 if len(values) > 1 else 24)
    if len(values) > 1:
        change = f"{name} {before} to {after}".lstrip()
        head, tail = f"Move {len(values)} constants in ", f" ({change}, …)"
    elif name:
        head, tail = f"Set {name} from {before} to {after} in ", ""
    else:
        head, tail = f"Change {before} to {after} on line {first.line} of ", ""
    if MAX_SUBJECT - len(head) - len(tail) < 16:
        tail = ""
    room = MAX_SUBJECT - len(head) - len(tail)
    where = place(paths[0], room) if len(paths) == 1 else f"{len(paths)} files"
    return (head + where + tail)[:MAX_SUBJECT].rstrip()


def _brief(before: int | float, after: int | float) -> tuple[str, str]:
    short = f"{before:.5g}", f"{after:.5g}"
    return short if short[0] != short[1] else (repr(before), repr(after))
