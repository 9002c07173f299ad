"""Start from what scores well and has not been tried often."""

from __future__ import annotations

import math
from collections import Counter
from random import Random

from evogit.model import CommitId, Direction
from evogit.selection.protocol import Field
from evogit.selection.standing import Standing

_STEEPNESS, _MIDDLE = 10.0, 0.5
_TRIES = 2000
"""Draws before the weights of all are added up, which costs more than all but the most uneven ones do."""


class Sigmoid:
    """Takes a candidate with a weight of `sigmoid(10 * (a - 0.5)) / (1 + n)`, with `n` its scored children.

    The parent selection of the Darwin Goedel Machine (arXiv 2505.22954, appendix C.2), where `a` is the share of passed
    tasks. Here it is the score where all scores lie between 0 and 1 and greater is better; else 1/2 for the median
    score and 1 for the best, in proportion between them and below.
    """

    def __init__(self) -> None:
        self._standing = Standing()
        self._children: Counter[CommitId] = Counter()

    def parents(self, field: Field, rng: Random) -> tuple[CommitId, ...]:
        """Return one parent, or none when nothing is scored."""
        self._refresh(field)
        order = self._standing.order
        for _ in range(_TRIES if order else 0):
            # A place drawn evenly and kept by its weight, which is 1 at most, is drawn by weight.
            key, commit = order[rng.randrange(len(order))]
            if rng.random() < self._weight(field, key, commit):
                return (commit,)
        weights = [self._weight(field, key, commit) for key, commit in order]
        if not any(weights):
            return (order[0][1],) if order else ()
        return (rng.choices(order, weights)[0][1],)

    def _refresh(self, field: Field) -> None:
        self._standing.refresh(field)
        if self._standing.is_fresh:
            self._children.clear()
        for _, commit in self._standing.new:
            self._children.update(field.graph.ancestry.parents(commit))

    def _weight(self, field: Field, key: float, commit: CommitId) -> float:
        steep = _STEEPNESS * (self._merit(field, key) - _MIDDLE)
        return 1 / (1 + math.exp(-max(-500.0, steep))) / (1 + self._children[commit])

    def _merit(self, field: Field, key: float) -> float:
        order = self._standing.order
        best, worst = order[0][0], order[-1][0]
        if field.graph.snapshot.direction is Direction.MAXIMIZE and best >= -1 and worst <= 0:
            return -key
        median = order[len(order) // 2][0]
        return 0.5 + 0.5 * (key - median) / (best - median) if best != median else (0.5 if key == best else 0.0)
