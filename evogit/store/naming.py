"""Which files of a repository a command may name, by its words alone."""

from __future__ import annotations

import shlex
from collections.abc import Iterator

from evogit.evaluator_table import Command


def guesses(command: Command) -> Iterator[str]:
    """Yield what may be the path of a file the command runs or reads, also as `python -m module` and for `make`."""
    previous = ""
    for word in _words(command):
        yield word.rstrip(";&|")
        if previous == "-m":
            module = word.replace(".", "/")
            yield from (f"{module}.py", f"{module}/__main__.py")
        elif word == "make":
            yield from ("Makefile", "GNUmakefile", "makefile")
        previous = word


def _words(command: Command) -> list[str]:
    try:
        return shlex.split(command) if isinstance(command, str) else list(command)
    except ValueError:
        return str(command).split()
