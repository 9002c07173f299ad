"""Which candidate to take a change from: one whose own step gained much, of a lineage that parted long ago."""

from __future__ import annotations

from random import Random

from evogit.model import CommitId
from evogit.phylogeny import Phylogeny

_DRAWN = 32
_COMPARED = 8


class Donors:
    """Finds donors in a family tree; nothing is read but what the tree knows."""

    def __init__(self, graph: Phylogeny) -> None:
        self._graph = graph

    def choose(self, parent: CommitId, rng: Random) -> CommitId | None:
        """Return a candidate whose change the parent may lack, or None when there is none among those drawn.

        Of some gains that are drawn at random, the greater its gain over its own parents and the more steps away from
        where it parted from `parent`, the likelier. None is of a pruned lineage, and none an ancestor of `parent`,
        which has it or has lost it since. The same graph and generator give the same choice.
        """
        graph = self._graph
        ids = graph.gains.ids
        if not ids:
            return None
        drawn = {ids[rng.randrange(len(ids))] for _ in range(_DRAWN)}
        others = drawn - graph.ancestry.ancestors(parent) - {parent}
        ranked = sorted((-self._gain(commit), commit) for commit in others)[:_COMPARED]
        if not ranked:
            return None
        weights = [self._distance(parent, commit) / (1 + place) for place, (_, commit) in enumerate(ranked)]
        return rng.choices(ranked, weights)[0][1]

    def _gain(self, commit: CommitId) -> float:
        """Return by how much a gain beat the best of its scored parents."""
        graph = self._graph
        value = graph.value(commit)
        before = [known for parent in graph.ancestry.parents(commit) if (known := graph.value(parent)) is not None]
        return min(abs(value - known) for known in before) if value is not None and before else 0.0

    def _distance(self, parent: CommitId, donor: CommitId) -> float:
        """Return from 1/2 (its first step alone) towards 1 how far a donor has come since the two parted."""
        ancestry = self._graph.ancestry
        met = ancestry.common_ancestors(parent, donor)
        steps = ancestry.generation(donor) - max((ancestry.generation(commit) for commit in met), default=0)
        return steps / (1 + steps) if steps > 0 else 0.5
