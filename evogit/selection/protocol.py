"""What a selection policy is: one pure method that picks parents."""

from __future__ import annotations

from random import Random
from typing import Protocol

from evogit.model import CommitId
from evogit.store.snapshot import Snapshot


class Selector(Protocol):
    """Picks the candidates a proposal starts from."""

    def parents(self, snapshot: Snapshot, rng: Random) -> tuple[CommitId, ...]:
        """Return the parents, the first of which is the one to edit; empty when there is nothing to start from."""
        ...
