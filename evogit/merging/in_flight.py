"""Whether somebody is measuring a merge, by what the journals say: no clock, and no word of who lives."""

from __future__ import annotations

from evogit.model import CommitId, Operator
from evogit.phylogeny import Phylogeny
from evogit.records import Proposal

_GONE = 8
"""Records of one other agent, those of four candidates, after which whoever proposed a merge is taken for gone."""


class InFlight:
    """Merges by lines that were published and have no score yet; the work is that of what is new."""

    def __init__(self, graph: Phylogeny) -> None:
        self._graph = graph
        self._next = 0
        self._open: set[CommitId] = set()

    def is_any(self) -> bool:
        """Return whether a merge is being measured.

        It no longer counts when its maker wrote something after it, or another agent has done four evaluations since.
        """
        snapshot = self._graph.snapshot
        for commit in dict.fromkeys(snapshot.touched[self._next :]):
            if self._merge(commit):
                self._open.add(commit)
            else:
                self._open.discard(commit)
        self._next = len(snapshot.touched)
        known = snapshot.seen()
        return any(made and _is_current(made, known) for made in map(self._merge, self._open))

    def _merge(self, commit: CommitId) -> Proposal | None:
        """Return how an unscored merge was proposed; None for all else. What a model made is for models to know."""
        candidate = self._graph.snapshot.candidates.get(commit)
        made = candidate.proposal if candidate and not candidate.scores else None
        return made if made and made.operator is Operator.MERGE and not made.calls else None


def _is_current(made: Proposal, known: dict[str, int]) -> bool:
    if known.get(made.agent, 0) > made.seq + 1:
        return False
    return all(count - made.seen.get(agent, 0) < _GONE for agent, count in known.items() if agent != made.agent)
