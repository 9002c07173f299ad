"""Minimizing: the difference of a good candidate from the base with ever smaller parts of it left out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from random import Random

from evogit.hunks.difference import Differences
from evogit.hunks.transplant import Moved
from evogit.model import TreeId
from evogit.store import merge
from evogit.store.snapshot import Snapshot

_MAX_KEPT = 64


@dataclass(slots=True)
class Minimizer:
    """Delta debugging over candidates.

    Zeller and Hildebrandt, "Simplifying and isolating failure-inducing input", IEEE Transactions on Software
    Engineering 28(2), 2002: ddmin, its step "reduce to complement".

    Its state is the records: what was measured is not tried again, and a smaller candidate that scores as well is the
    best from then on, so that the next plan starts from it. Several agents share the work without a word.
    """

    differences: Differences
    snapshot: Snapshot
    _done: dict[TreeId, set[frozenset[int]]] = field(default_factory=dict)

    def leave_out(self, base: TreeId, tree: TreeId, rng: Random) -> Moved | None:
        """Return `tree` without some of its hunks, in a way nobody has measured; None when all ways were.

        Halves come first, then quarters, and so on down to single hunks; of ways of one size, one is drawn.

        Raises:
            StorageError: an object cannot be read or written.
        """
        difference = self.differences.between(base, tree)
        if tree not in self._done and len(self._done) >= _MAX_KEPT:
            self._done.clear()
        done = self._done.setdefault(tree, set())
        for level in _levels(len(difference.parts)):
            left = [dropped for dropped in level if dropped not in done]
            for dropped in rng.sample(left, len(left)):
                made = self.differences.without(difference, dropped)
                if made and self.snapshot.measured(merge.write(self.differences.repo, made, {})) is None:
                    return Moved(made, len(dropped))
                done.add(dropped)
        return None


def _levels(count: int) -> Iterator[Sequence[frozenset[int]]]:
    """Yield what to leave out of so many parts: each half, each quarter, … each single one."""
    pieces = 2
    while count > 1:
        pieces = min(pieces, count)
        edges = [count * number // pieces for number in range(pieces + 1)]
        yield [frozenset(range(start, end)) for start, end in pairwise(edges)]
        if pieces == count:
            return
        pieces *= 2
