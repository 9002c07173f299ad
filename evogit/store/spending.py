"""What models and tools of a run cost, as all journals together say it: a sum that only grows."""

from __future__ import annotations

from dataclasses import dataclass, field

from evogit.model import CommitId
from evogit.records import Comparison, Lesson, Paid, Proposal, spent


def paid(made: Proposal | Lesson | Comparison) -> Paid:
    """Return what a record that has calls cost."""
    unknown = [call.usd is None and (call.tokens_out is not None or call.outcome == "ok") for call in made.calls]
    return Paid(at=made.at, seed=made.seed, calls=len(made.calls), usd=spent(made.calls), unknown=sum(unknown))


@dataclass(slots=True)
class Spent:
    """What was spent: USD as far as it is known, calls of models and of tools, and those whose cost nobody knows.

    A call that says neither a cost nor tokens, and came to nothing, is taken to be free.
    """

    usd: float = 0.0
    calls: int = 0
    unknown: int = 0


@dataclass(slots=True)
class Spending:
    """The sum over the proposals, lessons and comparisons of a run, in all and by agent.

    Records that an agent wrote again under a new name count once.
    """

    total: Spent = field(default_factory=Spent)
    by_agent: dict[str, Spent] = field(default_factory=dict)
    _known: set[tuple[CommitId, str, int]] = field(default_factory=set)

    def learn(self, commit: CommitId, made: Proposal | Lesson | Comparison) -> None:
        """Add what the calls of one record cost."""
        if made.calls:
            self.learn_paid(commit, made.agent, paid(made))

    def learn_paid(self, commit: CommitId, agent: str, cost: Paid) -> None:
        """Add what one record of an agent cost, which may be dropped since."""
        key = (commit, cost.at, cost.seed)
        if key in self._known:
            return
        self._known.add(key)
        for sums in (self.total, self.by_agent.setdefault(agent, Spent())):
            sums.usd += cost.usd
            sums.calls += cost.calls
            sums.unknown += cost.unknown
