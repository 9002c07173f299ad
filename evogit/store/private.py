"""The folder `.git/evogit`: this clone's id, the locks on agents' names, and repair after a crash.

Only what one agent itself left behind is ever removed.
"""

from __future__ import annotations

import fcntl
import os
import secrets
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from evogit.errors import RepositoryError, UsageError
from evogit.model import AgentName, RunName, parse_agent_name
from evogit.store import refs
from evogit.store.repository import Repository

_MAX_AGENTS = 999


@dataclass(slots=True)
class Name:
    """An agent's name, held by a lock until `release` or the end of the process."""

    agent: AgentName
    previous_start: float | None
    _descriptor: int

    def release(self) -> None:
        """Give the name back."""
        os.close(self._descriptor)


def clone_id(repo: Repository) -> str:
    """Return six hex digits that tell this clone from all others; made on first use.

    Raises:
        RepositoryError: the folder cannot be written.
    """
    path = repo.private / "clone-id"
    try:
        repo.private.mkdir(exist_ok=True)
        with suppress(FileExistsError):
            made = repo.private / f"clone-id.{os.getpid()}"
            made.write_text(secrets.token_hex(3) + "\n")
            try:
                os.link(made, path)  # atomic: of two processes that begin at once, both read the winner's id
            finally:
                made.unlink()
        found = path.read_text().strip()
    except OSError as error:
        raise RepositoryError(
            f"cannot write {repo.private}: {error.strerror}; evogit keeps its own files there"
        ) from error
    if len(found) != 6 or set(found) - set("0123456789abcdef"):
        raise RepositoryError(f"{path} holds {found!r}, not six hex digits; delete it to get a new one")
    return found


def run_folder(repo: Repository, run: RunName) -> Path:
    """Return the private folder of a run, made if need be.

    Raises:
        RepositoryError: it cannot be made.
    """
    folder = repo.private / run
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RepositoryError(f"cannot write {folder}: {error.strerror}; evogit keeps its own files there") from error
    return folder


def free_name(repo: Repository, run: RunName, definition: str) -> Name:
    """Take the first name `<definition>-<n>-<clone id>` that no living process of this clone has.

    Raises:
        UsageError: all are taken.
    """
    suffix = clone_id(repo)
    for number in range(1, _MAX_AGENTS):
        held = _hold(repo, run, parse_agent_name(f"{definition}-{number}-{suffix}"))
        if held:
            return held
    raise UsageError(f"{_MAX_AGENTS} agents {definition!r} run already in {repo.common}")


def take_name(repo: Repository, run: RunName, agent: AgentName) -> Name:
    """Take exactly this name.

    Raises:
        UsageError: a living process has it.
    """
    held = _hold(repo, run, agent)
    if held is None:
        raise UsageError(f"agent {agent} is running already (process {_holder(repo, run, agent)})")
    return held


def living(repo: Repository, run: RunName) -> list[AgentName]:
    """Return the agents of this clone whose processes are alive, by name."""
    folder = repo.private / run
    found = []
    for path in sorted(folder.glob("*.lock")) if folder.is_dir() else []:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            # A shared lock for an instant: an agent that starts in it takes its next free name instead.
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            found.append(AgentName(path.stem))
        finally:
            os.close(descriptor)
    return found


def _hold(repo: Repository, run: RunName, agent: AgentName) -> Name | None:
    path = run_folder(repo, run) / f"{agent}.lock"
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise RepositoryError(f"cannot write {path}: {error.strerror}; evogit keeps its own files there") from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        return None
    known = os.fstat(descriptor)
    previous = known.st_mtime if known.st_size else None
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, b"%d\n" % os.getpid(), 0)
    return Name(agent, previous, descriptor)


def _holder(repo: Repository, run: RunName, agent: AgentName) -> str:
    with suppress(OSError):
        return (repo.private / run / f"{agent}.lock").read_text().strip() or "unknown"
    return "unknown"


def repair(repo: Repository, run: RunName, name: Name) -> list[str]:
    """Undo what this agent's earlier, killed process left half done, and return one line for each thing mended.

    A killed process leaves `<ref>.lock` files, which block its own refs for ever; a power cut can leave object files of
    no bytes, which Git keeps and never writes again. Locks of other refs are never touched. An empty object is moved
    aside only when it is not older than this agent's last start.
    """
    mended = []
    for ref in (refs.journal_ref(run, name.agent), refs.branch_ref(run, name.agent)):
        lock = repo.common / f"{ref}.lock"
        with suppress(FileNotFoundError):
            lock.unlink()
            mended.append(f"removed the stale lock {lock}")
    if name.previous_start is not None:
        for path in _empty_objects(repo, name.previous_start):
            aside = repo.private / "empty-objects"
            aside.mkdir(exist_ok=True)
            with suppress(FileNotFoundError):
                path.rename(aside / (path.parent.name + path.name))
                mended.append(f"moved the empty object {path.parent.name}{path.name} to {aside}")
    return mended


def _empty_objects(repo: Repository, since: float) -> Iterator[Path]:
    for folder in repo.objects.glob("[0-9a-f][0-9a-f]"):
        if folder.stat().st_mtime < since:
            continue
        for entry in os.scandir(folder):
            with suppress(FileNotFoundError):
                status = entry.stat(follow_symlinks=False)
                if status.st_size == 0 and status.st_mtime >= since and len(entry.name) == 38:
                    yield Path(entry.path)
