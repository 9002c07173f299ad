"""A real directory that holds one candidate's files at a time, without `.git`, switched by tree difference.

Bytes are those of the blobs: no filter, no line-ending conversion, no `export-ignore` of the candidate's applies.
Nothing an evaluation leaves, changes or deletes there reaches the next one.
"""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Callable, Collection, Container, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import pygit2

from evogit.errors import StorageError
from evogit.model import TreeId
from evogit.store import paths, trees
from evogit.store.repository import Repository
from evogit.store.task import Definition
from evogit.store.trees import EXECUTABLE_MODE, LINK_MODE, SUBMODULE_MODE, Entry

_Sign = tuple[int, int, int, int, int]
_FOLDER_MODE = 0o755


class Export:
    """The directory `root`, holding a tree with the protected files of the definition laid over it."""

    def __init__(
        self,
        repo: Repository,
        definition: Definition,
        root: Path,
        owner: int | None = None,
        hidden: Container[bytes] = (),
    ) -> None:
        """Hold trees in `root`; `owner` is the user whose the files are to be, if not the one who runs this.

        `hidden` are protected files that are left out.
        """
        self.root = root
        self._owner = owner
        self._hidden = hidden
        self._repo = repo
        self._definition = definition
        self._top = os.fsencode(root)
        self._tree: pygit2.Oid | None = None
        self._is_begun = False
        self._files: dict[bytes, Entry] = {}
        self._signs: dict[bytes, _Sign] = {}
        self._folders: set[bytes] = set()
        self._links: dict[bytes, Path] = {}

    @property
    def files(self) -> Collection[bytes]:
        """The paths it has written: the tree's, the protected files', and links to what it was supplied with."""
        return self._files.keys() | self._links.keys()

    @property
    def folders(self) -> Collection[bytes]:
        """The folders it has made."""
        return self._folders

    def is_frozen(self, path: bytes) -> bool:
        """Return whether a file is laid over every tree."""
        return path in self._definition.files and path not in self._hidden

    @cached_property
    def base_files(self) -> Mapping[bytes, Entry]:
        """The files of the base by their paths.

        Raises:
            StorageError: the base cannot be read.
        """
        return trees.files(self._repo, self._repo.commit(self._definition.base).tree_id)

    def changed(self) -> Collection[bytes]:
        """Return the paths of the tree's own files that the base does not have like this.

        Raises:
            StorageError: the base cannot be read.
        """
        frozen, base = self._definition.files, self.base_files
        return [path for path, entry in self._files.items() if path not in frozen and base.get(path) != entry]

    def base_content(self, path: bytes) -> bytes:
        """Return a file of the base; nothing where it has none of that name.

        Raises:
            StorageError: the base cannot be read.
        """
        entry = self.base_files.get(path)
        return trees.read_blob(self._repo, entry.id) if entry and entry.mode != SUBMODULE_MODE else b""

    def supply(self, links: Mapping[bytes, Path]) -> None:
        """From the next switch on, put links to what is no part of any tree; they hide a tree's own."""
        self._links = dict(links)
        self._is_begun = False

    def switch(self, tree: TreeId | None) -> None:
        """Make the directory hold exactly this tree (None: an empty one) and the protected files.

        Raises:
            StorageError: the tree cannot be read, or holds a path no disk should see.
            OSError: the disk is full or not writable.
        """
        wanted = pygit2.Oid(hex=tree) if tree else None
        is_begun, self._is_begun = self._is_begun, False  # half a tree: the next switch begins anew
        try:
            if is_begun:
                self._restore()
            else:
                self._begin()
            self._apply(wanted)
        except (FileExistsError, NotADirectoryError) as error:
            raise StorageError(f"tree {str(tree)[:12]} does not fit into a directory: {error}") from error
        self._tree = wanted
        self._is_begun = True

    def remove(self) -> None:
        """Delete the directory."""
        remove(self._top)
        self._is_begun = False

    def _begin(self) -> None:
        self._tree = None
        remove(self._top)
        os.makedirs(self._top)
        os.chmod(self._top, _FOLDER_MODE)
        self._hand_over(self._top)
        self._files.clear()
        self._signs.clear()
        self._folders = {b""}
        for path, entry in self._definition.files.items():
            if path not in self._hidden and not self._is_supplied(path):
                self._write(path, entry)
        for path in self._links:
            self._link(path)

    def _apply(self, tree: pygit2.Oid | None) -> None:
        changed = [
            change
            for change in trees.changes(self._repo, self._tree, tree)
            if not self._definition.is_protected(change.path) and not self._is_supplied(change.path)
        ]
        for change in changed:
            if change.old:
                self._delete(change.path)
            if change.old and not change.new:
                self._prune(os.path.dirname(change.path))
        for change in changed:
            if change.new:
                self._write(change.path, change.new)

    def _write(self, path: bytes, entry: Entry) -> None:
        reason = paths.refusal(path)
        if reason:
            raise StorageError(f"the path {path!r} is not exported: {reason}")
        self._make_folders(os.path.dirname(path))
        full = self._top + b"/" + path
        if entry.mode == SUBMODULE_MODE:
            self._make_folders(path)
            return
        content = trees.read_blob(self._repo, entry.id)
        if entry.mode == LINK_MODE:
            os.symlink(content, full)
        else:
            mode = 0o755 if entry.mode == EXECUTABLE_MODE else 0o644
            descriptor = os.open(full, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, mode)
            with open(descriptor, "wb", buffering=0) as file:
                while content:
                    content = content[file.write(content) :]
        self._hand_over(full)
        self._files[path] = entry
        self._signs[path] = _sign(os.lstat(full))

    def _link(self, path: bytes) -> None:
        self._make_folders(os.path.dirname(path))
        full = self._top + b"/" + path
        os.symlink(os.fsencode(self._links[path]), full)
        self._hand_over(full)
        self._signs[path] = _sign(os.lstat(full))

    def _hand_over(self, path: bytes) -> None:
        if self._owner is not None:
            os.chown(path, self._owner, self._owner, follow_symlinks=False)

    def _is_supplied(self, path: bytes) -> bool:
        """Return whether the path is a link to what the export was supplied with, or below one."""
        while path and self._links:
            if path in self._links:
                return True
            path = os.path.dirname(path)
        return False

    def _make_folders(self, folder: bytes) -> None:
        if folder in self._folders:
            return
        self._make_folders(os.path.dirname(folder))
        os.mkdir(self._top + b"/" + folder)
        os.chmod(self._top + b"/" + folder, _FOLDER_MODE)
        self._hand_over(self._top + b"/" + folder)
        self._folders.add(folder)

    def _delete(self, path: bytes) -> None:
        if self._files.pop(path, None) is not None:
            del self._signs[path]
            os.unlink(self._top + b"/" + path)
        elif path in self._folders:  # a submodule
            self._drop_folder(path)

    def _prune(self, folder: bytes) -> None:
        while folder and not os.listdir(self._top + b"/" + folder):
            self._drop_folder(folder)
            folder = os.path.dirname(folder)

    def _drop_folder(self, folder: bytes) -> None:
        os.rmdir(self._top + b"/" + folder)
        self._folders.discard(folder)

    def _restore(self) -> None:
        """Undo what the last evaluation did to the directory, found by comparing each file's stat."""
        seen: set[bytes] = set()
        if not self._scan(b"", seen):
            self._begin()
            return
        missing = self._signs.keys() - seen
        if not missing:
            return
        for path in sorted(missing):
            remove(self._top + b"/" + path)
            self._forget_folders_gone(os.path.dirname(path))
            if path in self._links:
                self._link(path)
            else:
                self._write(path, self._files[path])

    def _scan(self, folder: bytes, seen: set[bytes]) -> bool:
        """Walk the directory; delete what is not ours; note files that are as we wrote them. False: start over."""
        full, prefix = (self._top + b"/" + folder, folder + b"/") if folder else (self._top, b"")
        try:
            if stat.S_IMODE(os.lstat(full).st_mode) != _FOLDER_MODE:
                os.chmod(full, _FOLDER_MODE)  # an evaluation may have taken away the right to look into it
            with os.scandir(full) as entries:
                found = list(entries)
        except OSError:
            return False
        for entry in found:
            path = prefix + entry.name
            known = self._signs.get(path)
            if known is not None and known == _sign(entry.stat(follow_symlinks=False)):
                seen.add(path)
            elif path not in self._folders or not entry.is_dir(follow_symlinks=False):
                remove(entry.path)
            elif not self._scan(path, seen):
                return False
        return True

    def _forget_folders_gone(self, folder: bytes) -> None:
        while folder and not os.path.isdir(self._top + b"/" + folder):
            self._folders.discard(folder)
            folder = os.path.dirname(folder)


def empty_folder(folder: Path) -> None:
    """Make `folder` an empty directory, whatever an evaluation made of it.

    Raises:
        OSError: it cannot be made.
    """
    path = os.fsencode(folder)
    try:
        if not os.path.islink(path) and not os.listdir(path):
            return
    except OSError:
        pass
    remove(path)
    os.makedirs(path)


def _sign(status: os.stat_result) -> _Sign:
    """What changes when a file's content, mode or identity does; nobody but root can set a ctime back."""
    return (status.st_ino, status.st_size, status.st_mode, status.st_mtime_ns, status.st_ctime_ns)


def remove(path: bytes) -> None:
    """Delete a file or a whole folder, also where rights were taken away; a link is not followed.

    Raises:
        OSError: it cannot be deleted.
    """
    try:
        status = os.lstat(path)
    except FileNotFoundError:
        return
    if stat.S_ISDIR(status.st_mode):
        shutil.rmtree(path, onerror=_open_up)
    else:
        os.unlink(path)


def _open_up(act: Callable[..., Any], path: str | bytes, _: object) -> None:
    """Try once more after giving ourselves the rights an evaluation may have taken away."""
    os.chmod(os.path.dirname(path), 0o700)
    os.chmod(path, 0o700)
    if act in (os.open, os.scandir, os.lstat):
        shutil.rmtree(path)
    else:
        act(path)
