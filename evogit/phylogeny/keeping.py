"""Which candidates are worth keeping when a run is pruned; what they came from is kept with them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from evogit.model import CommitId, Direction
from evogit.phylogeny.graph import Phylogeny
from evogit.records import PERSON
from evogit.store.candidate import Candidate

Keep = Literal["best", "frontier"] | int
"""The best candidate; all gains that nothing better has come of; or so many of the best."""


def chosen(graph: Phylogeny, keep: Keep, evaluators: Sequence[str]) -> set[CommitId]:
    """Return the candidates that `keep` means, the base, and all that must be kept whatever it says.

    The latter are the best by each of `evaluators`, those of all epochs; what a person made or spoke of; and what
    nobody has scored yet.
    """
    candidates = graph.snapshot.candidates.values()
    found = {graph.base, *(one.id for one in candidates if _is_wanted(one))}
    best = graph.best()
    if best is not None:
        found.add(best.id)
    for evaluator in evaluators:
        found.update(_top(graph, evaluator, 1))
    if keep == "frontier":
        found.update(_frontier(graph))
    elif keep != "best":
        found.update(_top(graph, graph.snapshot.evaluator, keep))
    return found


def _is_wanted(one: Candidate) -> bool:
    if any(verdict.verdict != "prune" for verdict in one.verdicts):
        return True
    by_person = one.proposal is not None and one.proposal.use == PERSON
    return by_person or (one.proposal is not None and not one.scores)


def _top(graph: Phylogeny, evaluator: str, count: int) -> list[CommitId]:
    sign = -1.0 if graph.snapshot.direction is Direction.MAXIMIZE else 1.0
    values = ((one.value(evaluator), one.id) for one in graph.snapshot.candidates.values())
    ranked = sorted((sign * value, commit) for value, commit in values if value is not None)
    return [commit for _, commit in ranked if graph.may_build_on(commit)][:count]


def _frontier(graph: Phylogeny) -> list[CommitId]:
    """Return the gains that none of their descendants beats."""
    best_below: dict[CommitId, float] = {}
    found = []
    for commit in reversed(graph.members()):
        value, below = graph.value(commit), best_below.get(commit)
        is_beaten = value is None or (below is not None and graph.snapshot.is_better(below, value))
        if not is_beaten and graph.is_gain(commit) and graph.may_build_on(commit):
            found.append(commit)
        for parent in graph.ancestry.parents(commit):
            for here in (value, below):
                known = best_below.get(parent)
                if here is not None and (known is None or graph.snapshot.is_better(here, known)):
                    best_below[parent] = here
    return found
