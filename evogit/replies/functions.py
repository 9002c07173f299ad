"""Whole functions, put in the place of those with the same names."""

from __future__ import annotations

import ast
import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from evogit.model import RepoPath
from evogit.proposers.surgery.languages import LANGUAGES, Language, language_of
from evogit.replies.blocks import run
from evogit.replies.definitions import Definition, Outline, outline
from evogit.replies.fences import Command, Fence, Part
from evogit.replies.texts import Text
from evogit.replies.whole import CUT_OFF, headed, write
from evogit.replies.workspace import Workspace, listed, shown

_Change = tuple[int, int, bytes]
_MAX_CODE = 64 * 1024
"""Parsers take long to make sense of much that has none."""


@dataclass(frozen=True, slots=True)
class _Code:
    """A fence's code, not indented, and what it holds."""

    content: bytes
    found: Outline


def apply(parts: Sequence[Part], work: Workspace) -> None:
    """Apply the functions and commands of a reply."""
    for part, name in headed(parts):
        if isinstance(part, Command):
            run(work, part)
        elif not part.closed:
            work.problems.append(CUT_OFF)
        else:
            _fence(part, name, work)


def _fence(fence: Fence, name: str | None, work: Workspace) -> None:
    if work.is_spent():
        return
    if (size := sum(map(len, fence.lines))) > _MAX_CODE:
        work.problems.append(f"A fence holds {size} characters; at most {_MAX_CODE} are read, so give fewer functions.")
        return
    path = work.find(name) if name else None
    if name and path is None and not _home(fence, work):
        write(work, name, fence.lines)
        return
    path = path or _home(fence, work)
    if path is None:
        work.problems.append(
            "A fence has no path in the line above it, and its functions are not those of one file; "
            "put a line `### `path`` before it."
        )
        return
    language = language_of(path)
    code = _read(fence, language) if language else None
    if language is None or code is None:
        write(work, path, fence.lines)  # nothing to tell its functions apart by
        return
    if reason := _unsound(code, language):
        work.problems.append(f"The code for {shown(path)} does not parse as {language.name}: {reason}.")
    elif code.found.functions:
        _replace(path, code, language, work)
    else:
        work.problems.append(f"The code for {shown(path)} holds no whole function.")


def _home(fence: Fence, work: Workspace) -> RepoPath | None:
    """Return the one file that defines functions of a fence without a path, or most of them."""
    word = re.split(r"\W", fence.info, maxsplit=1)[0].lower()
    paths = [path for path in work.paths if language_of(path)]
    spoken = [language for language in LANGUAGES if any(language_of(path) is language for path in paths)]
    named = [language for language in spoken if word == language.name or "." + word in language.suffixes]
    for language in named or spoken:
        code = _read(fence, language)
        if code is None or not code.found.functions or code.found.broken:
            continue
        known = {}
        for path in paths:
            there = _outline(work.text(path), language) if language_of(path) is language else None
            known[path] = sum(_counterpart(one, there)[0] is not None for one in code.found.functions) if there else 0
        most = max(known.values(), default=0)
        homes = [path for path, count in known.items() if count == most]
        if most and len(homes) == 1:
            return homes[0]
    return None


def _read(fence: Fence, language: Language) -> _Code | None:
    first = next((line for line in fence.lines if line.strip()), "")
    indent = first[: len(first) - len(first.lstrip())]
    code = "\n".join(line.removeprefix(indent) for line in fence.lines) + "\n"
    content = code.encode("utf-8", "replace")
    found = outline(content, language)
    return _Code(content, found) if found else None


def _outline(text: Text, language: Language) -> Outline | None:
    return outline(_content(text), language)


def _content(text: Text) -> bytes:
    return "".join(line + "\n" for line in text.lines).encode("utf-8", "replace")


def _unsound(code: _Code, language: Language) -> str:
    """Return why code does not parse; empty when it does."""
    if language.python:
        try:
            with warnings.catch_warnings(action="ignore"):
                ast.parse(code.content)
        except SyntaxError as error:
            return f"line {error.lineno}: {error.msg}"
        except (ValueError, RecursionError, MemoryError):
            return "it is too deep"
        return ""
    return f"line {code.found.broken}" if code.found.broken else ""


def _counterpart(one: Definition, there: Outline) -> tuple[Definition | None, str]:
    """Return the function of a file that a new one stands for, or why none does."""
    same = [other for other in there.functions if other.name == one.name]
    exact = [other for other in same if other.within == one.within]
    for found in (exact, same):
        if len(found) == 1:
            return found[0], ""
    if same:
        return None, f"defines `{one.name}` {len(same)} times ({listed([other.full_name for other in same])})"
    return None, f"has no function {shown(one.full_name)}"


def _replace(path: RepoPath, code: _Code, language: Language, work: Workspace) -> None:
    text = work.text(path)
    content = _content(text)
    there = outline(content, language)
    if there is None:
        return
    pairs = [(one, *_counterpart(one, there)) for one in code.found.functions]
    anchors = {one.within: other for one, other, _ in reversed(pairs) if other}
    changes: list[_Change] = []
    problems = _strange(code, there, content, path)
    for one, other, reason in pairs:
        if other is None and reason.startswith("has no") and one.within in anchors:
            changes.append(_added(one, anchors[one.within], code, content))
        elif other is None:
            known = listed([known.full_name for known in there.functions][:20]) or "none"
            problems.append(f"{shown(path)} {reason}; its functions are {known}.")
        else:
            changes.append(_replaced(one, other, code, content))
    if not problems:
        changes += _imports(code, there, content)
        problems += _clashes(path, changes)
    if problems:
        work.problems += problems
        return
    work.put(path, text.rewritten(_applied(content, changes)))


def _replaced(one: Definition, other: Definition, code: _Code, content: bytes) -> _Change:
    start, end = (other.outer_start, other.outer_end) if one.is_wrapped else (other.start, other.end)
    return start, end, _moved(one, code, _indent_at(content, start))


def _added(one: Definition, anchor: Definition, code: _Code, content: bytes) -> _Change:
    """Return a function that is new put before one that is replaced."""
    indent = _indent_at(content, anchor.outer_start)
    gap = b"\n\n" if indent else b"\n\n\n"
    return anchor.outer_start, anchor.outer_start, _moved(one, code, indent) + gap + indent


def _indent_at(content: bytes, at: int) -> bytes:
    line = content[content.rfind(b"\n", 0, at) + 1 : at]
    return line if not line.strip() else b""


def _moved(one: Definition, code: _Code, indent: bytes) -> bytes:
    """Return a function's text, its first line aside, indented for another place; strings stay as they are."""
    own = _indent_at(code.content, one.outer_start)
    text = code.content[one.outer_start : one.outer_end]
    if own == indent:
        return text
    lines, at = [], one.outer_start
    for line in text.split(b"\n"):
        inside = any(start < at < end for start, end in code.found.strings)
        if at == one.outer_start or inside or not line.strip():
            lines.append(line)
        else:
            lines.append(indent + line.removeprefix(own))
        at += len(line) + 1
    return b"\n".join(lines)


def _strange(code: _Code, there: Outline, content: bytes, path: RepoPath) -> list[str]:
    """Return a problem for what the code holds beside functions and imports that the file does not hold as well."""
    known = {b" ".join(content[start:end].split()) for start, end in there.others}
    for start, end in code.found.others:
        statement = code.content[start:end]
        if b" ".join(statement.split()) not in known:
            said = statement.decode("utf-8", "replace").split("\n")[0]
            return [
                f"The code for {shown(path)} holds {shown(said[:80])} beside functions; only functions and imports can "
                "be replaced, so put it into one of them."
            ]
    return []


def _imports(code: _Code, there: Outline, content: bytes) -> list[_Change]:
    """Return the imports that the file lacks, put behind those it has before its first function."""
    known = {b" ".join(content[start:end].split()) for start, end in there.imports}
    wanted = [code.content[start:end].rstrip() for start, end in code.found.imports]
    wanted = [line for line in dict.fromkeys(wanted) if b" ".join(line.split()) not in known]
    if not wanted:
        return []
    first = there.functions[0].outer_start
    before = [end for _, end in there.imports if end <= first]
    if not before:
        at = content.rfind(b"\n", 0, there.first_statement) + 1
        return [(at, at, b"\n".join(wanted) + b"\n\n")]
    at = content.find(b"\n", max(before) - 1)  # some grammars count the line's end in
    return [(at, at, b"".join(b"\n" + line for line in wanted))]


def _clashes(path: RepoPath, changes: list[_Change]) -> list[str]:
    """Return a problem when two changes are of one place; the same change twice counts once."""
    once = sorted(dict.fromkeys(changes), key=lambda change: (change[0], change[1]))
    changes[:] = once
    for before, after in pairwise(once):
        if after[0] < before[1] or (before[:2] == after[:2] and before[0] != before[1]):
            return [f"A function of {shown(path)} is given twice; give each function once."]
    return []


def _applied(content: bytes, changes: Sequence[_Change]) -> list[str]:
    made, at = [], 0
    for start, end, instead in changes:
        made += [content[at:start], instead]
        at = end
    whole = b"".join([*made, content[at:]]).decode("utf-8", "replace")
    return whole.removesuffix("\n").split("\n")
