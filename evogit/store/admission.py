"""What people commit is checked here before it enters a journal: an object that a server refuses blocks every push."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from evogit.errors import StorageError
from evogit.model import CommitId
from evogit.store import git, leaks, paths, trees
from evogit.store.repository import Repository
from evogit.store.trees import EXECUTABLE_MODE, FILE_MODE, LINK_MODE, SUBMODULE_MODE, TREE_MODE

MAX_FILE_BYTES = 32 * 1024 * 1024
MAX_BYTES = 256 * 1024 * 1024
_MAX_OBJECTS = 200_000
_MODES = (FILE_MODE, EXECUTABLE_MODE, LINK_MODE, SUBMODULE_MODE)
_TIMEOUT_S = 120


@dataclass(frozen=True, slots=True)
class _Object:
    id: str
    kind: bytes
    size: int
    path: bytes


def refusal(repo: Repository, commit: CommitId, known: Sequence[CommitId]) -> str | None:
    """Return why `commit`, with all it brings that `known` commits do not have, may not enter a journal, or None.

    `known` begins with the base of the run. Refused are paths and modes no disk should see, what is too large, what
    looks like a key or a token, and what `receive.fsckObjects` on a server would refuse: git itself is asked.
    """
    try:
        new = list(_new_objects(repo, commit, known))
        return _size(new) or _path(repo, commit, known[0]) or _secret(repo, new, known[0]) or _fsck(repo, commit, known)
    except StorageError as error:
        return str(error)


def _new_objects(repo: Repository, commit: CommitId, known: Sequence[CommitId]) -> Iterator[_Object]:
    """Yield the objects that come with a commit; a path is where one of them was met first."""
    listed = git.run(repo, ["rev-list", "--objects", commit, "--not", *known, "--"], timeout=_TIMEOUT_S)
    if listed.count(b"\n") > _MAX_OBJECTS:
        raise StorageError(f"it brings more than {_MAX_OBJECTS} objects")
    form = "--batch-check=%(objectname) %(objecttype) %(objectsize) %(rest)"
    for line in git.run(repo, ["cat-file", form], stdin=listed, timeout=_TIMEOUT_S).splitlines():
        name, kind, size, path = line.split(b" ", 3)
        yield _Object(name.decode(), kind, int(size), path)


def _size(new: Sequence[_Object]) -> str | None:
    for one in new:
        if one.size > MAX_FILE_BYTES:
            return f"{_shown(one.path)} has {one.size} bytes; at most {MAX_FILE_BYTES} are taken"
    total = sum(one.size for one in new)
    return f"it brings {total} bytes; at most {MAX_BYTES} are taken" if total > MAX_BYTES else None


def _path(repo: Repository, commit: CommitId, base: CommitId) -> str | None:
    old, new = repo.commit(base).tree_id, repo.commit(commit).tree_id
    for change in trees.changes(repo, old, new):
        if change.new is None:
            continue
        if reason := paths.refusal(change.path):
            return f"{_shown(change.path)}: {reason}"
        if change.new.mode not in _MODES:
            return f"{_shown(change.path)} has the mode {change.new.mode:06o}"
    return None


def _secret(repo: Repository, new: Sequence[_Object], base: CommitId) -> str | None:
    for one in new:
        if one.kind == b"commit":
            if kind := leaks.found(repo.commit(CommitId(one.id)).read_raw()):
                return f"the message of {one.id[:12]} looks as if it holds {kind}"
        elif one.kind == b"blob":
            content = trees.read_blob(repo, one.id)
            if leaks.found(content) and (kind := leaks.found(content, _content_at(repo, base, one.path))):
                return f"{_shown(one.path)} looks as if it holds {kind}"
    return None


def _content_at(repo: Repository, commit: CommitId, path: bytes) -> bytes:
    """Return what a file holds in a commit; nothing when there is no such file."""
    tree = repo.commit(commit).tree_id
    *folders, name = path.split(b"/")
    for folder in folders:
        below = trees.entries_of(repo, tree).get(folder)
        if below is None or below.mode != TREE_MODE:
            return b""
        tree = below.id
    entry = trees.entries_of(repo, tree).get(name)
    return trees.read_blob(repo, entry.id) if entry and entry.mode in (FILE_MODE, EXECUTABLE_MODE) else b""


def _fsck(repo: Repository, commit: CommitId, known: Sequence[CommitId]) -> str | None:
    """Let git unpack the new objects as a server with `receive.fsckObjects` does; nothing of it stays."""
    revisions = "\n".join((commit, *(f"^{one}" for one in known))) + "\n"
    pack = git.run(repo, ["pack-objects", "--revs", "--stdout", "-q"], stdin=revisions.encode(), timeout=_TIMEOUT_S)
    with tempfile.TemporaryDirectory(prefix="evogit-") as folder:
        path = Path(folder) / "new.pack"
        path.write_bytes(pack)
        try:
            git.run(repo, ["index-pack", "--strict", "-o", f"{folder}/new.idx", str(path)], timeout=_TIMEOUT_S)
        except StorageError as error:
            return f"a Git server would refuse it: {str(error).partition(': ')[2]}"
    return None


def _shown(path: bytes) -> str:
    return repr(path.decode("utf-8", "backslashreplace"))
