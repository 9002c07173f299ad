"""The tuner: moves the numbers of a parent, with a step size that its lineage has learned.

Knows where numbers are only through `find_constants`; does not know what a score is.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from evogit import marked
from evogit.model import Count, Edit, RepoPath, SourceFile
from evogit.proposers.numbers import Constant, find_constants, replace_constants
from evogit.proposers.protocol import OPERATION, Past, Request, Turn
from evogit.proposers.subjects import MAX_SUBJECT, clean, place
from evogit.proposers.values import Move, Values, draw_step, draw_values, go_along

STEP = 0.3
"""The step size of a lineage that has none recorded."""

_TRIES = 12
_Pools = Sequence[tuple[SourceFile, Sequence[Constant]]]


_WEIGHTS = {Move.ONE: 0.4, Move.SOME: 0.15, Move.ALL: 0.25, Move.BOLD: 0.2, Move.ALONG: 0.15}
_OPERATION = 100
"""What is added to a move's number to make an operation's that no other proposer uses."""
_PRIOR = 20
"""Tries that are worth as much as what is known of a move beforehand: that it yields as often as all do."""
_IN_TURN = 0.8
"""How often only files are changed whose turn it is: constants of different files may belong together."""


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
            The edit, with the params `step` and `op`; None when the files have no constant or, which is rare, no
            drawn value could be written in its place.

        Raises:
            Nothing.
        """
        movable = [(file, _movable(file)) for file in request.files]
        pools = _in_turn([(file, constants) for file, constants in movable if constants], request.turn, rng)
        weights = _weights(request.past)
        for _ in range(_TRIES if pools else 0):
            move = rng.choices(list(_WEIGHTS), weights)[0]
            step = request.params.get("step", self.step)
            if move is Move.ALONG:
                advance = request.advance(rng)
                values = go_along(advance, pools, rng) if advance else {}
            else:
                constants = _drawn(move, pools, rng)
                step = draw_step(step, self.step, len(constants), rng)
                values = draw_values(move, constants, step, rng)
            files = _rewrite([file for file, _ in pools], values)
            if files:
                params = {"step": float(f"{step:.6g}"), OPERATION: float(_OPERATION + move)}
                return Edit(files=files, subject=_describe(values), params=params)
        return None


def _weights(past: Past) -> list[float]:
    """Return how often each move is made: the more, the more often it made the score better in this run, by anybody.

    Probability matching (Goldberg, "Probability matching, the magnitude of reinforcement, and classifier system
    bidding", Machine Learning 5, 1990).
    """
    counts = [past.operations.get(float(_OPERATION + move), Count()) for move in _WEIGHTS]
    usual = (1 + sum(count.improved for count in counts)) / (5 + sum(count.tried for count in counts))
    return [
        weight * (count.improved + _PRIOR * usual) / (count.tried + _PRIOR)
        for weight, count in zip(_WEIGHTS.values(), counts, strict=True)
    ]


def _in_turn(pools: _Pools, turn: Turn, rng: Random) -> _Pools:
    """Return the files whose turn it is, or now and then all."""
    among = min(turn.among, len(pools))
    if among < 2 or rng.random() >= _IN_TURN:
        return pools
    return pools[turn.number % among :: among]


def _drawn(move: Move, pools: _Pools, rng: Random) -> Sequence[Constant]:
    """Return the constants of one file, or now and then of all."""
    chosen = rng.choices(pools, [math.sqrt(len(constants)) for _, constants in pools])[0]
    touched = pools if move is Move.ALL and rng.random() < 0.25 else [chosen]
    return [constant for _, pool in touched for constant in pool]


def _movable(file: SourceFile) -> Sequence[Constant]:
    """Return the constants of a file that may be changed."""
    allowed = marked.places(file.content)
    return [constant for constant in find_constants(file) if marked.is_within(allowed, constant.start, constant.end)]


def _rewrite(files: Sequence[SourceFile], values: Values) -> dict[RepoPath, bytes | None]:
    """Return the changed files; none at all when one of them would not parse."""
    own: dict[RepoPath, Values] = {}
    for constant, value in values.items():
        own.setdefault(constant.path, {})[constant] = value
    changed: dict[RepoPath, bytes | None] = {}
    for file in files:
        if file.path in own:
            content = replace_constants(file, own[file.path])
            if content is None:
                return {}
            changed[file.path] = content
    return changed


def _describe(values: Values) -> str:
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
