"""A process that stays while others are launched, and is talked to through pipes."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from contextlib import suppress

from evogit.sandbox.handed import Handed
from evogit.sandbox.job import KEPT_OUTPUT, MARK, Job, Limits
from evogit.sandbox.plain import Started
from evogit.sandbox.watchdog import Watchdog


class Companion:
    """A started process with its pipes: `input` is written to, `output` and `errors` are read.

    Whoever talks to it calls `look` several times a second, which keeps the end of `errors` so that the process never
    waits for a reader; `output` is the caller's to read. `is_heard` tells whether `errors` is still open on its side,
    `before` is what `said` was when it was last told to begin, `crossed` the limit for which `mind` ended it.
    """

    def __init__(self, started: Started | Handed, job: Job, limits: Limits, ended: Callable[[], None]) -> None:
        """Take care of a process started for a job that `talks`; `ended` is called once it was killed."""
        self.input, self.output, self.errors = started.pipes
        os.set_blocking(self.errors, False)
        self._started, self._job, self._limits, self._ended = started, job, limits, ended
        self._kept = bytearray()
        self.before = b""
        self.mark = os.fsencode(f"{MARK}={job.environment.get(MARK, '')}")
        self.crossed: str | None = None
        self._watchdog = self._new_watchdog()
        self._is_closed = False
        self.is_heard = True

    @property
    def pid(self) -> int:
        """The process out here: the program itself, or what keeps its sandbox."""
        return self._started.pid

    @property
    def said(self) -> bytes:
        """The end of what it wrote to `errors` since it was last told to begin."""
        return bytes(self._kept)

    @property
    def is_alive(self) -> bool:
        """Whether it runs."""
        return not self._is_closed and self._started.poll() is None

    def begin(self) -> None:
        """Begin to count anew what it says and what it writes to the disk: a new piece of work is asked of it."""
        self.look()
        self.before = self.said
        self._kept.clear()
        self._watchdog = self._new_watchdog()

    def look(self) -> str | None:
        """Keep what it said, and return which of its limits was crossed, in words, or None."""
        if self.is_heard and not self._is_closed:
            self.is_heard = read_into(self._kept, self.errors)
        return self._watchdog.look(time.monotonic()) if self.is_alive else None

    def mind(self) -> str | None:
        """Look, and end it when it crosses a limit; return which."""
        if self.crossed is None and (reason := self.look()):
            self.crossed = reason
            self._started.kill()
        return self.crossed

    def close(self) -> int | None:
        """Kill it with all it started; return its exit code (negative: a signal) if it had ended by itself."""
        if self._is_closed:
            return None
        code = self._started.poll()
        self._started.kill()
        read_into(self._kept, self.errors)
        if code is not None:
            with suppress(OSError):
                code = self._started.exit_code(self.said)
        self._started.close()
        self._is_closed = True
        self._ended()
        return code

    def _new_watchdog(self) -> Watchdog:
        return Watchdog(self._started.top, self._job, self._limits, confined=self._started.inner is not None)


def read_into(kept: bytearray, pipe: int, most: int = KEPT_OUTPUT) -> bool:
    """Read what is there from a pipe that does not block, keep so much of its end; False when the pipe is closed."""
    for _ in range(64):  # an endless writer must not keep us from looking at the clock
        try:
            chunk = os.read(pipe, KEPT_OUTPUT)
        except BlockingIOError:
            return True
        if not chunk:
            return False
        kept += chunk
        del kept[:-most]
    return True
