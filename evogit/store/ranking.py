"""Scored candidates in order: all of them by id, and the best of them, kept while scores arrive."""

from __future__ import annotations

import bisect
from collections.abc import Iterable

from evogit.model import CommitId, Direction

_TOP = 64


class Ranking:
    """The scored candidates of a set; the same scores give the same ranking in whatever order they arrived."""

    def __init__(self, direction: Direction) -> None:
        """Begin with none."""
        self._sign = 1.0 if direction is Direction.MAXIMIZE else -1.0
        self.cleared = 0
        """How often it began anew."""
        self.clear()

    def clear(self) -> None:
        """Forget all."""
        self.ids: list[CommitId] = []
        """All of them, by id."""
        self.leaders: list[CommitId] = []
        """Those with the best score, by id."""
        self.arrived: list[CommitId] = []
        """All of them, in the order they became known here, which is another on each machine."""
        self._top: list[tuple[float, CommitId]] = []
        self.cleared += 1

    @property
    def best(self) -> float | None:
        """The best score, or None when there is none."""
        return -self._top[0][0] * self._sign if self._top else None

    def top(self, count: int) -> list[CommitId]:
        """Return up to `count` (64 at most) of the best, the best first."""
        return [commit for _, commit in self._top[:count]]

    def add(self, commit: CommitId, value: float) -> None:
        """Take in a candidate that is not in it yet."""
        bisect.insort(self.ids, commit)
        self.arrived.append(commit)
        key = -value * self._sign
        if not self._top or key < self._top[0][0]:
            self.leaders = [commit]
        elif key == self._top[0][0]:
            bisect.insort(self.leaders, commit)
        if len(self._top) < _TOP or (key, commit) < self._top[-1]:
            bisect.insort(self._top, (key, commit))
            del self._top[_TOP:]

    def replace(self, scored: Iterable[tuple[CommitId, float]]) -> None:
        """Begin anew with these."""
        self.clear()
        for commit, value in sorted(scored):
            self.add(commit, value)
