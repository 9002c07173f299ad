"""Transplants: hunks of another lineage put into a parent, and hunks of its own taken back."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from evogit.hunks.difference import Difference, Differences
from evogit.model import TreeId
from evogit.store.merge import Merged

_STEP = 0.7
"""How often the donor's own step is looked at first, and not all it did since the two lineages parted."""
_ONE = 0.6
"""How often a single hunk is moved."""


@dataclass(frozen=True, slots=True)
class Moved:
    """What a parent becomes, and how many hunks were moved."""

    made: Merged
    hunks: int


@dataclass(frozen=True, slots=True)
class Transplanter:
    """Moves hunks; which candidates they come from is decided elsewhere."""

    differences: Differences

    def take_over(self, tree: TreeId, donor: TreeId, before: list[TreeId], rng: Random) -> Moved | None:
        """Return `tree` with one or more hunks of a donor; None when none of them fits there.

        `before` are what the donor's change can be seen against: its own parent, and where the lineages parted. The
        hunks are put in by lines, wherever those have moved to (as in a three-way merge, hunk by hunk); one whose place
        the parent changed, too, is left.

        Raises:
            StorageError: an object cannot be read.
        """
        sides = before if rng.random() < _STEP else before[::-1]
        for side in sides:
            difference = self.differences.between(side, donor)
            order = rng.sample(range(len(difference.parts)), len(difference.parts))
            fitting = [number for number in order if self.differences.with_parts(difference, [number], tree)[1]]
            if fitting:
                chosen = fitting[: _how_many(len(fitting), rng)]
                made, taken = self.differences.with_parts(difference, chosen, tree)
                return Moved(made, taken)
        return None

    def take_back(self, base: TreeId, tree: TreeId, rng: Random) -> Moved | None:
        """Return `tree` without one or more hunks of its difference from the base, but with at least one.

        Raises:
            StorageError: an object cannot be read.
        """
        difference: Difference = self.differences.between(base, tree)
        count = len(difference.parts)
        if count < 2:
            return None
        dropped = rng.sample(range(count), _how_many(count - 1, rng))
        made = self.differences.without(difference, dropped)
        return Moved(made, len(dropped)) if made else None


def _how_many(most: int, rng: Random) -> int:
    return 1 if most == 1 or rng.random() < _ONE else rng.randint(2, most)
