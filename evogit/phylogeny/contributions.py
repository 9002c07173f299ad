"""Who and what brought a run forward: candidates, gains and merges, by agent and by operator."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from evogit.model import CommitId, Operator
from evogit.phylogeny.graph import Phylogeny


@dataclass(slots=True)
class Contribution:
    """What came of one agent or one operator.

    `gains` beat all their scored parents; `in_best` are those the best candidate descends from, itself counted;
    `useless` are proposals that came to nothing. Candidates that pruning dropped count as candidates and merges only.
    """

    candidates: int = 0
    gains: int = 0
    merges: int = 0
    in_best: int = 0
    useless: int = 0


def by_agent(graph: Phylogeny) -> dict[str, Contribution]:
    """Return one row for each agent that made a candidate, by name."""
    return _sum(graph, by_operator=False)


def by_operator(graph: Phylogeny) -> dict[str, Contribution]:
    """Return one row for each operator that was used, by name."""
    return _sum(graph, by_operator=True)


def _sum(graph: Phylogeny, *, by_operator: bool) -> dict[str, Contribution]:
    rows: dict[str, Contribution] = {}
    best = graph.best()
    in_best = {best.id, *graph.ancestry.ancestors(best.id)} if best else set()
    for commit, agent, operator in _made(graph):
        row = rows.setdefault(operator.value if by_operator else agent, Contribution())
        row.candidates += 1
        row.gains += graph.is_gain(commit)
        row.merges += operator is Operator.MERGE
        row.in_best += commit in in_best
    for stone in (stone for stones in graph.snapshot.dropped.values() for stone in stones if stone.operator):
        row = rows.setdefault(str(stone.operator) if by_operator else stone.of, Contribution())
        row.candidates += 1
        row.merges += stone.operator is Operator.MERGE
    for candidate in graph.snapshot.candidates.values():
        for useless in candidate.useless:
            rows.setdefault(useless.operator.value if by_operator else useless.agent, Contribution()).useless += 1
    return dict(sorted(rows.items()))


def _made(graph: Phylogeny) -> Iterator[tuple[CommitId, str, Operator]]:
    for commit in graph.ancestry:
        candidate = graph.snapshot.candidates.get(commit)
        if candidate and candidate.proposal and commit != graph.base:
            yield commit, candidate.proposal.agent, candidate.proposal.operator
