"""Search and replace blocks: lines that are looked for, and what takes their place."""

from __future__ import annotations

import re
from collections.abc import Sequence

from evogit.replies.fences import Command, command, path_of, path_within
from evogit.replies.matching import fit
from evogit.replies.workspace import Workspace, shown

_SEARCH = re.compile(r"\s*(<{5,}) ?SEARCH\s*")
_FENCE = re.compile(r"\s*(`{3,}|~{3,})([^`]*)")


class _Reading:
    """Where reading stands: the file the next block is of, and an outer fence that is open."""

    def __init__(self, work: Workspace) -> None:
        self.work = work
        self.name: str | None = None
        self.blocks = 0
        self.fence = ""
        self.began: int | None = None

    def outside(self, number: int, line: str) -> None:
        """Take in a line that belongs to no block."""
        fence = _FENCE.fullmatch(line)
        name = path_within(fence[2]) if fence else path_of(line)
        if fence:
            inner = bool(self.fence) and (fence[2].strip() or not fence[1].startswith(self.fence))
            self.fence = self.fence if inner else "" if self.fence else fence[1]
        elif made := command(line):
            self._began(number)
            run(self.work, made)
        if name and ("/" in name or self.work.find(name) or line.lstrip().startswith(("#", "`", "*"))):
            self.name = name

    def _began(self, number: int) -> None:
        self.began = number if self.began is None else self.began

    def block(self, number: int, old: Sequence[str], new: Sequence[str]) -> None:
        """Apply one block."""
        self._began(number)
        self.blocks += 1
        if self.work.is_spent():
            return
        paths = self.work.paths
        name = self.name or (paths[0] if len(paths) == 1 else None)
        if name is None:
            self._problem("has no path; put a line `### `path`` before it.")
        elif not old and self.work.find(name) is None:
            self.work.create(name, new)
        else:
            path = self.work.need(name)
            text = self.work.text(path) if path else None
            if path is None or text is None:
                return
            if not old and not text.lines:
                self.work.put(path, text.rewritten(new))
                return
            place = fit(text.lines, old, new)
            if isinstance(place, str):
                self._problem(f"does not fit {shown(path)}. {place}")
            else:
                self.work.put(path, text.spliced(place.start, place.end, place.lines))

    def unclosed(self, number: int, what: str) -> None:
        """Note a block that is broken."""
        self._began(number)
        self.blocks += 1
        self._problem(what)

    def _problem(self, what: str) -> None:
        self.work.problems.append(f"Block {self.blocks} {what}")


def apply(lines: Sequence[str], work: Workspace) -> int | None:
    """Apply all blocks and commands of a reply; returns the line where the first one begins, None without any."""
    reading = _Reading(work)
    at = 0
    while at < len(lines):
        opening = _SEARCH.fullmatch(lines[at])
        if opening is None:
            reading.outside(at, lines[at])
            at += 1
            continue
        at = _block(lines, at, len(opening[1]), reading)
    if reading.fence:
        work.problems.append("A fence is not closed, so the reply was cut off; answer again, shorter.")
    return reading.began


def _block(lines: Sequence[str], start: int, size: int, reading: _Reading) -> int:
    """Read the block that begins at a line; returns where to read on."""
    end, middle, again = ">" * size, "=" * size, "<" * size
    dividers = []
    for at in range(start + 1, len(lines)):
        line = lines[at].strip()
        if line == middle:
            dividers.append(at)
        elif line in (f"{end} REPLACE", f"{end}REPLACE"):
            if len(dividers) == 1:
                reading.block(start, lines[start + 1 : dividers[0]], lines[dividers[0] + 1 : at])
            else:
                reading.unclosed(
                    start,
                    f"has {len(dividers)} lines `{middle}` and must have one; where the text has such a line itself, "
                    "make all three markers of the block longer.",
                )
            return at + 1
        elif line in (f"{again} SEARCH", f"{again}SEARCH"):
            reading.unclosed(start, f"is not closed by `{end} REPLACE` before the next one begins.")
            return at
    reading.unclosed(
        start, f"is not closed by `{end} REPLACE`: the reply was cut off, or its markers differ in length."
    )
    return len(lines)


def run(work: Workspace, made: Command) -> None:
    """Carry a command out."""
    if made.to:
        work.rename(made.name, made.to)
    else:
        work.delete(made.name)
