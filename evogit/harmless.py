"""Words of candidates, evaluators and agents, made to mean nothing to git, mail, Markdown, a forge or a terminal."""

from __future__ import annotations

import re
import textwrap

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff]+")
_REFERENCES = (
    (re.compile(r"([@#!])(?=\w)"), r"\1 "),  # forges notify people, close issues and link
    (re.compile(r"\bGH-(?=\d)", re.IGNORECASE), "GH "),
    (re.compile(r"://"), ": //"),
    (re.compile(r"<(?=[!/?\w])"), "< "),
    (re.compile(r"--+>"), "-- >"),
    (re.compile(r"\[(?=[^\]]*\b(?:skip|ci)\b)", re.IGNORECASE), "[ "),  # "[skip ci]" anywhere keeps checks from running
    (re.compile(r"\*\*+"), "*"),
)
_MARKUP = ((re.compile(r"`"), "'"), (re.compile(r"\|"), "\N{BROKEN BAR}"))
_BEGINNINGS = ("---", "diff -", "Index:", "#", ">From ", "From ", "fixup!", "squash!", "amend!")
"""What `git am`, mailboxes, `git commit` and `git rebase --autosquash` take a line for that begins so."""


def harmless(text: str, length: int) -> str:
    """Return untrusted text as one line of at most `length` characters that is nothing but words anywhere."""
    line = " ".join(in_block(text).split())
    for sign, instead in _MARKUP:
        line = sign.sub(instead, line)
    if line.startswith(_BEGINNINGS):
        line = f"({line})"
    return line if len(line) <= length else cut(line, length)


def cut(line: str, length: int) -> str:
    """Return a line cut at a blank, or within a word that is too long."""
    return textwrap.shorten(line, length, placeholder="…") if " " in line[:length] else line[: length - 1] + "…"


def in_block(line: str) -> str:
    """Return one untrusted line, its blanks kept, for a block of text that Markdown leaves alone."""
    line = _CONTROL.sub(" ", line)
    for sign, instead in _REFERENCES:
        line = sign.sub(instead, line)
    return line


def visible(line: str) -> str:
    """Return a line without control characters, else as it is."""
    return _CONTROL.sub(" ", line)


def one_line(text: str, length: int) -> str:
    """Return text without control characters on one line, for what a person wrote or must stay as it is."""
    return " ".join(_CONTROL.sub(" ", text).split())[:length]
