"""The epochs of a run: the stretches of its task's history in which one evaluator was in force."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import msgspec
import pygit2

from evogit.config import FILE_NAME
from evogit.errors import ConfigError, StorageError
from evogit.model import CommitId
from evogit.store import task, trees
from evogit.store.repository import Repository
from evogit.store.task import MAX_AMENDMENTS, Definition, Task


@dataclass(frozen=True, slots=True)
class Epoch:
    """One epoch: its number from 1, the digest of its evaluator, and the task commit that opened it, when and by whom.

    `opened` is in seconds since 1970. An evaluator that was gone back to has several epochs, and one set of scores.
    """

    number: int
    evaluator: str
    commit: CommitId
    opened: int
    by: str


def of(repo: Repository, known: Task) -> list[Epoch]:
    """Return the epochs of a run, the first one first; the last one is the present one.

    A task commit that cannot be read opens none.
    """
    found: list[Epoch] = []
    for evaluator, commit in reversed(list(_evaluators(repo, known))):
        if not found or found[-1].evaluator != evaluator:
            opener = CommitId(str(commit.id))
            found.append(Epoch(len(found) + 1, evaluator, opener, int(commit.commit_time), commit.author.name))
    return found


def before(epochs: Sequence[Epoch]) -> list[str]:
    """Return the evaluators of the epochs before the present one, the latest first, each once and not the present."""
    earlier = (epoch.evaluator for epoch in reversed(epochs[:-1]))
    return [evaluator for evaluator in dict.fromkeys(earlier) if evaluator != epochs[-1].evaluator]


def named(epochs: Sequence[Epoch], evaluator: str) -> str:
    """Return what to call a score's evaluator: its epoch, or epochs."""
    numbers = [str(epoch.number) for epoch in epochs if epoch.evaluator == evaluator]
    if not numbers:
        return "another evaluator"
    return f"epoch {numbers[0]}" if len(numbers) == 1 else f"epochs {', '.join(numbers[:-1])} and {numbers[-1]}"


def changes(old: Definition, new: Definition) -> list[str]:
    """Return in what two evaluators differ: keys of the table, then files."""
    tables = (msgspec.structs.asdict(definition.config.evaluator) for definition in (old, new))
    left, right = tables
    keys = [f"evaluator.{key}" for key in left if left[key] != right[key]]
    paths = sorted(old.files.keys() | new.files.keys())
    files = [path for path in paths if old.files.get(path) != new.files.get(path) and path != FILE_NAME.encode()]
    return [*keys, *(path.decode("utf-8", "replace") for path in files)]


def unprotected_changes(repo: Repository, definition: Definition, commit: CommitId) -> list[str]:
    """Return the files, protected ones aside, in which a commit differs from a definition's base.

    Where there are none, both are measured alike: protected files are laid over every candidate.

    Raises:
        StorageError: one of the commits cannot be read.
    """
    if commit == definition.base:
        return []
    before, after = (repo.commit(one).tree_id for one in (definition.base, commit))
    found = trees.changes(repo, before, after)
    return [one.path.decode("utf-8", "replace") for one in found if not definition.is_protected(one.path)]


def _evaluators(repo: Repository, known: Task) -> Iterator[tuple[str, pygit2.Commit]]:
    """Yield the digest each task commit stands for, the newest first."""
    digests: dict[pygit2.Oid, str] = {}
    yield known.definition.evaluator, (commit := repo.commit(known.tip))
    for _ in range(MAX_AMENDMENTS):
        if not commit.parent_ids or str(commit.parent_ids[0]) == known.definition.base:
            return
        try:
            commit = repo.commit(CommitId(str(commit.parent_ids[0])))
        except StorageError:
            return  # a history that was cut off: what is older is not known here
        try:
            if commit.tree_id not in digests:
                digests[commit.tree_id] = task.definition_of(repo, known.run, commit).evaluator
        except (StorageError, ConfigError):
            continue
        yield digests[commit.tree_id], commit
