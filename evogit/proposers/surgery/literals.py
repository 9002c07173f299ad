"""Operations on constants, containers and exceptions."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise

from evogit.proposers.surgery import vocabulary as words
from evogit.proposers.surgery.syntax import Change, Node, Region

_MOST = 12
_COMMENTED = re.compile(rb"(?<![\w.\"'])(?:-?\d+(?:\.\d+)?|\"[^\"\n]{0,40}\"|'[^'\n]{0,40}')(?![\w.])")
_COMMENT = re.compile(rb"(?:#|//)[^\n]*|/\*.{0,400}?\*/|\"\"\".{0,800}?\"\"\"", re.DOTALL)


def constant(region: Region) -> Iterator[Change]:
    """Replace a constant by another of its kind: one of the region or the file, or one named in a comment."""
    language = region.unit.language
    numbers, strings = language.integers | language.floats, language.strings
    for kinds in (numbers, strings):
        places = region.of(kinds)
        if not places:
            continue
        known = Counter(region.text(node) for node in places if node.end - node.start <= 60)
        pool = dict.fromkeys(text for text, _ in known.most_common(_MOST))
        pool |= dict.fromkeys(_of_file(region, kinds)) | dict.fromkeys(_commented(region, kinds is strings))
        for node in places:
            old = region.text(node)
            if kinds is numbers or not _is_docstring(node):
                yield from (Change(node.start, node.end, new) for new in list(pool)[: 2 * _MOST] if new != old)


def literal(region: Region) -> Iterator[Change]:
    """Replace true by false, nothing by something empty, and the reverse."""
    language = region.unit.language
    yes, no, nothing = (word.encode() for word in language.truth)
    table: dict[bytes, tuple[bytes, ...]] = {yes: (no,), no: (yes,), nothing: (b"0", no)}
    if language.python:
        empty = (b"[]", b"{}", b'""', b"0", b"()")
        table |= {nothing: (no, yes, *empty), yes: (no, nothing), no: (yes, nothing)}
        table |= {one: (*(other for other in empty if other != one), nothing, b"set()") for one in empty}
    for node in region.of(language.constants | language.sequences | language.strings | language.integers):
        if node.end - node.start < 8 and not _is_docstring(node):
            yield from (Change(node.start, node.end, new) for new in table.get(region.text(node), ()))


def container(region: Region) -> Iterator[Change]:
    """Leave an element of a list, tuple or dictionary out, repeat it, or swap two."""
    language = region.unit.language
    for node in region.of(language.sequences):
        parts = node.named_children(language.comments)[:200]
        for before, after in pairwise(parts):
            between = region.unit.content[before.end : after.start]
            yield Change(before.start, after.end, region.text(after) + between + region.text(before))
            yield Change(before.end, after.end, b"")
            if len(parts) <= _MOST:
                yield Change(after.end, after.end, between + region.text(before))
        if len(parts) > 1:
            yield Change(parts[0].start, parts[1].start, b"")


def exception(region: Region) -> Iterator[Change]:
    """Raise or expect another exception."""
    for node in region.of(region.unit.language.names):
        yield from (Change(node.start, node.end, new) for new in words.EXCEPTIONS.get(region.text(node), ()))


def key(region: Region) -> Iterator[Change]:
    """Give a `key`, `reverse` or `default` to a call that sorts or chooses, or turn a sort round."""
    if not region.unit.language.python:
        return
    for node in region.of(region.unit.language.calls):
        called, given = node.child("function"), node.child("arguments")
        if called is None or given is None:
            continue
        what, inside = region.text(called).rpartition(b".")[2], region.text(given)
        if what in (b"sort", b"sorted") and b"reverse" not in inside:
            yield Change(
                given.end - 1, given.end - 1, (b", " if len(inside) > 2 else b"") + b"reverse=True", weight=2.0
            )
        if what in (b"sort", b"sorted", b"min", b"max") and b"key=" not in inside and len(inside) > 2:
            for text in (
                b"key=len",
                b"key=abs",
                b"key=lambda item: item[1]",
                b"key=lambda item: item[0]",
                b"default=0",
            ):
                yield Change(given.end - 1, given.end - 1, b", " + text, weight=0.5)
        if what in (b"sum", b"get", b"pop", b"enumerate") and len(inside) > 2 and b"," not in inside:
            yield from (
                Change(given.end - 1, given.end - 1, b", " + more, weight=0.5) for more in (b"0", b"1", b"None")
            )


def _of_file(region: Region, kinds: frozenset[str]) -> list[bytes]:
    """Return the constants that stand outside the functions of the file, and names of constants."""
    outside = next((one for one in region.unit.regions if not one.name), None)
    if outside is None or outside is region:
        return []
    found = Counter(
        outside.text(node) for node in outside.of(kinds) if node.end - node.start <= 60 and not _is_docstring(node)
    )
    return [text for text, _ in found.most_common(_MOST // 2)]


def _commented(region: Region, quoted: bool) -> list[bytes]:
    """Return values that a comment or a docstring in or just before the region names."""
    start = max(0, region.start - 400)
    found: list[bytes] = []
    for comment in _COMMENT.finditer(region.unit.content, start, min(region.end, start + 20_000)):
        values = _COMMENTED.findall(comment[0][1:])
        found += [value for value in values if value.startswith((b'"', b"'")) == quoted]
    return found[:_MOST]


def _is_docstring(node: Node) -> bool:
    above = node.parent
    return node.kind == "string" and above is not None and above.kind == "expression_statement"
