"""Whole files, each in a fence below its path."""

from __future__ import annotations

from collections.abc import Sequence

from evogit.replies.blocks import run
from evogit.replies.fences import Command, Fence, Part, path_of, path_within
from evogit.replies.workspace import Workspace, plain, shown

CUT_OFF = "A fence is not closed, so the reply was cut off; answer again, shorter."


def headed(parts: Sequence[Part]) -> list[tuple[Fence | Command, str | None]]:
    """Return the fences and commands of a reply, a fence with the path above it or behind its opening."""
    found: list[tuple[Fence | Command, str | None]] = []
    above = ""
    for part in parts:
        if isinstance(part, str):
            above = part if part.strip() else above
            continue
        name = (path_of(above) or path_within(part.info)) if isinstance(part, Fence) else None
        found.append((part, name))
        above = ""
    return found


def apply(parts: Sequence[Part], work: Workspace) -> None:
    """Apply the files and commands of a reply."""
    given: set[str] = set()
    for part, name in headed(parts):
        if isinstance(part, Command):
            run(work, part)
        elif not part.closed:
            work.problems.append(CUT_OFF)
        elif name is None:
            work.problems.append(
                "A fence has no path in the line above it; where a file has fences itself, put it into a longer one."
            )
        elif name in given:
            work.problems.append(f"{shown(name)} is given twice; give each file once.")
        else:
            given.add(name)
            write(work, name, part.lines)


def write(work: Workspace, name: str, lines: Sequence[str]) -> None:
    """Give a file, new or not, other lines."""
    path = next((path for path in work.paths if path in (name, plain(name))), None)
    if path is None:
        work.create(name, lines)
    else:
        work.put(path, work.text(path).rewritten(lines))
