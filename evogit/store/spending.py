"""What the models of a run cost, as all journals together say it: a sum that only grows."""

from __future__ import annotations

from dataclasses import dataclass, field

from evogit.model import CommitId, spent
from evogit.records import Proposal


@dataclass(slots=True)
class Spent:
    """What was spent: USD as far as it is known, questions asked, and those whose cost nobody knows.

    A question that got no answer is taken to be free.
    """

    usd: float = 0.0
    calls: int = 0
    unknown: int = 0


@dataclass(slots=True)
class Spending:
    """The sum over the proposals of a run, in all and by agent.

    Records that an agent wrote again under a new name count once.
    """

    total: Spent = field(default_factory=Spent)
    by_agent: dict[str, Spent] = field(default_factory=dict)
    _known: set[tuple[CommitId, str, int]] = field(default_factory=set)

    def learn(self, commit: CommitId, made: Proposal) -> None:
        """Add what the calls of one proposal cost."""
        key = (commit, made.at, made.seed)
        if not made.calls or key in self._known:
            return
        self._known.add(key)
        for sums in (self.total, self.by_agent.setdefault(made.agent, Spent())):
            sums.usd += spent(made.calls)
            sums.calls += len(made.calls)
            sums.unknown += sum(call.usd is None and call.tokens_out is not None for call in made.calls)
