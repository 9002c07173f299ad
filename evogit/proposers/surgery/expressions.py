"""Operations on expressions: each yields what it could do in a region. What a language calls things is its table's."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from itertools import pairwise

from evogit.proposers.surgery import vocabulary as words
from evogit.proposers.surgery.names import names_in
from evogit.proposers.surgery.scope import is_number, may_be_number, uses_visible, visible
from evogit.proposers.surgery.syntax import Change, Node, Region

_Table = Mapping[bytes, tuple[bytes, ...]]

_TURNED, _ODD = 2.0, 0.4
_CONDITION_FIELDS = frozenset({"condition"})
_COUNTS = frozenset({"augmented_assignment", "augmented_assignment_expression", "update_expression"})
_WORD = re.compile(rb"[A-Za-z_]\w*\Z")
_INT = re.compile(rb"[0-9]+\Z")


def boundary(region: Region) -> Iterator[Change]:
    """Take a comparison's bound in or leave it out, or ask the opposite."""
    yield from _tokens(region, words.BOUNDARIES)


def comparison(region: Region) -> Iterator[Change]:
    """Replace a comparison by another: most likely by the one the other way round that has the same bound."""
    for change in _tokens(region, words.COMPARISONS, words.BOUNDARIES):
        old = region.unit.content[change.start : change.end]
        yield change._replace(weight=_TURNED if words.TURNED.get(old) == change.text else _ODD)


def arithmetic(region: Region) -> Iterator[Change]:
    """Replace an arithmetic or bitwise operator, most likely by its opposite."""
    for change in _tokens(region, words.ARITHMETIC):
        old = region.unit.content[change.start : change.end]
        yield change._replace(weight=1.0 if change.text in words.OPPOSITES.get(old, ()) else _ODD)


def boolean(region: Region) -> Iterator[Change]:
    """Replace `and` by `or`, or `or` by `and`."""
    yield from _tokens(region, words.BOOLEANS)


def augmented(region: Region) -> Iterator[Change]:
    """Replace `+=` by `-=` or `=`, and the like."""
    for token in _leaves(region):
        old = region.text(token)
        if not token.named and old != b"=" and token.parent is not None:
            for new in words.ASSIGNMENTS.get(old, ()):
                if new.decode() not in region.unit.language.absent:
                    yield Change(token.start, token.end, new)
        elif old == b"=" and token.parent is not None and token.parent.kind in ("assignment", "assignment_expression"):
            left = token.parent.child("left")
            if left is None or left.kind != "identifier" or visible(region, region.text(left), token.parent.start):
                yield from (Change(token.start, token.end, new) for new in (b"+=", b"-="))


def negate(region: Region) -> Iterator[Change]:
    """Negate a condition, or take its `not` away."""
    no = region.unit.language.words[2].encode()
    for node in conditions(region):
        text = region.text(node)
        if node.kind in ("not_operator", "unary_expression") and text.startswith(no.strip()):
            yield Change(node.start, node.end, text[len(no.strip()) :].strip())
        else:
            # The negation of a comparison is another comparison, which stands for it in most programs.
            weight = _ODD if node.kind == "comparison_operator" else 1.0
            yield Change(node.start, node.end, no + (text if is_tight(node) else b"(%b)" % text), weight=weight)


def fix(region: Region) -> Iterator[Change]:
    """Replace a condition by true or false."""
    for node in conditions(region):
        for word in region.unit.language.truth[:2]:
            yield Change(node.start, node.end, word.encode())


def drop_part(region: Region) -> Iterator[Change]:
    """Replace `a op b` by `a` or by `b`, and a call or a sign by what it is applied to."""
    language = region.unit.language
    for node in region.of(language.binary):
        parts = node.named_children(language.comments)
        if len(parts) == 2:
            yield from (Change(node.start, node.end, region.text(part)) for part in parts)
    for node in region.of(frozenset({"unary_operator", "not_operator", "unary_expression"})):
        parts = node.named_children(language.comments)
        if parts:
            yield Change(node.start, node.end, region.text(parts[-1]))


def add_part(region: Region) -> Iterator[Change]:
    """Add a further condition to one, by `and` or `or`: another one of the region, or that a name is true or not."""
    unit, both = region.unit, conditions(region)
    one, other, no = (word.encode() for word in unit.language.words)
    texts = dict.fromkeys(region.text(node) for node in both if node.end - node.start < 80)
    texts |= dict.fromkeys(names_in(region)[:8])
    for node in both:
        text = region.text(node)
        shown = text if is_tight(node) or node.kind == "comparison_operator" else b"(%b)" % text
        for more in texts:
            if more not in text and text not in more:
                for added in (more, no + (more if _WORD.match(more) else b"(%b)" % more)):
                    for op in (one, other) if uses_visible(region, more, node.start) else ():
                        yield Change(node.start, node.end, b"%b %b %b" % (added, op, shown))
                        yield Change(node.start, node.end, b"%b %b %b" % (shown, op, added))


def off_by_one(region: Region) -> Iterator[Change]:
    """Move a bound, an index, an argument or a returned number by one."""
    for node in _numeric(region):
        text = region.text(node)
        if _INT.match(text):
            weight = _ODD if node.parent is not None and node.parent.kind in _COUNTS else 1.0
            yield Change(node.start, node.end, b"%d" % (int(text) + 1), weight=weight)
            if int(text) > 0:
                yield Change(node.start, node.end, b"%d" % (int(text) - 1), weight=weight)
            elif node.parent is not None and node.parent.kind in region.unit.language.arguments:
                yield Change(node.start, node.end, b"-1")
        elif node.end - node.start < 60 and may_be_number(region, node):
            shown = text if is_tight(node) or node.kind == "binary_operator" else b"(%b)" % text
            head, tail = (b"(", b")") if _is_factor(region, node) else (b"", b"")
            weight = 1.0 if is_number(region, node) else _ODD
            for sign in (b" + 1", b" - 1"):
                yield Change(node.start, node.end, head + shown + sign + tail, weight=weight)


def number(region: Region) -> Iterator[Change]:
    """Change a number by its size: to its double, its half, its opposite, 0, 1, 2."""
    language = region.unit.language
    for node in region.of(language.integers):
        text = region.text(node)
        if _INT.match(text) and len(text) < 16:
            value = int(text)
            new = dict.fromkeys((value * 2, value // 2, 0, 1, 2, value * 10, value // 10, value + 2, max(0, value - 2)))
            yield from (Change(node.start, node.end, b"%d" % one) for one in new if one != value)
            if value and not _is_signed(node):
                yield Change(node.start, node.end, b"(-%d)" % value)
    for node in region.of(language.floats):
        try:
            size = float(region.text(node))
        except ValueError:
            continue
        for one in (size * 2, size / 2, size * 1.2, size / 1.2, 0.0, 1.0):
            if one != size:
                yield Change(node.start, node.end, f"{one:.6g}".encode() + (b"" if one % 1 else b".0"))


def arguments(region: Region) -> Iterator[Change]:
    """Swap two arguments of a call, or leave one out."""
    language = region.unit.language
    for node in region.of(language.arguments):
        parts = node.named_children(language.comments)
        for before, after in pairwise(parts):
            between = region.unit.content[before.end : after.start]
            yield Change(before.start, after.end, region.text(after) + between + region.text(before))
            yield Change(before.end, after.end, b"")
        if len(parts) > 1:
            yield Change(parts[0].start, parts[1].start, b"")


def operands(region: Region) -> Iterator[Change]:
    """Swap the two sides of an operator."""
    language = region.unit.language
    for node in region.of(language.binary):
        parts = node.named_children(language.comments)
        if len(parts) == 2:
            between = region.unit.content[parts[0].end : parts[1].start]
            yield Change(node.start, node.end, region.text(parts[1]) + between + region.text(parts[0]))


def call(region: Region) -> Iterator[Change]:
    """Take a call's only argument instead of the call, or the object instead of a method's result; or the reverse."""
    language = region.unit.language
    for node in region.of(language.calls):
        given = node.child("arguments")
        called = node.child("function")
        parts = given.named_children(language.comments) if given else []
        if len(parts) == 1:
            yield Change(node.start, node.end, region.text(parts[0]))
        if called is not None and len(called.children) > 1:
            yield Change(node.start, node.end, region.text(called.children[0]))
    if language.python:
        for node in _values(region):
            text = region.text(node)
            yield from (Change(node.start, node.end, b"%b(%b)" % (f.encode(), text)) for f in words.WRAPPERS)
            yield from (Change(node.end, node.end, tail.encode()) for tail in words.TAILS if is_tight(node))


def subscript(region: Region) -> Iterator[Change]:
    """Turn an index or a slice round, leave a bound out, or take the whole."""
    language = region.unit.language
    for node in region.of(language.subscripts):
        parts = node.named_children(language.comments)
        if len(parts) != 2:
            continue
        index, text = parts[1], region.text(parts[1])
        if index.kind == "slice":
            yield from _slices(region, index)
        elif language.python:
            yield Change(index.start, index.end, b"-1" if text == b"0" else b"0")
            weight = 1.0 if is_number(region, index) else _ODD
            yield from (Change(index.start, index.end, new, weight=weight) for new in (b":" + text, text + b":"))
        yield Change(node.start, node.end, region.text(parts[0]))


def conditions(region: Region) -> list[Node]:
    """Return what is asked in the region: of branches, loops, filters and choices, and the parts of each."""
    language, found = region.unit.language, list[Node]()
    for node in region.nodes:
        if node.parent is None or not node.named:
            continue
        above = node.parent.kind
        asked = node.field in _CONDITION_FIELDS or above in ("if_clause", "assert_statement")
        asked |= (
            above == "conditional_expression"
            and node.field == ""
            and node.parent.named_children(frozenset())[1] is node
        )
        asked |= above == "boolean_operator" or node.kind in ("comparison_operator", "boolean_operator", "not_operator")
        if asked:
            inner = node
            while inner.kind == "parenthesized_expression":
                inner = next((child for child in inner.children if child.named), inner.children[0])
            if inner not in found[-2:] and inner.kind not in language.comments and inner.named:
                found.append(inner)
    return list(dict.fromkeys(found))


def _tokens(region: Region, table: _Table, but: _Table | None = None) -> Iterator[Change]:
    left_out, absent = but or {}, region.unit.language.absent
    for node in region.of(region.unit.language.binary | {"range_expression"}):
        for token in node.children:
            old = region.text(token)
            if not token.named:
                allowed = (new for new in table.get(old, ()) if new not in left_out.get(old, ()))
                yield from (Change(token.start, token.end, new) for new in allowed if new.decode() not in absent)


def _leaves(region: Region) -> Iterator[Node]:
    return (node for node in region.nodes if not node.children)


def _numeric(region: Region) -> list[Node]:
    """Return where one more or one less may matter: bounds, indices, arguments, sides of comparisons, results."""
    language, found = region.unit.language, list[Node]()
    for node in region.of(language.integers):
        found.append(node)
    places = (
        language.binary | language.arguments | language.subscripts | language.returns | {"slice", "range_expression"}
    )
    places |= {
        "assignment",
        "augmented_assignment",
        "variable_declarator",
        "init_declarator",
        "expression_list",
        "subscript",
    }
    wanted = (
        language.names | language.calls | language.subscripts | {"attribute", "binary_operator", "field_expression"}
    )
    for node in region.nodes:
        above = node.parent
        if (
            node.kind in wanted
            and above is not None
            and above.kind in places
            and node.field not in ("left", "function", "value")
        ) or (node.kind in wanted and above is not None and above.kind in language.binary):
            found.append(node)
    return found


def _values(region: Region) -> list[Node]:
    """Return whole values: right sides, arguments, results."""
    language = region.unit.language
    above = (
        language.arguments | language.returns | {"assignment", "for_statement", "for_in_clause", "comparison_operator"}
    )
    kinds = language.names | language.calls | {"attribute", "subscript", "binary_operator", "list_comprehension"}
    return [
        node for node in region.nodes
        if node.kind in kinds and node.parent and node.parent.kind in above and node.field != "left"
        and node.end - node.start < 80
    ]  # fmt: skip


def _slices(region: Region, index: Node) -> Iterator[Change]:
    text = region.text(index)
    before, colon, after = text.partition(b":")
    if colon and b":" not in after:
        if before and after:
            yield from (Change(index.start, index.end, new) for new in (before + b":", b":" + after))
        else:
            yield Change(index.start, index.end, b"%b:%b" % (after, before))
            bound = before or after
            if bound and not bound.startswith(b"-"):
                yield Change(index.start, index.end, b"%b:-%b" % (b"", bound) if after else b"-%b:" % bound)
    yield Change(index.start, index.end, b"::-1")


def is_tight(node: Node) -> bool:
    """Whether a prefix or a suffix applies to all of it without brackets."""
    return not node.children or node.kind in (
        "call", "attribute", "subscript", "call_expression", "field_expression", "subscript_expression",
        "index_expression", "member_expression", "parenthesized_expression", "method_invocation", "array_access",
        "field_access",
    )  # fmt: skip


def _is_factor(region: Region, node: Node) -> bool:
    """Whether it stands beside an operator that binds more strongly than a sum."""
    beside = node.parent.children if node.parent is not None and node.parent.kind in region.unit.language.binary else []
    return any(region.text(one) in (b"*", b"/", b"//", b"%", b"**") for one in beside if not one.named)


def _is_signed(node: Node) -> bool:
    return node.parent is not None and node.parent.kind in ("unary_operator", "unary_expression")
