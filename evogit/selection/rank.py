"""Start from a candidate by its place: the k-th best with a share that falls as a power of k."""

from __future__ import annotations

import bisect
from itertools import accumulate
from random import Random

from evogit.model import CommitId
from evogit.selection.protocol import Field
from evogit.selection.standing import Standing

_EXPONENT = 1.0


class Rank:
    """Takes the k-th best with a weight of `k ** -1`; candidates of one score share what their places weigh.

    The power law of ShinkaEvolve (arXiv 2509.19349, section 3.1), with its exponent 1.
    """

    def __init__(self) -> None:
        self._standing = Standing()
        self._sums: list[float] = []
        """The weights of the first k places together."""

    def parents(self, field: Field, rng: Random) -> tuple[CommitId, ...]:
        """Return one parent, or none when nothing is scored."""
        self._standing.refresh(field)
        order = self._standing.order
        if not order:
            return ()
        known = len(self._sums)
        weights = (place**-_EXPONENT for place in range(known + 1, len(order) + 1))
        self._sums.extend(list(accumulate(weights, initial=self._sums[-1] if known else 0.0))[1:])
        drawn = bisect.bisect(self._sums, rng.random() * self._sums[len(order) - 1], hi=len(order) - 1)
        return (order[rng.choice(self._standing.equals(drawn))][1],)
