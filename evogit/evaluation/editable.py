"""Editable installs: where a Python environment imports a project in place, so that a copy would not be seen."""

from __future__ import annotations

import ast
import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

_MAPPING = re.compile(r"^MAPPING\b[^=]*=\s*(\{.*\})\s*$", re.MULTILINE)
"""The line of setuptools' finder that says which package lies where."""
MARK = "pyvenv.cfg"
"""The file that makes a folder a virtual environment."""
_SYSTEM = Path("/usr")
_MAX_BYTES = 1024 * 1024


def folders(prefixes: Iterable[Path], roots: Iterable[Path]) -> tuple[str, ...]:
    """Return the folders, relative to whichever of `roots` they lie in, that environments import from in place."""
    # The place of a setup lies inside the work tree's `.git`: the innermost root is meant.
    tops = sorted((os.path.realpath(root) for root in roots), key=len, reverse=True)
    found: dict[str, None] = {}
    for place in (place for prefix in prefixes for place in _imported(prefix)):
        real = os.path.realpath(place)
        top = next((top for top in tops if real == top or real.startswith(top + os.sep)), None)
        if top is not None:
            found[os.path.relpath(real, top)] = None
    return tuple(found)


def interpreter(environment: Path) -> Iterator[Path]:
    """Yield the folders of the interpreter a virtual environment was made from, where it is none of the system's."""
    found = re.search(r"^home\s*=\s*(\S.*?)\s*$", _text(environment / MARK), re.MULTILINE)
    if found:
        programs = Path(os.path.realpath(found[1]))
        if not programs.is_relative_to(_SYSTEM):
            # Not the folder above them: for ~/.local that would be more than an interpreter.
            yield from (folder for folder in (programs, programs.parent / "lib") if folder.is_dir())


def _imported(prefix: Path) -> Iterator[str]:
    for packages in (*prefix.glob("lib/python*/site-packages"), *prefix.glob("Lib/site-packages")):
        for path in sorted(packages.glob("*.pth")):
            yield from (line for line in _text(path).splitlines() if os.path.isabs(line))
        for path in sorted(packages.glob("__editable__*.py")):
            yield from (os.path.dirname(place) for place in _mapped(_text(path)))


def _mapped(finder: str) -> Iterator[str]:
    match = _MAPPING.search(finder)
    if not match:
        return
    try:
        mapping = ast.literal_eval(match[1])
    except (ValueError, SyntaxError):
        return
    if isinstance(mapping, dict):
        yield from (place for place in mapping.values() if isinstance(place, str))


def _text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return file.read(_MAX_BYTES).decode("utf-8", "replace")
    except OSError:
        return ""
