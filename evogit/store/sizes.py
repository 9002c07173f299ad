"""How large a candidate's difference from the base is: what decides between equal scores."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import pygit2

from evogit.errors import StorageError
from evogit.model import CommitId, RepoPath, TreeId
from evogit.store import trees
from evogit.store.candidate import Candidate
from evogit.store.repository import Repository
from evogit.store.trees import SUBMODULE_MODE, Change, Entry

_BINARY_LINE = 40
"""Bytes of a binary file that weigh as much as a line."""
_LOOKED_AT = 8000
_MAX_KEPT = 20_000
_MAX_CONTENTS = 256
_MAX_UNRECORDED = 256
"""Equals whose size nobody recorded that are compared, the first measured ones; the others count as larger."""
_UNKNOWN = 1 << 62
_Key = TypeVar("_Key")


@dataclass(frozen=True, slots=True)
class Rewritten:
    """A file's content before and after an edit that keeps its mode; None: there is none."""

    path: RepoPath
    mode: int
    before: bytes | None
    after: bytes | None


class Sizes:
    """Measures differences from one base; it keeps what it read, since trees never change."""

    def __init__(self, repo: Repository, base: CommitId) -> None:
        self._repo = repo
        self._base = base
        self._base_tree: pygit2.Oid | None = None
        self._weights: dict[tuple[Entry | None, Entry | None], int] = {}
        self._sizes: dict[TreeId, int] = {}
        self._of_base: dict[RepoPath, tuple[Entry | None, bytes]] = {}

    def of(self, tree: TreeId) -> int:
        """Return the size of the difference between the base and a tree, as FORMAT.md defines it.

        Raises:
            StorageError: an object cannot be read.
        """
        if tree not in self._sizes:
            if self._base_tree is None:
                self._base_tree = self._repo.commit(self._base).tree_id
            _trim(self._sizes)
            found = trees.changes(self._repo, self._base_tree, pygit2.Oid(hex=tree))
            self._sizes[tree] = sum(self._weight(change) for change in found)
        return self._sizes[tree]

    def grown(self, size: int, changed: Sequence[Rewritten]) -> int:
        """Return the size after some files of a tree whose difference has this `size` were rewritten.

        It costs a fifth of `of`, since nothing is read but the base, once.

        Raises:
            StorageError: an object cannot be read.
        """
        for one in changed:
            size += self._away(one.path, one.after, one.mode) - self._away(one.path, one.before, one.mode)
        return size

    def _away(self, path: RepoPath, content: bytes | None, mode: int) -> int:
        """Return how far a file with this content is from the base's."""
        if path not in self._of_base:
            if len(self._of_base) >= _MAX_CONTENTS:
                self._of_base.clear()
            tree = TreeId(str(self._repo.commit(self._base).tree_id))
            found = trees.entry_at(self._repo, tree, path.encode("utf-8", "surrogateescape"))
            entry = found if found and found.mode != trees.TREE_MODE else None
            self._of_base[path] = (entry, self._content(entry))
        entry, base = self._of_base[path]
        if entry is None or content is None:
            return 0 if entry is None and content is None else max(1, _weigh(base, content or b""))
        if content == base:
            return int(entry.mode != mode)
        return max(1, _weigh(base, content))

    def least(self, equals: Sequence[Candidate], evaluator: str) -> Candidate | None:
        """Return the one with the smallest difference, the first this evaluator measured among these, or None.

        A recorded size spares reading the objects; the candidate that is returned was measured, so that a record that
        says too little wins nothing.
        """
        if len(equals) < 2:
            return equals[0] if equals else None
        first = {one.id: one.first_at(evaluator) for one in equals}
        unrecorded = sorted((first[one.id], one.id) for one in equals if _recorded(one) is None)
        measured = {commit for _, commit in unrecorded[:_MAX_UNRECORDED]}
        queue = []
        for one in equals:
            said = _recorded(one)
            size = said if said is not None else self._measured(one) if one.id in measured else _UNKNOWN
            queue.append((size, first[one.id], one.id, said is None, one))
        heapq.heapify(queue)
        while True:
            size, at, commit, sure, one = queue[0]
            true = size if sure else max(size, self._measured(one))
            if true == size:
                return one
            heapq.heapreplace(queue, (true, at, commit, True, one))

    def _measured(self, candidate: Candidate) -> int:
        try:
            return self.of(TreeId(str(self._repo.commit(candidate.id).tree_id)))
        except StorageError:
            return _UNKNOWN

    def _weight(self, change: Change) -> int:
        key = (change.old, change.new)
        if key not in self._weights:
            _trim(self._weights)
            self._weights[key] = max(1, self._weigh(change.old, change.new))
        return self._weights[key]

    def _weigh(self, old: Entry | None, new: Entry | None) -> int:
        if old and new and old.id == new.id:
            return 1
        return _weigh(self._content(old), self._content(new))

    def _content(self, entry: Entry | None) -> bytes:
        if entry is None or entry.mode == SUBMODULE_MODE:
            return b""
        return trees.read_blob(self._repo, entry.id)


def _weigh(old: bytes, new: bytes) -> int:
    if b"\0" in old[:_LOOKED_AT] or b"\0" in new[:_LOOKED_AT]:
        return -(-(len(old) + len(new)) // _BINARY_LINE)
    counts = Counter(_lines(old))
    counts.subtract(_lines(new))
    return sum(map(abs, counts.values()))


def _lines(content: bytes) -> list[bytes]:
    lines = content.split(b"\n")
    return lines if lines[-1] else lines[:-1]


def _recorded(candidate: Candidate) -> int | None:
    return candidate.proposal.size if candidate.proposal else None


def _trim(kept: dict[_Key, int]) -> None:
    if len(kept) >= _MAX_KEPT:
        kept.clear()
