"""Finds code that lists what the tests ask and what they want to hear, where it should find that out.

Only questions of several numbers with a number for an answer are looked for: tables of names are often what a program
is about. Answers that are packed or hashed are not found, and no reader of code could find them all.
"""

from __future__ import annotations

import ast
import os
from collections.abc import Iterable, Iterator, Mapping
from functools import cache

from evogit.evaluation.bench import Bench

_MOST_BYTES = 1024 * 1024
_FEW, _SOME = 3, 5
_Number = int | float
_Question = tuple[_Number, ...]
_Answers = Mapping[_Question, frozenset[_Number]]


def found(bench: Bench) -> str | None:
    """Return where the candidate that stands in a bench has answers of the tests by heart, in words; None: nowhere.

    A file of the base may have what it has.

    Raises:
        StorageError: the base cannot be read.
        OSError: a file cannot be read.
    """
    export = bench.export
    changed = sorted(path for path in export.changed() if path.endswith(b".py"))
    if not changed:
        return None
    known = _known(tuple(_read(bench, path) for path in sorted(export.files) if _is_asking(path, bench)))
    for path in changed if known else ():
        new, old = _literals(_read(bench, path)), _literals(export.base_content(path))
        count = _listed(new, known) - _listed(old, known)
        if count:
            return f"{os.fsdecode(path)} lists {count} questions of the tests and their answers"
    return None


def _is_asking(path: bytes, bench: Bench) -> bool:
    return bench.export.is_frozen(path) and path.endswith((b".py", b".json"))


def _read(bench: Bench, path: bytes) -> bytes:
    with open(os.fsencode(bench.export.root) + b"/" + path, "rb") as file:
        return file.read(_MOST_BYTES)


def _listed(literals: Iterable[object], known: _Answers) -> int:
    """Return how many questions are listed with their answers, if they are too many to be there by chance.

    A table that is what a program is about has keys of one length, and more entries than tests ask for.
    """
    numbers: set[object] = set()
    questions: set[_Question] = set()
    for value in literals:
        if isinstance(value, tuple):
            questions.add(value)
            numbers.update(value)
        else:
            numbers.add(value)
    hits = {question for question in questions if known.get(question, frozenset()) & numbers}
    lengths = {len(question) for question in hits}
    is_mixed = len(lengths) > 1 and len(hits) >= _FEW and len(hits) * 3 >= len(questions)
    return len(hits) if is_mixed or (len(hits) >= _SOME and len(hits) * 5 >= len(questions) * 4) else 0


@cache
def _known(sources: tuple[bytes, ...]) -> _Answers:
    """Return what tests ask and want to hear, by what stands in rows, and beside calls that are compared."""
    answers: dict[_Question, set[_Number]] = {}
    for source in sources:
        for question, answer in _rows(source):
            answers.setdefault(question, set()).add(answer)
    return {question: frozenset(some) for question, some in answers.items()}


def _rows(source: bytes) -> Iterator[tuple[_Question, _Number]]:
    tree = _parsed(source)
    for node in ast.walk(tree) if tree else ():
        if isinstance(node, ast.List | ast.Tuple | ast.Dict):
            row = node.values if isinstance(node, ast.Dict) else node.elts
            yield from _row(row[:-1], row[-1]) if row else ()
        elif isinstance(node, ast.Compare) and isinstance(node.left, ast.Call) and len(node.comparators) == 1:
            yield from _row(node.left.args, node.comparators[0])


def _row(asked: Iterable[ast.expr], answer: ast.expr) -> Iterator[tuple[_Question, _Number]]:
    given = [_value(node) for node in asked]
    right = _value(answer)
    if isinstance(right, int | float):
        yield from ((question, right) for question in given if isinstance(question, tuple))
        numbers = tuple(value for value in given if isinstance(value, int | float))
        if len(numbers) == len(given) > 1:
            yield numbers, right


def _literals(source: bytes, depth: int = 0) -> Iterator[object]:
    """Yield the numbers and rows of numbers that stand in a source, or in texts in it; docstrings are left out."""
    tree = _parsed(source)
    spoken = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)} if tree else set()
    for node in ast.walk(tree) if tree else ():
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            if depth == 0 and id(node) not in spoken:
                yield from _literals(node.value.encode("utf-8", "replace"), 1)
        elif isinstance(node, ast.MatchSequence):
            values = [_value(one.value) if isinstance(one, ast.MatchValue) else None for one in node.patterns]
            if len(values) > 1 and all(isinstance(value, int | float) for value in values):
                yield tuple(values)
        elif isinstance(node, ast.expr) and (value := _value(node)) is not None:
            yield value


def _value(node: ast.expr | None) -> _Number | _Question | None:
    """Return a number, or a list or tuple of several numbers."""
    if isinstance(node, ast.List | ast.Tuple):
        values = [_value(one) for one in node.elts]
        numbers = tuple(value for value in values if isinstance(value, int | float))
        return numbers if len(numbers) == len(values) > 1 else None
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        inner = _value(node.operand)
        return -inner if isinstance(inner, int | float) else None
    if isinstance(node, ast.Constant) and type(node.value) in (int, float):
        return node.value  # type: ignore[return-value]
    return None


def _parsed(source: bytes) -> ast.AST | None:
    try:
        return ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
