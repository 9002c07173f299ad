"""Looks at what the candidate returns to the tests: a value that equals whatever it is compared with is no answer."""

from __future__ import annotations

import ast
import builtins
from collections.abc import Callable
from random import SystemRandom
from typing import Any

from evogit.evaluation.guarding.owners import CANDIDATE, TESTS, Owners
from evogit.evaluation.guarding.wires import VALUES

_NAME, _TRUTH = "@evogit_seen", "@evogit_compared"
_METHODS = ("__eq__", "__ne__", "__lt__", "__gt__", "__sub__", "__rsub__", "__abs__")
_PLAIN = (object, bool, int, float, complex, str, bytes, bytearray, list, tuple, dict, set, frozenset, type)
_MOST_ITEMS, _DEEPEST = 50, 2
_CLOSE = 1e-3


class Values:
    """Probes values whose types compare in a way of their own."""

    def __init__(self, owners: Owners, tell: Callable[[str, str], None]) -> None:
        """`tell(which, message)` says what was found."""
        self._owners, self._tell = owners, tell
        self._random = SystemRandom()
        self._kinds: dict[type, int | None] = dict.fromkeys((*_PLAIN, type(None), type(NotImplemented)), 0)

    def seen(self, value: Any, depth: int = 0) -> Any:
        """Return the value, which the tests got from a call or compare with something."""
        cls = type(value)
        if cls is list or cls is tuple:
            for item in value[:_MOST_ITEMS] if depth < _DEEPEST else ():
                self.seen(item, depth + 1)
        elif cls is dict:
            for item in list(value.values())[:_MOST_ITEMS] if depth < _DEEPEST else ():
                self.seen(item, depth + 1)
        else:
            left = self._kinds[cls] if cls in self._kinds else self._kind(cls)
            if left != 0:
                self._probe(value)
                self._kinds[cls] = None if left is None else left - 1
        return value

    def compared(self, found: Any) -> Any:
        """Return what a comparison came to, where a test goes on only if that is true."""
        if found is not True and found is not False and not _is_truth(found):
            cls = type(found)
            codes = (getattr(method, "__code__", None) for method in vars(cls).values())
            if any(code and self._owners.of(code.co_filename) == CANDIDATE for code in codes) and found:
                self._tell(VALUES, f"a comparison came to a {cls.__qualname__}, which counts as true")
        return found

    def _kind(self, cls: type) -> int | None:
        """Return how many values of a type are to be probed; None: all."""
        found: int | None = 0
        for name in _METHODS:
            method = next((vars(one)[name] for one in cls.__mro__ if name in vars(one) and one not in _PLAIN), None)
            if method is None:
                continue
            code = getattr(method, "__code__", None)
            owner = self._owners.of(code.co_filename) if code else ""
            if owner == CANDIDATE:
                found = None
                break
            found = 3 if owner != TESTS else found
        self._kinds[cls] = found
        return found

    def _probe(self, value: Any) -> None:
        draw = self._random.random
        texts = [repr(draw()) for _ in range(2)]
        for others in ([draw() * 10.0, draw() * 1e3, draw() * 1e6], [int(draw() * 10**n) for n in (3, 6, 9)], texts):
            if any(all(_is(same, value, other) for other in others) for same in _SAMENESS):
                said = f"a {type(value).__qualname__} equals {' and '.join(map(repr, others))}"
                self._tell(VALUES, said)
                return


def _is(same: Callable[[Any, Any], Any], value: Any, other: Any) -> bool:
    try:
        found = same(value, other)
        return bool(found) and (_is_truth(found) or isinstance(value, _PLAIN[1:]))
    except Exception:  # noqa: BLE001  # whatever a type does that cannot be compared with this
        return False


def _is_truth(found: Any) -> bool:
    """Return whether it is a truth value, and nothing that a language of expressions makes of a comparison."""
    return isinstance(found, (bool, int, float)) or type(found).__name__ in ("bool_", "bool")


def _is_equal(value: Any, other: Any) -> Any:
    return value == other


def _is_equal_to(value: Any, other: Any) -> Any:
    return other == value


def _is_not_unequal(value: Any, other: Any) -> Any:
    if getattr(type(value), "__ne__", None) is object.__ne__:
        return False  # it only says again, as a truth value, what the comparison for equality came to
    found = value != other
    return isinstance(found, (bool, int)) and not found


def _is_between(value: Any, other: Any) -> Any:
    return value <= other and value >= other


def _is_near(value: Any, other: Any) -> Any:
    return abs(value - other) < _CLOSE


def _is_near_to(value: Any, other: Any) -> Any:
    return abs(other - value) < _CLOSE


_SAMENESS = (_is_equal, _is_equal_to, _is_not_unequal, _is_between, _is_near, _is_near_to)


def install(values: Values, rewrite: Any) -> None:
    """Have test files compiled so that what calls return and what is compared is looked at.

    `rewrite` is pytest's module that compiles test files.
    """
    inner = rewrite.rewrite_asserts

    def rewritten(tree: ast.Module, *given: Any, **named: Any) -> None:
        inner(tree, *given, **named)
        _Looking().visit(tree)

    setattr(builtins, _NAME, values.seen)
    setattr(builtins, _TRUTH, values.compared)
    rewrite.rewrite_asserts = rewritten


class _Looking(ast.NodeTransformer):
    """Puts a look around calls and around what is compared; pytest's own, whose names begin with @, are left alone."""

    def __init__(self) -> None:
        self._comparisons: set[str] = set()

    def visit_Assign(self, node: ast.Assign) -> ast.Assign:
        target = node.targets[0]
        if isinstance(target, ast.Name) and target.id.startswith("@"):
            (self._comparisons.add if isinstance(node.value, ast.Compare) else self._comparisons.discard)(target.id)
        self.generic_visit(node)
        return node

    def visit_If(self, node: ast.If) -> ast.If:
        test = node.test
        if (
            isinstance(test, ast.UnaryOp)
            and isinstance(test.operand, ast.Name)
            and test.operand.id in self._comparisons
        ):
            test.operand = _looked_at(test.operand, _TRUTH)
        self.generic_visit(node)
        return node

    def visit_Call(self, node: ast.Call) -> ast.expr:
        self.generic_visit(node)
        function: ast.expr = node.func
        while isinstance(function, ast.Attribute):
            function = function.value
        is_ours = isinstance(function, ast.Name) and function.id.startswith("@")
        return node if is_ours else _looked_at(node)

    def visit_Compare(self, node: ast.Compare) -> ast.Compare:
        self.generic_visit(node)
        node.left, *node.comparators = map(_looked_at_read, (node.left, *node.comparators))
        return node


def _looked_at_read(node: ast.expr) -> ast.expr:
    return _looked_at(node) if isinstance(node, (ast.Attribute, ast.Subscript, ast.Name)) else node


def _looked_at(node: ast.expr, name: str = _NAME) -> ast.expr:
    # Only what is new gets a place: some of pytest's own nodes say where they begin only, which may be below the end
    # of what holds them.
    function = ast.copy_location(ast.Name(id=name, ctx=ast.Load()), node)
    return ast.copy_location(ast.Call(func=function, args=[node], keywords=[]), node)
