"""Words for subject lines: short, and with no character of a path or a name that could end the line or hide a part."""

from __future__ import annotations

MAX_SUBJECT = 72


def clean(text: str, room: int) -> str:
    """Return the printable characters of `text`, cut to `room`."""
    kept = "".join(filter(str.isprintable, text)).strip()
    return kept if len(kept) <= room else kept[: room - 1] + "…"


def place(path: str, room: int) -> str:
    """Return a path, or its last part where the whole does not fit into `room`."""
    whole = clean(path, len(path)) or "a file"
    return whole if len(whole) <= room else clean(path.rpartition("/")[2], max(8, room)) or "a file"
