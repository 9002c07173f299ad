"""Where a file defines its functions, in every language the surgeon has a table for."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

import tree_sitter

from evogit.proposers.surgery.languages import Language, parser

_IMPORT = re.compile(r"import|include|use_declaration|package|extern_crate")
_WRAPPERS = frozenset({"decorated_definition", "export_statement"})
_TYPES = ("name", "type", "receiver")
_WORD = re.compile(r"\w+")


@dataclass(frozen=True, slots=True)
class Definition:
    """A function: its name, the types it belongs to, its bytes, and its bytes with decorators or `export`."""

    name: str
    within: tuple[str, ...]
    start: int
    end: int
    outer_start: int
    outer_end: int

    @property
    def is_wrapped(self) -> bool:
        """Whether there are any decorators, or an `export`."""
        return self.outer_start != self.start

    @property
    def full_name(self) -> str:
        """The name behind those of its types."""
        return ".".join([*self.within, self.name])


@dataclass(frozen=True, slots=True)
class Outline:
    """A file's functions, its imports, and its other statements outside functions, each with where it begins and ends.

    `broken` is the line, from 1, of the first place that does not parse; `strings` are the bytes of strings over
    several lines that are no documentation.
    """

    functions: tuple[Definition, ...]
    imports: tuple[tuple[int, int], ...]
    others: tuple[tuple[int, int], ...]
    strings: tuple[tuple[int, int], ...]
    first_statement: int
    broken: int | None


def outline(content: bytes, language: Language) -> Outline | None:
    """Return what a file of this language holds, or None when its grammar is not installed."""
    reader = parser(language)
    if reader is None:
        return None
    root = reader.parse(content).root_node
    functions: list[Definition] = []
    imports: list[tuple[int, int]] = []
    others: list[tuple[int, int]] = []
    todo: list[tuple[tree_sitter.Node, tuple[str, ...], tree_sitter.Node | None]] = [(root, (), None)]
    while todo:
        node, within, wrapper = todo.pop()
        holds = node is root or node.type in language.blocks or node.type.endswith(("_body", "declaration_list"))
        for child in node.named_children:
            place = (child.start_byte, child.end_byte)
            if child.type in language.functions:
                functions.append(_definition(child, wrapper, within, content))
            elif child.type in language.containers or (not holds and child.type in language.blocks):
                name = _type_name(child, content) if child.type in language.containers else ""
                todo.append((child, (*within, name) if name else within, child if child.type in _WRAPPERS else None))
            elif holds and _IMPORT.search(child.type):
                imports.append(place)
            elif holds and child.type not in language.comments and not _is_idle(child):
                others.append(place)
    return Outline(
        functions=tuple(sorted(functions, key=lambda found: found.start)),
        imports=tuple(sorted(imports)),
        others=tuple(sorted(others)),
        strings=tuple(_strings(root, language)) if functions else (),
        first_statement=_first_statement(root, language),
        broken=_broken(root),
    )


def _definition(
    node: tree_sitter.Node, wrapper: tree_sitter.Node | None, within: tuple[str, ...], content: bytes
) -> Definition:
    outer = wrapper or node
    receiver = node.child_by_field_name("receiver")
    if receiver is not None:
        words = _WORD.findall(_text(receiver, content))
        within = (*within, *words[-1:])
    return Definition(
        _function_name(node, content), within, node.start_byte, node.end_byte, outer.start_byte, outer.end_byte
    )


def _function_name(node: tree_sitter.Node, content: bytes) -> str:
    found, inner = node.child_by_field_name("name"), node
    while found is None:  # in C the name stands inside the declarators
        declarator = inner.child_by_field_name("declarator")
        if declarator is None:
            return "?"
        inner = declarator
        found = inner if inner.type in ("identifier", "field_identifier") else None
    return _text(found, content)


def _type_name(node: tree_sitter.Node, content: bytes) -> str:
    for field in _TYPES:
        if (found := node.child_by_field_name(field)) is not None:
            return _text(found, content)
    return ""


def _text(node: tree_sitter.Node, content: bytes) -> str:
    return content[node.start_byte : node.end_byte].decode("utf-8", "replace")


def _is_idle(node: tree_sitter.Node) -> bool:
    """Return whether a statement defines nothing: a call, a string, or what a script does when it is run."""
    if node.type in ("if_statement", "empty_statement"):
        return True
    inner = node.named_children[0] if node.type == "expression_statement" and node.named_children else None
    return inner is not None and "assignment" not in inner.type


def _first_statement(root: tree_sitter.Node, language: Language) -> int:
    """Return where the first statement begins that is neither a comment nor the file's documentation."""
    for child in root.named_children:
        is_text = child.type == "expression_statement" and child.named_children[:1]
        if child.type in language.comments or (is_text and child.named_children[0].type in language.strings):
            continue
        return child.start_byte
    return root.end_byte


def _strings(root: tree_sitter.Node, language: Language) -> Iterator[tuple[int, int]]:
    todo = [root]
    while todo:
        node = todo.pop()
        if node.type in language.strings and node.end_point[0] > node.start_point[0]:
            parent = node.parent
            if parent is None or parent.type != "expression_statement":
                yield node.start_byte, node.end_byte
        else:
            todo += node.named_children


def _broken(root: tree_sitter.Node) -> int | None:
    node = root
    while node.has_error and not (node.is_error or node.is_missing):
        inner = next((child for child in node.children if child.has_error or child.is_missing), None)
        if inner is None:
            break
        node = inner
    return node.start_point[0] + 1 if root.has_error else None
