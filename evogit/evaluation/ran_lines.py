"""Runs pytest and writes down which lines of some files failed tests ran, and how many other tests did.

Never imported here: its text is handed to the user's Python. What it writes is a hint and no measurement: it shares the
process with the code under test, which can do what it likes with it.
"""

from __future__ import annotations

import json
import os
import sys
import threading
from collections import Counter
from collections.abc import Iterator, Set
from types import FrameType
from typing import Any, Callable, Optional, Tuple  # noqa: UP035 - aliases are evaluated, by older interpreters too

import pytest

_Tracer = Optional[Callable[[FrameType, str, Any], Any]]  # noqa: UP045
_Line = Tuple[str, int]  # noqa: UP006


class Looker:
    """A plugin that traces each test: what is around it, and itself."""

    def __init__(self, root: str, files: Set[str]) -> None:
        """Look at `files`, which are paths below `root`."""
        self.failed = 0
        self.by_failed: Counter[_Line] = Counter()
        self.by_all: Counter[_Line] = Counter()
        self._root, self._files = os.path.join(os.path.realpath(root), ""), files
        self._paths: dict[str, str] = {}
        self._lines: set[_Line] = set()
        self._is_failed = self._is_run = False

    @pytest.hookimpl(hookwrapper=True, tryfirst=True)
    def pytest_runtest_protocol(self) -> Iterator[None]:
        """Trace one test and count its lines."""
        self._lines, self._is_failed, self._is_run = set(), False, False
        tracer = self._tracer()
        threading.settrace(tracer)
        sys.settrace(tracer)
        try:
            yield
        finally:
            sys.settrace(None)
            threading.settrace(None)  # type: ignore[arg-type, unused-ignore]
            if self._is_failed or self._is_run:
                self.failed += self._is_failed
                self.by_all.update(self._lines)
                self.by_failed.update(self._lines if self._is_failed else ())

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Note how a test, or what is around it, ended; a skipped one does not count."""
        self._is_failed = self._is_failed or report.failed
        self._is_run = self._is_run or (report.when == "call" and report.passed)

    def _tracer(self) -> Callable[[FrameType, str, Any], _Tracer]:
        lines, paths = self._lines, self._paths

        def on_line(frame: FrameType, event: str, argument: object) -> _Tracer:
            if event == "line":
                lines.add((paths[frame.f_code.co_filename], frame.f_lineno))
            return on_line

        def on_call(frame: FrameType, event: str, argument: object) -> _Tracer:
            name = frame.f_code.co_filename
            path = paths.get(name)
            if path is None:
                path = paths[name] = self._path(name)
            return on_line if path else None

        return on_call

    def _path(self, name: str) -> str:
        """Return the path below the root of a file that is looked at; "" for any other."""
        real = os.path.realpath(name)
        path = real[len(self._root) :] if real.startswith(self._root) else ""
        return path if path in self._files else ""


def main() -> None:
    """Run pytest with the arguments behind the first, which is a file that says what to look at and where to write."""
    with open(sys.argv[1], encoding="utf-8") as file:
        plan = json.load(file)
    looker = Looker(os.getcwd(), set(plan["files"]))
    pytest.main(sys.argv[2:], plugins=[looker])
    lines = [[*line, count, looker.by_all[line]] for line, count in looker.by_failed.items()]
    with open(plan["report"], "w", encoding="utf-8") as file:
        json.dump({"failed": looker.failed, "lines": lines}, file)
    sys.stdout.flush()
    os._exit(0)  # what the code under test wants done at exit is not waited for


if __name__ == "__main__":
    main()
