"""Operations on the lines of a file no grammar is known for: a line, or a line with those indented below it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from random import Random
from typing import NamedTuple

from evogit.model import Count, SourceFile
from evogit.proposers.surgery.syntax import Change

MAX_LINE = 2_000
_NAMES = ("Delete", "Copy", "Move", "Swap", "Replace by another")
_MOVE = 2
_LONGEST = 30
_PRIOR = 30
"""Failed tries that an operation begins with."""
_LISTEN = 0.7
"""How often blocks are chosen by what was said, where anything was."""
_WORD = re.compile(rb"[^\W\d_]{2,}")


class _Block(NamedTuple):
    """Where a block is, and its words."""

    start: int
    end: int
    words: frozenset[bytes]


class Lines(NamedTuple):
    """A change of lines: its number among the operations, and what is said of it."""

    number: float
    change: Change
    words: str


def draw(
    file: SourceFile, rng: Random, first: float, *, known: Mapping[float, Count] | None = None, said: str = ""
) -> Lines | None:
    """Return a change of one block of lines; `first` is the number of the first of these operations.

    Operations are drawn by what is `known` to have come of them, and the blocks often by what was `said` of the file:
    two that share words with one line of it, since what a message names together may belong together.

    None when the file is empty, has overlong lines, or the drawn blocks do not allow it.
    """
    content = file.content
    blocks = _blocks(content)
    if not blocks:
        return None
    which = _operation(known or {}, first, rng)
    together = _named_together(blocks, said, rng)
    one, other = together or (rng.choice(blocks), rng.choice(blocks))
    here, there = content[one.start : one.end], content[other.start : other.end]
    near = rng.choice((other.start, other.end) if together or which == _MOVE else (one.start, one.end, *other[:2]))
    if not here.endswith(b"\n") and which in (1, 2, 3):
        return None  # the last line has no end: nothing can follow it
    change = (
        Change(one.start, one.end, b"", here),
        Change(near, near, here, here),
        _between(content, one, near),
        _swapped(content, one, other),
        Change(one.start, one.end, there, there),
    )[which]
    if change is None or content[change.start : change.end] == change.text:
        return None
    return Lines(first + which, change, f"{_NAMES[which]} {{what}}")


def _operation(known: Mapping[float, Count], first: float, rng: Random) -> int:
    """Return which operation: the one with the highest draw of its chance to improve, all alike at the beginning."""
    counts = [known.get(first + which, Count()) for which in range(len(_NAMES))]
    chances = [rng.betavariate(1 + one.improved, _PRIOR + one.tried - one.improved) for one in counts]
    return chances.index(max(chances))


def _named_together(blocks: Sequence[_Block], said: str, rng: Random) -> tuple[_Block, _Block] | None:
    """Return two blocks that share words with one line of what was said; None when it is not asked, or names none."""
    lines = said.splitlines()
    if not lines or rng.random() >= _LISTEN:
        return None
    words = frozenset(_WORD.findall(rng.choice(lines).encode("utf-8", "replace")))
    shares = [(len(words & block.words) / len(block.words), block) for block in blocks if block.words]
    named = [(share, block) for share, block in shares if share]
    if len(named) < 2:
        return None
    one = rng.choices(named, [share for share, _ in named])[0]
    rest = [pair for pair in named if pair is not one]
    return one[1], rng.choices(rest, [share for share, _ in rest])[0][1]


@lru_cache(maxsize=4)
def _blocks(content: bytes) -> Sequence[_Block]:
    """Return each line that is not blank, and each with the deeper ones below it."""
    return [_Block(start, end, frozenset(_WORD.findall(content[start:end]))) for start, end in _places(content)]


def _places(content: bytes) -> Iterator[tuple[int, int]]:
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


def _between(content: bytes, block: _Block, to: int) -> Change | None:
    here = content[block.start : block.end]
    if to >= block.end:
        return Change(block.start, to, content[block.end : to] + here, here)
    return Change(to, block.end, here + content[to : block.start], here) if to <= block.start else None


def _swapped(content: bytes, one: _Block, other: _Block) -> Change | None:
    first, second = (one, other) if one.start < other.start else (other, one)
    if first.end > second.start:
        return None
    text = content[second.start : second.end] + content[first.end : second.start] + content[first.start : first.end]
    return Change(first.start, second.end, text, content[one.start : one.end])
