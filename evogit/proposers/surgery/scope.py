"""Where a name of a region means something: what uses one before it is bound fails at once, and tells nothing."""

from __future__ import annotations

import re
from collections.abc import Iterator

from evogit.proposers.surgery.syntax import Node, Region

_USED = re.compile(rb"(?<![\w.\"'])[A-Za-z_]\w*")
_MANY = re.compile(
    rb"(?<![\w.])(\w+)(?:\[|\.\w+\()|\bin (\w+)\s*[:)\]]|(?<![\w.])(\w+) = (?:\[|\{|\"|'|sorted\(|list\(|set\()"
)
"""Names that are subscripted, whose methods are called, that are gone through or begin as something that holds more."""
_INSIDE = frozenset({
    "pattern_list", "tuple_pattern", "list_pattern", "list_splat_pattern", "tuple", "list", "as_pattern_target",
    "typed_parameter", "default_parameter", "typed_default_parameter", "dictionary_splat_pattern",
})  # fmt: skip
_TARGETS = frozenset({"assignment", "for_statement", "for_in_clause", "named_expression"})

_NOT_NUMBERS = frozenset(
    b"sorted list set dict tuple str reversed enumerate zip map filter range append extend add items keys values "
    b"setdefault strip lower upper split join partition startswith endswith isdigit print isinstance any all bool "
    b"copy encode decode replace format splitlines open iter deque Counter defaultdict OrderedDict".split()
)

_ORDERS = frozenset({b"<", b"<=", b">", b">="})
_SUMS = frozenset({b"+", b"-", b"*", b"/", b"//", b"**", b"+=", b"-=", b"*=", b"/=", b"//="})

Spans = dict[bytes, list[tuple[int, int]]]


def visible(region: Region, name: bytes, at: int) -> bool:
    """Return whether a name has a value there, as far as the text tells: True for one that is not bound in the region.

    Only Python's names are looked at; in other languages all are visible.
    """
    spans = _spans(region).get(name)
    return spans is None or any(first <= at <= last for first, last in spans)


def is_bound(region: Region, name: bytes) -> bool:
    """Return whether a name is a variable of the region, as far as the text tells."""
    return name in _spans(region)


def is_needed(region: Region, node: Node) -> bool:
    """Return whether a statement gives a name its only value here, and the name is used: nothing works without it."""
    inner = node.children[0] if node.kind == "expression_statement" and node.children else node
    left = inner.child("left") if inner.kind == "assignment" else None
    if left is None or not region.unit.language.python:
        return False
    targets = [left] if left.kind == "identifier" else [one for one in left.children if one.kind == "identifier"]
    names = [region.text(one) for one in targets if len(_spans(region).get(region.text(one), ())) == 1]
    used = [region.text(one) for one in region.of(frozenset({"identifier"}))]
    return any(used.count(name) > 1 for name in names)


def uses_visible(region: Region, text: bytes, at: int) -> bool:
    """Return whether all names in a text have a value there; those the text binds itself are among them."""
    return all(visible(region, name, at) for name in _USED.findall(text))


def may_be_number(region: Region, node: Node) -> bool:
    """Return whether a value may be a number, as far as the text tells: not when it is called or gone through."""
    if not region.unit.language.python:
        return True
    text = region.text(node)
    if node.kind == "call":
        called = node.child("function")
        return called is not None and region.text(called).rpartition(b".")[2] not in _NOT_NUMBERS
    if node.kind != "identifier":
        return True
    return not holds_many(region, text)


def holds_many(region: Region, name: bytes) -> bool:
    """Return whether a name stands for something that holds more, as far as the text tells."""
    if region.many is None:
        own = region.unit.content[region.start : region.end]
        region.many = frozenset(found[1] or found[2] or found[3] for found in _MANY.finditer(own))
    return name in region.many


def is_number(region: Region, node: Node) -> bool:
    """Return whether a value is a number, as far as the text tells: a constant, or something that is counted with."""
    language, text = region.unit.language, region.text(node)
    if node.kind in language.integers | language.floats or node.kind in ("binary_operator", "binary_expression"):
        return True
    if region.numbers is None:
        region.numbers = frozenset(_counted_with(region))
    return text in region.numbers or text.startswith(b"len(")


def _counted_with(region: Region) -> Iterator[bytes]:
    """Yield what stands beside a number, is added to, or counts: in sums, comparisons by size and calls of `range`."""
    language = region.unit.language
    numbers = language.integers | language.floats
    for node in region.of(language.binary | {"augmented_assignment"}):
        if node.kind == "boolean_operator":
            continue
        parts = [child for child in node.children if child.named]
        signs = {region.text(child) for child in node.children if not child.named}
        if signs & _ORDERS or (signs - {b"+"} and signs <= _SUMS) or any(part.kind in numbers for part in parts):
            yield from (region.text(part) for part in parts)
    for node in region.of(language.calls):
        called, given = node.child("function"), node.child("arguments")
        if called is not None and given is not None and region.text(called) == b"range":
            yield from (region.text(part) for part in given.children if part.named)


def _spans(region: Region) -> Spans:
    if region.spans is None:
        region.spans = _bound(region) if region.unit.language.python else {}
    return region.spans


def _bound(region: Region) -> Spans:
    found: Spans = {}
    for node in region.of(frozenset({"identifier"})):
        span = _span(node, region.end)
        if span is not None:
            found.setdefault(region.text(node), []).append(span)
    return found


def _span(node: Node, end: int) -> tuple[int, int] | None:
    """Return from where to where a name that is bound by this node has its value; None: the node binds nothing."""
    inner, above = node, node.parent
    while above is not None and above.kind in _INSIDE and inner.field not in ("value", "type"):
        inner, above = above, above.parent
    if above is None:
        return None
    if above.kind == "lambda_parameters" and above.parent is not None:
        return above.parent.start, above.parent.end
    if above.kind == "for_in_clause" and inner.field == "left" and above.parent is not None:
        return above.parent.start, above.parent.end
    if above.kind == "parameters" or inner.kind == "as_pattern_target":
        return node.start, end
    if inner.field in ("left", "name") and above.kind in _TARGETS:
        return (above.end if above.kind == "assignment" else node.end), end
    return None
