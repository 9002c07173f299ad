"""Names of refs, and the one place where refs move: a compare-and-swap with bounded retry.

Every ref has one writer. Nothing here forces a journal.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import pygit2
import tenacity

from evogit.errors import RefMoved, RepositoryError, StorageError
from evogit.model import AgentName, RunName
from evogit.store.repository import Repository

_T = TypeVar("_T")
_SUFFIX = ".journal"
_JOURNAL = re.compile(r"refs/notes/evogit/([a-z0-9][a-z0-9-]{0,62})/([a-z0-9][a-z0-9-]{0,62})\.journal")
_VALUE = re.compile(rb"[0-9a-f]{40}|ref: .+")
_BRANCH = re.compile(r"refs/heads/evogit/([a-z0-9][a-z0-9-]{0,62})/.+")
_TASK = re.compile(r"refs/evogit/([a-z0-9][a-z0-9-]{0,62})/task")
_PROPOSED = re.compile(r"refs/heads/evogit/([a-z0-9][a-z0-9-]{0,62})/pr-([1-9][0-9]{0,8})")
CONTENTION = (OSError, pygit2.GitError, pygit2.AlreadyExistsError)
"""What libgit2 raises when another process holds a lock or changes files under it: OSError is the usual one."""
_FORBIDDEN = ("Permission denied", "Read-only file system")


def journal_ref(run: RunName, agent: AgentName) -> str:
    """Return the ref of an agent's journal; its suffix keeps `git request-pull` from taking it for a branch."""
    return f"refs/notes/evogit/{run}/{agent}{_SUFFIX}"


def notes_prefix(run: RunName) -> str:
    """Return what the names of all journals of a run start with."""
    return f"refs/notes/evogit/{run}/"


def branch_prefix(run: RunName) -> str:
    """Return what the names of all branches of a run start with."""
    return f"refs/heads/evogit/{run}/"


def branch_ref(run: RunName, agent: AgentName) -> str:
    """Return the ref of an agent's branch."""
    return f"refs/heads/evogit/{run}/{agent}"


def proposed_ref(run: RunName, number: int) -> str:
    """Return the ref of a branch that is proposed for merging; no agent has such a name."""
    return f"refs/heads/evogit/{run}/pr-{number}"


def task_ref(run: RunName) -> str:
    """Return the ref of a run's task."""
    return f"refs/evogit/{run}/task"


def parse_journal_ref(name: str) -> tuple[RunName, AgentName] | None:
    """Return the run and agent a ref's name belongs to, or None when it is no journal's."""
    found = _JOURNAL.fullmatch(name)
    return (RunName(found[1]), AgentName(found[2])) if found else None


def checked_out_run(repo: Repository) -> RunName | None:
    """Return the run on a branch of which HEAD stands, or None."""
    try:
        head = repo.raw.lookup_reference("HEAD").target
    except (KeyError, *CONTENTION):
        return None
    found = _BRANCH.fullmatch(head) if isinstance(head, str) else None
    return RunName(found[1]) if found else None


def parse_task_ref(name: str) -> RunName | None:
    """Return the run a ref's name is the task of, or None."""
    found = _TASK.fullmatch(name)
    return RunName(found[1]) if found else None


def parse_proposed_ref(name: str) -> tuple[RunName, int] | None:
    """Return the run and number of a branch that is proposed for merging, or None for any other name."""
    found = _PROPOSED.fullmatch(name)
    return (RunName(found[1]), int(found[2])) if found else None


def read(repo: Repository, name: str) -> pygit2.Oid | None:
    """Return what the ref points at, or None when there is no such ref.

    Raises:
        StorageError: the ref is there and cannot be read.
    """
    try:
        found = repo.raw.references.get(name)
    except (ValueError, *CONTENTION) as error:
        raise StorageError(f"cannot read {name} in {repo.common}: {error}") from error
    return found.target if found is not None and isinstance(found.target, pygit2.Oid) else None


def names(repo: Repository, prefix: str) -> Iterator[str]:
    """Yield the names of all refs that start with `prefix`, which ends in `/`, also of those that cannot be read.

    Raises:
        StorageError: the refs cannot be listed.
    """
    found = retried(lambda: repo.raw.listall_references(), "list the refs", repo)
    listed = {name for name in found if name.startswith(prefix)}
    # libgit2 and git pass over a ref whose file a power cut left empty; a journal must not vanish without a word.
    return iter(sorted(listed | set(_files(repo, prefix))))


def _files(repo: Repository, prefix: str) -> Iterator[str]:
    for folder, _, files in os.walk(repo.common / prefix):
        where = Path(folder).relative_to(repo.common).as_posix()
        found = (f"{where}/{name}" for name in files)
        yield from (name for name in found if name.isascii() and pygit2.reference_is_valid_name(name))


def is_broken(repo: Repository, name: str) -> bool:
    """Return whether the ref's file holds neither an object's id nor the name of another ref.

    Neither git nor libgit2 reads, moves or deletes such a ref, and `git gc` and `git log --all` fail while it is there.
    """
    try:
        content = (repo.common / name).read_bytes()
    except OSError:
        return False
    return not _VALUE.fullmatch(content.rstrip())


def move_aside(repo: Repository, name: str, folder: Path) -> None:
    """Take a broken ref's file away into `folder`; an older value among the packed refs shows again.

    Raises:
        StorageError: it cannot be moved.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (repo.common / name).rename(folder / name.replace("/", "."))
    except OSError as error:
        raise StorageError(f"cannot move the broken ref {repo.common / name} aside: {error}") from error


def compare_and_swap(
    repo: Repository, name: str, *, old: pygit2.Oid | None, new: pygit2.Oid, message: str = "evogit"
) -> None:
    """Move the ref from `old` (None: it must not exist) to `new`, at once or not at all.

    Raises:
        RefMoved: it points elsewhere than `old`.
        StorageError: Git would not move it, after several tries.
    """
    retried(lambda: _swap(repo, name, old, new, message), f"move {name}", repo)


def retried(act: Callable[[], _T], what: str, repo: Repository) -> _T:
    """Return `act()`, tried again for up to about ten seconds while another process holds a lock or repacks.

    Raises:
        RefMoved: from `act`, at once.
        StorageError: it still fails.
    """
    try:
        return act()
    except CONTENTION:
        pass  # the usual path costs nothing; only a lost race pays for the retry machinery
    try:
        return _RETRY(act)
    except CONTENTION as error:
        raise StorageError(_advice(repo, what, str(error))) from error


def _may_pass(error: BaseException) -> bool:
    return isinstance(error, CONTENTION) and not any(word in str(error) for word in _FORBIDDEN)


_RETRY = tenacity.Retrying(
    retry=tenacity.retry_if_exception(_may_pass),
    wait=tenacity.wait_random_exponential(multiplier=0.002, max=0.25),
    stop=tenacity.stop_after_delay(10),
    reraise=True,
)


def _swap(repo: Repository, name: str, old: pygit2.Oid | None, new: pygit2.Oid, message: str) -> None:
    found = repo.raw.references.get(name)
    current = found.target if found is not None else None
    if current == new:
        return  # an earlier try did move it before it raised
    if current != old:
        raise RefMoved(f"{name} is at {current}, not at {old} any more; another process writes it")
    if found is None:
        repo.raw.references.create(name, new)  # fails when it exists by now
    else:
        # libgit2 compares with the value `found` was loaded with, under the ref's lock; a lost race raises here.
        found.set_target(new, message)


def _advice(repo: Repository, what: str, reason: str) -> str:
    if any(word in reason for word in _FORBIDDEN):
        return f"cannot {what} in {repo.common}: {reason}; evogit needs to write there"
    if "lock" in reason:
        return f"cannot {what} in {repo.common}: {reason}; if no git process runs, remove the stale .lock file it names"
    return f"cannot {what} in {repo.common}: {reason}"


def branch_blocker(repo: Repository, run: RunName) -> str | None:
    """Return the branch of the user's that keeps those of the agents from being created, or None.

    Git would say so, too, but in the way it says that another process works there: it would be tried again in vain.

    Raises:
        StorageError: a ref cannot be read.
    """
    found = (name for name in ("refs/heads/evogit", f"refs/heads/evogit/{run}") if read(repo, name) is not None)
    return next(found, None)


def refuse_blocking_refs(repo: Repository, run: RunName | None = None) -> None:
    """Check that no ref of the user's stands where evogit's, or those of `run`, must be created.

    Raises:
        RepositoryError: there is one, so nothing can be created below it.
    """
    below = ["", f"/{run}"] if run else [""]
    for name in (f"{top}{part}" for top in ("refs/notes/evogit", "refs/evogit") for part in below):
        if read(repo, name) is not None:
            raise RepositoryError(f"the ref {name} stands where evogit keeps its own; rename it (git update-ref) first")
