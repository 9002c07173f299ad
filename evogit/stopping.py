"""When an agent stops by itself: the limits of its invocation, seen through the snapshot it shares with all others."""

from __future__ import annotations

from collections.abc import Callable

from evogit.config import Stop
from evogit.phylogeny import Phylogeny
from evogit.store.snapshot import Snapshot


class Limits:
    """The limits of one invocation; every agent of it counts the same records, so no one has to coordinate."""

    def __init__(self, stop: Stop, session: str, clock: Callable[[], float]) -> None:
        """Count for `session`; `clock` gives seconds that never jump."""
        self._stop = stop
        self._session = session
        self._clock = clock
        self._started = clock()
        self.begin_epoch()

    def begin_epoch(self) -> None:
        """Forget what was best: of another evaluator's scores, none says that this one's do not get better."""
        self._best: float | None = None
        self._evaluations_at_best: int | None = None

    def remaining(self, snapshot: Snapshot) -> float:
        """Return how many evaluations are left."""
        if self._stop.evals is None:
            return float("inf")
        return self._stop.evals - snapshot.evaluations_of(self._session)

    @property
    def has_budget(self) -> bool:
        """Whether money is limited."""
        return self._stop.budget_usd is not None

    def left_usd(self, snapshot: Snapshot) -> float:
        """Return how much of the budget is left, after what all agents of the run have spent."""
        if self._stop.budget_usd is None:
            return float("inf")
        return self._stop.budget_usd - snapshot.spending.total.usd

    def reason(self, graph: Phylogeny, *, unfinished: bool = False) -> str | None:
        """Return why to stop now, or None; pruned lineages reach no target.

        The end of the money is none while something is `unfinished` that was paid for.
        """
        snapshot = graph.snapshot
        stop, best = self._stop, graph.field.best
        if self.remaining(snapshot) <= 0:
            return f"{stop.evals} evaluations are done"
        if self.left_usd(snapshot) <= 0 and not unfinished:
            return f"the budget of {stop.budget_usd:g} USD is spent"
        if stop.minutes is not None and self._clock() - self._started >= stop.minutes * 60:
            return f"{stop.minutes:g} minutes are over"
        if stop.target is not None and best is not None and not snapshot.is_better(stop.target, best):
            return f"the target {stop.target:g} is reached"
        if best != self._best or self._evaluations_at_best is None:
            self._best, self._evaluations_at_best = best, snapshot.evaluations
        if stop.stagnation is not None and snapshot.evaluations - self._evaluations_at_best >= stop.stagnation:
            return f"no better candidate in {stop.stagnation} evaluations"
        return None
