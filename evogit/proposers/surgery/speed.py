"""Operations that make slow code faster and mean the same in most programs; the score has the last word."""

from __future__ import annotations

from collections.abc import Iterator

from evogit.proposers.surgery.names import names_in
from evogit.proposers.surgery.statements import _deletion, _of_block, _shift, _unit_of_indent, indent_of, owns_start
from evogit.proposers.surgery.syntax import Change, Node, Region


def hoist(region: Region) -> Iterator[Change]:
    """Move a statement out of a loop, before it."""
    language, unit = region.unit.language, region.unit
    for loop in region.of(language.loops):
        for block in (child for child in loop.children if child.kind in language.blocks):
            statements = _of_block(block)
            for node in statements if len(statements) > 1 and owns_start(region, loop) else ():
                text = _shift(region.text(node), indent_of(region, node), indent_of(region, loop))
                gone = _deletion(region, node)
                if text is not None:
                    head = text + unit.newline + indent_of(region, loop)
                    rest = unit.content[loop.start : gone.start] + gone.text
                    yield Change(loop.start, gone.end, head + rest, region.text(node))


def memoise(region: Region) -> Iterator[Change]:
    """Let a function remember its results: `functools.lru_cache`."""
    if not region.unit.language.python or not region.name or not region.nodes:
        return
    unit, top = region.unit, region.nodes[0]
    if b"lru_cache" not in unit.content[max(0, top.start - 200) : top.start] and owns_start(region, top):
        indent = indent_of(region, top)
        for line in (b'@__import__("functools").lru_cache(maxsize=None)',):
            yield Change(top.start, top.start, line + unit.newline + indent)


def membership(region: Region) -> Iterator[Change]:
    """Ask a set instead of a list: where it is asked, and where the list is made."""
    if not region.unit.language.python:
        return
    for node in region.of(frozenset({"comparison_operator"})):
        parts = node.named_children(frozenset())
        if len(parts) == 2 and any(region.text(child) in (b"in", b"not in") for child in node.children):
            yield Change(parts[1].start, parts[1].end, b"set(%b)" % region.text(parts[1]))
            yield from _as_set(region, region.text(parts[1]))


def early_break(region: Region) -> Iterator[Change]:
    """Leave a loop once the branch in it was taken."""
    language, unit = region.unit.language, region.unit
    end = language.end.encode()
    for loop in region.of(language.loops):
        for node in (one for one in region.of(language.ifs) if loop.start < one.start and one.end <= loop.end):
            body = node.child("consequence")
            inner = _of_block(body) if body is not None and body.kind in language.blocks else []
            if inner and inner[-1].kind not in language.jumps | language.returns and owns_start(region, inner[-1]):
                yield Change(inner[-1].end, inner[-1].end, unit.newline + indent_of(region, inner[-1]) + b"break" + end)


def range_start(region: Region) -> Iterator[Change]:
    """Begin or end a `range` elsewhere: at a name of the scope, one after it, at 1."""
    for node in region.of(region.unit.language.calls):
        called, given = node.child("function"), node.child("arguments")
        if called is None or given is None or region.text(called) != b"range":
            continue
        parts = given.named_children(frozenset())
        starts = [b"1", b"2", *(more for name in names_in(region)[:6] for more in (name, name + b" + 1"))]
        for start in starts if len(parts) == 1 else ():
            yield Change(parts[0].start, parts[0].start, start + b", ", weight=2.0 if start == b"1" else 0.5)
        for start in starts if len(parts) >= 2 else ():
            if start != region.text(parts[0]):
                yield Change(parts[0].start, parts[0].end, start)
        if len(parts) == 2:
            yield from (Change(parts[1].end, parts[1].end, b", " + step) for step in (b"2", b"-1"))
        if len(parts) == 1:
            half = b"int(%b ** 0.5) + 1" % region.text(parts[0]).join((b"(", b")"))
            yield Change(parts[0].start, parts[0].end, half)


def lazy(region: Region) -> Iterator[Change]:
    """Give a generator where a list is only gone through, or stop a loop at the first result."""
    for node in region.of(frozenset({"list_comprehension"})):
        if node.parent is not None and node.parent.kind == "argument_list" and len(node.parent.children) == 3:
            yield Change(node.start, node.end, region.text(node)[1:-1])


def skip_known(region: Region) -> Iterator[Change]:
    """Keep a loop from doing again what was done: go on at once when a name is in a container of the scope."""
    if not region.unit.language.python:
        return
    names = names_in(region)[:8]
    for loop in region.of(region.unit.language.loops):
        body, target = loop.child("body"), loop.child("left")
        inner = _of_block(body) if body is not None else []
        if inner and target is not None and owns_start(region, inner[0]):
            indent, line = indent_of(region, inner[0]), region.unit.newline
            for holder in (name for name in names if name != region.text(target)):
                step = _unit_of_indent(region.unit)
                text = b"if %b in %b:%b%b%bcontinue%b%b" % (
                    region.text(target),
                    holder,
                    line,
                    indent,
                    step,
                    line,
                    indent,
                )
                yield Change(inner[0].start, inner[0].start, text)


def _as_set(region: Region, name: bytes) -> Iterator[Change]:
    for node in region.of(frozenset({"assignment"})):
        left, right = node.child("left"), node.child("right")
        if left is not None and right is not None and region.text(left) == name:
            yield Change(
                right.start, right.end, b"set()" if region.text(right) == b"[]" else b"set(%b)" % region.text(right)
            )
            yield from _added(region, name, right)


def _added(region: Region, name: bytes, right: Node) -> Iterator[Change]:
    """Make a list a set together with the `append` that fills it, where there is one."""
    for node in region.of(frozenset({"attribute"})):
        if region.text(node) == name + b".append" and region.text(right) == b"[]" and node.start > right.end:
            between = region.unit.content[right.end : node.start]
            yield Change(right.start, node.end, b"set()" + between + name + b".add", name)
