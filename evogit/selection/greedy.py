"""Always start from the best candidate."""

from __future__ import annotations

from random import Random

from evogit.model import CommitId
from evogit.selection.protocol import Field

_MUCH = 10
"""Lines by which one of two differences has to be smaller, and half as large, to be preferred between equal scores."""
_DRAWN = 5
"""Equals of which the one furthest from the base is taken: ways out of a plateau are far from where it was entered."""


class Greedy:
    """Takes the best candidate; among equals, of some drawn at random the one with the longest lineage.

    So a plateau is crossed, and not camped on. One more that is drawn takes its place when its difference from the base
    is much smaller: that is the pull against bloat. A step or two aside costs nothing, since ways out of a plateau lead
    over such. Only recorded sizes are compared: a plan reads no files.
    """

    def parents(self, field: Field, rng: Random) -> tuple[CommitId, ...]:
        """Return one parent, or none when nothing is scored."""
        leaders = field.candidates.leaders
        if not leaders:
            return ()
        drawn = max(rng.choices(leaders, k=_DRAWN), key=field.graph.ancestry.generation)  # the first of equals
        if len(leaders) > 1:
            other = rng.choice(leaders)
            sizes = _size(field, drawn), _size(field, other)
            if sizes[0] is not None and sizes[1] is not None and _is_much_smaller(sizes[1], sizes[0]):
                drawn = other
        return (drawn,)


def _is_much_smaller(size: int, than: int) -> bool:
    return 2 * size <= than and than - size >= _MUCH


def _size(field: Field, commit: CommitId) -> int | None:
    if commit == field.graph.base:
        return 0
    made = field.graph.snapshot.candidates[commit].proposal
    return made.size if made else None
