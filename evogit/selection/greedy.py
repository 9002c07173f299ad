"""Always start from the best candidate."""

from __future__ import annotations

from random import Random

from evogit.model import CommitId
from evogit.selection.protocol import Field


class Greedy:
    """Takes the best candidate; among equals, one at random, so that a plateau is crossed and not camped on."""

    def parents(self, field: Field, rng: Random) -> tuple[CommitId, ...]:
        """Return one parent, or none when nothing is scored."""
        leaders = field.candidates.leaders
        return (rng.choice(leaders),) if leaders else ()
