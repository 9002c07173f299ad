"""Notes trees: written with a two-hex fan-out, read with any, compared by annotated object and not by path."""

from __future__ import annotations

import bisect
import re
from dataclasses import dataclass

import pygit2

from evogit.model import CommitId
from evogit.store import objects, trees
from evogit.store.repository import Repository
from evogit.store.trees import FILE_MODE, Entry

_HEX = re.compile(rb"[0-9a-f]{40}")


@dataclass(frozen=True, slots=True)
class NoteChange:
    """A commit whose note differs between two notes trees; None stands for no note."""

    commit: CommitId
    old: pygit2.Oid | None
    new: pygit2.Oid | None


def changed(repo: Repository, old: pygit2.Oid | None, new: pygit2.Oid | None) -> list[NoteChange]:
    """Return the notes that differ between two notes trees (None: the empty one), in the order of their paths.

    Equal subtrees are skipped by id, so the work is that of the difference. Git changes the fan-out as it likes, so the
    same note may leave one path and come back under another. Entries that are no notes are passed over.

    Raises:
        StorageError: a tree cannot be read or is beyond the limits.
    """
    before: dict[CommitId, pygit2.Oid] = {}
    after: dict[CommitId, pygit2.Oid] = {}
    for change in trees.changes(repo, old, new):
        commit = _annotated(change.path)
        if commit is None:
            continue
        if change.old:
            before[commit] = change.old.id
        if change.new:
            after[commit] = change.new.id
    return [
        NoteChange(commit, before.get(commit), after.get(commit))
        for commit in dict.fromkeys([*before, *after])
        if before.get(commit) != after.get(commit)
    ]


def find(repo: Repository, tree: pygit2.Oid, commit: CommitId) -> pygit2.Oid | None:
    """Return the note on one commit in a notes tree of any fan-out, or None.

    Raises:
        StorageError: a tree cannot be read.
    """
    return _find(repo, tree, commit.encode())


def _find(repo: Repository, tree: pygit2.Oid, digits: bytes) -> pygit2.Oid | None:
    entries = trees.entries_of(repo, tree)
    for length in range(len(digits), 0, -1):
        entry = entries.get(digits[:length])
        if entry is None:
            continue
        if entry.mode != trees.TREE_MODE:
            if length == len(digits):
                return entry.id
        elif found := _find(repo, entry.id, digits[length:]):
            return found
    return None


def _annotated(path: bytes) -> CommitId | None:
    digits = path.replace(b"/", b"")
    return CommitId(digits.decode()) if _HEX.fullmatch(digits) else None


class NotesTree:
    """A notes tree that grows by one note at a time.

    All of it stays in memory as the bytes its trees are written in (66 a note), so an append reads nothing, and puts
    one entry into each of two small trees.
    """

    def __init__(self, repo: Repository, tree: pygit2.Oid | None) -> None:
        """Take up the notes of `tree` (None: none).

        Raises:
            StorageError: it cannot be read.
        """
        self._repo = repo
        try:
            self._root, self._folders = self._read(tree)
        except _OtherShape:
            self._root, self._folders = self._read(self._fanned_out(tree))

    def get(self, commit: CommitId) -> pygit2.Oid | None:
        """Return the note on `commit`, or None."""
        return _FOLDER.get(self._folders.get(commit[:2].encode(), b""), commit[2:].encode())

    def put(self, commit: CommitId, note: pygit2.Oid) -> pygit2.Oid:
        """Set the note on `commit` and return the new tree.

        Raises:
            StorageError: Git would not write it; the notes are what they were.
        """
        name = commit[:2].encode()
        folder = _FOLDER.put(self._folders.get(name, b""), commit[2:].encode(), note)
        root = _ROOT.put(self._root, name, objects.write_tree(self._repo, folder))
        written = objects.write_tree(self._repo, root)
        self._root, self._folders[name] = root, folder
        return written

    def _read(self, tree: pygit2.Oid | None) -> tuple[bytes, dict[bytes, bytes]]:
        root = _ROOT.checked(trees.read_tree(self._repo, tree)) if tree else b""
        return root, {
            name: _FOLDER.checked(trees.read_tree(self._repo, entry.id))
            for name, entry in trees.parse_tree(root).items()
        }

    def _fanned_out(self, tree: pygit2.Oid | None) -> pygit2.Oid | None:
        """Bring a tree that Git or a person wrote with another fan-out into ours."""
        paths: dict[bytes, Entry | None] = {
            b"%s/%s" % (change.commit[:2].encode(), change.commit[2:].encode()): Entry(FILE_MODE, change.new)
            for change in changed(self._repo, None, tree)
            if change.new
        }
        return trees.build(self._repo, None, paths)


class _OtherShape(Exception):
    """A tree does not look as we write it."""


class _Shape:
    """Trees whose entries all have one mode and hexadecimal names of one length, so that each is found by halving."""

    def __init__(self, mode: bytes, digits: int) -> None:
        self._head = mode + b" "
        self._name = slice(len(self._head), len(self._head) + digits)
        self._width = self._name.stop + 21
        self._form = re.compile(rb"(?:%s[0-9a-f]{%d}\0.{20})*" % (self._head, digits), re.DOTALL)

    def checked(self, data: bytes) -> bytes:
        """Return `data` if it has this shape.

        Raises:
            _OtherShape: it has not.
        """
        if not self._form.fullmatch(data):
            raise _OtherShape
        return data

    def get(self, data: bytes, name: bytes) -> pygit2.Oid | None:
        """Return the id that stands by this name."""
        entry = self._entry(data, self._place(data, name))
        return pygit2.Oid(raw=entry[-20:]) if entry[self._name] == name else None

    def put(self, data: bytes, name: bytes, oid: pygit2.Oid) -> bytes:
        """Return `data` with this id by this name."""
        number = self._place(data, name)
        start = number * self._width
        end = start + self._width if self._entry(data, number)[self._name] == name else start
        return b"%s%s%s\0%s%s" % (data[:start], self._head, name, oid.raw, data[end:])

    def _place(self, data: bytes, name: bytes) -> int:
        count = range(len(data) // self._width)
        return bisect.bisect_left(count, name, key=lambda number: self._entry(data, number)[self._name])

    def _entry(self, data: bytes, number: int) -> bytes:
        return data[number * self._width : (number + 1) * self._width]


_ROOT = _Shape(b"40000", 2)
_FOLDER = _Shape(b"100644", 38)
