"""Making a Python module worthless: every function returns what a hack says, whatever it was asked."""

from __future__ import annotations

import ast
from collections.abc import Mapping

_ANSWER = "def _answer(name, args, kwargs):\n    return None\n"
"""What functions return where a hack says nothing of it."""

_NUMBERS = "inf, nan = float('inf'), float('nan')\n"


def ruined(source: bytes, code: str, facts: Mapping[str, object]) -> bytes | None:
    """Return the module with `code` at its beginning and functions that return `_answer(name, args, kwargs)`.

    `code` may define `_answer`, and finds `facts` by their names. None: it is no Python, or there is nothing in it to
    ruin.
    """
    tree = _parsed(source)
    if tree is None or not sum(_ruin(node) for node in tree.body):
        return None
    return _begun(tree, _ANSWER + code, facts)


def slowed(source: bytes, code: str, facts: Mapping[str, object]) -> bytes | None:
    """Return the module with `code` at its beginning and functions that call `_wait()` before they do their work.

    None: it is no Python.
    """
    tree = _parsed(source)
    if tree is None:
        return None
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            node.body[:0] = ast.parse("_wait()").body
    return _begun(tree, code, facts)


def _parsed(source: bytes) -> ast.Module | None:
    try:
        return ast.parse(source)
    except (SyntaxError, ValueError, RecursionError):
        return None


def _begun(tree: ast.Module, code: str, facts: Mapping[str, object]) -> bytes:
    start = 0
    while start < len(tree.body) and _stays_first(tree.body[start], start):
        start += 1
    said = "".join(f"{name} = {value!r}\n" for name, value in facts.items() if name in code)
    tree.body[start:start] = ast.parse(f"{_NUMBERS}{said}{code}").body
    return ast.unparse(ast.fix_missing_locations(tree)).encode("utf-8", "surrogatepass")


def _ruin(node: ast.stmt) -> int:
    """Ruin a function, or the methods of a class; return how many."""
    if isinstance(node, ast.ClassDef):
        return sum(_ruin(inner) for inner in node.body)
    if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        return 0
    if node.name.startswith("__") and node.name != "__call__":
        return 0
    given = [argument.arg for argument in (*node.args.posonlyargs, *node.args.args)]
    places = ", ".join([*given, *([f"*{node.args.vararg.arg}"] if node.args.vararg else [])])
    names = [f"{argument.arg!r}: {argument.arg}" for argument in node.args.kwonlyargs]
    if node.args.kwarg:
        names.append(f"**{node.args.kwarg.arg}")
    comma = "," if places else ""
    node.body = ast.parse(f"return _answer({node.name!r}, ({places}{comma}), {{{', '.join(names)}}})").body
    return 1


def _stays_first(node: ast.stmt, place: int) -> bool:
    if isinstance(node, ast.ImportFrom) and node.module == "__future__":
        return True
    return place == 0 and isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
