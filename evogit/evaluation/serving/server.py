"""Answers requests, each with a child of its own.

To each line of input it answers with a line of JSON, followed by what the child left; then it kills and removes
everything of the child's, and says that it is ready, or that it cannot be used again.
"""

from __future__ import annotations

import ctypes
import fcntl
import gc
import json
import os
import resource
import select
import signal
import sys
import time
import warnings
from typing import Any

from evogit.evaluation.serving.child import Child
from evogit.evaluation.serving.preloading import preload
from evogit.evaluation.serving.scanning import SearchPath
from evogit.evaluation.serving.traces import Traces, seconds

_DUMPABLE, _PARENT_DEATH_SIGNAL, _SUBREAPER = 4, 1, 36
_QUEUES = 12
"""RLIMIT_MSGQUEUE, which the module `resource` knows on some systems only."""
_REAP_MS = 50
_UNKNOWN_CODE = 255
_libc = ctypes.CDLL(None, use_errno=True)


def main() -> None:
    """Import, say how that went, and serve until the input ends."""
    plan: dict[str, Any] = json.loads(sys.argv.pop(1))
    requests, replies = _take_over_the_pipes()
    alone = plan["confined"] and os.getpid() == 1
    if alone:
        resource.setrlimit(_QUEUES, (0, 0))  # message queues have no list from which to remove them
    traces = Traces(alone)
    path = SearchPath(plan)
    outcome = preload(plan, path)
    if why := traces.remove():
        outcome = {"says": "worn", "why": why}
    sys.stdout.flush()
    _keep_apart()
    gc.collect()
    gc.disable()
    gc.freeze()  # else a child's first collection would copy every page there is
    _say(replies, outcome)
    if outcome["says"] == "ready":
        Server(plan, path, traces, requests, replies).serve()
    os._exit(0)


def _keep_apart() -> None:
    """Take this process out of the reach of those it will start, which are the same user's."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if sys.platform == "linux":
        _libc.prctl(_DUMPABLE, 0, 0, 0, 0)
        _libc.prctl(_SUBREAPER, 1, 0, 0, 0)
        _libc.prctl(_PARENT_DEATH_SIGNAL, signal.SIGKILL, 0, 0, 0)


def _take_over_the_pipes() -> tuple[int, int]:
    """Return the pipes of requests and replies, which no child inherits, and put others in their places."""
    found = [fcntl.fcntl(number, fcntl.F_DUPFD_CLOEXEC, 3) for number in (0, 1)]
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 0)
    os.dup2(2, 1)
    os.close(null)
    return found[0], found[1]


def _say(replies: int, message: dict[str, Any], *more: bytes) -> None:
    rest = memoryview(json.dumps(message).encode() + b"\n" + b"".join(more))
    while rest:
        rest = rest[os.write(replies, rest) :]


class Server:
    """Answers requests, each with a child of its own."""

    def __init__(self, plan: dict[str, Any], path: SearchPath, traces: Traces, requests: int, replies: int) -> None:
        self._plan, self._path, self._traces = plan, path, traces
        self._requests, self._replies = requests, replies
        self._used = time.process_time()

    def serve(self) -> None:
        """Answer until the input ends, or a child left something that cannot be removed."""
        while True:
            line = os.read(self._requests, 64)
            if not line:
                return
            if not line.strip().isdigit():
                continue  # a wish to stop what had ended already
            number = int(line)
            self._answer(number)
            reason = self._traces.remove()
            if reason:
                _say(self._replies, {"says": "worn", "why": reason})
                return
            _say(self._replies, {"says": "ready", "number": number})

    def _answer(self, number: int) -> None:
        result, result_end = os.pipe()
        output, output_end = os.pipe()
        numbers = sys.modules.get("numpy.random")
        if numbers is not None:
            numbers.seed()  # or all children would draw the same; the module `random` takes care of it itself
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of threads that a library made, which take care of a fork themselves
            child = os.fork()
        if child == 0:
            try:
                for ours in (self._requests, self._replies, result, output):
                    os.close(ours)
                Child(self._plan, self._path, result_end).live(output_end)
            finally:
                os._exit(_UNKNOWN_CODE)
        os.close(result_end)
        os.close(output_end)
        self._look_after(number, child, result, output)

    def _look_after(self, number: int, child: int, result: int, output: int) -> None:
        kept = {result: Kept(self._plan["result_bytes"], first=True),
                output: Kept(self._plan["output_bytes"], first=False)}  # fmt: skip
        code, stopped, used = self._wait(child, kept)
        used += self._traces.end_processes(child)
        for pipe, content in kept.items():
            while content.read(pipe):
                pass
            os.close(pipe)
        own, self._used = time.process_time() - self._used, time.process_time()
        _say(
            self._replies,
            {"says": "done", "number": number, "code": code, "stopped": stopped, "cpu_s": used, "own_s": own,
             "result": len(kept[result].content), "output": len(kept[output].content)},
            bytes(kept[result].content),
            bytes(kept[output].content),
        )  # fmt: skip

    def _wait(self, child: int, kept: dict[int, Kept]) -> tuple[int | None, bool, float]:
        """Return how the child ended (None: it did not in time, or True: that was asked for), and its CPU time."""
        deadline = time.monotonic() + self._plan["timeout_s"]
        poll, used = select.poll(), 0.0
        exited = _exit_signal(child)
        for pipe in kept:
            os.set_blocking(pipe, False)
        for pipe in (self._requests, *kept, *([] if exited is None else [exited])):
            poll.register(pipe, select.POLLIN)
        try:
            while True:
                left = deadline - time.monotonic()
                events = poll.poll(max(0.0, min(left * 1000, _REAP_MS if exited is not None else 5)))
                for pipe, _ in events:
                    if pipe in kept and not kept[pipe].read(pipe):
                        poll.unregister(pipe)
                while True:
                    pid, status, spent = _reaped()
                    if not pid:
                        break
                    used += spent
                    if pid == child:
                        return _code(status), False, used
                if any(pipe == self._requests for pipe, _ in events):
                    if not os.read(self._requests, 64):
                        self._traces.end_processes(child)
                        os._exit(0)
                    return None, True, used
                if left <= 0:
                    return None, False, used
        finally:
            if exited is not None:
                os.close(exited)


class Kept:
    """The first bytes, or the last, of what comes out of a pipe."""

    def __init__(self, limit: int, *, first: bool) -> None:
        self.content = bytearray()
        self._limit, self._first = limit, first

    def read(self, pipe: int) -> bool:
        """Read what is there, at most so much that nobody has to wait; False where nothing is and will be."""
        try:
            chunk = os.read(pipe, 65536)
        except BlockingIOError:
            return False
        self.content += chunk
        if self._first:
            del self.content[self._limit + 1 :]
        else:
            del self.content[: -self._limit]
        return bool(chunk)


def _exit_signal(child: int) -> int | None:
    """Return a descriptor that becomes readable when the child ends, where the system and this Python have one."""
    try:
        return os.pidfd_open(child)
    except (AttributeError, OSError):
        return None


def _reaped() -> tuple[int, int, float]:
    try:
        pid, status, used = os.wait4(-1, os.WNOHANG)
    except ChildProcessError:
        return 0, 0, 0.0
    return pid, status, seconds(used) if pid else 0.0


def _code(status: int) -> int:
    return -os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)


if __name__ == "__main__":
    main()
