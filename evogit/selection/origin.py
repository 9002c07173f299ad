"""Start from the best score where it was first reached: steps since then that left the score as it was are not kept."""

from __future__ import annotations

from random import Random

from evogit.model import CommitId
from evogit.selection.protocol import Field

_STAY = 0.1
"""How often a candidate on a plateau is taken as it is, so that what needs two steps can be found."""


class Origin:
    """Takes one of the best candidates, and of its line of equals the first one.

    An edit that no test notices is seldom harmless: a repair found on top of ten of them would bring them along.
    """

    def parents(self, field: Field, rng: Random) -> tuple[CommitId, ...]:
        """Return one parent, or none when nothing is scored."""
        leaders = field.candidates.leaders
        if not leaders:
            return ()
        graph, chosen = field.graph, rng.choice(leaders)
        if rng.random() < _STAY:
            return (chosen,)
        value, narrow = graph.value(chosen), field.candidates is graph.preferred
        while chosen != graph.base:
            equal = [one for one in graph.ancestry.parents(chosen) if graph.value(one) == value]
            allowed = [one for one in equal if graph.may_build_on(one) and (graph.is_preferred(one) or not narrow)]
            if not allowed:
                break
            chosen = allowed[0]
        return (chosen,)
