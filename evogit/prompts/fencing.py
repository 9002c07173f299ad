"""Untrusted text for a question: without control characters, cut, and in a fence it cannot get out of."""

from __future__ import annotations

import re

from evogit.harmless import visible

_HIDDEN = re.compile("[\U000e0000-\U000e0fff]+")
"""Tags and variation selectors, which a screen does not show and a model reads."""
_WORD = re.compile(r"[A-Za-z0-9+-]{1,20}")


def clean(text: str) -> str:
    """Return text without control, direction and hidden characters, its lines and tabs kept."""
    lines = _HIDDEN.sub("", text).replace("\r\n", "\n").split("\n")
    return "\n".join("\t".join(visible(part) for part in line.split("\t")) for line in lines)


def fenced(text: str, info: str = "") -> str:
    """Return text in a fence longer than any in it."""
    safe = clean(text)
    longest = max(map(len, re.findall(r"`+", safe)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{info if _WORD.fullmatch(info) else ''}\n{safe.removesuffix(chr(10))}\n{fence}"


def label(text: str, length: int) -> str:
    """Return untrusted words as a part of one line: for a path, or a name, outside a fence."""
    kept = " ".join(_HIDDEN.sub("", visible(text)).replace("`", "'").split())
    return kept if len(kept) <= length else kept[: length - 1] + "…"


def shortened(text: str, size: int) -> str:
    """Return about so many characters of a text: two thirds from its beginning, the rest from its end, whole lines."""
    if len(text) <= size:
        return text
    lines = [line if len(line) <= max(size // 2, 80) else line[: max(size // 2, 80)] + "…" for line in text.split("\n")]
    first, left = 0, size * 2 // 3
    while first < len(lines) and (left := left - len(lines[first]) - 1) >= 0:
        first += 1
    last, left = len(lines), size // 3
    while last > first and (left := left - len(lines[last - 1]) - 1) >= 0:
        last -= 1
    if first == last:
        return "\n".join(lines)
    return "\n".join([*lines[:first], f"[{last - first} lines left out]", *lines[last:]])
