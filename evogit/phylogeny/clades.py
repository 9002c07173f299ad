"""How often the descendants of each candidate got better: the ground clade selection stands on."""

from __future__ import annotations

from array import array
from collections.abc import Iterator

from evogit.model import CommitId
from evogit.phylogeny.graph import Phylogeny

_AT_ONCE = 100
"""New candidates from which counting all clades anew is cheaper than walking up from each."""


class Clades:
    """Wins and losses in the clade of every candidate: itself and all its descendants, each counted once.

    A candidate is a win when it beats all its scored parents, else a loss; one without a scored parent is neither.
    """

    def __init__(self, graph: Phylogeny) -> None:
        self.graph = graph
        self._begin()

    def _begin(self) -> None:
        self._version = self.graph.version
        self._next = 0
        self._won: dict[CommitId, bool] = {}
        self._wins = array("i")
        self._losses = array("i")

    def counts(self, commit: CommitId) -> tuple[int, int]:
        """Return the wins and losses in the clade of a commit, as of the last `refresh`."""
        number = self.graph.ancestry.number(commit)
        return self._wins[number], self._losses[number]

    def refresh(self) -> None:
        """Count what the graph has taken in since; each new candidate adds one to each of its ancestors."""
        graph = self.graph
        if graph.version != self._version:
            self._begin()
        new = {commit: graph.is_gain(commit) for commit in self._judged()}
        self._won |= new
        if len(new) > _AT_ONCE:
            self._wins = graph.ancestry.clade_counts(commit for commit, won in self._won.items() if won)
            self._losses = graph.ancestry.clade_counts(commit for commit, won in self._won.items() if not won)
            return
        for counts in (self._wins, self._losses):
            counts.extend([0] * (len(graph.ancestry) - len(counts)))
        for commit, won in new.items():
            counts = self._wins if won else self._losses
            for number in graph.ancestry.upwards(commit):
                counts[number] += 1

    def _judged(self) -> Iterator[CommitId]:
        """Yield what can be counted now and was not before."""
        graph = self.graph
        touched = graph.snapshot.touched[self._next :]
        self._next += len(touched)
        for commit in dict.fromkeys(touched):
            if commit in graph.ancestry:
                # A child may have waited for its parent's score.
                yield from (one for one in (commit, *graph.ancestry.children(commit)) if self._is_new(one))

    def _is_new(self, commit: CommitId) -> bool:
        """Return whether it was measured, also without a score, and something it came from has a score."""
        graph = self.graph
        candidate = graph.snapshot.candidates.get(commit)
        if commit in self._won or candidate is None or not candidate.is_scored(graph.snapshot.evaluator):
            return False
        return any(graph.value(parent) is not None for parent in graph.ancestry.parents(commit))


def clades_of(graph: Phylogeny, known: Clades | None) -> Clades:
    """Return the clades of a graph as it is now: those already `known` brought up to date, where they are of it."""
    found = known if known is not None and known.graph is graph else Clades(graph)
    found.refresh()
    return found
