"""Operations that put in what is missing of an expression or a statement: the templates of automatic repair.

After the fix templates of PAR (Kim, Nam, Song and Kim, "Automatic patch generation learned from human-written patches",
ICSE 2013) and the "more specific" patterns of ManySStuBs4J (Karampatsis and Sutton, MSR 2020).
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from evogit.proposers.surgery.expressions import conditions, is_tight
from evogit.proposers.surgery.names import names_in, uses
from evogit.proposers.surgery.scope import is_number, may_be_number, uses_visible, visible
from evogit.proposers.surgery.statements import indent_of, last_ones, owns_start
from evogit.proposers.surgery.syntax import Change, Node, Region

_NAMES = 8
_LONGEST = 80
_WORD = re.compile(rb"(?<![\w.\"'])[A-Za-z_]\w*")


def operand(region: Region) -> Iterator[Change]:
    """Add a name to a side of a comparison or a sum, to an argument or a value, or take it away from there."""
    names = [name for name in names_in(region)[: 2 * _NAMES] if name in _numbers(region)]
    for node in _amounts(region):
        text = region.text(node)
        shown = text if is_tight(node) or node.kind in ("binary_operator", "binary_expression") else b"(%b)" % text
        for name in names:
            if name != text and visible(region, name, node.start):
                yield from (Change(node.end, node.end, sign + name) for sign in (b" + ", b" - ") if shown == text)


def presence(region: Region) -> Iterator[Change]:
    """Ask first whether there is what a condition asks of: `x and x[0] > 1`."""
    one, other, no = (word.encode() for word in region.unit.language.words)
    python = region.unit.language.python
    for node in conditions(region):
        text = region.text(node)
        used = set(_WORD.findall(text))
        shown = text if is_tight(node) or node.kind == "comparison_operator" else b"(%b)" % text
        for name in (name for name in names_in(region)[:_NAMES] if name in used and name != text):
            yield Change(node.start, node.end, b"%b %b %b" % (name, one, shown))
            yield Change(node.start, node.end, b"%b %b %b" % (no + name, other, shown))
            if python:
                yield Change(node.start, node.end, b"%b is not None %b %b" % (name, one, shown))


def bound(region: Region) -> Iterator[Change]:
    """Keep a value from falling below or rising above: 0, or what the name held before."""
    if not region.unit.language.python:
        return
    for node in region.of(frozenset({"assignment"})):
        left, right = node.child("left"), node.child("right")
        if left is None or right is None or right.end - right.start > _LONGEST or left.kind != "identifier":
            continue
        if right.kind in region.unit.language.sequences or not may_be_number(region, right):
            continue
        weight = 1.0 if is_number(region, right) or is_number(region, left) else 0.4
        text, name = region.text(right), region.text(left)
        limits = [b"0", *([name] if visible(region, name, node.start) else [])]
        for limit in (one for one in limits if one not in _WORD.findall(text)):
            for form in (b"max(%b, %b)", b"min(%b, %b)"):
                yield Change(right.start, right.end, form % (limit, text), weight=weight)


def part(region: Region) -> Iterator[Change]:
    """Take a part of a sequence that is gone through, handed on or given back, not the whole."""
    if not region.unit.language.python:
        return
    bounds = [b"1:", b":-1", b"::-1"]
    bounds += [form % name for name in names_in(region)[:4] for form in (b"%b:", b":%b")]
    wanted = {"for_statement", "for_in_clause", "argument_list", "return_statement", "assignment", "binary_operator"}
    for node in uses(region):
        above = node.parent
        if above is None or above.kind not in wanted or node.field in ("left", "function"):
            continue
        for one in bounds:
            if region.text(node) not in _WORD.findall(one) and uses_visible(region, one, node.start):
                yield Change(node.end, node.end, b"[%b]" % one)


def condition(region: Region) -> Iterator[Change]:
    """Ask whether a name is true, false or nothing, in a condition's place."""
    language = region.unit.language
    no = language.words[2].encode()
    forms = [b"%b", no + b"%b", *([b"%b is None", b"%b is not None"] if language.python else [])]
    for node in conditions(region):
        for name in names_in(region)[:_NAMES]:
            if name != region.text(node) and visible(region, name, node.start):
                yield from (Change(node.start, node.end, form % name) for form in forms)


def statement(region: Region) -> Iterator[Change]:
    """Repeat a call of the region elsewhere, with another name in one place."""
    if not region.unit.language.python:
        return
    names, places = names_in(region)[:_NAMES], _ends(region)
    for made in _calls(region):
        for at, text in places:
            for variant in _renamed(made, names):
                if uses_visible(region, variant, at):
                    yield Change(at, at, text.replace(b"%", variant), variant)


def _calls(region: Region) -> list[bytes]:
    texts = []
    for node in region.of(frozenset({"expression_statement"})):
        inner = node.children[0] if node.children else node
        text = region.text(node)
        if inner.kind in region.unit.language.calls and len(text) <= _LONGEST and b"\n" not in text:
            texts.append(text)
    return list(dict.fromkeys(texts))[:12]


def _renamed(text: bytes, names: list[bytes]) -> Iterator[bytes]:
    """Yield the call on another object, or with another name among what it is given."""
    for found in list(_WORD.finditer(text))[:6]:
        called = text[found.end() : found.end() + 1] == b"("
        for name in names if not called else ():
            if name != found[0]:
                yield text[: found.start()] + name + text[found.end() :]


def _ends(region: Region) -> list[tuple[int, bytes]]:
    """Return the places before a statement that returns, and those behind a block: where, and the lines around `%`."""
    unit, found = region.unit, list[tuple[int, bytes]]()
    for node in region.statements:
        if owns_start(region, node):
            found.append((node.start, b"%" + unit.newline + indent_of(region, node)))
    for node in last_ones(region):
        end = unit.line_end(node.end)
        if node.kind not in unit.language.returns | unit.language.jumps and owns_start(region, node):
            found.append((end, unit.newline + indent_of(region, node) + b"%"))
    return found


def _numbers(region: Region) -> set[bytes]:
    return {region.text(node) for node in region.of(region.unit.language.names) if may_be_number(region, node)}


def _amounts(region: Region) -> list[Node]:
    """Return what may lack a further term."""
    language = region.unit.language
    places = {"assignment", "slice", *language.returns, *language.binary}
    kinds = language.names | language.calls | language.subscripts | {"attribute", "binary_operator"}
    return [
        node for node in region.nodes
        if node.kind in kinds and node.parent is not None and may_be_number(region, node)
        and node.end - node.start <= _LONGEST and node.parent.kind in places and node.parent.kind != "boolean_operator"
        and node.field not in ("function", "type")
        and not (node.parent.kind == "assignment" and node.field == "left")
    ]  # fmt: skip
