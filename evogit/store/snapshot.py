"""What the journals of a run say of its candidates, ranked for one evaluator."""

from __future__ import annotations

from collections.abc import Container, Mapping
from typing import TypeVar

import pygit2

from evogit.model import AgentName, CommitId, Direction, RunName, Status, TreeId
from evogit.records import (
    Comparison,
    Lesson,
    Proposal,
    Score,
    Successor,
    Tombstone,
    Verdict,
)  # fmt: skip
from evogit.store import comparing, successors
from evogit.store.candidate import Candidate, Event, is_same_measurement
from evogit.store.ranking import Ranking
from evogit.store.reading import Reader
from evogit.store.repository import Repository
from evogit.store.spending import Spending

_R = TypeVar("_R")
_OF_PRUNING = (Successor, Tombstone)
_MANY = 500
"""New notes from which all is ranked anew when next asked, which is cheaper than one after another."""


class Snapshot:
    """The candidates of one run as this process knows them, ranked for one evaluator."""

    def __init__(
        self,
        repo: Repository,
        run: RunName,
        evaluator: str,
        direction: Direction,
        *,
        base: CommitId | None = None,
        until: Mapping[str, int] | None = None,
    ) -> None:
        """Begin with nothing known; `refresh` reads.

        `base` is what the ratings of a judged run are relative to; without it there are none.

        `evaluator` is the digest whose scores count; other scores are kept but never compared with them. With `until`,
        only records below the sequence number it has for their writer are taken in: what somebody knew at some time.
        """
        self.run = run
        self.evaluator = evaluator
        self.candidates: dict[CommitId, Candidate] = {}
        self.problems: dict[str, str] = {}
        self.evaluations = 0
        self.spending = Spending()
        """What models and tools cost, by anybody."""
        self.lessons: list[Lesson] = []
        """What models learned, by anybody; questions that taught nothing are there, too."""
        self.direction = direction
        self._base = base
        self._until = until
        self._reader = Reader(repo, run, self.problems)
        self._measured: dict[tuple[TreeId, str], CommitId] = {}
        self._by_session: dict[str, int] = {}
        self._next: dict[AgentName, int] = {}
        self._stones: dict[CommitId, dict[str, Tombstone]] = {}
        self._uncounted: dict[tuple[CommitId, str], int] = {}
        self._ranking = Ranking(direction)
        self._stale = False
        self._unrated: set[str] = set()
        """Evaluators of which a comparison, or a candidate to be compared, became known since ratings were made."""
        self.touched: list[CommitId] = []
        """The candidate of each record, as they became known: whoever remembers a place here finds what is new."""

    @property
    def agents(self) -> list[AgentName]:
        """The agents whose records were read, by name."""
        known = self._reader.retired.union(self._reader.known)
        return sorted(agent for agent in known if not successors.is_successor(agent))

    @property
    def dropped(self) -> dict[CommitId, list[Tombstone]]:
        """What is left of the candidates that pruning dropped."""
        gone = (commit for commit in self._stones if commit not in self.candidates)
        return {commit: list(self._stones[commit].values()) for commit in gone}

    def next_seq(self, agent: AgentName) -> int:
        """Return the first sequence number this agent has not used."""
        return self._next.get(agent, 0)

    def evaluations_of(self, session: str) -> int:
        """Return how many evaluations the invocation `session` has recorded."""
        return self._by_session.get(session, 0)

    def measured(self, tree: TreeId) -> CommitId | None:
        """Return a candidate, maybe a dropped one, with this tree that this evaluator has judged, or None."""
        return self._measured.get((tree, self.evaluator))

    def judge_by(self, evaluator: str) -> None:
        """Let the scores of another evaluator count from now on, and no others."""
        self.evaluator = evaluator
        self._stale = True

    @property
    def best_value(self) -> float | None:
        """The best score, or None when nothing is scored."""
        return self._ranked().best

    def leaders(self) -> list[CommitId]:
        """Return every candidate that has the best score, by id."""
        return self._ranked().leaders

    def seen(self) -> dict[str, int]:
        """Return for each writer the first sequence number that is not known yet: what `until` takes."""
        return dict(sorted(self._next.items()))

    def is_better(self, value: float, than: float) -> bool:
        """Return whether `value` is strictly better."""
        return value > than if self.direction is Direction.MAXIMIZE else value < than

    def why_unscored(self, base: CommitId) -> str:
        """Return what to tell a person when nothing can be compared, since the base has no score."""
        found = self.candidates.get(base)
        judged = [score for score in found.scores if score.evaluator == self.evaluator] if found else []
        if not judged:
            return f"the base commit {base[:12]} was not scored; run again"
        return (
            f"the base commit {base[:12]} fails its own evaluator ({judged[-1].status.value}), so nothing can be "
            f"compared with it; mend the score command and try again\n{judged[-1].feedback}".rstrip()
        )

    def discard(self, commit: CommitId, reason: str) -> None:
        """Forget a candidate whose objects cannot be read, and say why."""
        gone = self.candidates.pop(commit, None)
        self._unrated.update(gone.ratings if gone else ())
        self.problems[commit] = reason
        self.touched.append(commit)
        self._stale = True

    def refresh(self, *, discover: bool = True) -> list[Event]:
        """Read what is new and return it; without `discover`, only in journals that are known already.

        Raises:
            StorageError: the refs cannot be listed.
        """
        present = self._reader.present() if discover else self._reader.known
        news = self._reader.look(present)
        self._stale |= sum(len(one.changes) for one in news) > _MANY
        events = []
        for one, event in self._reader.records(news):
            self._learn(event, one.writers)
            if not isinstance(event.record, _OF_PRUNING):
                events.append(event)
        for one in news:
            self._next.setdefault(one.agent, 0)
        if discover and self._reader.retired:
            self._let_go(set(present))
        self._rate()
        return events

    def take_own(self, agent: AgentName, tip: pygit2.Oid, events: list[Event]) -> None:
        """Learn what this process just wrote to its own journal, without reading it back."""
        writers = self._reader.take_own(agent, tip)
        self._next.setdefault(agent, 0)
        for event in events:
            self._learn(event, writers)
        self._rate()

    def _learn(self, event: Event, writers: Container[str]) -> None:
        record = event.record
        if self._until is not None and record.seq >= self._until.get(record.agent, 0):
            return
        writer = AgentName(record.agent)
        if record.seq >= self._next.get(writer, 0):
            self._next[writer] = record.seq + 1
        if isinstance(record, _OF_PRUNING):
            if isinstance(record, Tombstone) and record.of in writers:
                self._bury(record)
            return
        self.touched.append(event.commit)
        candidate = self.candidates.get(event.commit)
        if candidate is None:
            candidate = self.candidates[event.commit] = Candidate(event.commit)
        if isinstance(record, Score):
            if any(known == record or is_same_measurement(known, record) for known in candidate.scores):
                return
            candidate.scores.append(record)
            self._count(event.commit, record.agent)
            self._by_session[record.session] = self._by_session.get(record.session, 0) + 1
            if record.status is not Status.ERROR:
                self._measured.setdefault((TreeId(record.tree), record.evaluator), event.commit)
            if record.is_passed:
                self._unrated.add(record.evaluator)
            self._rank(candidate)
        elif isinstance(record, Proposal) and record.outcome == "useless":
            self.spending.learn(event.commit, record)
            self._add(candidate.useless, record)
        elif isinstance(record, Proposal):
            self.spending.learn(event.commit, record)
            candidate.learn(record)
        elif isinstance(record, Verdict):
            self._add(candidate.verdicts, record)
        elif isinstance(record, Lesson):
            self.spending.learn(event.commit, record)
            self._add(self.lessons, record)
            self._add(candidate.lessons, record)
        elif isinstance(record, Comparison):
            if not any(known == record or is_same_measurement(known, record) for known in candidate.comparisons):
                candidate.comparisons.append(record)
                self.spending.learn(event.commit, record)
                self._unrated.add(record.evaluator)
        else:
            self._add(candidate.leases, record)

    def _add(self, known: list[_R], record: _R) -> None:
        # It may stand in an old journal and in the one that stands for it.
        if not self._reader.retired or record not in known:
            known.append(record)

    def _count(self, commit: CommitId, agent: str) -> None:
        if self._uncounted.get((commit, agent)):
            self._uncounted[commit, agent] -= 1  # a tombstone has told of it already
        else:
            self.evaluations += 1

    def _bury(self, stone: Tombstone) -> None:
        """Learn of a dropped candidate; where its records are read as well, they are what counts."""
        commit = CommitId(stone.id)
        stones = self._stones.setdefault(commit, {})
        if stone.of in stones:
            return
        stones[stone.of] = stone
        for cost in stone.paid:
            self.spending.learn_paid(commit, stone.of, cost)
        found = self.candidates.get(commit)
        known = sum(score.agent == stone.of for score in found.scores) if found else 0
        left = self._uncounted[commit, stone.of] = max(0, len(stone.scores) - known)
        self.evaluations += left
        for score in stone.scores:
            if score.status is not Status.ERROR:
                self._measured.setdefault((TreeId(stone.tree), score.evaluator), commit)

    def _let_go(self, present: set[AgentName]) -> None:
        """Forget candidates that were dropped, once no journal speaks of them any more."""
        vanished = self._reader.forget_gone(present)
        for commit, stones in self._stones.items() if vanished else ():
            found = self.candidates.get(commit)
            if found is None or not vanished & stones.keys():
                continue
            writers = {record.agent for record in found.records()}
            if writers <= stones.keys() and not writers & present:
                del self.candidates[commit]
                self._uncounted.update({(commit, of): len(stone.scores) for of, stone in stones.items()})
                self.touched.append(commit)
                self._stale = True

    def _rate(self) -> None:
        """Make the ratings anew that new records may have changed; a change of one is news of its candidate."""
        unrated, self._unrated = self._unrated, set()
        if self._base is None:
            return
        for evaluator in unrated:
            changed = comparing.rerate(self.candidates, self._base, evaluator)
            self.touched += changed
            self._stale = self._stale or bool(changed)

    def _rank(self, candidate: Candidate) -> None:
        value = None if self._stale else candidate.value(self.evaluator)
        if value is None:
            return
        if len(candidate.scores) > 1:
            self._stale = True  # a repeated measurement may lower it: rank all again when next asked
        else:
            self._ranking.add(candidate.id, value)

    def _ranked(self) -> Ranking:
        if self._stale:
            self._stale = False
            values = {commit: candidate.value(self.evaluator) for commit, candidate in self.candidates.items()}
            self._ranking.replace((commit, value) for commit, value in values.items() if value is not None)
        return self._ranking
