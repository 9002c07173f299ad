"""Whether one clade has taken a run over: then the search goes on in one place, whatever else was found."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from evogit.model import CommitId
from evogit.phylogeny.graph import Phylogeny

_RECENT = 50
_SHARE = 0.9


@dataclass(frozen=True, slots=True)
class Takeover:
    """The youngest candidate that nearly all recent ones descend from: `descend` of the last `recent`."""

    commit: CommitId
    descend: int
    recent: int


def takeover(graph: Phylogeny) -> Takeover | None:
    """Return the clade that nine in ten of the last 50 candidates belong to, by its youngest common ancestor.

    The last are those first scored last, by the times of the records. None where it is the base's own, which all belong
    to, or where there are fewer than 50. A candidate does not count as its own descendant.
    """
    scored: list[tuple[str, CommitId]] = []
    for commit, candidate in graph.snapshot.candidates.items():
        times = [score.at for score in candidate.scores if score.evaluator == graph.snapshot.evaluator]
        if times and commit != graph.base and graph.may_build_on(commit):
            scored.append((min(times), commit))
    recent = [commit for _, commit in sorted(scored)[-_RECENT:]]
    if len(recent) < _RECENT:
        return None
    counts = Counter(ancestor for commit in recent for ancestor in graph.ancestry.ancestors(commit))
    found = [
        (graph.ancestry.generation(commit), count, commit)
        for commit, count in counts.items()
        if count >= _SHARE * _RECENT and commit != graph.base and graph.may_build_on(commit)
    ]
    if not found:
        return None
    _, count, commit = max(found)
    return Takeover(commit, count, _RECENT)
