"""What another repository shows, judged before it is taken over, and the taking over itself.

Nothing a remote shows is believed: a journal must be whole, be its writer's, and only have grown.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum

import pygit2

from evogit.errors import ConfigError, RefMoved, StorageError
from evogit.model import AgentName, CommitId, RunName
from evogit.records import MAX_NOTE_BYTES, decode_note
from evogit.store import git, notes, private, refs, successors, task, tombs, trees
from evogit.store.journal import check_growth
from evogit.store.repository import Repository
from evogit.store.successors import Heir
from evogit.store.tracking import Item, Kind

_EMPTY_TREE = "4b825dc642cb6eb9a060e54bf8d69288fbee4904"
_MAX_COMMITS = 1_000_000
_MAX_AMENDMENTS = 10_000


class Situation(StrEnum):
    """How what a remote shows stands to what is here; `judge` numbers them."""

    NEW = "new"
    UNCHANGED = "unchanged"
    FAST_FORWARD = "fast-forward"
    AHEAD = "ahead"
    DIVERGED = "diverged"
    REWRITTEN = "rewritten"
    INVALID = "invalid"
    SUPERSEDED = "superseded"


TROUBLE = (Situation.DIVERGED, Situation.REWRITTEN, Situation.INVALID)
"""Nothing is taken over then, and a person should know."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """A situation, and what a person should know about it."""

    situation: Situation
    detail: str = ""

    @property
    def is_gain(self) -> bool:
        """Whether the remote has more, and it may be taken over."""
        return self.situation in (Situation.NEW, Situation.FAST_FORWARD)


def judge(
    repo: Repository,
    item: Item,
    ours: pygit2.Oid | None,
    theirs: pygit2.Oid | None,
    *,
    own: bool,
    heirs: Sequence[Heir] = (),
) -> Judgement:
    """Return how the remote's task or journal stands to ours; all objects of both must be here.

    `heirs` are the journals here that stand for it.

    1. new: we have none, and theirs is valid
    2. unchanged: both are equal
    3. fast-forward: theirs continues ours, and what it adds is valid
    4. ahead: ours continues theirs, or the remote has none
    5. diverged: neither continues the other, and it is ours to write (`own`), or a task
    6. rewritten: theirs does not continue what was taken from a remote before
    7. invalid: theirs breaks a rule that `detail` names
    8. superseded: a journal here stands for theirs, and holds or buries all that theirs does

    A journal is continued by first parents and by lines, a task by first parents.
    """
    if theirs is None:
        return Judgement(Situation.AHEAD, "the remote has none")
    if ours == theirs:
        return Judgement(Situation.UNCHANGED)
    try:
        if item.kind is Kind.TASK:
            return _judge_task(repo, item.run, ours, theirs)
        for heir in heirs if ours is None else ():
            if not why_kept(repo, item.run, item.agent, theirs, heir.tip, exactly=heir.old == str(theirs)):
                return Judgement(Situation.SUPERSEDED, f"{heir.agent} stands for it")  # 8
        return _judge_journal(repo, item.run, item.agent, ours, theirs, own)
    except (StorageError, ConfigError) as error:
        return Judgement(Situation.INVALID, str(error))


def _judge_task(repo: Repository, run: RunName, ours: pygit2.Oid | None, theirs: pygit2.Oid) -> Judgement:
    if ours is not None and _leads_to(repo, ours, theirs):
        return Judgement(Situation.AHEAD)  # 4
    read = task.read_at(repo, run, theirs)
    if ours is None:
        # What a newer evogit wrote on top is passed over by readers; it still is part of the task.
        return Judgement(Situation.NEW, read.problem)  # 1
    if _leads_to(repo, theirs, ours):
        return Judgement(Situation.FAST_FORWARD, read.problem)  # 3
    return Judgement(  # 5
        Situation.DIVERGED,
        f"the task was changed here and there; look at both, and make your change again on top of theirs: "
        f"git update-ref {refs.task_ref(run)} {theirs}",
    )


def _judge_journal(
    repo: Repository, run: RunName, agent: AgentName, ours: pygit2.Oid | None, theirs: pygit2.Oid, own: bool
) -> Judgement:
    if ours is None:
        _check_beginning(repo, theirs)
        _check_notes(repo, run, _writers(repo, run, agent, theirs), notes.changed(repo, None, _tree(repo, theirs)))
        return Judgement(Situation.NEW)  # 1
    # The likelier one first: the other one is only known after a walk to the journal's beginning.
    for old, new in ((theirs, ours), (ours, theirs)) if own else ((ours, theirs), (theirs, ours)):
        try:
            added = check_growth(repo, old, new)
        except RefMoved as error:
            reason = str(error)
            continue
        if new == ours:
            return Judgement(Situation.AHEAD)  # 4
        _check_notes(repo, run, _writers(repo, run, agent, new), added)
        if own and agent in private.living(repo, run):
            return Judgement(Situation.DIVERGED, "another process elsewhere writes under the name of an agent here")
        return Judgement(Situation.FAST_FORWARD)  # 3
    return Judgement(Situation.DIVERGED if own else Situation.REWRITTEN, f"it was not taken: {reason}")  # 5, 6


def _writers(repo: Repository, run: RunName, agent: AgentName, tip: pygit2.Oid) -> set[str]:
    """Return whose records may stand in a journal: its agent's, and those of the journals it stands for.

    Raises:
        StorageError: it lacks something of one of these that is here.
    """
    found = successors.stands_for(repo, agent, tip)
    for one in found:
        known = refs.read(repo, refs.journal_ref(run, AgentName(one.of)))
        if known and (why := why_kept(repo, run, AgentName(one.of), known, tip, exactly=one.tip == str(known))):
            raise StorageError(f"it says it stands for {one.of}, but {why}")
    return {agent, *(one.of for one in found)}


def why_kept(
    repo: Repository, run: RunName, agent: AgentName, tip: pygit2.Oid, new: pygit2.Oid, *, exactly: bool
) -> str:
    """Return why the journal of `agent`, at `tip`, must not go though the one at `new` stands for it; or nothing.

    `exactly` says that it was made of just this tip.

    Raises:
        StorageError: one of them cannot be read.
    """
    writers = {agent, *(one.of for one in successors.stands_for(repo, agent, tip))}
    return tombs.why_not_covered(repo, run, new, tip, writers, exactly=exactly)


def _leads_to(repo: Repository, new: pygit2.Oid, old: pygit2.Oid) -> bool:
    return any(commit.id == old for commit in _first_parents(repo, new, _MAX_AMENDMENTS))


def _first_parents(repo: Repository, tip: pygit2.Oid, limit: int) -> Iterator[pygit2.Commit]:
    commit = repo.commit(CommitId(str(tip)))
    for _ in range(limit):
        yield commit
        if not commit.parent_ids:
            return
        commit = repo.commit(CommitId(str(commit.parent_ids[0])))


def _check_beginning(repo: Repository, tip: pygit2.Oid) -> None:
    """Check that a journal goes down to a start commit without parents and with the empty tree.

    Raises:
        StorageError: it does not.
    """
    (first,) = deque(_first_parents(repo, tip, _MAX_COMMITS), maxlen=1)
    # A clone with a cut-off history shows commits without the parents they were made with.
    if b"\nparent " in first.read_raw().partition(b"\n\n")[0]:
        raise StorageError(f"its history is cut off at {str(first.id)[:12]}; run `git fetch --unshallow` there")
    if str(first.tree_id) != _EMPTY_TREE:
        raise StorageError(f"it begins with {str(first.id)[:12]}, whose tree is not empty: that is no journal")


def _check_notes(repo: Repository, run: RunName, writers: set[str], added: Sequence[notes.NoteChange]) -> None:
    """Check the size of each note, and that what is new is its writers'.

    Raises:
        StorageError: a note is too long, cannot be read, or holds a record of another agent or run.
    """
    _check_sizes(repo, [change.new for change in added if change.new])
    for change in added:
        if change.new is None:
            continue
        known = set(trees.read_blob(repo, change.old).splitlines()) if change.old else set()
        fresh = [line for line in trees.read_blob(repo, change.new).splitlines() if line not in known]
        for record in decode_note(b"\n".join(fresh)):
            if not isinstance(record, ValueError) and (record.agent not in writers or record.run != run):
                raise StorageError(
                    f"its note on {change.commit[:12]} holds a record of agent {record.agent!r} in run {record.run!r}"
                )


def _check_sizes(repo: Repository, blobs: Sequence[pygit2.Oid]) -> None:
    """Ask git for the sizes: reading a blob that was made to be huge would fill the memory.

    Raises:
        StorageError: one is no blob, or too long.
    """
    asked = "".join(f"{blob}\n" for blob in blobs).encode()
    said = git.run(repo, ["cat-file", "--buffer", "--batch-check=%(objecttype) %(objectsize)"], stdin=asked)
    for blob, line in zip(blobs, said.decode().splitlines(), strict=True):
        kind, _, size = line.partition(" ")
        if kind != "blob" or int(size) > MAX_NOTE_BYTES:
            raise StorageError(
                f"its note {str(blob)[:12]} is a {kind} of {size} bytes; at most {MAX_NOTE_BYTES} are read"
            )


def _tree(repo: Repository, tip: pygit2.Oid) -> pygit2.Oid:
    return repo.commit(CommitId(str(tip))).tree_id


def take(repo: Repository, item: Item, ours: pygit2.Oid | None, theirs: pygit2.Oid, remote: str) -> None:
    """Move our ref to what was judged to be a gain; only one process of a clone at a time may.

    Raises:
        RefMoved: ours moved meanwhile.
        StorageError: Git would not move it.
    """
    message = f"evogit: sync from {remote}"
    if item.kind is Kind.TASK:
        with private.creating(repo, item.run):
            refs.compare_and_swap(repo, item.ref, old=ours, new=theirs, message=message)
        return
    if not item.agent.endswith(private.clone_id(repo)):
        with suppress(FileNotFoundError, NotADirectoryError):
            (repo.common / f"{item.ref}.lock").unlink()  # only `sync` writes it here, and it was killed
    refs.compare_and_swap(repo, item.ref, old=ours, new=theirs, message=message)
