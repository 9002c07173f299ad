"""Always start from the best candidate."""

from __future__ import annotations

from random import Random

from evogit.model import CommitId
from evogit.selection.protocol import Field


class Greedy:
    """Takes the best candidate; among equals, the smaller difference from the base of two drawn at random.

    So a plateau is crossed and not camped on, with a pull against bloat. Only recorded sizes are compared: a plan reads
    no files.
    """

    def parents(self, field: Field, rng: Random) -> tuple[CommitId, ...]:
        """Return one parent, or none when nothing is scored."""
        leaders = field.candidates.leaders
        if not leaders:
            return ()
        drawn = rng.choice(leaders)
        if len(leaders) > 1:
            other = rng.choice(leaders)
            sizes = _size(field, drawn), _size(field, other)
            if sizes[0] is not None and sizes[1] is not None and sizes[1] < sizes[0]:
                drawn = other
        return (drawn,)


def _size(field: Field, commit: CommitId) -> int | None:
    if commit == field.graph.base:
        return 0
    made = field.graph.snapshot.candidates[commit].proposal
    return made.size if made else None
