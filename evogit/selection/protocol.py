"""What a selection policy is: one pure method that picks parents."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import Protocol

from evogit.model import CommitId
from evogit.phylogeny import Phylogeny
from evogit.store.ranking import Ranking


@dataclass(frozen=True, slots=True)
class Field:
    """The family tree, and the candidates of it one may choose from: all one may build on, or promoted lineages."""

    graph: Phylogeny
    candidates: Ranking


class Selector(Protocol):
    """Picks the candidate a proposal starts from."""

    def parents(self, field: Field, rng: Random) -> tuple[CommitId, ...]:
        """Return the parents, the first of which is the one to edit; empty when there is nothing to start from.

        The same field and generator give the same parents, on every machine.
        """
        ...
