"""Operations on whole statements. Donors come from the region, else from its file, else from another file."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import pairwise

from evogit.proposers.surgery.expressions import conditions
from evogit.proposers.surgery.names import names_in
from evogit.proposers.surgery.scope import holds_many, is_needed, uses_visible
from evogit.proposers.surgery.syntax import Change, Node, Region, Unit, is_bare_string

_LEAVES = re.compile(rb"(?:return|raise|break|continue|pass|throw|goto)\b")
_USED = re.compile(rb"(?<![\w.\"'])[A-Za-z_]\w*")
_BEGINS = re.compile(rb"[\w.]+(?: *, *[\w.]+)* *= *(?:[\w.]+|\[\]|\{\}|\(\))")
_NEEDED = 0.1
_BETWEEN = 0.5
"""How likely a statement is missing in the middle of others, beside the ends of a block."""
_NAME = re.compile(rb"[A-Za-z_]\w*")
_LONGEST = 600
"""Bytes of a statement that may be copied or moved."""
_DONORS = 24
_REACH = 6
"""How many places up or down a statement may move."""


def delete(region: Region) -> Iterator[Change]:
    """Take a statement out."""
    for node in _loose(region):
        yield _deletion(region, node)._replace(weight=_NEEDED if is_needed(region, node) else 1.0)


def copy(region: Region) -> Iterator[Change]:
    """Repeat a statement of the region or the file at another place of the region."""
    donors = [donor for donor in _donors(region) if not _LEAVES.match(donor[0])]
    firsts = {block[0].start for block in map(_of_block, region.of(region.unit.language.blocks)) if block}
    for place in region.statements:
        # Statements often may change places: one place of a run of them stands for the others.
        at_end = place.start in firsts or place.kind in region.unit.language.returns | region.unit.language.jumps
        for donor, text in _before(region, place, donors):
            if donor != region.text(place) and uses_visible(region, donor, place.start):
                weight = _donated(region, donor) * (1.0 if at_end else _BETWEEN)
                yield Change(place.start, place.start, text, donor, weight)
    for place in last_ones(region):
        for donor, text, end in _after(region, place, donors):
            if donor != region.text(place) and uses_visible(region, donor, end):
                yield Change(end, end, text, donor, _donated(region, donor))


def _donated(region: Region, donor: bytes) -> float:
    """Return how likely a statement is missing: one that is here already seldom is, nor one that sets a beginning."""
    if donor in region.unit.content[region.start : region.end]:
        return 0.15 if _BEGINS.fullmatch(donor) else 0.35
    return 0.1 if _BEGINS.fullmatch(donor) else 2.5


def replace(region: Region) -> Iterator[Change]:
    """Replace a statement by one that stands elsewhere."""
    donors = _donors(region)
    for place in _loose(region):
        for donor, text in _shifted(region, place, donors):
            if donor != region.text(place) and uses_visible(region, donor, place.start):
                yield Change(place.start, place.end, text, donor)


def move(region: Region) -> Iterator[Change]:
    """Move a statement up or down in its block."""
    for block in _blocks(region):
        for at, node in enumerate(block):
            for to in range(max(0, at - _REACH), min(len(block), at + _REACH + 1)):
                if abs(to - at) > 1 and node.end - node.start <= _LONGEST:
                    yield _moved(region, block, at, to)


def swap(region: Region) -> Iterator[Change]:
    """Swap two statements that follow one another."""
    content = region.unit.content
    for block in _blocks(region):
        for before, after in pairwise(block):
            text = region.text(after) + content[before.end : after.start] + region.text(before)
            yield Change(before.start, after.end, text, region.text(before))


def guard(region: Region) -> Iterator[Change]:
    """Put a statement under a condition of the region."""
    unit = region.unit
    asked = list(dict.fromkeys(region.text(node) for node in conditions(region) if node.end - node.start < 80))[
        :_DONORS
    ]
    for name in names_in(region)[:6]:
        asked += [name, unit.language.words[2].encode() + name]
    head, _, tail = unit.language.guard.encode().partition(b"%s")
    for node in _loose(region):
        text = region.text(node)
        if b"\n" in text or node.kind in unit.language.ifs:
            continue
        indent = indent_of(region, node)
        for condition in (one for one in asked if uses_visible(region, one, node.start)):
            shown = (
                (head + condition + tail).replace(b"\n", unit.newline + indent).replace(b"\t", _unit_of_indent(unit))
            )
            yield Change(node.start, node.end, shown.replace(b"%s", text), condition)


def unwrap(region: Region) -> Iterator[Change]:
    """Replace a branch or a loop by the statements in it."""
    unit = region.unit
    for node in region.of(unit.language.ifs | unit.language.loops):
        body = node.child("consequence") or node.child("body")
        if body is None:
            continue
        inner = [part for part in body.children if part.named]
        while len(inner) == 1 and inner[0].kind in unit.language.blocks:
            inner = [part for part in inner[0].children if part.named]
        if inner and b"\n" not in unit.content[node.start : node.start + 1]:
            text = unit.content[inner[0].start : inner[-1].end]
            if (shifted := _shift(text, indent_of(region, inner[0]), indent_of(region, node))) is not None:
                yield Change(node.start, node.end, shifted)


def level(region: Region) -> Iterator[Change]:
    """Move the last statement of a block out of it, or a statement into the block before it."""
    language, content = region.unit.language, region.unit.content
    for block in _blocks(region):
        for before, after in pairwise(block):
            inner = _last_inside(before, language.blocks)
            if inner is not None and after.end - after.start <= _LONGEST:
                text = _shift(region.text(after), indent_of(region, after), indent_of(region, inner))
                if text is not None:
                    kept = region.unit.newline + indent_of(region, inner) + text
                    yield Change(inner.end, after.end, kept + content[inner.end : before.end], region.text(after))
        for node in block:
            inner = _last_inside(node, language.blocks)
            if inner is not None and inner.parent is not None and len(_of_block(inner.parent)) > 1:
                text = _shift(region.text(inner), indent_of(region, inner), indent_of(region, node))
                if text is not None:
                    before_it = _of_block(inner.parent)[-2].end
                    kept = content[inner.end : node.end] + region.unit.newline + indent_of(region, node) + text
                    yield Change(before_it, node.end, kept, region.text(inner))


def early_return(region: Region) -> Iterator[Change]:
    """Return a variable or a constant before a statement."""
    language, unit, values = region.unit.language, region.unit, _results(region)
    end = language.end.encode()
    if not region.name:
        return
    for place in region.statements:
        if owns_start(region, place):
            after = unit.newline + indent_of(region, place)
            known = [value for value in values if uses_visible(region, value, place.start)]
            yield from (Change(place.start, place.start, b"return %b%b%b" % (value, end, after)) for value in known)


def result(region: Region) -> Iterator[Change]:
    """Return something else than what is returned."""
    language = region.unit.language
    for node in region.of(language.returns):
        parts = node.named_children(language.comments)
        others = [
            region.text(one)[len(b"return") :].strip(b" ;") for one in region.of(language.returns) if one is not node
        ]
        for value in dict.fromkeys([*others, *_results(region)]) if parts else ():
            if value and value != region.text(parts[0]) and uses_visible(region, value, node.start):
                weight = 2.0 if value in others else 1.0 if _NAME.fullmatch(value) else 0.4
                yield Change(parts[0].start, parts[-1].end, value, weight=weight)


def missing_return(region: Region) -> Iterator[Change]:
    """Return a variable, or how many it holds, at the end of a function that returns and yields nothing."""
    language, unit = region.unit.language, region.unit
    top = next((block for block in map(_of_block, region.of(language.blocks)) if block), [])
    if not (language.python and region.name and top) or region.name.startswith("__"):
        return
    results = [node for node in region.of(language.returns) if node.named_children(language.comments)]
    if results or region.of(frozenset({"yield"})) or not owns_start(region, top[-1]):
        return
    before, at = unit.newline + indent_of(region, top[-1]), unit.line_end(top[-1].end)
    for name in names_in(region)[:_DONORS]:
        counted = 1.0 if holds_many(region, name) else 0.2
        for value, weight in ((name, 1.0), (b"len(%b)" % name, counted)) if uses_visible(region, name, at) else ():
            yield Change(at, at, b"%breturn %b" % (before, value), weight=weight)


def _results(region: Region) -> list[bytes]:
    language, names = region.unit.language, names_in(region)
    values = [*names[:8], *(word.encode() for word in language.truth), b"0"]
    if language.python:
        values += [b"[]", b'""']
        values += [form % name for name in names[:6] for form in (b"[%b]", b"len(%b)", b"not %b", b"%b == 0")]
    return values


def jump(region: Region) -> Iterator[Change]:
    """Replace `break` by `continue` or an empty return, and the reverse."""
    language = region.unit.language
    for node in region.of(language.jumps | language.returns):
        text = region.text(node)
        ends = b";" if text.endswith(b";") else b""
        for word in (b"break", b"continue"):
            if not text.startswith(word) and _in_loop(node, language.loops):
                yield Change(node.start, node.end, word + ends)
        if node.kind in language.jumps:
            yield Change(node.start, node.end, (language.empty.encode() or b"return") if not ends else b";")


def branch(region: Region) -> Iterator[Change]:
    """Turn `if` into `while` or `elif`, `elif` into `if`, `while` into `if`; leave an `else` out."""
    python = region.unit.language.python
    for node in region.nodes:
        word = region.text(node) if not node.children and not node.named else b""
        above = node.parent.kind if node.parent else ""
        if word == b"if" and above in region.unit.language.ifs:
            yield Change(node.start, node.end, b"while", weight=0.3)
            if python and _follows_if(node.parent):
                yield Change(node.start, node.end, b"elif")
        elif (word == b"while" and above in region.unit.language.loops) or word == b"elif":
            yield Change(node.start, node.end, b"if")
        elif node.kind in ("else_clause", "elif_clause", "finally_clause") and node.parent is not None:
            at = node.parent.children.index(node)
            yield Change(node.parent.children[at - 1].end, node.end, b"")


def from_elsewhere(region: Region, other: Region) -> Iterator[Change]:
    """Put a statement of a region of another file before one of this region, or in its place."""
    donors = _texts(other)[:_DONORS]
    for place in region.statements:
        for donor, text in _before(region, place, donors):
            yield Change(place.start, place.start, text, donor)
        for donor, text in _shifted(region, place, donors):
            yield Change(place.start, place.end, text, donor)


def _follows_if(node: Node | None) -> bool:
    block = node.parent.children if node is not None and node.parent is not None else []
    at = next((number for number, one in enumerate(block) if one is node), 0)
    return at > 0 and block[at - 1].kind == "if_statement"


def _loose(region: Region) -> list[Node]:
    """Return the statements that may go: no definition, and none without which the block means something else."""
    kept = region.unit.language.definitions - (
        frozenset() if region.unit.language.python else frozenset({"declaration"})
    )
    return [node for node in region.statements if node.kind not in kept]


def _blocks(region: Region) -> list[list[Node]]:
    language = region.unit.language
    found = [_of_block(block) for block in region.of(language.blocks)]
    kept = [[n for n in block if n.kind not in language.comments and not is_bare_string(n)] for block in found]
    return [block for block in kept if len(block) > 1]


def _of_block(block: Node) -> list[Node]:
    return [node for node in block.children if node.named and "comment" not in node.kind]


def _deletion(region: Region, node: Node) -> Change:
    unit, siblings = region.unit, _of_block(node.parent) if node.parent else [node, node]
    what = region.text(node)
    if len(siblings) == 1 and unit.language.python:
        return Change(node.start, node.end, unit.language.empty.encode(), what)
    start, end = unit.line_start(node.start), unit.line_end(node.end)
    if unit.content[start : node.start].strip() or unit.content[node.end : end].strip():
        return Change(node.start, node.end, unit.language.empty.encode(), what)
    after = unit.content.find(b"\n", end) + 1 or len(unit.content)
    return Change(start, after, b"", what)


def _moved(region: Region, block: Sequence[Node], at: int, to: int) -> Change:
    """Return the change that takes statement `at` of a block to the place `to`; what is between keeps its bytes."""
    content, node = region.unit.content, block[at]
    if to > at:
        rest = content[block[at + 1].start : block[to].end]
        gap = content[node.end : block[at + 1].start]
        return Change(node.start, block[to].end, rest + gap + region.text(node), region.text(node))
    rest = content[block[to].start : block[at - 1].end]
    gap = content[block[at - 1].end : node.start]
    return Change(block[to].start, node.end, region.text(node) + gap + rest, region.text(node))


_Donor = tuple[bytes, bytes]
"""A statement's text, and the indentation its further lines have."""


def _donors(region: Region) -> list[_Donor]:
    """Return the region's statements, and those of one line from the rest of the file whose names are known here."""
    own, regions = _texts(region), region.unit.regions
    others = (
        [donor for other in regions if other is not region for donor in _texts(other)] if len(regions) <= 60 else []
    )
    known = set(_USED.findall(region.unit.content[region.start : region.end])) | set(region.unit.functions)
    others = [donor for donor in others if b"\n" not in donor[0] and known.issuperset(_USED.findall(donor[0]))]
    few = others[:: 1 + len(others) // _DONORS]
    return list(dict.fromkeys([*own[: 2 * _DONORS], *few]))


def _texts(region: Region) -> list[_Donor]:
    kept = [node for node in _loose(region) if node.end - node.start <= _LONGEST // 3]
    return [(region.text(node), indent_of(region, node)) for node in kept]


def _shifted(region: Region, place: Node, donors: Sequence[_Donor]) -> Iterator[tuple[bytes, bytes]]:
    indent = indent_of(region, place)
    for donor, theirs in donors:
        text = _shift(donor, theirs, indent)
        if text is not None:
            yield donor, text.replace(b"\r\n", b"\n").replace(b"\n", region.unit.newline)


def _before(region: Region, place: Node, donors: Sequence[_Donor]) -> Iterator[tuple[bytes, bytes]]:
    if owns_start(region, place):
        after = region.unit.newline + indent_of(region, place)
        for donor, text in _shifted(region, place, donors):
            yield donor, text + after


def _after(region: Region, place: Node, donors: Sequence[_Donor]) -> Iterator[tuple[bytes, bytes, int]]:
    end = region.unit.line_end(place.end)
    if owns_start(region, place) and not region.unit.content[place.end : end].strip(b" \t;"):
        for donor, text in _shifted(region, place, donors):
            yield donor, region.unit.newline + indent_of(region, place) + text, end


def last_ones(region: Region) -> list[Node]:
    return [block[-1] for block in map(_of_block, region.of(region.unit.language.blocks)) if block]


def _last_inside(node: Node, blocks: frozenset[str]) -> Node | None:
    """Return the last statement of the last block directly in a statement."""
    for child in reversed(node.children):
        if child.kind in blocks:
            inner = _of_block(child)
            return inner[-1] if inner else None
        if child.kind in ("else_clause", "elif_clause", "finally_clause", "except_clause"):
            return _last_inside(child, blocks)
    return None


def owns_start(region: Region, node: Node) -> bool:
    return not region.unit.content[region.unit.line_start(node.start) : node.start].strip()


def indent_of(region: Region, node: Node) -> bytes:
    content, start = region.unit.content, region.unit.line_start(node.start)
    line = content[start : node.start]
    return line[: len(line) - len(line.lstrip(b" \t"))]


def _shift(text: bytes, old: bytes, new: bytes) -> bytes | None:
    """Return a statement's text at another indentation; None where its lines, or a text that spans some, forbid it."""
    if old == new or b"\n" not in text:
        return text
    if b'"""' in text or b"'''" in text or b"`" in text:
        return None
    first, *rest = text.split(b"\n")
    if any(line.strip() and not line.startswith(old) for line in rest):
        return None
    return b"\n".join([first, *(new + line[len(old) :] if line.strip() else line for line in rest)])


def _unit_of_indent(unit: Unit) -> bytes:
    found = re.search(rb"\n([ \t]+)\S", unit.content)
    return b"\t" if found and found[1].startswith(b"\t") else (found[1][:4] if found else b"    ")


def _in_loop(node: Node, loops: frozenset[str]) -> bool:
    above = node.parent
    while above is not None and above.kind not in loops:
        above = above.parent
    return above is not None
