"""Removing what runs left behind: their refs, their private folders, and folders of evaluations that are over."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from evogit.errors import UsageError
from evogit.model import RunName
from evogit.store import git, known_tests, packing, prepared, private, refs, scratch, task, tracking
from evogit.store.repository import Repository


@dataclass(frozen=True, slots=True)
class Removal:
    """What a cleaning removes: refs, the last of which are the tasks, and folders."""

    refs: Sequence[str]
    folders: Sequence[Path]
    scratch: Sequence[Path]

    def __str__(self) -> str:
        return "\n".join((*self.refs, *map(str, self.folders), *map(str, self.scratch)))


def plan(repo: Repository, runs: Sequence[RunName]) -> Removal:
    """Return what would be removed with these runs, and without any run what is abandoned.

    Raises:
        UsageError: a run does not exist, has living agents, or a branch of it is checked out.
        StorageError: the refs cannot be listed.
    """
    names: list[str] = []
    for run in runs:
        found = _refs_of(repo, run)
        if not found and not (repo.private / run).is_dir():
            raise UsageError(f"there is no run {run!r} in {repo.common}; runs: {', '.join(task.names(repo)) or 'none'}")
        living = private.living(repo, run)
        if living:
            raise UsageError(f"run {run} has living agents: {', '.join(living)}; stop them first (Ctrl-C, or kill)")
        names += found
    folders = [repo.private / run for run in runs if (repo.private / run).is_dir()]
    if set(task.names(repo)) <= set(runs):
        folders += [*prepared.unused(repo), *known_tests.folders(repo)]
    return Removal(names, folders, list(scratch.abandoned(repo)))


def remove(repo: Repository, removal: Removal) -> None:
    """Remove it; objects stay until git's own garbage collection finds them unreachable.

    Raises:
        StorageError: Git would not delete a ref.
    """
    whole = [name for name in removal.refs if not refs.is_broken(repo, name)]
    for name in removal.refs:
        if name not in whole:
            refs.move_aside(repo, name, repo.private / "broken-refs")
    # One transaction of git's own, which also removes the folders and reflogs that are empty then.
    git.run(repo, ["update-ref", "--stdin"], stdin="".join(f"delete {name}\n" for name in whole).encode())
    if removal.refs:
        packing.forget(repo)
    for folder in removal.folders:
        if not prepared.remove(repo, folder):
            shutil.rmtree(folder, ignore_errors=True)
    for folder in removal.scratch:
        scratch.remove(folder)


def _refs_of(repo: Repository, run: RunName) -> list[str]:
    branches = list(refs.names(repo, refs.branch_prefix(run)))
    for name in branches:
        if repo.raw.lookup_branch(name.removeprefix("refs/heads/")).is_checked_out():
            raise UsageError(
                f"the branch {name.removeprefix('refs/heads/')} is checked out; check out another one first"
            )
    journals = list(refs.names(repo, refs.notes_prefix(run)))
    tasks = [refs.task_ref(run)] if refs.read(repo, refs.task_ref(run)) else []
    return [*branches, *journals, *tracking.names(repo, run), *tasks]
