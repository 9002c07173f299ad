"""Counts the executed lines of a candidate's files, in every Python process of its command.

Never imported here: a copy called `sitecustomize.py` stands first on PYTHONPATH of the command, so it uses the standard
library only, from Python 3.8 on. It is against accidents, not against enemies: code in the same process can undo all of
it, but not what it has reported to a pipe that nobody can take words back from.
"""

from __future__ import annotations

import atexit
import importlib.machinery
import importlib.util
import itertools
import os
import sys
import threading
from types import FrameType
from typing import Any, Callable, NoReturn, Optional  # noqa: UP035 - aliases are evaluated, by older interpreters too

_Tracer = Optional[Callable[[FrameType, str, Any], Any]]  # noqa: UP045

_FOLDER = os.path.dirname(os.path.abspath(__file__))
_LIBRARY = os.path.dirname(os.path.abspath(os.__file__))
_MAY_TRACE = (os.path.join(_LIBRARY, "threading.py"), os.path.join(_LIBRARY, "doctest.py"))
"""They put back the tracer that is there."""


class _Counter:
    """The count of one process, and what it tells of it: that it began, how many lines, that the tracer was changed."""

    def __init__(self) -> None:
        with open(os.path.join(_FOLDER, "root"), encoding="utf-8", errors="surrogateescape") as file:
            self.root = os.path.join(file.read(), "")
        self.start = os.getcwd()
        self.known: dict[str, bool] = {}
        self.begin()

    def begin(self) -> None:
        """Begin at zero under a new name: a process that just started, or was forked."""
        # Its `next` is one step for all threads, as `+= 1` is not.
        self.lines = itertools.count()
        self.reports = 0
        self.name = f"{os.getpid()}-{os.urandom(8).hex()}"
        self.tell("begins")

    def report(self) -> None:
        """Tell the number of lines so far."""
        self.tell(str(next(self.lines) - self.reports))
        self.reports += 1

    def tell(self, word: str) -> None:
        try:
            pipe = os.open(os.path.join(_FOLDER, "counts"), os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError:
            return  # what was not told is missed
        try:
            os.write(pipe, f"{self.name} {word}\n".encode())
        except OSError:
            pass
        finally:
            os.close(pipe)

    def is_counted(self, path: str, names: dict[str, Any]) -> bool:
        """Return whether code is of a candidate's file; what was compiled from a string is of the file it runs in."""
        if path.startswith("<"):
            path = names.get("__file__") or ""
        found = self.known.get(path) if isinstance(path, str) else False
        if found is None:
            real = os.path.realpath(os.path.join(self.start, path))
            found = self.known[path] = bool(path) and real.startswith(self.root)
        return found

    def tracer(self) -> Callable[[FrameType, str, Any], _Tracer]:
        """Return what the interpreter calls for each function; of a candidate's it sees each line, too."""
        known = self.known

        def on_line(frame: FrameType, event: str, argument: object) -> _Tracer:
            if event == "line":
                next(self.lines)
            return on_line

        def on_call(frame: FrameType, event: str, argument: object) -> _Tracer:
            is_counted = known.get(frame.f_code.co_filename)
            if is_counted is None:
                is_counted = self.is_counted(frame.f_code.co_filename, frame.f_globals)
            return on_line if is_counted else None

        return on_call

    def on_event(self, event: str, arguments: tuple[Any, ...]) -> None:
        """Notice what would end the counting: this hook cannot be taken away."""
        if event == "os.exec":
            self.report()
        elif event == "sys.settrace" and sys._getframe(1).f_code.co_filename not in _MAY_TRACE:
            self.tell("touched")


def _begin() -> None:
    add_hook = sys.addaudithook  # an interpreter without it is not counted at all
    counter = _Counter()
    leave = os._exit

    def report_and_leave(status: int) -> NoReturn:
        counter.report()
        leave(status)

    os._exit = report_and_leave  # forked workers end by it
    os.register_at_fork(after_in_child=counter.begin)
    atexit.register(counter.report)
    tracer = counter.tracer()
    threading.settrace(tracer)
    sys.settrace(tracer)
    add_hook(counter.on_event)


def _run_hidden() -> None:
    """Run the `sitecustomize` that this one stands before."""
    sys.path[:] = [folder for folder in sys.path if os.path.abspath(folder) != _FOLDER]
    spec = importlib.machinery.PathFinder.find_spec("sitecustomize", sys.path)
    if spec is not None and spec.loader is not None:
        module = sys.modules["sitecustomize"] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)


if __name__ == "sitecustomize":
    try:
        _run_hidden()
    finally:
        _begin()
