"""Start from candidates that are the best on some instance, whatever their score is over all."""

from __future__ import annotations

from collections import Counter
from random import Random

from evogit.model import CommitId
from evogit.selection.protocol import Field
from evogit.selection.standing import Standing

_MOST = 64
"""Candidates of the front that are compared; with more, the best scores of them."""


class Pareto:
    """Takes a candidate with a weight of the number of instances it is the best on; dominated ones are left out.

    The candidate selection of GEPA (arXiv 2507.19457, algorithm 2): a candidate is dominated when others that stay are
    the best, too, on every instance it is the best on. Where the evaluator tells no instances, the score is the only
    one.
    """

    def __init__(self) -> None:
        self._standing = Standing()
        self._holders: dict[str, tuple[float, set[CommitId]]] = {}
        self._weights: dict[CommitId, int] | None = None

    def parents(self, field: Field, rng: Random) -> tuple[CommitId, ...]:
        """Return one parent, or none when nothing is scored."""
        self._refresh(field)
        if self._weights is None:
            self._weights = self._weigh()
        if not self._weights:
            leaders = field.candidates.leaders
            return (rng.choice(leaders),) if leaders else ()
        return (rng.choices(list(self._weights), list(self._weights.values()))[0],)

    def _refresh(self, field: Field) -> None:
        self._standing.refresh(field)
        if self._standing.is_fresh:
            self._holders.clear()
        if self._standing.new or self._standing.is_fresh:
            self._weights = None
        snapshot = field.graph.snapshot
        for _, commit in self._standing.new:
            judged = field.graph.judged(commit)
            for name, value in judged.instances.items() if judged else ():
                best, holders = self._holders.setdefault(name, (value, set()))
                if value == best:
                    holders.add(commit)
                elif snapshot.is_better(value, best):
                    self._holders[name] = (value, {commit})

    def _weigh(self) -> dict[CommitId, int]:
        """Return the weights of those that stay, the best first."""
        fronts = [holders for _, holders in self._holders.values()]
        known = set().union(*fronts)
        staying = [commit for _, commit in self._standing.order if commit in known][:_MOST]
        fronts = [front.intersection(staying) for front in fronts]
        for commit in reversed(staying.copy()):
            own = [front for front in fronts if commit in front]
            if all(len(front) > 1 for front in own):
                staying.remove(commit)
                for front in own:
                    front.discard(commit)
        counts = Counter(commit for front in fronts for commit in front)
        return {commit: counts[commit] for commit in staying}
