"""What differs between two trees in parts that can be taken over or taken back one by one. Nothing is written here."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from evogit import edits
from evogit.model import TreeId
from evogit.store import lines, trees
from evogit.store.lines import Span
from evogit.store.merge import Merged
from evogit.store.repository import Repository
from evogit.store.task import Definition
from evogit.store.trees import EXECUTABLE_MODE, FILE_MODE, Entry

_PLAIN = (None, FILE_MODE, EXECUTABLE_MODE)
_MAX_HUNKS = 200
"""Hunks of one file; what has more was written anew and goes as a whole."""
_MAX_KEPT = 64


@dataclass(frozen=True, slots=True)
class Hunk:
    """Some lines of a text file."""

    path: bytes
    span: Span


@dataclass(frozen=True, slots=True)
class Whole:
    """A file that came, went, or is no text: its entry before and after."""

    path: bytes
    old: Entry | None
    new: Entry | None


@dataclass(frozen=True, slots=True)
class Mode:
    """A file that was made executable, or no longer is."""

    path: bytes
    old: int
    new: int


Piece = Hunk | Whole | Mode
Part = tuple[Piece, ...]
"""What is taken or left together: one piece, or both halves of a file that was renamed as it is."""


@dataclass(frozen=True, slots=True)
class Difference:
    """The parts in which two trees differ, in the order of paths; `texts` has the old text of files with hunks."""

    old: TreeId
    new: TreeId
    parts: tuple[Part, ...]
    texts: Mapping[bytes, bytes]


@dataclass(slots=True)
class Differences:
    """Reads differences, kept for a while since trees never change; only what agents may change is in them."""

    repo: Repository
    definition: Definition
    _kept: dict[tuple[TreeId, TreeId], Difference] = field(default_factory=dict)

    def between(self, old: TreeId, new: TreeId) -> Difference:
        """Return how two trees differ.

        Raises:
            StorageError: an object cannot be read.
        """
        key = (old, new)
        if key not in self._kept:
            if len(self._kept) >= _MAX_KEPT:
                self._kept.clear()
            self._kept[key] = self._read(old, new)
        return self._kept[key]

    def with_parts(self, difference: Difference, chosen: Sequence[int], tree: TreeId) -> tuple[Merged, int]:
        """Return a tree with those of the chosen parts put in that fit there, and how many did.

        A hunk fits where the tree has the lines around it as the old side has them, wherever they have moved to; what
        the tree has already does not fit.

        Raises:
            StorageError: an object cannot be read.
        """
        spans: dict[bytes, list[Span]] = {}
        entries: dict[bytes, Entry | None] = {}
        modes: dict[bytes, int] = {}
        texts: dict[bytes, tuple[int, bytes]] = {}
        taken = 0
        for number in chosen:
            part = difference.parts[number]
            if any(isinstance(piece, Whole) and not self._fits(piece, tree) for piece in part):
                continue
            for piece in part:
                if isinstance(piece, Whole):
                    entries[piece.path] = piece.new
                    taken += piece is part[-1]
                    continue
                here = _entry(self.repo, tree, piece.path)
                if here is None or here.mode not in (FILE_MODE, EXECUTABLE_MODE):
                    continue
                if isinstance(piece, Mode):
                    if here.mode == piece.old:
                        modes[piece.path] = piece.new
                        taken += 1
                    continue
                text = trees.read_blob(self.repo, here.id)
                moved = self._moved(difference.texts[piece.path], text, piece.span)
                made = lines.splice(text, [*spans.get(piece.path, ()), moved]) if moved else None
                if moved and made is not None and made != text and len(made) <= edits.MAX_FILE_BYTES:
                    spans.setdefault(piece.path, []).append(moved)
                    texts[piece.path] = (here.mode, made)
                    taken += 1
        for path, mode in modes.items():
            here = _entry(self.repo, tree, path)
            if path in texts:
                texts[path] = (mode, texts[path][1])
            elif here:
                entries[path] = Entry(mode, here.id)
        return Merged(tree, entries, texts, ()), taken

    def without(self, difference: Difference, dropped: Collection[int]) -> Merged | None:
        """Return the new tree with some parts taken back to the old state; None where a file would lose its place.

        Raises:
            StorageError: an object cannot be read.
        """
        pieces = [piece for number in sorted(dropped) for piece in difference.parts[number]]
        entries: dict[bytes, Entry | None] = {}
        texts: dict[bytes, tuple[int, bytes]] = {}
        for piece in pieces:
            if isinstance(piece, Whole):
                if piece.new is None and _is_blocked(self.repo, difference.new, piece.path):
                    return None
                entries[piece.path] = piece.old
        modes = {piece.path: piece.old for piece in pieces if isinstance(piece, Mode)}
        gone = {(piece.path, piece.span) for piece in pieces if isinstance(piece, Hunk)}
        for path in {path for path, _ in gone} | modes.keys():
            here = _entry(self.repo, difference.new, path)
            if here is None:
                return None
            mode = modes.get(path, here.mode)
            if path not in {path for path, _ in gone}:
                entries[path] = Entry(mode, here.id)
                continue
            kept = [piece.span for part in difference.parts for piece in part
                    if isinstance(piece, Hunk) and piece.path == path and (path, piece.span) not in gone]  # fmt: skip
            made = lines.splice(difference.texts[path], kept)
            if made is None:
                return None
            texts[path] = (mode, made)
        return Merged(difference.new, entries, texts, ())

    def _read(self, old: TreeId, new: TreeId) -> Difference:
        parts: list[Part] = []
        texts: dict[bytes, bytes] = {}
        for change in trees.changes(self.repo, trees.oid(old), trees.oid(new)):
            modes = [entry.mode if entry else None for entry in (change.old, change.new)]
            if any(mode not in _PLAIN for mode in modes) or not edits.may_move(change.path, self.definition):
                continue
            spans = self._spans(change.old, change.new, texts, change.path)
            if spans is None:
                parts.append((Whole(change.path, change.old, change.new),))
                continue
            parts += [(Hunk(change.path, span),) for span in spans]
            if change.old and change.new and modes[0] != modes[1]:
                parts.append((Mode(change.path, change.old.mode, change.new.mode),))
        return Difference(old, new, tuple(_coupled(parts)), texts)

    def _spans(self, old: Entry | None, new: Entry | None, texts: dict[bytes, bytes], path: bytes) -> list[Span] | None:
        """Return the hunks between two versions of a text, or None when it has to go as a whole."""
        if old is None or new is None:
            return None
        if old.id == new.id:
            return []
        before, after = trees.read_blob(self.repo, old.id), trees.read_blob(self.repo, new.id)
        if not all(edits.is_text(text) and b"\0" not in text for text in (before, after)):
            return None
        found = lines.spans(before, after)
        if not found or len(found) > _MAX_HUNKS:
            return None
        texts[path] = before
        return found

    def _moved(self, old: bytes, text: bytes, span: Span) -> Span | None:
        if text == old:
            return span
        if not edits.is_text(text) or b"\0" in text:
            return None
        return lines.moved(span, lines.spans(old, text))

    def _fits(self, piece: Whole, tree: TreeId) -> bool:
        if piece.old is None:
            return not _is_blocked(self.repo, tree, piece.path)
        return _entry(self.repo, tree, piece.path) == piece.old


def _coupled(parts: Sequence[Part]) -> list[Part]:
    """Join the two halves of each file that was moved as it is: one half alone would lose or double it."""
    come = {piece.new.id: part for part in parts for piece in part
            if isinstance(piece, Whole) and piece.old is None and piece.new}  # fmt: skip
    joined: list[Part] = []
    used: set[int] = set()
    for part in parts:
        piece = part[0]
        if isinstance(piece, Whole) and piece.old and piece.new is None and piece.old.id in come:
            other = come.pop(piece.old.id)
            used.add(id(other))
            joined.append((*part, *other))
        else:
            joined.append(part)
    return [part for part in joined if id(part) not in used]


def _entry(repo: Repository, tree: TreeId, path: bytes) -> Entry | None:
    """Return what stands at a path: a file, a link, a submodule or a folder."""
    *folders, name = path.split(b"/")
    at = trees.oid(tree)
    for folder in folders:
        found = trees.entries_of(repo, at).get(folder)
        if found is None or found.mode != trees.TREE_MODE:
            return None
        at = found.id
    return trees.entries_of(repo, at).get(name)


def _is_blocked(repo: Repository, tree: TreeId, path: bytes) -> bool:
    """Return whether no file can be put there: one is there, or a folder, or a file where a folder would have to be."""
    at = trees.oid(tree)
    *folders, name = path.split(b"/")
    for folder in folders:
        found = trees.entries_of(repo, at).get(folder)
        if found is None:
            return False
        if found.mode != trees.TREE_MODE:
            return True
        at = found.id
    return name in trees.entries_of(repo, at)
