"""Text as lines of bytes, and where two texts differ; no encoding, no line ending but the line feed is assumed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import pygit2

from evogit.errors import StorageError


@dataclass(frozen=True, slots=True)
class Span:
    """Lines `start` to `end` of the old text, counted from 0, that stand as `lines` in the new one."""

    start: int
    end: int
    lines: tuple[bytes, ...]


def split(text: bytes) -> list[bytes]:
    """Return the lines of a text, each with its line feed; the last one may lack it."""
    lines = [line + b"\n" for line in text.split(b"\n")]
    lines[-1] = lines[-1][:-1]
    return lines if lines[-1] else lines[:-1]


def spans(old: bytes, new: bytes) -> list[Span]:
    """Return the hunks of the difference between two texts, without context, in order; a text holds no NUL.

    Raises:
        StorageError: libgit2 would not compare them.
    """
    try:
        # xdiff's heuristics keep it fast where lines repeat a hundred thousand times; difflib takes minutes there.
        patch = pygit2.Patch.create_from(old, new, context_lines=0, interhunk_lines=0)
        found = [(hunk.old_start, hunk.old_lines, hunk.new_start, hunk.new_lines) for hunk in patch.hunks]
    except (pygit2.GitError, ValueError) as error:
        raise StorageError(f"cannot compare two texts: {error}") from error
    lines = split(new)
    made = []
    for old_start, old_lines, new_start, new_lines in found:
        # A hunk that removes or adds nothing is counted from the line before it.
        start, there = old_start - bool(old_lines), new_start - bool(new_lines)
        made.append(Span(start, start + old_lines, tuple(lines[there : there + new_lines])))
    return made


def splice(text: bytes, chosen: Iterable[Span]) -> bytes | None:
    """Return a text with these spans put in; None when a line would be glued to the one after it."""
    lines = split(text)
    made: list[bytes] = []
    at = 0
    for span in sorted(chosen, key=lambda span: (span.start, span.end)):
        made += [*lines[at : span.start], *span.lines]
        at = span.end
    made += lines[at:]
    return None if any(not line.endswith(b"\n") for line in made[:-1]) else b"".join(made)


def moved(span: Span, since: Sequence[Span]) -> Span | None:
    """Return where a span of an old text belongs in a newer one; None where the newer one changed the same place.

    `since` are the spans from the old text to the newer one. Places that touch are the same place, as for git's merge.
    """
    shift = 0
    for other in since:
        if other.end < span.start:
            shift += len(other.lines) - (other.end - other.start)
        elif other.start <= span.end:
            return None
    return Span(span.start + shift, span.end + shift, span.lines)


def unified(old: bytes, new: bytes, path: str) -> bytes:
    """Return the difference between two texts as a unified diff with three lines of context; a text holds no NUL.

    Raises:
        StorageError: libgit2 would not compare them.
    """
    name = "".join(sign if sign.isprintable() else "?" for sign in path)
    try:
        patch = pygit2.Patch.create_from(old, new, old_as_path=name, new_as_path=name, context_lines=3)
    except (pygit2.GitError, ValueError) as error:
        raise StorageError(f"cannot compare two texts: {error}") from error
    whole = patch.data or b""
    return whole[max(0, whole.find(b"\n--- ")) :].lstrip(b"\n")  # without git's own lines before the two names
