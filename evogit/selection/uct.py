"""Walk down from the base to where trying more promises most, as tree search does."""

from __future__ import annotations

import math
from collections.abc import Sequence
from random import Random

from evogit.model import CommitId
from evogit.phylogeny import Clades, clades_of
from evogit.selection.protocol import Field

_EXPLORATION = math.sqrt(2)
_WIDENING = 0.5


class Uct:
    """Goes from a candidate to the child with the highest `w / n + sqrt(2 ln N / n)`, and stops where more is due.

    UCT (Kocsis and Szepesvari, "Bandit based Monte-Carlo planning", 2006) on the graph, in which branches that were
    merged count for both (AutoMLGen, arXiv 2510.08511): `n` are the measured candidates of a child's clade, each
    counted once, `w` those that beat all their parents, `N` those of the clade one walks down from. A candidate is
    taken itself while its children are fewer than `N ** 0.5` (progressive widening; Couetoux and others, "Continuous
    upper confidence trees", 2011).
    """

    def __init__(self) -> None:
        self._clades: Clades | None = None

    def parents(self, field: Field, rng: Random) -> tuple[CommitId, ...]:
        """Return one parent, or none when nothing is scored."""
        graph = field.graph
        self._clades = clades_of(graph, self._clades)
        if field.candidates is not graph.field:
            ids = field.candidates.ids
            return (self._best(ids, sum(sum(self._clades.counts(one)) for one in ids), rng),) if ids else ()
        at = graph.base
        if graph.value(at) is None or not graph.may_build_on(at):
            return ()
        while True:
            children = graph.ancestry.children(at)
            tried = sum(self._clades.counts(at))
            open_to = [child for child in children if graph.value(child) is not None and graph.may_build_on(child)]
            if not open_to or len(children) < tried**_WIDENING:
                return (at,)
            at = self._best(open_to, tried, rng)

    def _best(self, among: Sequence[CommitId], tried: int, rng: Random) -> CommitId:
        """Return the one with the highest bound, one at random among equals."""
        bounds = [(self._bound(one, tried), one) for one in among]
        highest = max(bound for bound, _ in bounds)
        return rng.choice(sorted(one for bound, one in bounds if bound == highest))

    def _bound(self, commit: CommitId, tried: int) -> float:
        wins, losses = self._clades.counts(commit) if self._clades else (0, 0)
        visits = wins + losses
        if not visits:
            return math.inf
        return wins / visits + _EXPLORATION * math.sqrt(math.log(max(tried, 1)) / visits)
