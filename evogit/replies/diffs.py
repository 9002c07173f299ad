"""Unified diffs, applied by their lines alone: the numbers in a model's hunk headers are seldom right."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from evogit.replies.blocks import run
from evogit.replies.fences import Command, Part
from evogit.replies.matching import fit
from evogit.replies.whole import CUT_OFF
from evogit.replies.workspace import Workspace, shown

_NOTHING = "/dev/null"
_HEADER = re.compile(
    r"(?:diff --git |index [0-9a-f]|new file mode |deleted file mode |old mode |new mode |similarity )"
)


@dataclass(slots=True)
class _Section:
    """What a diff says of one file; `old` or `new` is None where there is none."""

    old: str | None
    new: str | None
    hunks: list[list[str]] = field(default_factory=list)


def apply(parts: Sequence[Part], work: Workspace) -> None:
    """Apply the diffs and commands of a reply."""
    bare = False
    for part in parts:
        if isinstance(part, Command):
            run(work, part)
        elif isinstance(part, str):
            bare |= part.startswith("@@ ")
        elif not part.closed:
            work.problems.append(CUT_OFF)
        elif part.info.startswith(("diff", "patch")) or any(line.startswith("@@") for line in part.lines):
            for section in _sections(part.lines, work):
                _apply(section, work)
    if bare:
        work.problems.append("Part of a diff stands outside a fence; put the whole diff between ```diff and ```.")


def _sections(lines: Sequence[str], work: Workspace) -> list[_Section]:
    """Return what a diff says of each file."""
    found: list[_Section] = []
    open_hunk: list[str] | None = None
    renamed = ""
    at = 0
    while at < len(lines):
        line = lines[at]
        if _is_heading(lines, at, work):
            found.append(_Section(_name(line[4:], "a/"), _name(lines[at + 1][4:], "b/")))
            open_hunk, at = [], at + 2  # of a new file some models leave the header of its only hunk out
            found[-1].hunks.append(open_hunk)
            continue
        if line.startswith("@@"):
            if not found:
                work.problems.append(
                    "A hunk has no file; begin each file with the lines `--- a/path` and `+++ b/path`."
                )
                return []
            open_hunk = []
            found[-1].hunks.append(open_hunk)
        elif _HEADER.match(line):
            open_hunk = None
        elif line.startswith("rename from "):
            renamed, open_hunk = line.removeprefix("rename from "), None
        elif line.startswith("rename to "):
            found.append(_Section(renamed, line.removeprefix("rename to ")))
            open_hunk = None
        elif open_hunk is not None:
            open_hunk.append(line)
        elif line.strip():
            work.problems.append(f"A line of the diff belongs to no hunk of a file: {shown(line)}.")
            return []
        at += 1
    return _without_repeats(found)


def _without_repeats(sections: Sequence[_Section]) -> list[_Section]:
    """Return the sections, a rename's own lines taken together with the heading of the same two files after them."""
    made: list[_Section] = []
    for section in sections:
        last = made[-1] if made else None
        if last and not any(last.hunks) and (last.old, last.new) == (section.old, section.new):
            made.pop()
        made.append(section)
    return made


def _is_heading(lines: Sequence[str], at: int, work: Workspace) -> bool:
    """Return whether a file begins here; a removed line `-- a` beside an added one `++ b` looks alike."""
    if at + 1 >= len(lines) or not lines[at].startswith("--- ") or not lines[at + 1].startswith("+++ "):
        return False
    names = lines[at][4:], lines[at + 1][4:]
    return any(name.startswith(("a/", "b/", _NOTHING)) or work.find(_name(name, "") or "") for name in names)


def _name(words: str, prefix: str) -> str | None:
    """Return the path in a heading; None for no file."""
    found = words.partition("\t")[0].strip()
    return None if found == _NOTHING else found.removeprefix(prefix)


def _apply(section: _Section, work: Workspace) -> None:
    if section.old is None and section.new is None:
        work.problems.append("A file is neither there before nor after.")
    elif section.new is None:
        work.delete(section.old or "")
    elif section.old is None:
        work.create(section.new, [line[1:] for hunk in section.hunks for line in hunk if line.startswith("+")])
    else:
        _change(section, section.old, section.new, work)


def _change(section: _Section, old: str, new: str, work: Workspace) -> None:
    path = work.need(old)
    if path is None:
        return
    hunks = [hunk for hunk in section.hunks if any(hunk)]
    for number, hunk in enumerate(hunks, 1):
        if work.is_spent():
            return
        body = [line for line in hunk if not line.startswith("\\")]
        strange = next((line for line in body if line[:1] not in (" ", "+", "-", "")), None)
        if strange is not None:
            work.problems.append(
                f"Hunk {number} of {shown(path)} has a line that begins with none of ' ', '+', '-': {shown(strange)}."
            )
            continue
        before = [line[1:] for line in body if line[:1] != "+"]
        after = [line[1:] for line in body if line[:1] != "-"]
        text = work.text(path)
        if not text.lines and not any(before):
            work.put(path, text.rewritten(after))
            continue
        place = fit(text.lines, before, after)
        if isinstance(place, str):
            work.problems.append(f"Hunk {number} does not fit {shown(path)}. {place}")
        else:
            work.put(path, text.spliced(place.start, place.end, place.lines))
    if new not in (old, path) and work.find(new) != path:
        work.rename(path, new)
