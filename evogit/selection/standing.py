"""All candidates of a ranking from the best to the worst, for policies that look at more than the first."""

from __future__ import annotations

import bisect

from evogit.model import CommitId, Direction
from evogit.selection.protocol import Field
from evogit.store.ranking import Ranking

_AT_ONCE = 100
"""New candidates from which sorting all is cheaper than putting each in its place."""


class Standing:
    """A candidate and its key, sorted; the smaller the key, the better the score. Equals stand by id."""

    def __init__(self) -> None:
        self.order: list[tuple[float, CommitId]] = []
        self.new: list[tuple[float, CommitId]] = []
        """Those that came in at the last `refresh`, in no order that means anything."""
        self.is_fresh = True
        """Whether the last `refresh` began anew."""
        self._of: Ranking | None = None
        self._cleared = 0

    def refresh(self, field: Field) -> None:
        """Take in what arrived in the field since; the work is that of what is new."""
        ranking, graph = field.candidates, field.graph
        self.is_fresh = ranking is not self._of or ranking.cleared != self._cleared
        if self.is_fresh:
            self.order, self._of, self._cleared = [], ranking, ranking.cleared
        sign = -1.0 if graph.snapshot.direction is Direction.MAXIMIZE else 1.0
        arrived = ranking.arrived[len(self.order) :]
        self.new = [(sign * (graph.value(commit) or 0.0), commit) for commit in arrived]
        if len(self.new) > _AT_ONCE:
            self.order = sorted(self.order + self.new)
        else:
            for entry in self.new:
                bisect.insort(self.order, entry)

    def equals(self, place: int) -> range:
        """Return the places of all whose score is that of the one at `place`."""
        key = self.order[place][0]
        return range(bisect.bisect_left(self.order, (key,)), bisect.bisect_right(self.order, (key, "\uffff")))
