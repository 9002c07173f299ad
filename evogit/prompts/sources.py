"""Files in a question: which matter most, the parts of one that is too large, and the symbols of all."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache

from evogit.prompts.fencing import label
from evogit.prompts.material import File
from evogit.proposers.surgery.languages import language_of
from evogit.replies.definitions import outline

_MAX_PARSED = 128 * 1024
_MAX_SYMBOLS = 60
_AROUND = 12
_HEAD = 25
_STRETCH = 20
"""Lines that are shown together where a file has no functions."""
_NAMED = 8
_FAILED, _IN_GOAL, _CHANGED, _CHANGED_MOST = 8.0, 4.0, 1.0, 3
_Block = tuple[int, int, str]


def ranked(
    files: Sequence[tuple[str, str]],
    *,
    goal: str,
    places: Iterable[tuple[str, int]],
    changed: Mapping[str, int],
) -> tuple[File, ...]:
    """Return files as material, those that matter most first.

    `places` are lines named in what the evaluator said, `changed` counts the candidates around that changed a path.
    """
    named = list(places)
    found = []
    for path, content in files:
        focus = tuple(sorted({line for where, line in named if _is_same(where, path)}))
        words = path, path.rpartition("/")[2]
        weight = _FAILED * bool(focus) + _IN_GOAL * any(_mentions(goal, word) for word in words)
        weight += _CHANGED * min(_CHANGED_MOST, changed.get(path, 0))
        found.append((-weight, path, File(path=path, content=content, focus=focus)))
    return tuple(file for _, _, file in sorted(found, key=lambda one: one[:2]))


def _is_same(where: str, path: str) -> bool:
    return f"/{where}".endswith(f"/{path}") or f"/{path}".endswith(f"/{where}")


def _mentions(goal: str, word: str) -> bool:
    return re.search(rf"(?<![\w./-]){re.escape(word)}(?![\w/-])", goal) is not None


def symbols(file: File) -> str:
    """Return one line with what a file defines."""
    names = dict.fromkeys(name for _, _, name in _functions(file.path, file.content))
    told = [label(name, 80) for name in list(names)[:_MAX_SYMBOLS]]
    more = f", {len(names) - len(told)} more" if len(names) > len(told) else ""
    where = label(file.path, 200)
    return f"{where}: {', '.join(told)}{more}" if told else where


def excerpt(file: File, size: int) -> str:
    """Return about so many characters of a file's content, as whole lines, and what is left out between them.

    First come the functions, or else the lines, around those in `focus`; then the file's beginning; then the other
    functions, the nearest to them first.
    """
    lines = file.content.replace("\r\n", "\n").removesuffix("\n").split("\n")
    blocks = _blocks(file, len(lines))
    focus = [line - 1 for line in file.focus if line <= len(lines)]
    chosen = _Chosen(lines, size)
    for line in focus:
        around = [block for block in blocks if block[0] <= line < block[1]]
        start, end, _ = min(around, key=lambda block: block[1] - block[0], default=(line, line + 1, ""))
        if not chosen.take(start, end):
            chosen.grow(line)
        chosen.take(max(0, line - _AROUND), line + _AROUND)
    chosen.take(0, min([block[0] for block in blocks[:1]] + [_HEAD]))
    centre = focus[0] if focus else 0
    for start, end, _ in sorted(blocks, key=lambda block: (abs(block[0] - centre), block)):
        chosen.take(start, end)
    if not chosen.shown:
        chosen.grow(centre)
    return chosen.text(blocks)


class _Chosen:
    """Lines of a file that are shown, as many as fit."""

    def __init__(self, lines: Sequence[str], size: int) -> None:
        self._lines, self._left = lines, size
        self.shown: set[int] = set()

    def take(self, start: int, end: int) -> bool:
        """Show these lines if all of them fit; return whether they do."""
        new = set(range(max(0, start), min(end, len(self._lines)))) - self.shown
        cost = sum(len(self._lines[line]) + 1 for line in new)
        if cost > self._left:
            return False
        self._left -= cost
        self.shown |= new
        return True

    def grow(self, line: int) -> None:
        """Show as much as fits around a line."""
        for distance in range(len(self._lines)):
            if not (
                self.take(line + distance, line + distance + 1) and self.take(line - distance, line - distance + 1)
            ):
                return

    def text(self, blocks: Sequence[_Block]) -> str:
        """Return the lines, with a word on each gap."""
        told: list[str] = []
        at = 0
        for line in [*sorted(self.shown), len(self._lines)]:
            if not any(map(str.strip, self._lines[at:line])):
                told += self._lines[at:line]
            elif line > at:
                names = list(dict.fromkeys(name for start, _, name in blocks if at <= start < line and name))
                some = f": {', '.join(names[:_NAMED])}{', …' if len(names) > _NAMED else ''}" if names else ""
                told.append(f"[lines {at + 1} to {line} left out{some}]")
            if line < len(self._lines):
                told.append(self._lines[line])
            at = line + 1
        return "\n".join(told)


def _blocks(file: File, count: int) -> list[_Block]:
    """Return a file's functions as lines from and up to, with their names; stretches of lines where it has none."""
    found = [*_functions(file.path, file.content)]
    return found or [(start, min(start + _STRETCH, count), "") for start in range(0, count, _STRETCH)]


@lru_cache(maxsize=256)
def _functions(path: str, content: str) -> tuple[_Block, ...]:
    language = language_of(path)
    if language is None or len(content) > _MAX_PARSED:
        return ()
    text = content.replace("\r\n", "\n").encode("utf-8", "replace")
    found = outline(text, language)
    return tuple(
        (text.count(b"\n", 0, one.outer_start), text.count(b"\n", 0, one.outer_end) + 1, one.full_name)
        for one in (found.functions if found else ())
    )
