"""Files in which only marked places may be changed: between lines that say `EVOLVE-BLOCK-START` and `EVOLVE-BLOCK-END`.

The convention is AlphaEvolve's (Novikov et al., "AlphaEvolve: a coding agent for scientific and algorithmic discovery",
2025, section 2.1) and that of the tools after it. The markers are comments, of whatever language.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

_MARKER = re.compile(rb"^[^\w\n]{0,40}EVOLVE-BLOCK-(START|END)\b[^\n]*(?:\n|\Z)", re.MULTILINE)
"""A line that begins with a sign of a comment, or nothing, and then the words."""


def places(content: bytes) -> list[tuple[int, int]] | None:
    """Return where a file may be changed, as offsets from and up to; None where it has no marks and all of it may be.

    A start without an end reaches to the end of the file; an end without a start, and a start after a start, mean
    nothing.
    """
    if b"EVOLVE-BLOCK-START" not in content:
        return None
    found, start = list[tuple[int, int]](), None
    for marker in _MARKER.finditer(content):
        if marker[1] == b"START" and start is None:
            start = marker.end()
        elif marker[1] == b"END" and start is not None:
            found.append((start, marker.start()))
            start = None
    if start is not None:
        found.append((start, len(content)))
    return found or None


def is_within(found: Sequence[tuple[int, int]] | None, start: int, end: int) -> bool:
    """Return whether the bytes from `start` to `end` of a file with these places may be changed."""
    return found is None or any(first <= start and end <= last for first, last in found)


def refusal(before: bytes, after: bytes | None) -> str | None:
    """Return why a file may not become what it would be, or None when it may."""
    if (allowed := places(before)) is None:
        return None
    if after is None:
        return "it has EVOLVE-BLOCK markers, and only what is between them may be changed; the file stays where it is"
    if _fixed(before, allowed) == _fixed(after, places(after) or ()):
        return None
    return "only the lines between its EVOLVE-BLOCK-START and EVOLVE-BLOCK-END markers may be changed"


def _fixed(content: bytes, allowed: Sequence[tuple[int, int]]) -> list[bytes]:
    """Return what stands before, between and after the places that may be changed, the markers included."""
    found, at = [], 0
    for start, end in allowed:
        found.append(content[at:start])
        at = end
    return [*found, content[at:]]
