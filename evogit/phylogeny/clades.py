"""How often the descendants of each candidate got better: the ground clade selection stands on."""

from __future__ import annotations

from collections import Counter

from evogit.model import CommitId
from evogit.phylogeny.graph import Phylogeny


class Clades:
    """Wins and losses in the clade of every candidate: itself and all its descendants, each counted once.

    A candidate is a win when it beats all its scored parents, else a loss; one without a scored parent is neither.
    """

    def __init__(self, graph: Phylogeny) -> None:
        self._graph = graph
        self._counted: set[CommitId] = set()
        self._wins: Counter[CommitId] = Counter()
        self._losses: Counter[CommitId] = Counter()
        self._begin()

    def _begin(self) -> None:
        self._version = self._graph.version
        self._next = 0
        for known in (self._counted, self._wins, self._losses):
            known.clear()

    def counts(self, commit: CommitId) -> tuple[int, int]:
        """Return the wins and losses in the clade of a commit, as of the last `refresh`."""
        return self._wins[commit], self._losses[commit]

    def refresh(self) -> None:
        """Count what the graph has taken in since; each new candidate adds one to each of its ancestors."""
        graph = self._graph
        if graph.version != self._version:
            self._begin()
        touched = graph.snapshot.touched
        for commit in dict.fromkeys(touched[self._next :]):
            if commit in graph.ancestry:
                self._count(commit)
                for child in graph.ancestry.children(commit):  # it may have waited for a parent's score
                    self._count(child)
        self._next = len(touched)

    def _count(self, commit: CommitId) -> None:
        if commit in self._counted or not self._is_judged(commit):
            return
        self._counted.add(commit)
        counter = self._wins if self._graph.is_gain(commit) else self._losses
        counter.update((commit, *self._graph.ancestry.ancestors(commit)))

    def _is_judged(self, commit: CommitId) -> bool:
        """Return whether it was measured, also without a score, and something it came from has a score."""
        candidate = self._graph.snapshot.candidates.get(commit)
        scored = candidate is not None and candidate.is_scored(self._graph.snapshot.evaluator)
        return scored and any(self._graph.value(parent) is not None for parent in self._graph.ancestry.parents(commit))
