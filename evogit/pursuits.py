"""From one plan after another to what came of it; while models answer, several are under way."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from math import inf

from evogit.asking import Flights, Landed
from evogit.drafting import Draft, Drafter, Means, Useless
from evogit.errors import ProposerBroken
from evogit.model import PEOPLE, AgentName, Operator, Plan
from evogit.parts import Outcome, Parts, World
from evogit.phylogeny import Phylogeny
from evogit.planning import Planner, seed_of
from evogit.proposers.protocol import Resting, Turn
from evogit.records import Score
from evogit.store.holds import Holds
from evogit.store.repository import Repository
from evogit.store.task import Task

_PAUSE_S = 0.2
_PATIENCE_S = 5.0
"""How long answers are waited for that nobody needs any more, since what they cost is worth knowing."""
_IN_VAIN_IN_A_ROW = 5
"""Proposals that cost something and came to nothing, after which an agent spends no more."""

_IN_ONE_TURN = 4
"""Plans after which an agent turns to other files: a few in a row build on what came of those before."""

Drafted = Draft | Useless | Resting | None


@dataclass(frozen=True, slots=True)
class Start:
    """A plan, and what the snapshot knew when it was made."""

    plan: Plan
    seen: Mapping[str, int]


class Pursuits:
    """The plans of one agent: `tried` is the number of the next, `seen` what was known for the one in hand.

    `in_a_row` is how many of those that cost something came to nothing, one after another. With `is_several`, models
    are asked about several at a time, and what lands is to be recorded before it is measured.
    """

    def __init__(
        self, repo: Repository, task: Task, graph: Phylogeny, *, agent: AgentName, parts: Parts, world: World,
        attempt: Callable[[Plan, Draft], Score | str],
    ) -> None:  # fmt: skip
        """Begin for one agent and task; `attempt` measures a draft on a proposer's way.

        Raises:
            RepositoryError, StorageError: the run's private folder cannot be written.
        """
        self._graph, self._limits, self._world = graph, parts.limits, world
        self.drafter = Drafter(repo, task, graph, parts.proposer, Means(left_usd=self.left_usd, attempt=attempt))
        self._planner = Planner(repo, graph, parts.policy)
        holds = Holds(repo, task.run, agent) if parts.limits.has_budget else None
        self._flights = Flights[Start | None, Drafted](parts.models, parts.concurrency, holds)
        self.is_several = self._flights.is_several
        self._is_ending = False
        self.in_a_row = 0
        self.tried = graph.snapshot.next_seq(agent) + 1
        self.seen: Mapping[str, int] = {}

    def seed(self, agent: AgentName) -> int:
        """Return the seed of the plan that is next."""
        return seed_of(self._world.seed, agent, self.tried)

    def left_usd(self) -> float:
        """Look how much of the budget is left, after what all agents known here have spent, or hold back."""
        if not self._limits.has_budget:
            return inf
        unseen = self._flights.unseen_usd()  # first: what is paid meanwhile is counted twice, and not at all otherwise
        self._graph.snapshot.refresh()
        return self._limits.left_usd(self._graph.snapshot) - unseen

    def is_due(self, waiting: int) -> bool:
        """Return whether an agent of several questions at a time has something to take up or to ask.

        `waiting` are its candidates that wait to be measured.
        """
        return self._flights.is_due(waiting, self._left())

    def is_unfinished(self, waiting: int) -> bool:
        """Return whether questions are open, or what was paid for waits to be measured, where there may be several."""
        return self.is_several and bool(waiting or self._flights.about)

    def next(self, agent: AgentName, waiting: int) -> tuple[Plan | None, Drafted] | None:
        """Return a plan and what came of it, which is to be recorded before the next; None: nothing came of any yet.

        While models answer, more plans are begun, as long as there is room beside the candidates that wait to be
        measured; while there are any, an answer is not waited for. No plan: there is nothing to start from.

        Raises:
            StorageError: Git would not write.
        """
        landed = self._flights.landed()
        while landed is None and self._flights.has_room(waiting, self._left()):
            landed = self._begin(agent)
        landed = landed or self._flights.landed(0.0 if waiting else _PAUSE_S)
        return self._taken(landed) if landed else None

    def rest(self, waiting: int) -> Outcome:
        """Begin no plan for a moment: nobody may be asked."""
        if self._flights.about or waiting:
            self._flights.hold_off()
        else:
            self._world.sleep(_PAUSE_S)
        return Outcome.WAITED

    def nothing_new(self) -> Outcome:
        """Return what it comes to that many plans in a row came to nothing: those under way may do better."""
        if not self._flights.about:
            return Outcome.NOTHING_NEW
        self._flights.hold_off()
        return Outcome.WAITED

    def in_vain(self, why: str, *, measured: bool) -> Outcome:
        """Count that a plan cost something and came to nothing, unless something was `measured` on its way.

        Raises:
            ProposerBroken: many did, one after another; `why` the last one.
        """
        self.in_a_row = 0 if measured else self.in_a_row + 1
        if self.in_a_row >= _IN_VAIN_IN_A_ROW and not self._is_ending:
            raise ProposerBroken(f"its proposals came to nothing {self.in_a_row} times in a row, the last: {why}")
        return Outcome.SCORED if measured else Outcome.NOTHING_NEW

    def end(self) -> Iterator[tuple[Plan, Draft | Useless]]:
        """Yield what the plans come to that are under way and cost something; no more is asked, nothing ends the agent.

        Somebody who stops does not wait for answers.
        """
        self._is_ending = True
        for landed in self._flights.end(0.0 if self._world.stopped() else _PATIENCE_S):
            plan, draft = self._taken(landed)
            if plan and isinstance(draft, Draft | Useless) and draft.calls:
                yield plan, replace(draft, fatal=None) if isinstance(draft, Useless) else draft

    def _left(self) -> float:
        """Return how many evaluations are left to make candidates for: none without money."""
        snapshot = self._graph.snapshot
        return self._limits.remaining(snapshot) if self._limits.left_usd(snapshot) > 0 else 0.0

    def _begin(self, agent: AgentName) -> Landed[Start | None, Drafted] | None:
        """Begin with another plan; return what came of it, if that did not have to be waited for."""
        self._graph.refresh()
        self.seen = self._graph.snapshot.seen()  # now: while a model answers, or the budget is looked at, more is known
        plan = self._planner.plan(self.seed(agent))
        self.tried += 1
        if plan is None or any(_is_same_merge(plan, start.plan) for start in self._flights.about if start):
            return Landed(None, None)
        return self._flights.launch(Start(plan, self.seen), self.drafter.draft(plan, self._turn(agent)))

    def _turn(self, agent: AgentName) -> Turn:
        """Return which files are an agent's for its next few plans: by its place among all, and how far it is."""
        known = {one for one in self._graph.snapshot.agents if not one.startswith(PEOPLE)} | {agent}
        return Turn(sorted(known).index(agent) + self.tried // _IN_ONE_TURN, len(known))

    def _taken(self, landed: Landed[Start | None, Drafted]) -> tuple[Plan | None, Drafted]:
        if landed.about:
            self.seen = landed.about.seen
        return landed.about.plan if landed.about else None, landed.result


def _is_same_merge(plan: Plan, other: Plan) -> bool:
    """Return whether a pair is asked about already: it would be paid for twice."""
    return plan.operator is other.operator is Operator.MERGE and set(plan.parents) == set(other.parents)
