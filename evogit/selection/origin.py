"""Start from the best score where it was first reached, or from an earlier step of its lineage."""

from __future__ import annotations

from random import Random

from evogit.model import CommitId
from evogit.selection.protocol import Field

_STAY = 0.1
"""How often a candidate on a plateau is taken as it is, so that what needs two steps can be found."""
_BACK, _STEPS_BACK = 0.4, 1.2
"""How often an earlier step is taken instead: an improvement may be the wrong one, and stand in the right one's way.

In a lineage of more than three steps it is 1.2 by their number: where many improvements follow each other, as in a text
that is put in order line by line, two in five evaluations would be spent on what was left behind.
"""


class Origin:
    """Takes one of the best candidates, and of its line of equals the first one; or one of those it came from.

    An edit that no test notices is seldom harmless: a repair found on top of ten of them would bring them along.
    """

    def parents(self, field: Field, rng: Random) -> tuple[CommitId, ...]:
        """Return one parent, or none when nothing is scored."""
        leaders = field.candidates.leaders
        if not leaders:
            return ()
        graph, chosen, draw = field.graph, rng.choice(leaders), rng.random()
        if draw < _STAY:
            return (chosen,)
        narrow = field.candidates is graph.preferred
        steps = [chosen]
        for one in reversed(graph.lineage(chosen)[:-1]):
            if graph.value(one) is None or not graph.may_build_on(one) or (narrow and not graph.is_preferred(one)):
                break
            if graph.value(one) == graph.value(steps[-1]):
                steps[-1] = one
            else:
                steps.append(one)
        back = min(_BACK, _STEPS_BACK / len(steps))
        return (rng.choice(steps[1:]) if draw < _STAY + back and len(steps) > 1 else steps[0],)
