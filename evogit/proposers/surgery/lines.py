"""Operations on the lines of a file no grammar is known for: a line, or a line with those indented below it."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from typing import NamedTuple

from evogit.model import SourceFile
from evogit.proposers.surgery.syntax import Change

MAX_LINE = 2_000
_NAMES = ("Delete", "Copy", "Move", "Swap", "Replace by another")
_LONGEST = 30


class Lines(NamedTuple):
    """A change of lines: its number among the operations, and what is said of it."""

    number: float
    change: Change
    words: str


def draw(file: SourceFile, rng: Random, first: float) -> Lines | None:
    """Return a change of one block of lines; `first` is the number of the first of these operations.

    None when the file is empty, has overlong lines, or the drawn blocks do not allow it.
    """
    blocks = list(_blocks(file.content))
    if not blocks:
        return None
    which = rng.randrange(len(_NAMES))
    one, other = rng.choice(blocks), rng.choice(blocks)
    content = file.content
    here, there = content[one[0] : one[1]], content[other[0] : other[1]]
    near = rng.choice((one[0], one[1], other[0], other[1]))
    if not here.endswith(b"\n") and which in (1, 2, 3):
        return None  # the last line has no end: nothing can follow it
    change = (
        Change(one[0], one[1], b"", here),
        Change(near, near, here, here),
        _between(content, one, near),
        _swapped(content, one, other),
        Change(one[0], one[1], there, there),
    )[which]
    if change is None or content[change.start : change.end] == change.text:
        return None
    return Lines(first + which, change, f"{_NAMES[which]} {{what}}")


def _blocks(content: bytes) -> Iterator[tuple[int, int]]:
    """Yield each line that is not blank, and each with the deeper ones below it."""
    lines = content.splitlines(keepends=True)
    if max(map(len, lines), default=0) > MAX_LINE:
        return
    starts, at = list[int](), 0
    for line in lines:
        starts.append(at)
        at += len(line)
    starts.append(at)
    for number, line in enumerate(lines):
        if not line.strip():
            continue
        yield starts[number], starts[number + 1]
        last, depth = number, _depth(line)
        for below in range(number + 1, min(len(lines), number + _LONGEST)):
            if lines[below].strip() and _depth(lines[below]) <= depth:
                closes = _depth(lines[below]) == depth and lines[below].strip()[:1] in (b"}", b")", b"]")
                last = below if closes and last > number else last
                break
            last = below if lines[below].strip() else last
        if last > number:
            yield starts[number], starts[last + 1]


def _depth(line: bytes) -> int:
    return len(line) - len(line.lstrip(b" \t"))


def _between(content: bytes, block: tuple[int, int], to: int) -> Change | None:
    here = content[block[0] : block[1]]
    if to >= block[1]:
        return Change(block[0], to, content[block[1] : to] + here, here)
    return Change(to, block[1], here + content[to : block[0]], here) if to <= block[0] else None


def _swapped(content: bytes, one: tuple[int, int], other: tuple[int, int]) -> Change | None:
    first, second = sorted((one, other))
    if first[1] > second[0]:
        return None
    text = content[second[0] : second[1]] + content[first[1] : second[0]] + content[first[0] : first[1]]
    return Change(first[0], second[1], text, content[one[0] : one[1]])
