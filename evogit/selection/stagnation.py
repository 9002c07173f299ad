"""How long the best has not got better, and how much wider to search for that; knows nothing of what is searched."""

from __future__ import annotations

import bisect

from evogit.model import CommitId
from evogit.phylogeny import Phylogeny

_LEAST = 60
"""Evaluations that are waited in any case: a step size needs some to adapt itself."""


def wideness(since: int, before: int) -> float:
    """Return from 0 to 1 how much wider to search after `since` evaluations without a new best.

    It is 0 up to 60 evaluations, or as many as `before`, those it took to get there, if these are more; and grows to 1
    at three times as many. So a run that got better every hundred evaluations is not disturbed after sixty.
    """
    patience = max(_LEAST, before)
    return min(1.0, max(0.0, (since - patience) / (2 * patience)))


class Stagnation:
    """Counts evaluations before and after the best score was first reached, by the times the records give.

    The same records give the same counts, in whatever order they became known.
    """

    def __init__(self, graph: Phylogeny) -> None:
        self._graph = graph
        self._begin()

    def _begin(self) -> None:
        self._evaluator = self._graph.snapshot.evaluator
        self._next = 0
        self._times: list[str] = []
        self._taken: dict[CommitId, int] = {}

    def counts(self) -> tuple[int, int]:
        """Return how many evaluations came after the best was first reached, and how many up to then."""
        self._refresh()
        snapshot = self._graph.snapshot
        scores = [score for commit in self._graph.field.leaders for score in snapshot.candidates[commit].scores]
        first = min((score.at for score in scores if score.evaluator == self._evaluator), default=None)
        before = bisect.bisect_right(self._times, first) if first is not None else len(self._times)
        return len(self._times) - before, before

    def wideness(self) -> float:
        """Return `wideness` of the counts."""
        return wideness(*self.counts())

    def _refresh(self) -> None:
        snapshot = self._graph.snapshot
        if snapshot.evaluator != self._evaluator:
            self._begin()
        for commit in dict.fromkeys(snapshot.touched[self._next :]):
            candidate = snapshot.candidates.get(commit)
            scores = candidate.scores if candidate else []
            for score in scores[self._taken.get(commit, 0) :]:
                if score.evaluator == self._evaluator:
                    bisect.insort(self._times, score.at)
            self._taken[commit] = len(scores)
        self._next = len(snapshot.touched)
