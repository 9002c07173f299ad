"""Start from the best of a few candidates drawn at random."""

from __future__ import annotations

from random import Random

from evogit.model import CommitId
from evogit.selection.protocol import Field

_SIZE = 4


class Tournament:
    """Draws four candidates with replacement and takes the best, the first drawn among equals.

    The pressure towards the best is that of the size (Goldberg and Deb, "A comparative analysis of selection schemes
    used in genetic algorithms", 1991).
    """

    def parents(self, field: Field, rng: Random) -> tuple[CommitId, ...]:
        """Return one parent, or none when nothing is scored."""
        ids = field.candidates.ids
        best: tuple[CommitId, float] | None = None
        for _ in range(_SIZE if ids else 0):
            drawn = rng.choice(ids)
            value = field.graph.value(drawn)
            if value is not None and (best is None or field.graph.snapshot.is_better(value, best[1])):
                best = (drawn, value)
        return (best[0],) if best else ()
