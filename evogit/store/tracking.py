"""What of a repository is exchanged with others, and the names of the refs that say what a remote showed last.

Tracking refs may be forced and deleted: they are copies, looked at before anything is taken over.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from itertools import islice

import pygit2

from evogit.model import AgentName, RunName
from evogit.store import git, refs
from evogit.store.repository import Repository

JOURNALS, TASKS, BRANCHES = "refs/notes/evogit/", "refs/evogit/", "refs/heads/evogit/"
_BRANCH = re.compile(r"refs/heads/evogit/([a-z0-9][a-z0-9-]{0,62})/([a-z0-9][a-z0-9-]{0,62})")

_MAX_NAMED = 20
_NOBODY = AgentName("")


class Kind(StrEnum):
    """What a ref holds."""

    TASK = "task"
    JOURNAL = "journal"
    BRANCH = "branch"


@dataclass(frozen=True, slots=True, order=True)
class Item:
    """One ref that is exchanged; a task has no agent."""

    run: RunName
    kind: Kind
    agent: AgentName = _NOBODY

    @property
    def ref(self) -> str:
        """Its name in every repository."""
        if self.kind is Kind.TASK:
            return refs.task_ref(self.run)
        return (refs.journal_ref if self.kind is Kind.JOURNAL else refs.branch_ref)(self.run, self.agent)

    def tracking(self, remote: str) -> str:
        """The name of its copy as `remote`, one path component, showed it."""
        if self.kind is Kind.TASK:
            return f"refs/evogit-remote/{remote}/{self.run}/task"
        if self.kind is Kind.JOURNAL:
            return f"refs/notes/evogit-remote/{remote}/{self.run}/{self.agent}.journal"
        return f"refs/remotes/{remote}/evogit/{self.run}/{self.agent}"

    def __str__(self) -> str:
        return {
            Kind.TASK: f"{self.run}: task",
            Kind.JOURNAL: f"{self.run}/{self.agent}",
            Kind.BRANCH: f"{self.run}/{self.agent}: branch",
        }[self.kind]


def parse(name: str) -> Item | None:
    """Return what a ref's name stands for, or None when it is nothing that is exchanged."""
    if found := refs.parse_journal_ref(name):
        return Item(found[0], Kind.JOURNAL, found[1])
    if run := refs.parse_task_ref(name):
        return Item(run, Kind.TASK)
    if branch := _BRANCH.fullmatch(name):
        return Item(RunName(branch[1]), Kind.BRANCH, AgentName(branch[2]))
    return None


def shown(listed: Mapping[str, pygit2.Oid]) -> dict[Item, pygit2.Oid]:
    """Return what can be exchanged of the refs a remote lists."""
    return {item: tip for name, tip in listed.items() if (item := parse(name))}


def odd_names(listed: Iterable[str], run: RunName | None) -> list[str]:
    """Return the first refs that stand where journals stand (of `run`; None: all), under names that none has."""
    prefix = refs.notes_prefix(run) if run else JOURNALS
    odd = (name for name in listed if name.startswith(prefix) and parse(name) is None)
    return list(islice(odd, _MAX_NAMED))


def local(repo: Repository) -> Iterator[tuple[Item, pygit2.Oid]]:
    """Yield everything of this repository that can be exchanged.

    Raises:
        StorageError: the refs cannot be listed or read.
    """
    for prefix in (TASKS, JOURNALS, BRANCHES):
        for name in refs.names(repo, prefix):
            item = parse(name)
            tip = refs.read(repo, name) if item and not refs.is_broken(repo, name) else None
            if item and tip is not None:
                yield item, tip


def names(repo: Repository, run: RunName) -> list[str]:
    """Return all tracking refs of a run, of every remote.

    Raises:
        StorageError: the refs cannot be listed.
    """
    found = (*refs.names(repo, "refs/notes/evogit-remote/"), *refs.names(repo, "refs/evogit-remote/"))
    return [name for name in found if name.split("/")[-2:-1] == [run]]


def point(repo: Repository, name: str, at: pygit2.Oid) -> None:
    """Set a tracking ref.

    Raises:
        StorageError: Git would not write it.
    """
    refs.retried(lambda: repo.raw.references.create(name, at, force=True), f"set {name}", repo)


def mend(repo: Repository, remote: str, is_own: Callable[[Item], bool]) -> None:
    """Move refs aside that a power cut left empty, and git would not fetch beside; they are fetched again.

    Journals of this clone are left to their agents, which find them again at their next start.

    Raises:
        StorageError: the refs cannot be listed, or one cannot be moved.
    """
    copies = (f"refs/notes/evogit-remote/{remote}/", f"refs/evogit-remote/{remote}/")
    for name in (name for prefix in (JOURNALS, *copies) for name in refs.names(repo, prefix)):
        item = parse(name)
        if refs.is_broken(repo, name) and not (item and is_own(item)):
            refs.move_aside(repo, name, repo.private / "broken-refs")


def unlock(repo: Repository, name: str) -> None:
    """Remove the lock that a killed process left on a tracking ref: only who holds the exchange's lock writes it."""
    with suppress(FileNotFoundError, NotADirectoryError):
        (repo.common / f"{name}.lock").unlink()


def drop(repo: Repository, names: Iterable[str]) -> None:
    """Delete tracking refs.

    Raises:
        StorageError: Git would not delete one.
    """
    lines = "".join(f"delete {name}\n" for name in names if refs.read(repo, name) is not None)
    if lines:
        git.run(repo, ["update-ref", "--stdin"], stdin=lines.encode())
