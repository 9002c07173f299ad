"""Notes trees: written with a two-hex fan-out, read with any, compared by annotated object and not by path."""

from __future__ import annotations

import re
from dataclasses import dataclass

import pygit2

from evogit.model import CommitId
from evogit.store import objects, trees
from evogit.store.repository import Repository
from evogit.store.trees import FILE_MODE, TREE_MODE, Entry

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


def _annotated(path: bytes) -> CommitId | None:
    digits = path.replace(b"/", b"")
    return CommitId(digits.decode()) if _HEX.fullmatch(digits) else None


class NotesTree:
    """A notes tree that grows by one note at a time; its root stays in memory, so an append writes two small trees."""

    def __init__(self, repo: Repository, tree: pygit2.Oid | None) -> None:
        """Take up the notes of `tree` (None: none).

        Raises:
            StorageError: it cannot be read.
        """
        self._repo = repo
        self._root = dict(trees.entries_of(repo, tree)) if tree else {}
        if any(len(name) != 2 or entry.mode != TREE_MODE for name, entry in self._root.items()):
            self._root = self._fanned_out(tree)

    def get(self, commit: CommitId) -> pygit2.Oid | None:
        """Return the note on `commit`, or None."""
        entry = self._folder(commit).get(commit[2:].encode())
        return entry.id if entry else None

    def put(self, commit: CommitId, note: pygit2.Oid) -> pygit2.Oid:
        """Set the note on `commit` and return the new tree.

        Raises:
            StorageError: Git would not write it.
        """
        folder = self._folder(commit)
        folder[commit[2:].encode()] = Entry(FILE_MODE, note)
        written = objects.write_tree(self._repo, trees.format_tree(folder))
        self._root[commit[:2].encode()] = Entry(TREE_MODE, written)
        return objects.write_tree(self._repo, trees.format_tree(self._root))

    def _folder(self, commit: CommitId) -> dict[bytes, Entry]:
        known = self._root.get(commit[:2].encode())
        return dict(trees.entries_of(self._repo, known.id)) if known else {}

    def _fanned_out(self, tree: pygit2.Oid | None) -> dict[bytes, Entry]:
        """Bring a tree that Git or a person wrote with another fan-out into ours."""
        paths: dict[bytes, Entry | None] = {
            b"%s/%s" % (change.commit[:2].encode(), change.commit[2:].encode()): Entry(FILE_MODE, change.new)
            for change in changed(self._repo, None, tree)
            if change.new
        }
        return dict(trees.entries_of(self._repo, trees.build(self._repo, None, paths)))
