"""A person's pen: verdicts, and the scores of their own commits, in a journal of theirs."""

from __future__ import annotations

import fcntl
import os
import re
import unicodedata
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from evogit.errors import EvogitError, UsageError
from evogit.evaluation import Meter
from evogit.model import PEOPLE, AgentName, CommitId, Measurement, TreeId, parse_agent_name
from evogit.records import PERSON, AnyRecord
from evogit.sandbox import Cancelled
from evogit.store import comparing, humans, leaks, private
from evogit.store.ledger import Ledger, Writer
from evogit.store.private import Name
from evogit.store.repository import Repository
from evogit.store.snapshot import Snapshot
from evogit.store.task import Task

Word = Literal["promote", "prune", "comment"]
MAX_TEXT = 4096
_MAX_SLUG = 30
_POLL_S = 0.05
_TRIES = 200
_CLAIM_S = 10
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """Who writes, on which host, with which clock; `session` is this one call of the command line."""

    name: str
    email: str
    host: str
    session: str
    now: Callable[[], datetime]
    sleep: Callable[[float], None]

    @property
    def slug(self) -> str:
        """What stands for the person in names: made from their name, else from their e-mail address."""
        for text in (self.name, self.email.partition("@")[0]):
            plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
            found = re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:_MAX_SLUG].strip("-")
            if found:
                return found
        return "person"


def journal_name(repo: Repository, person: Person) -> AgentName:
    """Return the name of a person's journal in this clone; two clones of one person are two writers.

    Raises:
        RepositoryError, StorageError: the clone's id cannot be read or made.
    """
    return parse_agent_name(f"{PEOPLE}{person.slug}-{private.clone_id(repo)}")


@contextmanager
def pen(repo: Repository, task: Task, snapshot: Snapshot, person: Person) -> Iterator[Ledger]:
    """Hold the person's journal for the body, with `snapshot` fresh.

    Raises:
        UsageError: another process of the person's holds it for too long.
        RepositoryError, StorageError: as the parts say.
    """
    held = _take(repo, task, person)
    try:
        private.repair(repo, task.run, held)
        snapshot.refresh()
        writer = Writer(
            run=task.run, agent=held.agent, session=person.session, use=PERSON,
            evaluator=task.definition.evaluator, host=person.host, person=(person.name, person.email), now=person.now,
        )  # fmt: skip
        ledger = Ledger(repo, snapshot, writer)
        try:
            yield ledger
        finally:
            ledger.close()
    finally:
        held.release()


def _take(repo: Repository, task: Task, person: Person) -> Name:
    name = journal_name(repo, person)
    for _ in range(_TRIES):
        try:
            return private.take_name(repo, task.run, name)
        except UsageError:
            person.sleep(_POLL_S)  # a hook and a command overlap; each holds it for one write
    return private.take_name(repo, task.run, name)


def give_verdict(
    repo: Repository, task: Task, snapshot: Snapshot, person: Person, commit: CommitId, word: Word, text: str
) -> AgentName:
    """Record what a person says of a candidate, and return the journal it stands in.

    Raises:
        UsageError: the commit or the text is not one that can be recorded.
        RepositoryError, StorageError: as for `pen`.
    """
    check_verdict(repo, task, snapshot, commit, word, text)
    with pen(repo, task, snapshot, person) as ledger:
        ledger.write(commit, [ledger.verdict(word, clean(text))], f"evogit: {word} {commit[:12]}\n")
        return ledger.writer.agent


def prefer(
    repo: Repository, task: Task, snapshot: Snapshot, person: Person, commit: CommitId, over: CommitId, text: str
) -> AgentName:
    """Record that a person finds one candidate better than another, and return the journal it stands in.

    Raises:
        UsageError: the run has no judge, or one of the two may not be compared.
        RepositoryError, StorageError: as for `pen`.
    """
    check_preference(task, snapshot, commit, over, text)
    with pen(repo, task, snapshot, person) as ledger:
        goal = comparing.goal_digest(task.goal)
        said = ledger.comparison(over, ("first", "second"), "person", goal=goal, text=clean(text))
        ledger.write(commit, [said], f"evogit: prefer {commit[:12]} to {over[:12]}\n")
        return ledger.writer.agent


def check_preference(task: Task, snapshot: Snapshot, commit: CommitId, over: CommitId, text: str) -> None:
    """Check that a person's preference can be recorded.

    Raises:
        UsageError: it cannot.
    """
    if task.definition.config.evaluator.judge is None:
        raise UsageError(
            f"run {task.run} has no judge, its candidates are compared by their scores; to have descendants of one "
            f"preferred: evogit verdict {commit[:12]} promote"
        )
    if commit == over:
        raise UsageError(f"{commit[:12]} cannot be better than itself; name another one with --over")
    for one in (commit, over):
        found = snapshot.candidates.get(one)
        if found is None or found.passed(snapshot.evaluator) is None:
            raise UsageError(f"{one[:12]} has not passed the gates of run {task.run}, so it is compared with nothing")
    _check_words(clean(text))


def _check_words(words: str) -> None:
    if len(words) > MAX_TEXT:
        raise UsageError(f"the text has {len(words)} characters; at most {MAX_TEXT} are kept")
    if kind := leaks.found(words.encode()):
        raise UsageError(f"the text looks as if it holds {kind}; records are shared, so it is not taken")


def clean(text: str) -> str:
    """Return a person's words without control characters; lines stay."""
    return _CONTROL.sub("", text).strip()


def check_verdict(repo: Repository, task: Task, snapshot: Snapshot, commit: CommitId, word: Word, text: str) -> None:
    """Check that a verdict can be recorded.

    Raises:
        UsageError: it cannot.
        StorageError: a commit cannot be read.
    """
    words, base = clean(text), task.definition.base
    if word == "comment" and not words:
        raise UsageError(f"a comment needs its TEXT: evogit verdict {commit[:12]} comment 'what to say'")
    _check_words(words)
    if word == "prune" and commit == base:
        raise UsageError(f"{commit[:12]} is the base: all candidates come of it; to end the run: evogit stop")
    if commit in snapshot.candidates or commit == base:
        return
    if not humans.descends(repo, commit, base):
        raise UsageError(
            f"{commit[:12]} is no candidate of run {task.run} and does not come of its base; see `evogit log`"
        )
    if reason := humans.refusal(repo, snapshot, base, commit):
        raise UsageError(f"{commit[:12]}: {reason}")


def score(
    repo: Repository, task: Task, snapshot: Snapshot, person: Person, commit: CommitId, meter: Meter, sandbox: str
) -> Measurement | None:
    """Make a person's commit a candidate, measured now; None when it was one already or its files were measured before.

    `sandbox` is what the meter measures in, as records say it.

    While it is measured, a claim keeps agents from doing it, too.

    Raises:
        Cancelled: the evaluation was interrupted; only the claim stays, which ends by itself.
        UsageError: the commit may not become a candidate.
        RepositoryError, StorageError: as for `pen`.
    """
    snapshot.refresh()
    if humans.is_known(snapshot, commit):
        return None
    base = task.definition.base
    if not humans.descends(repo, commit, base):
        raise UsageError(f"{commit[:12]} does not come of the base {base[:12]} of run {task.run}; it is not scored")
    if reason := humans.refusal(repo, snapshot, base, commit):
        raise UsageError(f"{commit[:12]}: {reason}")
    tree = TreeId(str(repo.commit(commit).tree_id))
    measured = None
    if snapshot.measured(tree) is None:
        with pen(repo, task, snapshot, person) as ledger:
            claim = ledger.lease(task.definition.config.evaluator.longest_s() + _CLAIM_S)
            ledger.write(commit, [claim], f"evogit: claim {commit[:12]}\n")
        measured = meter.measure(tree)
    with pen(repo, task, snapshot, person) as ledger:
        records: list[AnyRecord] = humans.taken_in(repo, snapshot, ledger, commit)
        if measured is not None:
            records.append(ledger.score(tree, measured, sandbox))
        if records:
            ledger.write(commit, records, f"evogit: take in {commit[:12]} of a person\n")
    return measured


@contextmanager
def turn(repo: Repository, task: Task, sleep: Callable[[float], None], stopped: Callable[[], object]) -> Iterator[None]:
    """Wait until no other commit of a person's is being scored in this clone, and keep others waiting for the body.

    Raises:
        Cancelled: the caller wants to stop.
        EvogitError: the lock cannot be made.
    """
    path = private.run_folder(repo, task.run) / "scoring"
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise EvogitError(f"cannot write {path}: {error.strerror}") from error
    try:
        while not _locked(descriptor):
            if stopped():
                raise Cancelled
            sleep(_POLL_S)
        yield
    finally:
        os.close(descriptor)


def _locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
