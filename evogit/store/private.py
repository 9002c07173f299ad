"""The folder `.git/evogit`: this clone's id, the locks on agents' names, and repair after a crash.

Only what one agent itself left behind is ever removed.
"""

from __future__ import annotations

import errno
import fcntl
import os
import secrets
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from evogit.errors import EvogitError, RepositoryError, StorageError, UsageError
from evogit.model import AgentName, RunName, parse_agent_name
from evogit.store import journal, refs, successors
from evogit.store.repository import Repository

_MAX_AGENTS = 999
_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EIO)


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
        StorageError: the disk is full or broken.
    """
    path = repo.private / "clone-id"
    try:
        if not path.exists():
            _make_clone_id(repo, path)
        found = path.read_text().strip()
    except OSError as error:
        raise _refusal(repo.private, error) from error
    if len(found) != 6 or set(found) - set("0123456789abcdef"):
        raise RepositoryError(f"{path} holds {found!r}, not six hex digits; delete it to get a new one")
    return found


def _make_clone_id(repo: Repository, path: Path) -> None:
    repo.private.mkdir(exist_ok=True)
    made = repo.private / f"clone-id.{os.getpid()}"
    made.write_text(secrets.token_hex(3) + "\n")
    try:
        with suppress(FileExistsError):
            os.link(made, path)  # atomic: of two processes that begin at once, both read the winner's id
    finally:
        made.unlink()


def run_folder(repo: Repository, run: RunName) -> Path:
    """Return the private folder of a run, made if need be.

    Raises:
        RepositoryError: it cannot be made.
        StorageError: the disk is full or broken.
    """
    folder = repo.private / run
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _refusal(folder, error) from error
    return folder


def _refusal(path: Path, error: OSError) -> EvogitError:
    kind = StorageError if error.errno in _DISK else RepositoryError
    return kind(f"cannot write {path}: {error.strerror}; evogit keeps its own files there")


@contextmanager
def creating(repo: Repository, run: RunName) -> Iterator[None]:
    """Show others, while the body runs, that this process creates the task of a run.

    When no living process does, the lock that a killed one left on the task's ref is removed: no run could ever be
    begun under that name otherwise.

    Raises:
        RepositoryError, StorageError: as for `run_folder`.
    """
    path = run_folder(repo, run) / "creating"
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise _refusal(path, error) from error
    try:
        with suppress(BlockingIOError, FileNotFoundError):
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            (repo.common / f"{refs.task_ref(run)}.lock").unlink()
        yield
    finally:
        os.close(descriptor)


def free_name(repo: Repository, run: RunName, definition: str) -> Name:
    """Take the first name `<definition>-<n>-<clone id>` that no living process of this clone has.

    A name whose journal is damaged is passed over: the journal stays as it is, for `git fsck` and other clones to mend.
    So is one whose journal was pruned: other clones may still know that.

    Raises:
        UsageError: all are taken.
        RepositoryError, StorageError: as for `run_folder`.
    """
    suffix = clone_id(repo)
    retired = successors.retired(repo, run)
    for number in range(1, _MAX_AGENTS):
        if f"{definition}-{number}-{suffix}" in retired:
            continue
        held = _hold(repo, run, parse_agent_name(f"{definition}-{number}-{suffix}"))
        if held and _can_go_on(repo, run, held.agent):
            return held
        if held:
            held.release()
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
    names = (AgentName(path.stem) for path in (sorted(folder.glob("*.lock")) if folder.is_dir() else []))
    return [name for name in names if is_living(repo, run, name)]


def is_living(repo: Repository, run: RunName, agent: AgentName) -> bool:
    """Return whether the process of an agent of this clone is alive."""
    try:
        descriptor = os.open(repo.private / run / f"{agent}.lock", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False  # its run was cleaned away meanwhile, or another user's agent had it
    try:
        # A shared lock for an instant: an agent that starts in it takes its next free name instead.
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(descriptor)
    return False


def _hold(repo: Repository, run: RunName, agent: AgentName) -> Name | None:
    path = run_folder(repo, run) / f"{agent}.lock"
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise _refusal(path, error) from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        return None
    known = os.fstat(descriptor)
    previous = known.st_mtime if known.st_size else None
    try:
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, b"%d\n" % os.getpid(), 0)
    except OSError as error:
        os.close(descriptor)
        raise _refusal(path, error) from error
    return Name(agent, previous, descriptor)


def _can_go_on(repo: Repository, run: RunName, agent: AgentName) -> bool:
    ref = refs.journal_ref(run, agent)
    if refs.is_broken(repo, ref):
        return True  # `repair` finds again what it pointed at
    try:
        tip = refs.read(repo, ref)
        return tip is None or journal.is_readable(repo, tip)
    except StorageError:
        return False


def _holder(repo: Repository, run: RunName, agent: AgentName) -> str:
    with suppress(OSError):
        return (repo.private / run / f"{agent}.lock").read_text().strip() or "unknown"
    return "unknown"


def repair(repo: Repository, run: RunName, name: Name) -> list[str]:
    """Undo what this agent's earlier, killed process left half done, and return one line for each thing mended.

    A killed process leaves `<ref>.lock` files, which block its own refs for ever. A power cut can leave object files
    that are empty or cut short, which Git takes for the objects and never writes again, and ref files that are empty.
    Locks of other refs are never touched. An object is moved aside only when it is not older than this agent's last
    start.

    Raises:
        StorageError: Git or the disk refuses.
    """
    mended = []
    for ref in (refs.journal_ref(run, name.agent), refs.branch_ref(run, name.agent)):
        lock = repo.common / f"{ref}.lock"
        with suppress(FileNotFoundError, NotADirectoryError):
            lock.unlink()
            mended.append(f"removed the stale lock {lock}")
    if name.previous_start is not None:
        aside = repo.private / "damaged-objects"
        for path in _damaged_objects(repo, name.previous_start):
            aside.mkdir(exist_ok=True)
            with suppress(FileNotFoundError):
                path.rename(aside / (path.parent.name + path.name))
                mended.append(f"moved the damaged object {path.parent.name}{path.name} to {aside}")
    return [*mended, *_mend_refs(repo, run, name.agent)]


def _mend_refs(repo: Repository, run: RunName, agent: AgentName) -> Iterator[str]:
    aside = repo.private / "broken-refs"
    ref, branch = refs.journal_ref(run, agent), refs.branch_ref(run, agent)
    if refs.is_broken(repo, branch):
        refs.move_aside(repo, branch, aside)  # it only serves people; the next best candidate makes it again
        yield f"moved the broken ref {branch} to {aside}"
    if refs.is_broken(repo, ref):
        refs.move_aside(repo, ref, aside)
        yield f"moved the broken ref {ref} to {aside}"
        packed, found = refs.read(repo, ref), journal.find_lost(repo, run, agent)
        if found is not None:
            refs.compare_and_swap(repo, ref, old=packed, new=found, message="evogit: found again after a crash")
            yield f"found the journal of {agent} again at {str(found)[:12]}"


def _damaged_objects(repo: Repository, since: float) -> Iterator[Path]:
    for folder in repo.objects.glob("[0-9a-f][0-9a-f]"):
        if folder.stat().st_mtime < since:
            continue
        for entry in os.scandir(folder):
            with suppress(OSError):
                if entry.stat(follow_symlinks=False).st_mtime >= since and len(entry.name) == 38:
                    path = Path(entry.path)
                    if not _is_whole(path):
                        yield path


def _is_whole(path: Path) -> bool:
    """Return whether a loose object's file is one complete zlib stream."""
    inflating = zlib.decompressobj()
    try:
        with path.open("rb") as file:
            while chunk := file.read(1 << 20):
                while chunk:
                    inflating.decompress(chunk, 1 << 20)
                    chunk = inflating.unconsumed_tail
    except zlib.error:
        return False
    return inflating.eof
