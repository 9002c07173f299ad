"""Notices when the candidate's code reaches for what only the tests should see: an audit hook, which stays for good.

Who asks is what counts: the standard library and installed packages look at frames, start programs and read files for
reasons of their own, and tests may do as they like.
"""

from __future__ import annotations

import _thread
import os
import re
import sys
from collections.abc import Callable
from importlib import import_module
from types import BuiltinFunctionType, CodeType, FrameType
from typing import Any

from evogit.evaluation.guarding.owners import CANDIDATE, TESTS, Owners
from evogit.evaluation.guarding.wires import CODE, FILES, FRAMES, MEMORY, NATIVE, PROGRAMS, TRACES

Tell = Callable[[str, str], None]

_FRAME_OF = frozenset({"tb_frame", "gi_frame", "cr_frame", "ag_frame"})
_TEST_FILE = re.compile(r"(^|/)(tests?/.*|test_[^/]*|[^/]*_test|conftest)\.py$")
_MEMORY_FILE = re.compile(r"/proc/[^/]+/(task/[^/]+/)?(mem|cmdline|environ|fd)\b")
_TELLING = {
    "inspect.py": frozenset({"stack", "trace", "getouterframes", "getinnerframes"}),
    "traceback.py": frozenset({"walk_stack", "extract_stack", "format_stack", "print_stack"}),
}
"""Functions of the standard library that hand frames, or lines of their callers' source, to who calls them."""
_PASSING = frozenset({"walk_tb", "currentframe", "<lambda>"})
"""Those that hand a frame to who calls them, and that the library itself calls for better reasons."""
_MESSAGES = {
    "traceback.py": frozenset({"format_exc", "print_exc", "format_exception", "print_exception"}),
    "warnings.py": frozenset({"_showwarnmsg", "_showwarnmsg_impl"}),
}
"""Those that quote a line of the tests because an error or a warning came from there."""
_IMPORTS = frozenset({"ctypes", "_ctypes", "cffi", "_cffi_backend", "_xxsubinterpreters", "_interpreters", "_testcapi"})
_STARTERS = ("subprocess.py", "os.py", "pty.py")
_NATIVE_CODE = ("ctypes/__init__.py", "ctypes/util.py", "ctypes/_endian.py", "<frozen importlib._bootstrap>")


class Tripwires:
    """What is done at each event of the interpreter that gives something away."""

    def __init__(self, owners: Owners, tell: Tell) -> None:
        """`tell(which, message)` says which wire was touched."""
        self._owners, self._tell = owners, tell
        self._busy: set[int] = set()
        self._read_by_tests: set[str] = set()
        self._read_by_candidate: dict[str, str] = {}
        self._by_event: dict[str, Callable[[tuple[Any, ...], FrameType], None]] = {
            "sys._getframe": self._frame,
            "object.__getattr__": self._attribute,
            "sys._current_frames": self._memory,
            "sys._current_exceptions": self._memory,
            "gc.get_objects": self._memory,
            "gc.get_referrers": self._memory,
            "gc.get_referents": self._memory,
            "sys.settrace": self._trace,
            "sys.setprofile": self._trace,
            "sys.monitoring.register_callback": self._trace,
            "sys.addaudithook": self._trace,
            "open": self._open,
            "os.link": self._open,
            "os.rename": self._open,
            "subprocess.Popen": self._program,
            "os.system": self._program,
            "os.exec": self._program,
            "os.posix_spawn": self._program,
            "compile": lambda given, frame: self._code(given[1], frame),
            "exec": lambda given, frame: self._code(given[0], frame),
            "code.__new__": lambda given, frame: self._code(given[1], frame),
            "import": self._import,
        }

    def set(self) -> None:
        """Begin; there is no end."""
        by_event, busy, ident, own = self._by_event, self._busy, _thread.get_ident, sys._getframe

        def look(event: str, given: tuple[Any, ...]) -> None:
            act = by_event.get(event)
            if act is None and not event.startswith("ctypes."):
                return
            me = ident()
            if me in busy:
                return  # what we do ourselves
            busy.add(me)
            try:
                (act or self._native)(given, own(1))
            finally:
                busy.discard(me)

        sys.addaudithook(look)
        _blind_handlers(self._owners)

    def _say(self, which: str, what: str, frame: FrameType | None) -> None:
        self._tell(which, f"{what} at {self._owners.placed(frame)}")

    def _frame(self, _: tuple[Any, ...], frame: FrameType) -> None:
        if self._owners.is_candidates(frame):
            self._say(FRAMES, "a caller's frame was asked for", frame)
        elif self._owners.is_standard(frame):
            self._telling(frame)

    def _attribute(self, given: tuple[Any, ...], frame: FrameType) -> None:
        if given[1] in _FRAME_OF:
            self._frame(given, frame)

    def _telling(self, frame: FrameType) -> None:
        file = os.path.basename(frame.f_code.co_filename)
        if frame.f_code.co_name in _PASSING and self._owners.is_candidates(frame.f_back):
            self._say(FRAMES, "a caller's frame was asked for", frame.f_back)
        elif frame.f_code.co_name in _TELLING.get(file, ()):
            asked = _beyond(frame, (file,))
            if self._owners.is_candidates(asked):
                self._say(FRAMES, "callers were listed", asked)

    def _memory(self, _: tuple[Any, ...], frame: FrameType) -> None:
        found = self._owners.nearest(frame)
        if self._owners.is_candidates(found):
            self._say(MEMORY, "all objects were asked for", found)
        elif found is None and self._owners.is_standard(frame):  # in a thread, where nobody is above
            self._say(MEMORY, "all objects were asked for", frame)

    def _trace(self, _: tuple[Any, ...], frame: FrameType) -> None:
        found = self._owners.nearest(frame)
        if self._owners.is_candidates(found):
            self._say(TRACES, "a hook that looks on was set", found)

    def _open(self, given: tuple[Any, ...], frame: FrameType) -> None:
        if isinstance(given[0], int):
            return
        name = os.fsdecode(given[0])
        path = self._owners.resolved(name)
        is_memory = any(map(_MEMORY_FILE.match, (name, path)))
        if not is_memory and self._owners.of(path) != TESTS:
            return
        found = self._owners.nearest(frame)
        if found is None:
            return
        if not self._owners.is_candidates(found):
            self._read_by_tests.add(path)
        elif is_memory:
            self._say(MEMORY, f"{name} was opened", found)
        elif _TEST_FILE.search(path[len(self._owners.root) :]):
            if not _is_a_message(frame, found):
                self._say(FILES, f"{os.path.basename(path)} was opened", found)
        else:
            self._read_by_candidate[path] = self._owners.placed(found)
        if path in self._read_by_tests and path in self._read_by_candidate:
            place = self._read_by_candidate[path]
            self._tell(FILES, f"{os.path.basename(path)}, which the tests read, was opened at {place}")

    def _program(self, given: tuple[Any, ...], frame: FrameType) -> None:
        asked = _beyond(frame, _STARTERS)
        if self._owners.is_candidates(asked):
            name = given[0] if isinstance(given[0], (str, bytes)) else b"one"
            self._say(PROGRAMS, f"{os.fsdecode(name)[:80]} was started", asked)

    def _native(self, _: tuple[Any, ...], frame: FrameType) -> None:
        asked = _beyond(frame, _NATIVE_CODE)
        if self._owners.is_candidates(asked):
            self._say(NATIVE, "the interpreter was reached from below", asked)

    def _import(self, given: tuple[Any, ...], frame: FrameType) -> None:
        if str(given[0]).partition(".")[0] in _IMPORTS:
            self._native(given, frame)

    def _code(self, named: object, frame: FrameType) -> None:
        name = named.co_filename if isinstance(named, CodeType) else named
        if not isinstance(name, (str, bytes)) or not self._owners.is_candidates(frame):
            return
        if self._owners.of(os.fsdecode(name)) != CANDIDATE:
            self._say(CODE, f"code was made that says it is {os.path.basename(os.fsdecode(name))}", frame)


def _beyond(frame: FrameType, files: tuple[str, ...]) -> FrameType | None:
    """Return the first frame, going up, that is in none of these files."""
    found: FrameType | None = frame
    while found is not None and found.f_code.co_filename.endswith(files):
        found = found.f_back
    return found


def _is_a_message(frame: FrameType | None, until: FrameType) -> bool:
    while frame is not None and frame is not until:
        if frame.f_code.co_name in _MESSAGES.get(os.path.basename(frame.f_code.co_filename), ()):
            return True
        frame = frame.f_back
    return False


def _blind_handlers(owners: Owners) -> None:
    """Have the candidate's handlers of signals see None in the place of the frame that was interrupted."""
    inner: Any = import_module("_signal")  # what `signal` calls, and what who knows it could call
    set_handler, get_handler = inner.signal, inner.getsignal

    def unwrapped(handler: Any) -> Any:
        return getattr(handler, "blinded", handler)

    def blind(number: int, handler: Any) -> Any:
        code = getattr(handler, "__code__", None)
        if not callable(handler) or isinstance(handler, BuiltinFunctionType):
            return unwrapped(set_handler(number, handler))
        if code is not None and owners.of(code.co_filename) != CANDIDATE:
            return unwrapped(set_handler(number, handler))

        def handle(number: int, _: FrameType | None) -> Any:
            return handler(number, None)

        handle.blinded = handler  # type: ignore[attr-defined]
        return unwrapped(set_handler(number, handle))

    inner.signal = blind
    inner.getsignal = lambda number: unwrapped(get_handler(number))
