"""Start from a good candidate that is far from others in the family tree."""

from __future__ import annotations

from collections.abc import Mapping
from random import Random

from evogit.model import CommitId
from evogit.selection.protocol import Field
from evogit.selection.standing import Standing

_CONTENDERS, _OTHERS, _NEAREST = 8, 24, 5
_UP = 32
"""Steps up the tree that are looked at: two that have not met by then are far apart, and a plan stays cheap."""


class Distant:
    """Draws eight candidates of the better half, and takes the one whose nearest neighbours are furthest away.

    Novelty search (Lehman and Stanley, "Abandoning objectives", Evolutionary Computation 19, 2011): novelty is the mean
    distance to the five nearest of 24 others drawn from all; distance is in steps through the family tree, 64 at most.
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
        above = {commit: _above(field, commit) for commit in {*contenders, *others}}
        return (max(contenders, key=lambda commit: _novelty(commit, others, above)),)


def _novelty(commit: CommitId, others: list[CommitId], above: Mapping[CommitId, Mapping[CommitId, int]]) -> float:
    steps = sorted(_distance(above[commit], above[other]) for other in others if other != commit)
    nearest = steps[:_NEAREST]
    return sum(nearest) / len(nearest) if nearest else 0.0


def _distance(one: Mapping[CommitId, int], other: Mapping[CommitId, int]) -> int:
    return min((one[commit] + other[commit] for commit in one.keys() & other.keys()), default=2 * _UP)


def _above(field: Field, commit: CommitId) -> dict[CommitId, int]:
    """Return the ancestors a few steps up, the commit itself included, with the fewest steps to each."""
    found, level = {commit: 0}, [commit]
    for steps in range(1, _UP + 1):
        parents = {parent for one in level for parent in field.graph.ancestry.parents(one)}
        level = [parent for parent in parents if parent not in found]
        found |= dict.fromkeys(level, steps)
    return found
