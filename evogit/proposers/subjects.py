"""Words for commits: short, and with no character of a path, a name or a stranger's text that could mean more."""

from __future__ import annotations

from evogit.harmless import harmless, in_block

MAX_SUBJECT = 72


def clean(text: str, room: int) -> str:
    """Return the printable characters of `text`, cut to `room`."""
    kept = "".join(filter(str.isprintable, text)).strip()
    return kept if len(kept) <= room else kept[: room - 1] + "…"


def place(path: str, room: int) -> str:
    """Return a path, or its last part where the whole does not fit into `room`."""
    whole = clean(path, len(path)) or "a file"
    return whole if len(whole) <= room else clean(path.rpartition("/")[2], max(8, room)) or "a file"


def told(text: str) -> str:
    """Return what a model or a tool says as a subject that means nothing to git, mail or a forge."""
    return harmless(text, MAX_SUBJECT)


def told_at_length(text: str) -> str:
    """Return the paragraphs of a model or a tool as words that mean nothing to git, mail or a forge."""
    return "\n".join(map(in_block, text.splitlines()))
