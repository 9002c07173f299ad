"""What the records of a run say of one commit."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

import msgspec

from evogit.model import CommitId, Status
from evogit.records import AnyRecord, Call, Comparison, Lease, Lesson, Proposal, Score, Verdict


@dataclass(slots=True)
class Candidate:
    """All that the records say of one commit: its measurements, how it was made, claims, and what people say of it.

    `useless` are the proposals that began here and came to nothing; `lessons` are of the run, wherever they stand;
    `later` are proposals that came to it once more: a tool had it measured on its way, and ended with it.
    """

    id: CommitId
    scores: list[Score] = field(default_factory=list)
    proposal: Proposal | None = None
    later: tuple[Proposal, ...] = ()
    useless: list[Proposal] = field(default_factory=list)
    leases: list[Lease] = field(default_factory=list)
    verdicts: list[Verdict] = field(default_factory=list)
    lessons: list[Lesson] = field(default_factory=list)
    comparisons: list[Comparison] = field(default_factory=list)
    ratings: dict[str, float] = field(default_factory=dict)
    """Its strength by each evaluator that has a judge, as all comparisons known now say it."""

    def records(self) -> Iterator[AnyRecord]:
        """Yield all records on it."""
        for known in (self.scores, self.useless, self.leases, self.verdicts, self.lessons, self.comparisons):
            yield from known
        if self.proposal:
            yield self.proposal
        yield from self.later

    def learn(self, made: Proposal) -> None:
        """Take in how it was made: were there several, every reader must take the same for the first."""
        if self.proposal is None:
            self.proposal = made
            return
        known = [self.proposal, *self.later]
        if made not in known:
            self.proposal, *later = sorted([*known, made], key=lambda one: (one.agent, one.seq))
            self.later = tuple(later)

    @property
    def calls(self) -> list[Call]:
        """What its maker asked models, or ran, to come to it."""
        made = [
            one for one in (self.proposal, *self.later) if one and self.proposal and one.agent == self.proposal.agent
        ]
        return [call for one in made for call in one.calls]

    def value(self, evaluator: str) -> float | None:
        """Return its score by this evaluator: the median of its valid measurements, or None when it has none.

        Where the evaluator has a judge, it is the rating.
        """
        values = sorted(
            score.value for score in self.scores if score.evaluator == evaluator and score.value is not None
        )
        if not values:
            return self.ratings.get(evaluator)
        middle = len(values) // 2
        return values[middle] if len(values) % 2 else (values[middle - 1] + values[middle]) / 2

    def judged(self, evaluator: str) -> Score | None:
        """Return the measurement by this evaluator whose metrics and instances stand for all, or None."""
        valid = [score for score in self.scores if score.evaluator == evaluator and score.status is Status.OK]
        return min(valid, key=lambda score: (score.agent, score.seq), default=None)

    def first_at(self, evaluator: str) -> str:
        """Return when this evaluator first measured it; an empty string when it did not."""
        return min((score.at for score in self.scores if score.evaluator == evaluator), default="")

    @property
    def born_under(self) -> str | None:
        """The evaluator in force when it was made: that of its maker's first measurement of it, if there is one."""
        made = self.proposal
        if made is None:
            return None
        own = [score for score in self.scores if score.agent == made.agent and score.seq > made.seq]
        return min(own, key=lambda score: score.seq).evaluator if own else None

    @property
    def is_pruned(self) -> bool:
        """Whether the last word of any person on it, comments aside, is to prune it."""
        return "prune" in self._last_words()

    @property
    def is_promoted(self) -> bool:
        """Whether a person's last word promotes it, and nobody's prunes it."""
        said = self._last_words()
        return "promote" in said and "prune" not in said

    def _last_words(self) -> set[str]:
        # By each writer's own count: clocks of several machines do not order anything.
        decided = sorted((v.agent, v.seq, v.verdict) for v in self.verdicts if v.verdict != "comment")
        return set({agent: verdict for agent, _, verdict in decided}.values())

    def is_scored(self, evaluator: str) -> bool:
        """Return whether this evaluator has judged it; a broken evaluator has not."""
        return any(score.evaluator == evaluator and score.status is not Status.ERROR for score in self.scores)

    def passed(self, evaluator: str) -> Score | None:
        """Return the first measurement by which a judge of this evaluator may compare it, or None."""
        found = [score for score in self.scores if score.evaluator == evaluator and score.is_passed]
        return min(found, key=lambda score: (score.agent, score.seq), default=None)

    @property
    def is_judged(self) -> bool:
        """Whether any evaluator has judged it."""
        return any(score.status is not Status.ERROR for score in self.scores)


class Event(NamedTuple):
    """One record, and the commit it is about."""

    commit: CommitId
    record: AnyRecord


def is_same_measurement(known: Score | Comparison, record: Score | Comparison) -> bool:
    """Return whether an agent that went on under a new name wrote again what it had written under its old one."""
    if known.at != record.at or known.agent == record.agent:
        return False
    return msgspec.structs.replace(known, agent=record.agent, seq=record.seq) == record
