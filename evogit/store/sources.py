"""The editable files of a parent, kept between steps so that only what differs from the last parent is read again."""

from __future__ import annotations

from collections.abc import Callable

import pygit2

from evogit.model import RepoPath, SourceFile, TreeId
from evogit.store import trees
from evogit.store.repository import Repository
from evogit.store.task import Definition
from evogit.store.trees import EXECUTABLE_MODE, FILE_MODE


class Sources:
    """Reads the editable text files of one tree after another."""

    def __init__(self, repo: Repository, definition: Definition, is_text: Callable[[bytes], bool]) -> None:
        self._repo = repo
        self._definition = definition
        self._is_text = is_text
        self._tree: pygit2.Oid | None = None
        self._files: dict[bytes, SourceFile] = {}
        self._modes: dict[bytes, int] = {}
        self._ordered: tuple[SourceFile, ...] = ()

    def read(self, tree: TreeId) -> tuple[SourceFile, ...]:
        """Return the editable text files of `tree`, by path.

        Raises:
            StorageError: it cannot be read.
        """
        wanted = pygit2.Oid(hex=tree)
        if wanted == self._tree:
            return self._ordered
        changed = list(trees.changes(self._repo, self._tree, wanted))
        self._tree = None  # if a blob cannot be read, the next call starts over
        for change in changed:
            self._files.pop(change.path, None)
            if change.new and change.new.mode in (FILE_MODE, EXECUTABLE_MODE) and self._editable(change.path):
                content = trees.read_blob(self._repo, change.new.id)
                if self._is_text(content):
                    name = RepoPath(change.path.decode("utf-8", "surrogateescape"))
                    self._files[change.path] = SourceFile(path=name, content=content)
                    self._modes[change.path] = change.new.mode
        self._ordered = tuple(file for _, file in sorted(self._files.items()))
        self._tree = wanted
        return self._ordered

    def mode(self, path: RepoPath) -> int:
        """Return the mode of a file of the tree that was read last; that of a new file where there is none."""
        name = path.encode("utf-8", "surrogateescape")
        return self._modes.get(name, FILE_MODE) if name in self._files else FILE_MODE

    def _editable(self, path: bytes) -> bool:
        return self._definition.is_editable(path)
