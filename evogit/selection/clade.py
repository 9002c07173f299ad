"""Start from the candidate whose descendants promise most, by Thompson sampling over clades."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from evogit.model import CommitId
from evogit.phylogeny import Clades, clades_of
from evogit.selection.protocol import Field


class Clade:
    """Draws for each candidate from Beta(1 + wins, 1 + losses) of its clade, and takes the highest draw.

    The estimate is the clade metaproductivity of the Huxley-Goedel Machine (arXiv 2510.21614): a candidate is judged by
    what came of it, and not by its own score. There, wins and losses are a descendant's passed and failed tasks; here a
    descendant wins when it beats all its scored parents, which any score can tell. Candidates that are themselves a
    loss are not started from: every other one and the base are.
    """

    def __init__(self) -> None:
        self._clades: Clades | None = None

    def parents(self, field: Field, rng: Random) -> tuple[CommitId, ...]:
        """Return one parent, or none when nothing is scored."""
        clades = self._clades = clades_of(field.graph, self._clades)
        drawn = [
            (rng.betavariate(1 + wins, 1 + losses), commit)
            for commit in _starts(field)
            for wins, losses in (clades.counts(commit),)
        ]
        return (max(drawn)[1],) if drawn else ()


def _starts(field: Field) -> Sequence[CommitId]:
    graph, candidates = field.graph, field.candidates
    if candidates is not graph.field:
        return [commit for commit in candidates.ids if graph.is_gain(commit)] or candidates.ids
    base = [graph.base] if graph.value(graph.base) is not None and graph.may_build_on(graph.base) else []
    return [*base, *graph.gains.ids]
