"""The conversation with the server of a function: what it may say, and for how long it is waited for."""

from __future__ import annotations

import os
import select
import time
from contextlib import suppress

import msgspec

from evogit.evaluation import results
from evogit.sandbox import Launcher
from evogit.sandbox.companion import Companion
from evogit.sandbox.job import KEPT_OUTPUT

_POLL_S = 0.1
_LONGEST_LINE = 4096


class Ready(msgspec.Struct, tag_field="says", tag="ready", forbid_unknown_fields=True):
    """It waits for the next request, having answered this one."""

    number: int


class Unfit(msgspec.Struct, tag_field="says", tag="unfit", forbid_unknown_fields=True):
    """A module is none to be shared by forked processes."""

    module: str


class Missing(msgspec.Struct, tag_field="says", tag="missing", forbid_unknown_fields=True):
    """A module that was named cannot be imported."""

    module: str
    why: str


class Worn(msgspec.Struct, tag_field="says", tag="worn", forbid_unknown_fields=True):
    """The last child left something that cannot be removed."""

    why: str


class Done(msgspec.Struct, tag_field="says", tag="done", forbid_unknown_fields=True, kw_only=True):
    """A child ended; `result` and `output` are how many bytes follow of each."""

    number: int
    code: int | None
    stopped: bool
    cpu_s: float
    own_s: float
    result: int
    output: int


Message = Ready | Unfit | Missing | Worn | Done


class Lost(Exception):
    """It ended, is late, or said what it should not have."""


class Crossed(Exception):
    """A limit was crossed."""


class Talk:
    """What is said to a server and heard from it."""

    def __init__(self, companion: Companion, launcher: Launcher) -> None:
        self.companion, self._launcher = companion, launcher
        self._heard = bytearray()
        os.set_blocking(companion.output, False)

    def say(self, line: bytes) -> None:
        """Write a line to it."""
        try:
            os.write(self.companion.input, line)
        except OSError as error:
            raise Lost(f"it does not listen: {error.strerror}") from error

    def hear(self, deadline: float, *, is_watched: bool = True) -> Message:
        """Return the next message."""
        while b"\n" not in self._heard:
            if len(self._heard) > _LONGEST_LINE:
                raise Lost("it said too much")
            self._wait(deadline, is_watched)
        line, _, rest = self._heard.partition(b"\n")
        self._heard = rest
        try:
            said: Message = msgspec.json.decode(line, type=Message)
        except msgspec.MsgspecError as error:
            raise Lost(f"it said what it should not: {error}") from error
        return said

    def answer(self, number: int, deadline: float, *, is_watched: bool = True) -> tuple[Done, bytes, bytes]:
        """Return the answer to a request, with the result and the output that follow it."""
        done = self.hear(deadline, is_watched=is_watched)
        if not isinstance(done, Done) or done.number != number:
            raise Lost("it answered what was not asked")
        if not (0 <= done.result <= results.MAX_RESULT_BYTES + 2 and 0 <= done.output <= KEPT_OUTPUT):
            raise Lost("its answer is too long")
        while len(self._heard) < done.result + done.output:
            self._wait(deadline, is_watched)
        parts = self._take(done.result), self._take(done.output)
        return done, *parts

    def _take(self, count: int) -> bytes:
        taken = bytes(self._heard[:count])
        del self._heard[:count]
        return taken

    def _wait(self, deadline: float, is_watched: bool) -> None:
        """Wait for more, a little at a time, and look after everything else meanwhile."""
        companion = self.companion
        pipes = [companion.output, *([companion.errors] if companion.is_heard else [])]
        poll = select.poll()
        for pipe in pipes:
            poll.register(pipe, select.POLLIN)
        left = deadline - time.monotonic()
        events = dict(poll.poll(1000 * max(0.0, min(left, _POLL_S))))
        if companion.output in events:
            chunk = b""
            with suppress(BlockingIOError):
                chunk = os.read(companion.output, KEPT_OUTPUT)
            if not chunk:
                raise Lost("it ended")
            self._heard += chunk
            return
        reason = companion.look()
        if reason and is_watched:
            raise Crossed(reason)
        if left <= 0:
            raise Lost("it does not answer")
        self._launcher.stop_if_cancelled()
