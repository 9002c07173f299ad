"""A file's text as lines that remember how each of them ended, so that an edit keeps what it does not change."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

_BOM = "\ufeff"


def decoded(content: bytes) -> str | None:
    """Return a file's text as `parse` takes it, byte order mark and line ends included; None where it is not UTF-8."""
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        return None


def lines_of(text: str) -> list[str]:
    """Return the lines of a text without their ends; only a line feed, after a carriage return or not, ends one."""
    lines = [line.removesuffix("\r") for line in text.split("\n")]
    return lines[:-1] if not lines[-1] else lines


@dataclass(frozen=True, slots=True)
class Text:
    """A text in lines. `ends` has how each line ended: by `\\n` or `\\r\\n`, the last one perhaps by nothing."""

    lines: tuple[str, ...] = ()
    ends: tuple[str, ...] = ()
    mark: str = ""

    @classmethod
    def of(cls, content: str) -> Text:
        """Return a file's content in lines."""
        mark = _BOM if content.startswith(_BOM) else ""
        pieces = content[len(mark) :].split("\n")
        last = pieces.pop()
        lines, ends = [], []
        for piece in pieces:
            returned = piece.endswith("\r")
            lines.append(piece[:-1] if returned else piece)
            ends.append("\r\n" if returned else "\n")
        if last:
            lines.append(last)
            ends.append("")
        return cls(tuple(lines), tuple(ends), mark)

    @property
    def whole(self) -> str:
        """The content, as `of` took it."""
        return self.mark + "".join(line + end for line, end in zip(self.lines, self.ends, strict=True))

    @property
    def newline(self) -> str:
        """How most lines end."""
        return "\r\n" if self.ends.count("\r\n") > self.ends.count("\n") else "\n"

    def spliced(self, start: int, end: int, new: Sequence[str]) -> Text:
        """Return the text with lines `start` to `end`, counted from 0, replaced.

        Lines that stay keep their ends, new ones end as most do, and the last one ends as the last one did.
        """
        new = list(new)
        while start < end and new and self.lines[start] == new[0]:
            start, new = start + 1, new[1:]
        while start < end and new and self.lines[end - 1] == new[-1]:
            end, new = end - 1, new[:-1]
        lines = [*self.lines[:start], *new, *self.lines[end:]]
        ends = [*self.ends[:start], *[self.newline] * len(new), *self.ends[end:]]
        ends = [one or self.newline for one in ends]
        if ends and self.ends and not self.ends[-1]:
            ends[-1] = ""
        return Text(tuple(lines), tuple(ends), self.mark)

    def rewritten(self, new: Sequence[str]) -> Text:
        """Return the text with all its lines replaced."""
        if new and self.mark and new[0].startswith(self.mark):
            new = [new[0].removeprefix(self.mark), *new[1:]]
        return self.spliced(0, len(self.lines), new)
