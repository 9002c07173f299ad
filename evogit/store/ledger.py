"""One agent's pen: it numbers and dates records, writes them to the agent's journal, and keeps the snapshot in step."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

import msgspec
import pygit2

from evogit.errors import StorageError
from evogit.model import AgentName, CommitId, Measurement, Plan, RunName, TreeId
from evogit.records import (
    MAX_CALLS,
    PERSON,
    AnyRecord,
    Call,
    Choice,
    Comparison,
    Lease,
    Lesson,
    Merge,
    Proposal,
    Score,
    Verdict,
    Word,
)  # fmt: skip
from evogit.store import commits, redaction
from evogit.store.candidate import Candidate, Event
from evogit.store.journal import Journal
from evogit.store.objects import Durability
from evogit.store.repository import Repository, signature
from evogit.store.snapshot import Snapshot


@dataclass(frozen=True, slots=True, kw_only=True)
class Writer:
    """Who writes, for which invocation and evaluator, on which host, and in whose name commits are made."""

    run: RunName
    agent: AgentName
    session: str
    use: str
    evaluator: str
    host: str
    person: tuple[str, str]
    now: Callable[[], datetime]


class Ledger:
    """Writes what one agent did, and lets its snapshot learn of it at once."""

    def __init__(self, repo: Repository, snapshot: Snapshot, writer: Writer) -> None:
        """Take up or begin the agent's journal.

        Raises:
            StorageError: it cannot be read or written.
        """
        self.writer = writer
        self._repo = repo
        self._snapshot = snapshot
        self._durability = Durability(repo)
        self._journal = Journal(repo, writer.run, writer.agent, self._signature(), self._durability)

    def close(self) -> None:
        """Let go of the file system."""
        self._durability.close()

    def candidate(
        self,
        tree: TreeId,
        plan: Plan,
        subject: str,
        donor: CommitId | None = None,
        *,
        body: str = "",
        models: Sequence[str] = (),
    ) -> CommitId:
        """Write a candidate's commit; it becomes visible with its first record.

        `donor` is a candidate that something was taken from, `models` are those that had part in it.

        Raises:
            StorageError: Git would not write it.
        """
        return commits.create(
            self._repo,
            run=self.writer.run,
            agent=self.writer.agent,
            operator=plan.operator,
            tree=tree,
            parents=plan.parents,
            subject=subject,
            body=body,
            committer=self._signature(),
            inspired_by=(donor,) if donor else (),
            assisted_by=[(self.writer.use, model) for model in models],
        )

    def proposal(
        self,
        plan: Plan,
        params: Mapping[str, float],
        seen: Mapping[str, int] | None = None,
        merge: Merge | None = None,
        *,
        donor: CommitId | None = None,
        size: int | None = None,
        calls: Sequence[Call] = (),
        choices: Mapping[str, Choice] | None = None,
    ) -> Proposal:
        """Return the record of how a candidate was made; `seen` is what the snapshot knew when it was planned."""
        return Proposal(
            **self._header(), operator=plan.operator, use=self.writer.use, seed=plan.seed, outcome="candidate",
            params=dict(params), seen=dict(seen or {}), merge=merge, donor=donor, size=size,
            calls=list(calls[-MAX_CALLS:]), choices=dict(choices or {}),
        )  # fmt: skip

    def useless(
        self,
        plan: Plan,
        seen: Mapping[str, int],
        why: str,
        calls: Sequence[Call] = (),
        choices: Mapping[str, Choice] | None = None,
    ) -> Proposal:
        """Return the record of a plan that came to nothing."""
        return Proposal(
            **self._header(), operator=plan.operator, use=self.writer.use, seed=plan.seed, outcome="useless",
            parents=list(plan.parents), seen=dict(seen), why=commits.plain_text(why)[:256],
            calls=list(calls[-MAX_CALLS:]), choices=dict(choices or {}),
        )  # fmt: skip

    def lesson(self, text: str, evidence: Sequence[CommitId], model: str, seed: int, calls: Sequence[Call]) -> Lesson:
        """Return the record of what a model learned, or, without a text, of a question that taught nothing."""
        return Lesson(
            **self._header(), text=commits.plain_text(text)[:400], evidence=list(evidence[:16]), model=model[:256],
            seed=seed, calls=list(calls[-MAX_CALLS:]),
        )  # fmt: skip

    def score(self, tree: TreeId, measured: Measurement, sandbox: str) -> Score:
        """Return the record of a measurement, keys and what would not fit taken out."""
        kept = redaction.shareable(measured)
        return Score(
            **self._header(), status=kept.status, value=kept.value, metrics=dict(kept.metrics),
            instances=dict(kept.instances), evaluator=self.writer.evaluator, tree=tree,
            seconds=round(kept.seconds, 4), sandbox=sandbox, host=self.writer.host, feedback=kept.feedback,
            artifacts=dict(kept.artifacts), artifacts_left_out=kept.artifacts_left_out,
        )  # fmt: skip

    def lease(self, seconds: float) -> Lease:
        """Return the record of a claim that ends after `seconds`."""
        return Lease(**self._header(), until=stamp(self.writer.now() + timedelta(seconds=seconds)))

    def verdict(self, word: Literal["promote", "prune", "comment"], text: str) -> Verdict:
        """Return the record of what a person says of a candidate."""
        return Verdict(**self._header(), verdict=word, text=text)

    def comparison(
        self,
        than: CommitId,
        verdicts: tuple[Word, Word],
        by: Literal["command", "model", "person"],
        *,
        goal: str,
        seed: int = 0,
        calls: Sequence[Call] = (),
        text: str = "",
    ) -> Comparison:
        """Return the record of how a candidate compares with `than`: what was said when it was first, and second."""
        return Comparison(
            **self._header(), than=than, evaluator=self.writer.evaluator, goal=goal, by=by, verdicts=verdicts,
            seed=seed, calls=list(calls[-MAX_CALLS:]), text=redaction.checked(text),
        )  # fmt: skip

    def take_over(self, lost: Ledger) -> int:
        """Write again, as this agent's own, what `lost` had stored and its journal's ref no longer leads to.

        Returns how many records that were.

        Raises:
            StorageError: Git would not read or write.
        """
        added: dict[CommitId, list[AnyRecord]] = {}
        found = lost._journal.lost()
        for commit, record in found:
            added.setdefault(commit, []).append(record)
        if added:
            self._append(added, f"evogit: carry over {len(found)} records of {lost.writer.agent}\n")
        return len(found)

    def write(self, commit: CommitId, records: list[AnyRecord], message: str) -> None:
        """Append records on one commit, all visible at once with the commit itself.

        Raises:
            RefMoved: another process writes this journal.
            StorageError: Git would not write it.
        """
        try:
            self._append({commit: records}, message)
        except ValueError as error:
            raise StorageError(f"a record on {commit[:12]} cannot be written: {error}") from error

    def _append(self, added: Mapping[CommitId, list[AnyRecord]], message: str) -> None:
        number = self._snapshot.next_seq(self.writer.agent)
        events = []
        for commit, records in added.items():
            for record in records:
                events.append(Event(commit, msgspec.structs.replace(record, agent=self.writer.agent, seq=number)))
                number += 1
        numbered: dict[CommitId, list[AnyRecord]] = {commit: [] for commit in added}
        for event in events:
            numbered[event.commit].append(event.record)
        tip = self._journal.append(numbered, message=message, signature=self._signature())
        self._snapshot.take_own(self.writer.agent, tip, events)

    def _header(self) -> dict[str, Any]:
        writer = self.writer
        return {
            "v": 1,
            "agent": writer.agent,
            "run": writer.run,
            "seq": 0,  # set when it is written
            "at": stamp(writer.now()),
            "session": writer.session,
        }

    def _signature(self) -> pygit2.Signature:
        return signature(*self.writer.person, self.writer.now())


def stamp(when: datetime) -> str:
    """Return a time as records keep it: RFC 3339 in UTC, to the millisecond."""
    return when.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def is_current(lease: Lease, now: datetime) -> bool:
    """Return whether a claim still holds; one that cannot be read does not."""
    try:
        return datetime.fromisoformat(lease.until) > now
    except ValueError:
        return False


def made_by(candidate: Candidate, agent: AgentName) -> bool:
    """Return whether this agent made the candidate."""
    made = candidate.proposal
    return made is not None and made.agent == agent and made.use != PERSON
