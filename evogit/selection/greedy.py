"""Always start from the best candidate."""

from __future__ import annotations

from random import Random

from evogit.model import CommitId
from evogit.store.snapshot import Snapshot


class Greedy:
    """Takes the best candidate; among equals, one at random, so that a plateau is crossed and not camped on."""

    def parents(self, snapshot: Snapshot, rng: Random) -> tuple[CommitId, ...]:
        """Return one parent, or none when nothing is scored."""
        leaders = snapshot.leaders()
        return (rng.choice(leaders),) if leaders else ()
