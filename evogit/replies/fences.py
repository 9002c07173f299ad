"""A reply as its fenced blocks and the lines around them, in order."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from evogit.replies.reply import MAX_WORDS

_OPENING = re.compile(r"( {0,12}|\t)(`{3,}|~{3,})([^`\n]*)")
_COMMAND = re.compile(r"#{1,6} +\**(DELETE|RENAME)\b:?\**[ :]*(.+)")
_LABEL = re.compile(r"(?:new |the )?(?:file(?:name)?|path)\b *:? *", re.IGNORECASE)
_BARE = re.compile(r"[\w.+@~-]+(?:/[\w.+@~-]+)*")


@dataclass(frozen=True, slots=True)
class Fence:
    """A fenced block: the words after its opening, its lines, and whether it was closed."""

    info: str
    lines: Sequence[str]
    closed: bool


@dataclass(frozen=True, slots=True)
class Command:
    """A heading that deletes a file, or (`to` is set) renames it."""

    name: str
    to: str = ""


Part = Fence | Command | str


def parts(lines: Sequence[str]) -> Iterator[Part]:
    """Yield the fenced blocks, the commands, and every other line.

    A block ends at a line with nothing but as many of the same signs, indented alike: a file that has fences of its own
    is given in a longer one.
    """
    at = 0
    while at < len(lines):
        line = lines[at]
        at += 1
        opening = _OPENING.fullmatch(line.rstrip())
        if opening is None:
            yield command(line) or line
            continue
        indent, sign, info = opening.groups()
        inside = []
        while at < len(lines) and not _closes(lines[at], indent, sign):
            inside.append(lines[at].removeprefix(indent))
            at += 1
        yield Fence(info.strip(), inside, closed=at < len(lines))
        at += 1


def _closes(line: str, indent: str, sign: str) -> bool:
    found = line.rstrip()
    return found.startswith(indent + sign) and not found[len(indent) :].strip(sign[0])


def command(line: str) -> Command | None:
    """Return the command that a line gives, or None."""
    found = _COMMAND.fullmatch(line.rstrip()) if len(line) <= MAX_WORDS else None
    if found is None:
        return None
    if found[1] == "DELETE":
        return Command(_unquoted(found[2]))
    quoted = re.fullmatch(r"`([^`]+)` *(?:->|→|to) *`([^`]+)`", found[2].strip())
    name, _, to = (quoted[1], "", quoted[2]) if quoted else re.split(r" *(->|→) *|$", found[2], maxsplit=1)[:3]
    return Command(_unquoted(name), _unquoted(to or "")) if to else None


def _unquoted(name: str) -> str:
    return name.strip().strip("`").strip()


def path_of(line: str) -> str | None:
    """Return the path that a line before a block gives, or None when it is just words.

    A path stands in backquotes, or alone and looks like one: without blanks, with a `/` or a `.` in it.
    """
    if len(line) > MAX_WORDS:
        return None
    found = line.strip().lstrip("#").strip().strip("*").strip()
    found = _LABEL.sub("", found, count=1) if _LABEL.match(found) else found
    found = found.strip("*").strip().rstrip(":").strip("*").strip()
    if re.fullmatch(r"`[^`]+`", found):
        return found[1:-1].strip() or None
    looks_so = _BARE.fullmatch(found) and ("/" in found or re.search(r"\.\w", found))
    return found if looks_so else None


def path_within(info: str) -> str | None:
    """Return the path among the words after an opening, as in `python src/a.py` or `python:src/a.py`."""
    for word in re.split(r"[\s:]+", info[:MAX_WORDS]):
        found = path_of(word.removeprefix("path=").removeprefix("file=").strip("\"'"))
        if found:
            return found
    return None
