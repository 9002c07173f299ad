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

    def spans(self, path: bytes) -> list[Span]:
        """Return the hunks of one file."""
        pieces = (piece for part in self.parts for piece in part)
        return [piece.span for piece in pieces if isinstance(piece, Hunk) and piece.path == path]


@dataclass(slots=True)
class _Made:
    """A tree in the making: what changes in `tree`, and the spans that make each text."""

    tree: TreeId
    entries: dict[bytes, Entry | None] = field(default_factory=dict)
    modes: dict[bytes, int] = field(default_factory=dict)
    texts: dict[bytes, tuple[int, bytes]] = field(default_factory=dict)
    spans: dict[bytes, list[Span]] = field(default_factory=dict)

    def merged(self, repo: Repository) -> Merged:
        """Return the whole, modes brought together with texts."""
        texts, entries = dict(self.texts), dict(self.entries)
        for path, mode in self.modes.items():
            here = trees.entry_at(repo, self.tree, path)
            if path in texts:
                texts[path] = (mode, texts[path][1])
            elif here:
                entries[path] = Entry(mode, here.id)
        return Merged(self.tree, entries, texts, ())


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
        made = _Made(tree)
        taken = 0
        for number in chosen:
            part = difference.parts[number]
            if all(self._fits(piece, made, difference) for piece in part):
                taken += 1
                for piece in part:
                    self._put(piece, made)
        return made.merged(self.repo), taken

    def _fits(self, piece: Piece, made: _Made, difference: Difference) -> bool:
        if isinstance(piece, Whole):
            if piece.old is None:
                return not _is_blocked(self.repo, made.tree, piece.path)
            return trees.entry_at(self.repo, made.tree, piece.path) == piece.old
        here = trees.entry_at(self.repo, made.tree, piece.path)
        if here is None or here.mode not in (FILE_MODE, EXECUTABLE_MODE):
            return False
        return here.mode == piece.old if isinstance(piece, Mode) else self._spliced(piece, here, made, difference)

    def _spliced(self, piece: Hunk, here: Entry, made: _Made, difference: Difference) -> bool:
        """Put a hunk in if it fits; return whether it did."""
        text = trees.read_blob(self.repo, here.id)
        moved = self._moved(difference.texts[piece.path], text, piece.span)
        if moved is None:
            return False
        spans = [*made.spans.get(piece.path, ()), moved]
        content = lines.splice(text, spans)
        if content is None or content == text or len(content) > edits.MAX_FILE_BYTES:
            return False
        made.spans[piece.path] = spans
        made.texts[piece.path] = (here.mode, content)
        return True

    @staticmethod
    def _put(piece: Piece, made: _Made) -> None:
        if isinstance(piece, Whole):
            made.entries[piece.path] = piece.new
        elif isinstance(piece, Mode):
            made.modes[piece.path] = piece.new

    def without(self, difference: Difference, dropped: Collection[int]) -> Merged | None:
        """Return the new tree with some parts taken back to the old state; None where a file would lose its place.

        Raises:
            StorageError: an object cannot be read.
        """
        made = _Made(difference.new)
        gone: dict[bytes, set[Span]] = {}
        for piece in (piece for number in dropped for piece in difference.parts[number]):
            if isinstance(piece, Hunk):
                gone.setdefault(piece.path, set()).add(piece.span)
            elif isinstance(piece, Mode):
                made.modes[piece.path] = piece.old
            elif piece.new is None and _is_blocked(self.repo, difference.new, piece.path):
                return None
            else:
                made.entries[piece.path] = piece.old
        for path, spans in gone.items():
            here = trees.entry_at(self.repo, difference.new, path)
            content = lines.splice(difference.texts[path], [one for one in difference.spans(path) if one not in spans])
            if here is None or content is None:
                return None
            made.texts[path] = (here.mode, content)
        return made.merged(self.repo)

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
