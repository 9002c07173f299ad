"""Whose code is at work: told from the files that frames were compiled from."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Mapping
from types import FrameType

CANDIDATE, TESTS, LIBRARY, OURS = "candidate", "tests", "library", "ours"


class Owners:
    """Knows whose each source file is. What was made while tests ran, or comes from elsewhere, is the candidate's."""

    def __init__(self, root: str, files: Mapping[str, str], own: Iterable[str]) -> None:
        """`files` says whose those below `root` are, `own` are the names our own code was compiled by."""
        self.root = os.path.realpath(root) + os.sep
        projects = [root, *os.environ.get("PYTHONPATH", "").split(os.pathsep)]
        self._standard = os.path.dirname(os.__file__) + os.sep
        places = (place + os.sep for place in sys.path if place and place not in projects)
        self._places = (self._standard, *(place for place in places if not self.root.startswith(place)))
        self._known = {top + path: owner for path, owner in files.items() for top in (root + os.sep, self.root)}
        self._known.update(dict.fromkeys(own, OURS))
        self._tests = tuple(path for path, owner in files.items() if owner == TESTS)

    def of(self, filename: str) -> str:
        """Return whose code a file name stands for."""
        found = self._known.get(filename)
        if found is None:
            is_library = filename.startswith((*self._places, "<frozen "))
            found = self._known[filename] = LIBRARY if is_library else self._other(filename)
        return found

    def is_standard(self, frame: FrameType) -> bool:
        """Return whether a frame runs the standard library."""
        name = frame.f_code.co_filename
        return name.startswith((self._standard, "<frozen ")) and "site-packages" not in name

    def is_candidates(self, frame: FrameType | None) -> bool:
        """Return whether a frame runs the candidate's code."""
        return frame is not None and self.of(frame.f_code.co_filename) == CANDIDATE

    def nearest(self, frame: FrameType | None) -> FrameType | None:
        """Return the first frame, going up, that is no library's; None: pytest itself is at work."""
        while frame is not None and self.of(frame.f_code.co_filename) == LIBRARY:
            frame = frame.f_back
        return None if frame is None or self.of(frame.f_code.co_filename) == OURS else frame

    def placed(self, frame: FrameType | None) -> str:
        """Return where a frame is, for people."""
        if frame is None:
            return "somewhere"
        name = frame.f_code.co_filename
        return f"{name[len(self.root) :] if name.startswith(self.root) else name}, line {frame.f_lineno}"

    def resolved(self, name: str) -> str:
        """Return the file that is opened by a name; where that begins elsewhere than here, what it may be."""
        path = os.path.realpath(name)
        if not os.path.isabs(name) and not os.path.lexists(path):
            end = os.sep + os.path.normpath(name)
            return next((self.root + test for test in self._tests if (os.sep + test).endswith(end)), path)
        return path

    def _other(self, filename: str) -> str:
        return CANDIDATE if filename.startswith("<") else self._known.get(os.path.realpath(filename), CANDIDATE)
