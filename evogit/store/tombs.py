"""What stays of a dropped candidate: a tombstone, made in one way only, so that anybody can make it again to check."""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import dataclass

import pygit2

from evogit.model import CommitId, Operator, RunName
from evogit.records import (
    AnyRecord,
    Comparison,
    Judged,
    Lease,
    Paid,
    Proposal,
    Score,
    Successor,
    Tombstone,
    decode,
    decode_note,
)
from evogit.store import git, notes, spending, trees
from evogit.store.repository import Repository

_FORMAT = "--format=%H %T %P"


@dataclass(frozen=True, slots=True)
class Shape:
    """What a commit is in the family tree: its own tree, and its parents."""

    tree: str
    parents: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Rest:
    """What stays of one writer's records on a candidate when it is dropped."""

    scores: tuple[Judged, ...] = ()
    operator: Operator | None = None
    paid: tuple[Paid, ...] = ()


def reachable(repo: Repository, wanted: Iterable[str], without: Iterable[str]) -> dict[CommitId, Shape]:
    """Return every commit that `wanted` reach and `without` do not; ids of which there is no commit here are left out.

    Raises:
        StorageError: git failed.
    """
    asked = "".join([*(f"{one}\n" for one in wanted), *(f"^{one}\n" for one in without)])
    said = git.run(repo, ["rev-list", "--ignore-missing", "--stdin", _FORMAT], stdin=asked.encode())
    rows = (line.split() for line in said.decode().splitlines() if not line.startswith("commit "))
    return {CommitId(row[0]): Shape(row[1], tuple(row[2:])) for row in rows}


def lines(repo: Repository, note: pygit2.Oid | None) -> dict[bytes, None]:
    """Return the lines of a note in order, each once, blank ones left out.

    Raises:
        StorageError: it cannot be read.
    """
    content = trees.read_blob(repo, note) if note else b""
    return dict.fromkeys(line for line in content.splitlines() if line.strip())


def rests(said: Iterable[bytes], run: RunName, writers: Container[str]) -> Mapping[str, Rest] | None:
    """Return what would stay of these lines by writer; None when one must not be dropped.

    Only scores, proposals and leases of the run by these writers may be: not what a person said, and not what this
    version does not understand.
    """
    found: dict[str, list[AnyRecord]] = {}
    for line in said:
        try:
            record = decode(line)
        except ValueError:
            return None
        if not isinstance(record, Score | Proposal | Lease) or record.run != run or record.agent not in writers:
            return None
        found.setdefault(record.agent, []).append(record)
    return {agent: _rest(sorted(records, key=lambda record: record.seq)) for agent, records in found.items()}


def compared_with(said: Iterable[bytes]) -> Iterator[str]:
    """Yield the candidates that comparisons among these lines name; lines that cannot be read name none."""
    for line in said:
        if b'"comparison"' not in line:
            continue
        try:
            record = decode(line)
        except ValueError:
            continue
        if isinstance(record, Comparison):
            yield record.than


def _rest(records: Iterable[AnyRecord]) -> Rest:
    scores, paid, operator = [], [], None
    for record in records:
        if isinstance(record, Score):
            scores.append(Judged(evaluator=record.evaluator, status=record.status, value=record.value))
        if isinstance(record, Proposal) and record.calls:
            paid.append(spending.paid(record))
        if isinstance(record, Proposal) and record.outcome == "candidate" and operator is None:
            operator = record.operator
    return Rest(tuple(scores), operator, tuple(paid))


def is_true(stone: Tombstone, shape: Shape, rest: Rest) -> bool:
    """Return whether a tombstone says what is so."""
    return (stone.tree, tuple(stone.parents)) == (shape.tree, shape.parents) and (
        (tuple(stone.scores), stone.operator, tuple(stone.paid)) == (rest.scores, rest.operator, rest.paid)
    )


def stones(repo: Repository, tree: pygit2.Oid) -> dict[tuple[str, str], Tombstone]:
    """Return the tombstones in a notes tree, by candidate and writer.

    Raises:
        StorageError: a note cannot be read.
    """
    found: dict[tuple[str, str], Tombstone] = {}
    for change in notes.changed(repo, None, tree):
        content = trees.read_blob(repo, change.new) if change.new else b""
        for record in decode_note(content) if b'"tombstone"' in content else ():
            if isinstance(record, Tombstone):
                found[record.id, record.of] = record
    return found


def is_of_the_store(line: bytes) -> bool:
    """Return whether a line is a tombstone, or says for whom a journal stands."""
    if b'"tombstone"' not in line and b'"successor"' not in line:
        return False
    try:
        return isinstance(decode(line), Successor | Tombstone)
    except ValueError:
        return False


def why_not_covered(
    repo: Repository, run: RunName, new: pygit2.Oid, old: pygit2.Oid, writers: Container[str], *, exactly: bool
) -> str:
    """Return why the journal at `new` does not hold all that the one at `old` does; nothing when it does.

    Every line of every note of the old one stands in the new one, or it is dropped: then nothing of its writer's on
    that commit is left there but a true tombstone, and nothing the new journal keeps came of it. `exactly` says that
    the new one was made of just this tip: then it has nothing more of these writers either.
    """
    trees_of = [repo.commit(CommitId(str(tip))).tree_id for tip in (new, old)]
    buried = stones(repo, trees_of[0])
    dropped: dict[CommitId, Mapping[str, Rest]] = {}
    for change in notes.changed(repo, trees_of[1], trees_of[0]):
        before, after = lines(repo, change.old), lines(repo, change.new)
        missing = [line for line in before if line not in after]
        if exactly and (forged := _written_by(writers, [line for line in after if line not in before])):
            return f"it has a record of {forged} on {change.commit[:12]} that {forged} never wrote"
        if not missing:
            continue
        found = rests([line for line in before if not is_of_the_store(line)], run, writers)
        if found is None or any(is_of_the_store(line) for line in missing):
            return f"it lacks what stands on {change.commit[:12]} and may not be dropped"
        if still := _written_by(found, after):
            return f"it lacks a record of {still} on {change.commit[:12]}, which it keeps"
        dropped[change.commit] = found
    return _why_not_dropped(repo, new, old, dropped, buried) if dropped else ""


def _why_not_dropped(
    repo: Repository,
    new: pygit2.Oid,
    old: pygit2.Oid,
    dropped: Mapping[CommitId, Mapping[str, Rest]],
    buried: Mapping[tuple[str, str], Tombstone],
) -> str:
    unkept = reachable(repo, dropped, [str(new)])
    for commit, found in dropped.items():
        if commit not in unkept:
            return f"it drops {commit[:12]}, which is here no more or which something it keeps came of"
        for agent, rest in found.items():
            stone = buried.get((commit, agent))
            if stone is None or not is_true(stone, unkept[commit], rest):
                return f"it drops {commit[:12]} without a true tombstone"
    return ""


def _written_by(writers: Container[str], said: Iterable[bytes]) -> str:
    """Return the writer of the first line that is a record on a candidate by one of these."""
    for line in said:
        try:
            record = decode(line)
        except ValueError:
            continue
        if record is not None and not isinstance(record, Successor | Tombstone) and record.agent in writers:
            return record.agent
    return ""
