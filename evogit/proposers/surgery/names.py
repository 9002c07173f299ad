"""Operations on names: variables, attributes, functions, and what stands for them elsewhere in the region."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator

from evogit.proposers.surgery import vocabulary as words
from evogit.proposers.surgery.scope import is_bound, uses_visible, visible
from evogit.proposers.surgery.syntax import Change, Node, Region

MAX_NAMES = 14
"""Names of a scope that stand in for one another; of more, those used most."""
OWN = (b"self", b"cls", b"this")
"""What a method is called on: it is seldom meant where another variable stands, nor another in its place."""
_NOT_VALUES = frozenset({"type", "dotted_name", "decorator", "function_definition", "keyword_argument"})


def name(region: Region) -> Iterator[Change]:
    """Replace a variable by another one of the same scope that is called alike or bound together with it."""
    together = _bound_together(region)
    for node, old, new in _renamings(region):
        if node.field != "left" and (_alike(old, new) or new in together.get(old, ())):
            yield Change(node.start, node.end, new)


def other_name(region: Region) -> Iterator[Change]:
    """Replace a variable by any other one of the same scope."""
    together = _bound_together(region)
    for node, old, new in _renamings(region):
        if node.field == "left" or not (_alike(old, new) or new in together.get(old, ())):
            yield Change(node.start, node.end, new)


def expression(region: Region) -> Iterator[Change]:
    """Replace a variable, an element or an attribute by an element or an attribute that stands elsewhere here."""
    kinds = region.unit.language.subscripts | {above for above, _ in region.unit.language.attributes}
    whole = [
        node for node in region.of(kinds) if node.end - node.start <= 40 and node.field not in ("left", "function")
    ]
    known = Counter(region.text(node) for node in whole)
    donors = [text for text, _ in known.most_common(MAX_NAMES // 2)]
    for node in (*whole, *(one for one in uses(region) if one.field not in ("left", "function"))):
        old = region.text(node)
        fitting = (new for new in donors if new != old and uses_visible(region, new, node.start))
        yield from (Change(node.start, node.end, new) for new in fitting)


def _renamings(region: Region) -> Iterator[tuple[Node, bytes, bytes]]:
    others = names_in(region)
    for node in uses(region):
        old = region.text(node)
        if node.field != "function" and old in others:
            yield from ((node, old, new) for new in others if new != old and visible(region, new, node.start))


def _alike(one: bytes, other: bytes) -> bool:
    parts = [frozenset(part for part in text.lower().split(b"_") if part) for text in (one, other)]
    return bool(parts[0] & parts[1]) or one.startswith(other) or other.startswith(one)


def _bound_together(region: Region) -> dict[bytes, set[bytes]]:
    """Return for each name those that stand beside it: as parameters, as targets of one loop or one assignment."""
    found: dict[bytes, set[bytes]] = {}
    groups = region.unit.language.parameters | {"pattern_list", "tuple_pattern", "expression_list", "identifier_list"}
    for group in region.of(groups):
        texts = [region.text(node).split(b"=")[0].split(b":")[0].strip() for node in group.children if node.named]
        for text in texts:
            found.setdefault(text, set()).update(texts)
    return found


def function(region: Region) -> Iterator[Change]:
    """Call another function or method of the file instead."""
    known = region.unit.functions[:40]
    for node in region.of(region.unit.language.calls):
        called = node.child("function") or node.child("name")
        if called is not None and called.children:
            called = called.children[-1]
        if called is not None and region.text(called) in known:
            old = region.text(called)
            yield from (Change(called.start, called.end, new) for new in known if new not in (old, b"__init__"))


def attribute(region: Region) -> Iterator[Change]:
    """Replace an attribute by another one of the same object."""
    by_object: dict[bytes, Counter[bytes]] = {}
    found = [node for node in region.nodes if node.parent and (node.parent.kind, node.field) in _attributes(region)]
    for node in found:
        if node.parent is not None:
            by_object.setdefault(_object(region, node), Counter())[region.text(node)] += 1
    near = _self_attributes(region)
    for node in found:
        of, old = _object(region, node), region.text(node)
        called = node.parent is not None and node.parent.field == "function"
        known = dict.fromkeys(by_object[of]) | (near if of in (b"self.", b"this.", b"this->") and not called else {})
        yield from (Change(node.start, node.end, new) for new in list(known)[:MAX_NAMES] if new != old)


def same_shape(region: Region) -> Iterator[Change]:
    """Replace a function or method by one that takes and gives the same: `min` by `max`, `lstrip` by `rstrip`."""
    for node in (one for one in region.nodes if not one.children):
        above = (node.parent.kind, node.field) if node.parent is not None else ("", "")
        known = above in region.unit.language.attributes or not is_bound(region, region.text(node))
        if node.named and node.kind.endswith("identifier") and known:
            yield from (Change(node.start, node.end, new) for new in words.SAME_SHAPE.get(region.text(node), ()))


def uses(region: Region) -> list[Node]:
    """Return where variables stand, other than where they are defined."""
    language = region.unit.language
    found = []
    for node in region.of(language.names):
        above = node.parent
        place = (above.kind, node.field) if above else ("", "")
        bound = place in language.bindings or place in language.attributes
        if above is not None and not bound and region.text(node) not in OWN:
            found.append(node)
    return found


def names_in(region: Region) -> list[bytes]:
    """Return the variables of the region, those used most first; functions that are only called are left out."""
    language = region.unit.language
    counted: Counter[bytes] = Counter()
    for node in region.of(language.names):
        above = node.parent
        if above is None or (above.kind, node.field) in language.attributes or node.field == "function":
            continue
        if above.kind in _NOT_VALUES and node.field != "value":
            continue
        counted[region.text(node)] += 1
    return [name for name, _ in counted.most_common(MAX_NAMES + len(OWN)) if name not in OWN][:MAX_NAMES]


def _attributes(region: Region) -> frozenset[tuple[str, str]]:
    return region.unit.language.attributes


def _object(region: Region, node: Node) -> bytes:
    above = node.parent
    return region.unit.content[above.start : node.start] if above else b""


def _self_attributes(region: Region) -> dict[bytes, None]:
    found: Counter[bytes] = Counter(
        re.findall(rb"\b(?:self|this)(?:\.|->)(\w+)(?!\w*\()", region.unit.content[:200_000])
    )
    return {name: None for name, _ in found.most_common(MAX_NAMES)}
