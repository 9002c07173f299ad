"""What the `setup` command made, kept once for all agents of a clone: `.git/evogit/prepared.d/<key>/`.

It stays where it was made, since virtual environments and compilers write absolute paths; `ready.json`, written last,
says which attempt is whole. An agent holds a shared lock on what it uses.
"""

from __future__ import annotations

import fcntl
import hashlib
import itertools
import json
import os
import platform
import stat
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path

import msgspec
import pathspec

from evogit.errors import StorageError
from evogit.model import CommitId, TreeId
from evogit.store import export, trees
from evogit.store.export import Export
from evogit.store.repository import Repository
from evogit.store.task import Definition, Task

_FOLDER = "prepared.d"  # no run can have this name
_READY = "ready.json"
_NEVER_CARRIED = (b"__pycache__", b".git")


class _Ready(msgspec.Struct):
    attempt: str
    paths: list[str]


class Prepared:
    """The place of one setup's results, locked until `close` or the end of the process.

    `root` is the folder the setup ran in, once there are results.
    """

    def __init__(self, repo: Repository, key: str) -> None:
        """Find the place; nothing is locked yet.

        Raises:
            StorageError: the folder cannot be made.
        """
        self._folder = self.root = repo.private / _FOLDER / key
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            lock = repo.private / _FOLDER / f"{key}.lock"
            self._lock = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        except OSError as error:
            raise StorageError(f"cannot write {self._folder}: {error.strerror}") from error

    def try_use(self) -> Mapping[bytes, Path] | None:
        """Return what the setup made, by its path, held so that nobody removes it; None: it is not there."""
        if not self._try_lock(fcntl.LOCK_SH):
            return None
        found = self._ready()
        if found is None:
            fcntl.flock(self._lock, fcntl.LOCK_UN)
        return found

    def try_begin(self) -> bool:
        """Lock it to make it, when it is not there and nobody else makes it."""
        if not self._try_lock(fcntl.LOCK_EX):
            return False
        if self._ready() is None:
            return True
        fcntl.flock(self._lock, fcntl.LOCK_UN)
        return False

    def new_attempt(self) -> Path:
        """Remove what attempts before left, and return a path that is not there yet.

        Raises:
            OSError: the disk says no.
        """
        for path in self._folder.iterdir():
            export.remove(os.fsencode(path))
        return next(path for count in itertools.count() if not (path := self._folder / f"tree-{count}").exists())

    def finish(self, made: Export) -> None:
        """Keep of an attempt only what the setup made, read-only, and say that it is whole.

        Raises:
            OSError: the disk says no.
        """
        paths = sorted(_new(made, set(made.files), b""))
        _strip(made)
        for path in paths:
            _make_read_only(os.fsencode(made.root) + b"/" + path)
        ready = _Ready(made.root.name, [os.fsdecode(path) for path in paths])
        written = self._folder / f"{_READY}.new"
        # Not msgspec: names that are no UTF-8 stay as escaped surrogates.
        written.write_text(json.dumps(msgspec.structs.asdict(ready)))
        written.rename(self._folder / _READY)
        fcntl.flock(self._lock, fcntl.LOCK_SH)

    def close(self) -> None:
        """Let go of it."""
        os.close(self._lock)

    def _ready(self) -> Mapping[bytes, Path] | None:
        try:
            ready = msgspec.json.decode((self._folder / _READY).read_bytes(), type=_Ready)
        except (OSError, msgspec.MsgspecError):
            return None
        self.root = self._folder / ready.attempt
        return {os.fsencode(path): self.root / path for path in ready.paths}

    def is_free(self) -> bool:
        """Return whether nobody uses or makes it; it is locked then."""
        return self._try_lock(fcntl.LOCK_EX)

    def _try_lock(self, kind: int) -> bool:
        try:
            fcntl.flock(self._lock, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True


def key_of(repo: Repository, task: Task, find_program: Callable[[str], str | None]) -> str:
    """Return what names the results of this task's setup: equal keys, equal results.

    It covers the command, the files it reads (without `setup_inputs` the whole base and all protected files), the kind
    of machine, the Python that is found first, and where the repository stands.
    """
    definition = task.definition
    inputs = definition.config.evaluator.setup_inputs
    python = find_program("python") or find_program("python3") or ""
    facts = (
        definition.config.evaluator.setup, "" if inputs else task.base_tree, platform.system(), platform.machine(),
        os.path.realpath(python), str(repo.common),
    )  # fmt: skip
    found = hashlib.sha256(msgspec.json.encode(facts))
    spec = pathspec.GitIgnoreSpec.from_lines(inputs or ("/**",))
    for path, entry in sorted(definition.files.items()):
        if spec.match_file(os.fsdecode(path)) and path != b"evogit.toml":
            found.update(b"%06o %s\t%s\0" % (entry.mode, str(entry.id).encode(), path))
    return found.hexdigest()[:32]


def base_export(repo: Repository, definition: Definition, tree: TreeId, root: Path) -> Export:
    """Return the base as a directory, protected files laid over it.

    Raises:
        StorageError: the base cannot be read.
        OSError: the disk says no.
    """
    made = Export(repo, definition, root)
    made.switch(tree)
    return made


def unused(repo: Repository) -> Iterator[Path]:
    """Yield the folders of setups whose results no agent uses now."""
    for folder in sorted((repo.private / _FOLDER).glob("*/")):
        place = Prepared(repo, folder.name)
        is_free = place.is_free()
        place.close()
        if is_free:
            yield folder


def remove(repo: Repository, folder: Path) -> bool:
    """Remove a setup's results if nobody uses them by now; return whether `folder` is such a place at all."""
    if folder.parent != repo.private / _FOLDER:
        return False
    place = Prepared(repo, folder.name)
    if place.is_free():
        with suppress(OSError):
            export.remove(os.fsencode(folder))
    place.close()
    return True


def is_tracked(repo: Repository, commit: CommitId, path: str) -> bool:
    """Return whether a commit holds this path, as a file or as a folder.

    Raises:
        StorageError: the commit cannot be read.
    """
    wanted = os.fsencode(path)
    return any(
        found == wanted or found.startswith(wanted + b"/") for found in trees.files(repo, repo.commit(commit).tree_id)
    )


def _new(made: Export, files: set[bytes], folder: bytes) -> Iterator[bytes]:
    """Yield the topmost paths that the export did not write."""
    prefix = folder + b"/" if folder else b""
    for entry in os.scandir(os.fsencode(made.root) + b"/" + folder):
        path = prefix + entry.name
        if path in made.folders and entry.is_dir(follow_symlinks=False):
            yield from _new(made, files, path)
        elif path not in files and path not in made.folders and entry.name not in _NEVER_CARRIED:
            yield path


def _strip(made: Export) -> None:
    """Remove the base's own files: an editable install must fail rather than measure them in a candidate's place."""
    top = os.fsencode(made.root) + b"/"
    for path in made.files:
        export.remove(top + path)
    for folder in sorted(made.folders, key=len, reverse=True):
        if folder and not os.listdir(top + folder):
            os.rmdir(top + folder)


def _make_read_only(path: bytes) -> None:
    for folder, folders, names in os.walk(path):
        for name in (*names, *folders):
            _take_write(os.path.join(folder, name))
    _take_write(path)


def _take_write(path: bytes) -> None:
    mode = os.lstat(path).st_mode
    if not stat.S_ISLNK(mode):
        # A sandbox may run candidates as another user, who has to read it.
        run = 0o111 if mode & stat.S_IXUSR else 0
        os.chmod(path, stat.S_IMODE(mode) & ~0o222 | 0o444 | run)
