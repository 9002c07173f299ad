"""Start from a good candidate that is far from others in the family tree."""

from __future__ import annotations

from random import Random

from evogit.model import CommitId
from evogit.selection.protocol import Field
from evogit.selection.standing import Standing

_CONTENDERS, _OTHERS, _NEAREST = 8, 24, 5


class Distant:
    """Draws eight candidates of the better half, and takes the one whose nearest neighbours are furthest away.

    Novelty search (Lehman and Stanley, "Abandoning objectives", Evolutionary Computation 19, 2011): novelty is the mean
    distance to the five nearest of 24 others drawn from all; distance is in steps through the family tree.
    """

    def __init__(self) -> None:
        self._standing = Standing()

    def parents(self, field: Field, rng: Random) -> tuple[CommitId, ...]:
        """Return one parent, or none when nothing is scored."""
        self._standing.refresh(field)
        order = self._standing.order
        if not order:
            return ()
        # Half, and all that are as good as the last of it: on a plateau nobody is the better half.
        better = self._standing.equals((len(order) - 1) // 2).stop
        contenders = [order[place][1] for place in sorted(rng.sample(range(better), min(_CONTENDERS, better)))]
        others = [order[place][1] for place in sorted(rng.sample(range(len(order)), min(_OTHERS, len(order))))]
        rng.shuffle(contenders)
        return (max(contenders, key=lambda commit: _novelty(field, commit, others)),)


def _novelty(field: Field, commit: CommitId, others: list[CommitId]) -> float:
    steps = sorted(field.graph.ancestry.distance(commit, other) or 0 for other in others if other != commit)
    nearest = steps[:_NEAREST]
    return sum(nearest) / len(nearest) if nearest else 0.0
