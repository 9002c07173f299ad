"""What came of the edits of a run, counted by what their proposers recorded of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set

from evogit.model import CommitId, Count, Operator
from evogit.phylogeny.graph import Phylogeny


class Trials:
    """Counts, for some params of the edits' proposals, how often each value was tried and what the score did.

    Merges inherit the params of their parents and are not counted.
    """

    def __init__(self, graph: Phylogeny, *, counted: Sequence[str], edit: str) -> None:
        """Count by the params in `counted`; `edit` is the one that says which edit it was."""
        self._graph = graph
        self._counted, self._edit = tuple(counted), edit
        self._begin()

    def _begin(self) -> None:
        self._version = self._graph.version
        self._next = 0
        self._known: set[CommitId] = set()
        self._scored: set[CommitId] = set()
        self._counts: dict[str, dict[float, Count]] = {name: {} for name in self._counted}
        self._edits: dict[float, set[float]] = {}

    def counts(self, name: str) -> Mapping[float, Count]:
        """Return the counts by the values of a param, as of the last `refresh`; do not keep it."""
        return self._counts[name]

    def edits(self, value: float | None) -> Set[float]:
        """Return the edits that were tried on any parent of this score."""
        return self._edits.get(value, frozenset()) if value is not None else frozenset()

    def refresh(self) -> None:
        """Count what the graph has taken in since; the work is that of what is new."""
        if self._graph.version != self._version:
            self._begin()
        touched = self._graph.snapshot.touched
        while self._next < len(touched):
            commit = touched[self._next]
            self._next += 1
            if commit in self._graph.ancestry:
                self._count(commit)
                if commit not in self._scored and self._graph.value(commit) is not None:
                    self._scored.add(commit)
                    for child in self._graph.ancestry.children(commit):  # one may have waited for this score
                        self._count(child)

    def _count(self, commit: CommitId) -> None:
        snapshot = self._graph.snapshot
        candidate = snapshot.candidates.get(commit)
        made = candidate.proposal if candidate else None
        if candidate is None or made is None or commit in self._known or made.operator is not Operator.MUTATE:
            return
        parents = self._graph.ancestry.parents(commit)
        before = self._graph.value(parents[0]) if parents else None
        if before is None or not candidate.is_scored(snapshot.evaluator):
            return
        self._known.add(commit)
        after = self._graph.value(commit)
        better = after is not None and snapshot.is_better(after, before)
        for name in self._counted:
            if name in made.params:
                counts, of = self._counts[name], made.params[name]
                old = counts.get(of, Count())
                counts[of] = Count(old.tried + 1, old.changed + (after != before), old.improved + better)
        if self._edit in made.params:
            self._edits.setdefault(before, set()).add(made.params[self._edit])
