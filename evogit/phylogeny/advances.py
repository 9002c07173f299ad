"""What made scores better in a run: the last generations of a lineage, and the gains of all."""

from __future__ import annotations

from random import Random

from evogit.model import CommitId
from evogit.phylogeny.graph import Phylogeny

OWN = 0.5
"""How often it is the parent's own lineage."""
GENERATIONS = (1, 2, 4, 8, 16)
"""Over so many of its own lineage's generations, one number as often as another."""
GAINS = 32
"""Gains of others are drawn from so many of the best."""


def advance(graph: Phylogeny, parent: CommitId, rng: Random) -> tuple[CommitId, CommitId] | None:
    """Return two candidates, the later of which came from the earlier and is better, or at least as good.

    They are the parent and an ancestor some generations up, or one of the best gains of the run and its own parent;
    None where there are none.
    """
    if rng.random() < OWN:
        return _own(graph, parent, rng.choice(GENERATIONS))
    gains = graph.gains.top(GAINS)
    after = rng.choice(gains) if gains else None
    parents = graph.ancestry.parents(after) if after else []
    return (parents[0], after) if after and parents else None


def _own(graph: Phylogeny, parent: CommitId, generations: int) -> tuple[CommitId, CommitId] | None:
    before = parent
    for _ in range(generations):
        parents = graph.ancestry.parents(before)
        if before == graph.base or not parents:
            break
        before = parents[0]
    return (before, parent) if before != parent else None
