"""Always start from the base: best-of-N, what every other policy is measured against."""

from __future__ import annotations

from random import Random

from evogit.model import CommitId
from evogit.selection.protocol import Field


class Base:
    """Takes the run's base, whatever else is known."""

    def parents(self, field: Field, rng: Random) -> tuple[CommitId, ...]:
        """Return the base, or nothing while it has no score."""
        return (field.graph.base,) if field.graph.value(field.graph.base) is not None else ()
