"""The numeric constants of a parent's files: where they are, and how a file reads with other values in their place.

Knows nothing of how a value is chosen.
"""

from __future__ import annotations

import ast
import json
import re
import tomllib
import warnings
from codecs import BOM_UTF8
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from io import BytesIO
from itertools import accumulate
from tokenize import detect_encoding

from evogit.model import RepoPath, SourceFile
from evogit.proposers.text_numbers import MAX_SPANS, Negative, Span, scan_text

LIMIT = 1e12
"""Greatest magnitude of a constant: what is above it in a file is an id, a hash or a stand-in for infinity."""
MAX_BYTES = 256 * 1024

_PYTHON = (".py", ".pyi", ".pyw")
_INERT_NAME = re.compile(r"(?i)(?:^|[_.-])version(?:$|[^a-z])|^__\w+__|^nbformat")
_NO_DIGIT = re.compile(rb"\A[-+.0]+|[eE][+-]?\d+\Z|\D")
_LITERAL = re.compile(rb"-?[ \t(]*[0-9.][\w.+-]*[ \t)]*")
_WORD = re.compile(rb"[\w\x80-\xff]")
_NOT_PARSED = (SyntaxError, ValueError, RecursionError, MemoryError)


@dataclass(frozen=True, slots=True, kw_only=True)
class Constant:
    """One number in a file: bytes `start` to `end`, with its minus if it has one.

    `digits` counts the significant digits it is written with. `name` is what the file calls it, where that is plain.
    """

    path: RepoPath
    start: int
    end: int
    value: int | float
    line: int
    digits: int
    name: str | None
    negative: Negative

    @property
    def is_int(self) -> bool:
        """Whether the constant is a whole number, and stays one."""
        return isinstance(self.value, int)

    @property
    def scale(self) -> float:
        """The size of a change of 100 %: the value's magnitude, or 1 for zero."""
        return abs(self.value) or 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Scan:
    """A file's constants, those of them that are not inert, and what a lexer saw around them."""

    constants: tuple[Constant, ...] = ()
    live: tuple[Constant, ...] = ()
    around: bytes = b""


def find_constants(file: SourceFile, *, inert: bool = False) -> tuple[Constant, ...]:
    """Return the numeric constants of `file` in the order of its text; none if it is not text or does not parse.

    Args:
        file: the file; its suffix says what language it is in.
        inert: also return those that can hardly matter: versions, type annotations, what only runs as a script.

    Raises:
        Nothing: a file that cannot be read has no constants.
    """
    scan = _scan(file.path, file.content)
    return scan.constants if inert else scan.live


def replace_constants(file: SourceFile, values: Mapping[Constant, int | float]) -> bytes | None:
    """Return the content of `file` with each constant's new value in its place and every other byte as it was.

    Args:
        file: the file the constants were found in.
        values: the new values: whole for whole constants, finite, and not below zero where that is not allowed.

    Returns:
        The new content, or None when it equals the old or would no longer parse into the same constants.

    Raises:
        Nothing.
    """
    pieces, at = [], 0
    for constant, value in sorted(values.items(), key=lambda item: item[0].start):
        pieces += [file.content[at : constant.start], _spell(constant, value, file.content)]
        at = constant.end
    content = b"".join([*pieces, file.content[at:]])
    return content if content != file.content and _is_sound(file, content, values) else None


def _spell(constant: Constant, value: int | float, content: bytes) -> bytes:
    text = repr(value).encode("ascii")
    if b"e" in text and b"." not in text:
        text = text.replace(b"e", b".0e")  # YAML 1.1 reads `1e-05` as a string
    around = content[constant.start - 1 : constant.start] + content[constant.end : constant.end + 1]
    bare = value >= 0 or constant.negative is not Negative.WRAPPED or around == b"()"
    return text if bare else b"(%b)" % text


def _is_sound(file: SourceFile, content: bytes, values: Mapping[Constant, int | float]) -> bool:
    parses = _parses(file.path, content)
    if parses and file.path.endswith(_PYTHON):
        return True  # a number in the tree's place for a number can only be read as one
    old, new = _scan(file.path, file.content), _scan(file.path, content)
    expected = [values.get(constant, constant.value) for constant in old.constants]
    same = old.around == new.around and expected == [constant.value for constant in new.constants]
    return same and (parses or not _parses(file.path, file.content))


def _parses(path: str, content: bytes) -> bool:
    try:
        if path.endswith(_PYTHON):
            with warnings.catch_warnings(action="ignore"):
                # Finds more than `ast.parse`: a mapping pattern with the same key twice fails only here.
                compile(content, "<candidate>", "exec", dont_inherit=True)
        elif path.endswith((".json", ".ipynb")):
            json.loads(content)
        elif path.endswith(".toml"):
            tomllib.loads(content.decode("utf-8"))
    except _NOT_PARSED:
        return False
    return True


def _scan(path: RepoPath, content: bytes) -> _Scan:
    return (_scan_small if len(content) <= 64 * 1024 else _scan_large)(path, content)


def _scan_new(path: RepoPath, content: bytes) -> _Scan:
    if len(content) > MAX_BYTES or b"\0" in content:
        return _Scan()
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError:
        return _Scan()
    spans, around = (_python_spans(content), b"") if path.endswith(_PYTHON) else scan_text(path, text)
    found, live = list[Constant](), list[Constant]()
    line, at = 1, 0
    for span in spans:
        line, at = line + content.count(b"\n", at, span.start), span.start
        if abs(span.value) <= LIMIT:
            found.append(_constant(path, line, span, content[span.start : span.end]))
            if not span.inert and not _INERT_NAME.search(span.name or ""):
                live.append(found[-1])
    return _Scan(constants=tuple(found), live=tuple(live), around=around)


def _constant(path: RepoPath, line: int, span: Span, written: bytes) -> Constant:
    digits = len(_NO_DIGIT.sub(b"", written)) or 1
    start, end, value, name, negative = span.start, span.end, span.value, span.name, span.negative
    return Constant(
        path=path, start=start, end=end, value=value, line=line, digits=digits, name=name, negative=negative
    )


# Two caches bound the memory: many scans of small files, or four of large ones.
_scan_small = lru_cache(maxsize=256)(_scan_new)
_scan_large = lru_cache(maxsize=4)(_scan_new)


def _python_spans(content: bytes) -> Iterator[Span]:
    try:
        encoding = detect_encoding(BytesIO(content).readline)[0]
        with warnings.catch_warnings(action="ignore"):
            tree = ast.parse(content)
    except _NOT_PARSED:
        return
    # The tree's lines end as those of `bytes.splitlines` do; its columns are bytes and leave out a byte order mark.
    starts = [0, *accumulate(map(len, content.splitlines(keepends=True)))]
    starts[0] = len(BOM_UTF8) if content.startswith(BOM_UTF8) else 0
    numbers = sorted(_python_numbers(tree), key=lambda number: (number[0].lineno, number[0].col_offset))
    for node, value, name, tight, inert in numbers[:MAX_SPANS]:
        start = starts[node.lineno - 1] + node.col_offset
        end = starts[(node.end_lineno or 0) - 1] + (node.end_col_offset or 0)
        left = content[max(0, start - 40) : start]
        # Python reads `1if x` as a number and a word, but not every other number there.
        glued = _WORD.match(content, end) or _WORD.match(left[-1:])
        if encoding.startswith("utf-8") and _LITERAL.fullmatch(content, start, end) and not glued:
            negative = Negative.WRAPPED if tight or left.rstrip().endswith((b"-", b"+")) else Negative.BARE
            yield Span(start=start, end=end, value=value, name=name, negative=negative, inert=inert)


def _python_numbers(tree: ast.AST) -> Iterator[tuple[ast.expr, int | float, str | None, bool, bool]]:
    """Yield each number of the tree: its node and value, its name, whether a bare minus would bind elsewhere, inert."""
    rest: list[tuple[ast.AST, str | None, bool, bool]] = [(tree, None, False, False)]
    while rest:
        node, name, tight, inert = rest.pop()
        match node:
            case ast.Constant(value=int() | float() as value) if not isinstance(value, bool):
                yield node, value, name, tight, inert
            case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int() | float() as value)):
                yield node, -value, name, tight, inert
            case ast.JoinedStr():
                pass  # before Python 3.12 the positions inside are wrong
            case ast.BinOp(op=ast.Pow(), left=left, right=right):
                rest += [(left, None, True, inert), (right, None, False, inert)]
            case _:
                names = dict(_python_names(node, name))
                for child in ast.iter_child_nodes(node):
                    known = names.get(child), isinstance(node, ast.Attribute), inert or _is_inert(node, child)
                    rest.append((child, *known))


def _python_names(node: ast.AST, name: str | None) -> Iterator[tuple[ast.AST | None, str | None]]:
    match node:
        case ast.Assign(targets=[target]) | ast.AnnAssign(target=target) | ast.NamedExpr(target=target):
            yield node.value, _target(target)
        case ast.keyword(arg=arg, value=value):
            yield value, arg
        case ast.arguments(posonlyargs=first, args=more, defaults=defaults):
            yield from zip(reversed(defaults), (arg.arg for arg in reversed(first + more)), strict=False)
            yield from zip(node.kw_defaults, (arg.arg for arg in node.kwonlyargs), strict=True)
        case ast.Tuple(elts=elements) | ast.List(elts=elements) if name:
            # The name of a tuple of targets is theirs joined: `LOW, HIGH = 0.1, 0.9`.
            names = name.split(", ") if ", " in name else [f"{name}[{i}]" for i in range(len(elements))]
            yield from zip(elements, names, strict=False)
        case ast.Dict(keys=keys, values=values) if name:
            yield from zip(values, (f"{name}[{getattr(key, 'value', '…')!r}]" for key in keys), strict=True)


def _target(node: ast.AST) -> str | None:
    if isinstance(node, ast.Tuple):
        return ", ".join(_target(element) or "…" for element in node.elts)
    name: str | None = getattr(node, "id", getattr(node, "attr", None))
    return name


def _is_inert(node: ast.AST, child: ast.AST) -> bool:
    match node:
        case ast.If(test=ast.Compare(left=ast.Name(id="__name__")), body=body):
            return child in body
        case ast.Compare(left=ast.Attribute(attr="version_info")):
            return True
    return child is getattr(node, "annotation", None) or child is getattr(node, "returns", None)
