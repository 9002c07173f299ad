"""The worker of a split evaluator that names no other: calls functions of the candidate, which is in `sys.argv[1:]`.

It needs nothing but Python 3.8. It forks a process for each block of calls, which imports the candidate; this
one only hands lines on, so it can end a process that hangs. FORMAT.md has the protocol.
"""

from __future__ import annotations

import json
import os
import select
import signal
import sys
import time
from contextlib import suppress

TYPE_CHECKING = False
if TYPE_CHECKING:  # typing takes longer to import than all of this
    from collections.abc import Callable, Sequence
    from typing import Any

MAX_LINE = 16 * 1024 * 1024
_CHUNK = 1 << 16
_LONGEST_ERROR = 2000
_PLAIN = "return numbers, strings, booleans, None, lists and dicts (of an array its tolist())"


def main() -> None:
    """Serve until the scorer is gone."""
    requests, answers = os.dup(0), os.dup(1)
    with open(os.devnull, "rb") as nothing:
        os.dup2(nothing.fileno(), 0)
    os.dup2(2, 1)  # what the candidate prints is no answer
    sys.stdout = sys.stderr
    folder = os.path.dirname(os.path.abspath(__file__))
    sys.path[:] = [path for path in sys.path if path != folder]
    folders, sys.argv[1:] = sys.argv[1:], []
    Relay(requests, answers, folders).run()


class Relay:
    """Hands the scorer's lines to the process that calls the candidate, and its answers back."""

    def __init__(self, requests: int, answers: int, folders: Sequence[str]) -> None:
        self._requests, self._answers, self._folders = requests, answers, folders
        self._read = b""
        self._pid = 0
        self._to = self._from = -1

    def run(self) -> None:
        """Answer one request after another, until there are no more."""
        while True:
            line = self._next()
            if not line:
                self._end()
                return
            request = json.loads(line)
            if "open" in request:
                self._end()
                self._begin()
            if "close" in request:
                self._end()
                answer = _line(request, ok=True)
            elif not self._pid:
                answer = _line(request, error="nothing is open: its process has ended")
            else:
                answer = self._exchange(line, request)
            if not _write(self._answers, answer):
                return

    def _next(self) -> bytes:
        parts = [self._read]
        while b"\n" not in parts[-1]:
            parts.append(os.read(self._requests, _CHUNK))
            if not parts[-1]:
                return b""
        line, _, self._read = b"".join(parts).partition(b"\n")
        return line + b"\n"

    def _exchange(self, line: bytes, request: dict[str, Any]) -> bytes:
        """Return the answer to a request; nothing when the scorer gave up on it."""
        waiting, parts, size = memoryview(line), [b""], 0
        poll = select.poll()
        poll.register(self._requests, select.POLLIN)
        poll.register(self._from, select.POLLIN)
        poll.register(self._to, select.POLLOUT)
        os.set_blocking(self._to, False)
        while b"\n" not in parts[-1]:
            ready = dict(poll.poll())
            if self._requests in ready:
                return b""
            if self._to in ready:
                try:
                    waiting = waiting[os.write(self._to, waiting[:_CHUNK]) :]
                except BlockingIOError:
                    pass
                except BrokenPipeError:
                    waiting = memoryview(b"")
                if not waiting:
                    poll.unregister(self._to)
            if self._from in ready:
                parts.append(os.read(self._from, _CHUNK))
                size += len(parts[-1])
                if not parts[-1] or size > MAX_LINE:
                    return _line(request, error=self._epitaph(size))
        return b"".join(parts).partition(b"\n")[0] + b"\n"

    def _epitaph(self, size: int) -> str:
        if size > MAX_LINE:
            self._end()
            return f"its results take more than {MAX_LINE} bytes"
        code = self._end(patience_s=1.0)
        return "its process ended " + (f"with exit code {code}" if code >= 0 else f"by signal {-code}")

    def _begin(self) -> None:
        inner_from, self._to = os.pipe()
        self._from, inner_to = os.pipe()
        self._pid = os.fork()
        if self._pid == 0:
            try:
                os.setsid()
                for descriptor in (self._requests, self._answers, self._to, self._from):
                    os.close(descriptor)
                _serve(inner_from, inner_to, self._folders)
            finally:
                os._exit(0)
        os.close(inner_from)
        os.close(inner_to)

    def _end(self, patience_s: float = 0.0) -> int:
        """End the process that calls the candidate, if it is not about to end by itself; return how it ended."""
        if not self._pid:
            return 0
        for descriptor in (self._to, self._from):
            os.close(descriptor)
        until = time.monotonic() + patience_s
        done, status = os.waitpid(self._pid, os.WNOHANG)
        while not done and time.monotonic() < until:
            time.sleep(0.005)
            done, status = os.waitpid(self._pid, os.WNOHANG)
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._pid, signal.SIGKILL)
        if not done:
            _, status = os.waitpid(self._pid, 0)
        self._pid = 0
        return -os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)


def _serve(requests: int, answers: int, folders: Sequence[str]) -> None:
    """Import the candidate and call it, until there is nothing more to do."""
    # Behind the standard library, so that no file of the candidate is taken for a part of it.
    known = (number for number, folder in enumerate(sys.path) if folder.endswith(("site-packages", "dist-packages")))
    at = next(known, len(sys.path))
    sys.path[at:at] = folders
    functions: list[Callable[..., Any]] = []
    with open(requests, "rb") as lines:
        for line in lines:
            request = json.loads(line)
            try:
                if "open" in request:
                    functions = [_load(name) for name in request["open"]]
                    answer = _line(request, ok=True)
                else:
                    answer = _called(request, functions[request["call"]])
            except BaseException as error:  # noqa: BLE001 - sys.exit() as well: whatever it does is the answer
                answer = _line(request, error=_words(error))
            if not _write(answers, answer):
                return


def _load(name: str) -> Callable[..., Any]:
    from importlib import import_module

    module, _, path = name.partition(":")
    found: Any = import_module(module)
    for part in path.split("."):
        found = getattr(found, part)
    if not callable(found):
        raise TypeError(f"{name} is a {type(found).__name__}, no function")
    called: Callable[..., Any] = found
    return called


def _called(request: dict[str, Any], function: Callable[..., Any]) -> bytes:
    results: list[Any] = []
    for arguments in request["with"]:
        try:
            results.append(function(*arguments))
        except BaseException as error:  # noqa: BLE001
            return _line(request, error=_words(error), at=len(results))
    try:
        return _line(request, results=results)
    except (TypeError, ValueError, RecursionError):
        at, why = next(filter(None, map(_unplain, enumerate(results))))
        return _line(request, error=why, at=at)


def _unplain(numbered: tuple[int, Any]) -> tuple[int, str] | None:
    """Return which result is no plain JSON value, and what is to be said of it."""
    at, value = numbered
    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        what = repr(value) if type(value) is float else f"a value of type {type(value).__name__}"
        return at, f"it returned {what}, which is no plain JSON value ({str(error)[:200]}); {_PLAIN}"
    return None


def _words(error: BaseException) -> str:
    """Return an exception in words; its traceback goes to where the candidate prints."""
    import traceback

    at = error.__traceback__
    traceback.print_exception(type(error), error, at and at.tb_next, limit=-8)
    try:
        return f"{type(error).__name__}: {error}"[:_LONGEST_ERROR]
    except Exception:  # noqa: BLE001 - its words are the candidate's code as well
        return type(error).__name__


def _line(request: dict[str, Any], **answer: Any) -> bytes:
    return json.dumps({"id": request["id"], **answer}, allow_nan=False, separators=(",", ":")).encode() + b"\n"


def _write(descriptor: int, line: bytes) -> bool:
    """Write all of it; False when nobody reads."""
    waiting = memoryview(line)
    try:
        while waiting:
            waiting = waiting[os.write(descriptor, waiting[:_CHUNK]) :]
    except BrokenPipeError:
        return False
    return True
