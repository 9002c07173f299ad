"""What a run's journals say, read incrementally: a cold start reads tips only, a refresh only what differs.

A journal that is broken or hostile is passed over and named in `problems`; it never stops a reader.
"""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass
from typing import TypeVar

import pygit2

from evogit.errors import StorageError
from evogit.model import AgentName, CommitId, Direction, RunName, Status, TreeId
from evogit.records import (
    MAX_NOTE_BYTES,
    AnyRecord,
    Comparison,
    Lesson,
    Proposal,
    Score,
    Successor,
    Tombstone,
    Verdict,
    decode_lines,
)  # fmt: skip
from evogit.store import comparing, notes, refs, successors
from evogit.store.candidate import Candidate, Event, is_same_measurement
from evogit.store.journal import check_growth
from evogit.store.ranking import Ranking
from evogit.store.repository import Repository
from evogit.store.spending import Spending

_R = TypeVar("_R")
_LONGEST_WAIT = 1024
_MANY = 500
"""New records from which all is ranked anew when next asked, which is cheaper than one after another."""


@dataclass(slots=True)
class _Seen:
    tip: pygit2.Oid
    tree: pygit2.Oid
    writers: frozenset[str]
    """Whose records stand there: the agent's, and of those its journal stands for."""


@dataclass(slots=True)
class _PutOff:
    """A journal that cannot be read: it may be huge on purpose, so it is tried ever more seldom until its tip moves."""

    tip: pygit2.Oid
    wait: int = 0
    left: int = 0


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
        self._repo = repo
        self._base = base
        self._until = until
        self._seen: dict[AgentName, _Seen] = {}
        self._put_off: dict[AgentName, _PutOff] = {}
        self._measured: dict[tuple[TreeId, str], CommitId] = {}
        self._by_session: dict[str, int] = {}
        self._next: dict[AgentName, int] = {}
        self._retired: set[AgentName] = set()
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
        known = self._retired.union(self._seen)
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
        events: list[Event] = []
        present = self._list() if discover else sorted(self._seen)
        for agent in present:
            events.extend(self._read_new(agent))
        if discover and self._retired:
            self._let_go(set(present))
        self._rate()
        return events

    def take_own(self, agent: AgentName, tip: pygit2.Oid, tree: pygit2.Oid, events: list[Event]) -> None:
        """Learn what this process just wrote to its own journal, without reading it back."""
        seen = self._seen.setdefault(agent, _Seen(tip, tree, frozenset((agent,))))
        seen.tip, seen.tree = tip, tree
        self._next.setdefault(agent, 0)
        for event in events:
            self._learn(event, seen)
        self._rate()

    def _list(self) -> list[AgentName]:
        found = (refs.parse_journal_ref(name) for name in refs.names(self._repo, refs.notes_prefix(self.run)))
        return sorted(parsed[1] for parsed in found if parsed)

    def _read_new(self, agent: AgentName) -> list[Event]:
        """Return what is new in one journal; what keeps it from being read is a problem of that journal alone."""
        name = refs.journal_ref(self.run, agent)
        tip = None
        try:
            tip = refs.read(self._repo, name)
            if tip is None or self._is_put_off(agent, tip):
                return []
            events = self._read_journal(name, agent, tip)
        except StorageError as error:
            self.problems[name] = str(error)
            if tip is not None:
                known = self._put_off.get(agent)
                wait = min(_LONGEST_WAIT, 8 * known.wait + 8) if known and known.tip == tip else 0
                self._put_off[agent] = _PutOff(tip, wait, wait)
            return []
        self.problems.pop(name, None)
        self._put_off.pop(agent, None)
        return events

    def _is_put_off(self, agent: AgentName, tip: pygit2.Oid) -> bool:
        known = self._put_off.get(agent)
        if known is None or known.tip != tip or known.left == 0:
            return False
        known.left -= 1
        return True

    def _read_journal(self, name: str, agent: AgentName, tip: pygit2.Oid) -> list[Event]:
        seen = self._seen.get(agent)
        if seen is None:
            tree = self._repo.commit(CommitId(str(tip))).tree_id
            changes = notes.changed(self._repo, None, tree)
            retired = {AgentName(one.of) for one in successors.stands_for(self._repo, agent, tip)}
            self._retired |= retired
            seen = _Seen(tip, tree, frozenset((agent, *retired)))
        elif seen.tip == tip:
            return []
        else:
            changes = check_growth(self._repo, seen.tip, tip)
            tree = self._repo.commit(CommitId(str(tip))).tree_id
        writers = seen.writers
        loose = self._repo.loose() if len(changes) > _MANY else None
        events = [
            Event(change.commit, record)
            for change in changes
            for record in self._read_note(name, writers, change, loose)
        ]
        seen.tip, seen.tree = tip, tree
        self._seen[agent] = seen
        self._next.setdefault(agent, 0)
        self._stale |= len(events) > _MANY
        for event in events:
            self._learn(event, seen)
        return [event for event in events if not isinstance(event.record, Successor | Tombstone)]

    def _read_note(
        self, name: str, writers: Container[str], change: notes.NoteChange, loose: frozenset[str] | None
    ) -> Iterator[AnyRecord]:
        if change.new is None:
            return
        try:
            content = self._note_content(change.new, loose)
            old = set(self._note_content(change.old, None).splitlines()) if change.old else set()
        except StorageError as error:
            self.problems[f"{name}:{change.commit}"] = str(error)
            return
        fresh = dict.fromkeys(line for line in content.splitlines() if line not in old)  # a note is a set of lines
        for record in decode_lines(fresh):
            if isinstance(record, ValueError):
                self.problems[f"{name}:{change.commit}"] = f"a line that is no valid record: {record}"
            elif record.agent not in writers or record.run != self.run:
                self.problems[f"{name}:{change.commit}"] = (
                    f"a record of {record.agent!r} in {record.run!r}: not its writer's"
                )
            else:
                yield record

    def _note_content(self, note: pygit2.Oid, loose: frozenset[str] | None) -> bytes:
        content = self._repo.content(note, "blob", loose=loose)
        if len(content) > MAX_NOTE_BYTES:
            raise StorageError(f"a note of {len(content)} bytes; at most {MAX_NOTE_BYTES} are read")
        return content

    def _learn(self, event: Event, seen: _Seen) -> None:
        record = event.record
        if self._until is not None and record.seq >= self._until.get(record.agent, 0):
            return
        writer = AgentName(record.agent)
        self._next[writer] = max(self._next.get(writer, 0), record.seq + 1)
        if isinstance(record, Successor | Tombstone):
            if isinstance(record, Tombstone) and record.of in seen.writers:
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
        if not self._retired or record not in known:  # it may stand in an old journal and in the one that stands for it
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
        vanished = self._retired.intersection(self._seen) - present
        for agent in vanished:
            del self._seen[agent]
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
