"""Notes trees: written with a two-hex fan-out, read with any, compared by annotated object and not by path."""

from __future__ import annotations

import bisect
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from typing import NamedTuple

import pygit2

from evogit.errors import StorageError
from evogit.model import CommitId
from evogit.store import bulk, objects, trees
from evogit.store.repository import Repository
from evogit.store.trees import FILE_MODE, Entry

_HEX = re.compile(rb"[0-9a-f]{40}")
Folders = Mapping[pygit2.Oid, bytes]
"""The bytes of folders of notes trees."""
_NONE: Folders = {}
_MOST_FOLDERS, _MOST_IN_ALL, _MOST_BYTES = 256, 2**14, 2**16
"""Folders of one tree and of all, and bytes of one, that are read together; further ones come in their turn, so that
hostile trees cannot fill the memory."""


class NoteChange(NamedTuple):
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


def every(repo: Repository, tree: pygit2.Oid, known: Folders = _NONE) -> list[NoteChange]:
    """Return what `changed` does for the empty tree and this one, in a third of the time where it looks as we write it.

    `known` are folders that were read already.

    Raises:
        StorageError: a tree cannot be read or is beyond the limits.
    """
    found: list[NoteChange] = []
    try:
        for name, entry in trees.parse_tree(_ROOT.checked(trees.read_tree(repo, tree))).items():
            content = known.get(entry.id)
            folder = _FOLDER.checked(trees.read_tree(repo, entry.id) if content is None else content)
            if len(found) + _FOLDER.count(folder) > trees.MAX_ENTRIES:
                break
            found += [NoteChange(CommitId((name + rest).decode()), None, oid) for rest, oid in _FOLDER.entries(folder)]
        else:
            return found
    except _OtherShape:
        pass
    return changed(repo, None, tree)


def folders(repo: Repository, roots: Iterable[pygit2.Oid]) -> Folders:
    """Return what stands in the folders of notes trees of which all has to be read, as far as git tells that."""
    wanted: dict[pygit2.Oid, None] = {}
    for root in roots:
        with suppress(StorageError):  # `every` says so
            entries = list(trees.entries_of(repo, root).values())[:_MOST_FOLDERS]
            wanted.update((entry.id, None) for entry in entries if entry.mode == trees.TREE_MODE)
    told = bulk.contents(repo, list(wanted)[:_MOST_IN_ALL], "tree", _MOST_BYTES)
    return {folder: content for folder, content in zip(wanted, told, strict=False) if content is not None}


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

    def count(self, data: bytes) -> int:
        """Return how many entries there are."""
        return len(data) // self._width

    def entries(self, data: bytes) -> Iterator[tuple[bytes, pygit2.Oid]]:
        """Yield the names and ids of all entries."""
        first, last, width = self._name.start, self._name.stop, self._width
        for at in range(0, len(data), width):
            yield data[at + first : at + last], pygit2.Oid(raw=data[at + last + 1 : at + width])

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
