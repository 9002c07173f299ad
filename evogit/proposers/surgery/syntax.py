"""A file as the surgeon sees it: its regions (functions, and what is outside them), their nodes, and whether a change
still parses.

Knows nothing of which change is worth a try.
"""

from __future__ import annotations

import re
import warnings
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property, lru_cache
from typing import NamedTuple

import tree_sitter

from evogit import marked
from evogit.model import RepoPath, SourceFile
from evogit.proposers.surgery.languages import Language, language_of, parser

MAX_BYTES = 256 * 1024
"""A larger file is data, or minified, and is left alone."""
MAX_LINE = 5_000
_SMALL = 64 * 1024
_MAX_NODES = 20_000
"""Nodes of one region; the rest of a longer one is not seen."""
_LEAVES = frozenset({"is not", "not in"})
_NOT_COMPILED = (SyntaxError, ValueError, RecursionError, MemoryError, OverflowError)


class Change(NamedTuple):
    """Bytes `start` to `end` of a file make place for `text`; `what` names the thing moved or copied, for people.

    `weight` is how likely it is beside the operation's others that it is what was meant.
    """

    start: int
    end: int
    text: bytes
    what: bytes = b""
    weight: float = 1.0


class Node:
    """A node of the syntax tree, free of the parser: `kind` and `field` are the grammar's words."""

    __slots__ = ("children", "end", "field", "kind", "named", "parent", "start")

    def __init__(self, found: tree_sitter.Node, field: str, parent: Node | None) -> None:
        self.kind, self.field, self.named = found.type, field, found.is_named
        self.start, self.end, self.parent = found.start_byte, found.end_byte, parent
        self.children: list[Node] = []

    def named_children(self, comments: frozenset[str]) -> list[Node]:
        """Return the children with a meaning of their own."""
        return [child for child in self.children if child.named and child.kind not in comments]

    def child(self, field: str) -> Node | None:
        """Return the first child in this field."""
        return next((child for child in self.children if child.field == field), None)


class Region:
    """A function with all that is in it, or what a file holds outside its functions (then `name` is empty).

    `within` is the name of its class, if it has one.
    """

    def __init__(self, unit: Unit, name: str, within: str, roots: Sequence[tree_sitter.Node]) -> None:
        self.unit, self.name, self.within = unit, name, within
        self.start, self.end = roots[0].start_byte, roots[-1].end_byte
        self.size = sum(root.end_byte - root.start_byte for root in roots)
        self.found: dict[float, Sequence[Change]] = {}
        """What each operation can do here, as far as it was asked."""
        self.many: frozenset[bytes] | None = None
        """The names here that cannot stand for numbers, once that was asked."""
        self.worths: dict[float, tuple[object, Sequence[float]]] = {}
        """How likely each of these changes is, and by which evidence."""
        self.numbers: frozenset[bytes] | None = None
        """What here is a number, once that was asked."""
        self.keys: dict[float, list[float]] = {}
        """What tells each of these changes from others, in the same order."""
        self.spans: dict[bytes, list[tuple[int, int]]] | None = None
        """Where the names bound here have a value, once that was asked."""
        self._roots = roots

    @cached_property
    def nodes(self) -> list[Node]:
        """All nodes of the region, each after its parent, in the order of the text; nothing of what did not parse."""
        found: list[Node] = []
        for root in self._roots:
            found += _flatten(root, _MAX_NODES - len(found))
        return found

    @cached_property
    def kinds(self) -> dict[str, list[Node]]:
        """The nodes by kind."""
        by_kind: dict[str, list[Node]] = {}
        for node in self.nodes:
            by_kind.setdefault(node.kind, []).append(node)
        return by_kind

    def of(self, kinds: frozenset[str]) -> list[Node]:
        """Return the nodes of these kinds."""
        return [node for kind in sorted(kinds & self.kinds.keys()) for node in self.kinds[kind]]

    def text(self, node: Node) -> bytes:
        """Return what stands there."""
        return self.unit.content[node.start : node.end]

    @cached_property
    def statements(self) -> list[Node]:
        """The statements of all blocks; comments and docstrings are none."""
        language = self.unit.language
        found = []
        for block in self.of(language.blocks):
            found += [node for node in block.children if node.named and node.kind not in language.comments]
        found += [root for root in self.nodes if root.parent is None and not self.name and root.named]
        return [node for node in found if not is_bare_string(node) and node.kind not in language.comments]


class Unit:
    """A file that was parsed."""

    def __init__(self, path: RepoPath, content: bytes, language: Language, root: tree_sitter.Node) -> None:
        self.path, self.content, self.language = path, content, language
        self.has_error = root.has_error
        self.regions = list(_regions(self, root))
        self.newline = b"\r\n" if content[:4096].count(b"\r\n") * 2 > content[:4096].count(b"\n") else b"\n"

    def line_start(self, at: int) -> int:
        """Return where the line begins that `at` stands in."""
        return self.content.rfind(b"\n", 0, at) + 1

    def line_end(self, at: int) -> int:
        """Return where that line ends, its line end left out."""
        end = self.content.find(b"\n", at)
        end = len(self.content) if end < 0 else end
        return end - 1 if end > at and self.content[end - 1 : end] == b"\r" else end

    def line(self, at: int) -> int:
        """Return the number of that line, from 1."""
        return bisect_left(self._ends, at) + 1

    @cached_property
    def _ends(self) -> list[int]:
        return [found.start() for found in re.finditer(rb"\n", self.content)]

    @cached_property
    def _lines(self) -> list[bytes]:
        return self.content.splitlines()

    def text_of(self, line: int) -> bytes:
        """Return what stands in the line of that number, from 1, without its indentation; nothing beyond the end."""
        return self._lines[line - 1].strip() if 0 < line <= len(self._lines) else b""

    @cached_property
    def _allowed(self) -> list[tuple[int, int]] | None:
        return marked.places(self.content)

    def may_change(self, start: int, end: int) -> bool:
        """Return whether agents may change these bytes."""
        return marked.is_within(self._allowed, start, end)

    def is_open(self, region: Region) -> bool:
        """Return whether agents may change anything in a region."""
        return self._allowed is None or any(start < region.end and region.start < end for start, end in self._allowed)

    @cached_property
    def functions(self) -> tuple[bytes, ...]:
        """The names of the file's functions and methods, each once, in order."""
        return tuple(dict.fromkeys(region.name.encode("utf-8", "replace") for region in self.regions if region.name))

    @cached_property
    def _compiles(self) -> bool:
        return compiles(self.content)

    def apply(self, changes: Sequence[Change]) -> bytes:
        """Return the content with these changes, which do not overlap, and every other byte as it was."""
        pieces, at = [], 0
        for change in sorted(changes):
            pieces += [self.content[at : change.start], change.text]
            at = change.end
        return b"".join([*pieces, self.content[at:]])

    def still_parses(self, content: bytes) -> bool:
        """Return whether a changed content is as sound as this file: Python's own compiler is asked for Python."""
        if self.language.python and self._compiles:
            return compiles(content)
        return _errors(self.language, content) <= (_errors(self.language, self.content) if self.has_error else 0)


def parse(file: SourceFile) -> Unit | None:
    """Return a file as a parsed unit, from a bounded cache; None when no installed grammar can read it."""
    if len(file.content) > MAX_BYTES:
        return None
    return (_parse_small if len(file.content) <= _SMALL else _parse_large)(file.path, file.content)


def _parse(path: RepoPath, content: bytes) -> Unit | None:
    language = language_of(path)
    reader = parser(language) if language else None
    if language is None or reader is None or max(map(len, content.splitlines()), default=0) > MAX_LINE:
        return None
    return Unit(path, content, language, reader.parse(content).root_node)


_parse_small = lru_cache(maxsize=24)(_parse)
_parse_large = lru_cache(maxsize=3)(_parse)


def _regions(unit: Unit, root: tree_sitter.Node) -> Iterator[Region]:
    language, outside = unit.language, list[tree_sitter.Node]()
    todo: list[tuple[tree_sitter.Node, str]] = [(root, "")]
    while todo:
        node, above = todo.pop()
        within = node is root or node.type in language.blocks
        for child in node.named_children:
            if child.type in language.functions:
                yield Region(unit, _name(child, unit.content), above, [child])
            elif child.type in language.containers or (not within and child.type in language.blocks):
                todo.append((child, _name(child, unit.content, above)))
            elif within and child.type not in language.comments:
                outside.append(child)
    if outside:
        yield Region(unit, "", "", sorted(outside, key=lambda root: root.start_byte))


def _name(node: tree_sitter.Node, content: bytes, otherwise: str = "?") -> str:
    found = node.child_by_field_name("name")
    inner: tree_sitter.Node | None = node
    while found is None:  # in C the name stands inside the declarators
        inner = inner.child_by_field_name("declarator") if inner is not None else None
        if inner is None:
            return otherwise
        found = inner if inner.type == "identifier" else None
    return content[found.start_byte : found.end_byte].decode("utf-8", "replace")


def _flatten(root: tree_sitter.Node, room: int) -> list[Node]:
    found: list[Node] = []
    cursor, parent = root.walk(), None
    while len(found) < room:
        node = cursor.node
        skipped = node is None or node.is_error or node.is_missing
        if node is not None and not skipped:
            made = Node(node, cursor.field_name or "", parent)
            found.append(made)
            if parent is not None:
                parent.children.append(made)
            if made.kind not in _LEAVES and cursor.goto_first_child():
                parent = made
                continue
        while not cursor.goto_next_sibling():
            if parent is None or not cursor.goto_parent():
                return found
            parent = parent.parent
    return found


def is_bare_string(node: Node) -> bool:
    """Return whether a statement is a string and nothing else, as a docstring is."""
    inner = node.children[0] if node.kind == "expression_statement" and node.children else None
    return inner is not None and inner.kind == "string"


def compiles(content: bytes) -> bool:
    """Return whether Python's compiler takes it."""
    try:
        with warnings.catch_warnings(action="ignore"):
            compile(content, "<candidate>", "exec", dont_inherit=True)
    except _NOT_COMPILED:
        return False
    return True


def _errors(language: Language, content: bytes) -> int:
    """Count what the grammar could not read."""
    reader = parser(language)
    root = reader.parse(content).root_node if reader else None
    if root is None or not root.has_error:
        return 0
    count, todo = 0, [root]
    while todo:
        node = todo.pop()
        count += node.is_error or node.is_missing
        todo += [child for child in node.children if child.has_error]
    return count


Operate = Callable[[Region], Iterator[Change]]
"""An operation: yields what it could do in a region."""
