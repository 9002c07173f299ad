"""A process that another one started and handed over: it is no child of ours, and held by a descriptor."""

from __future__ import annotations

import os
import select
import signal
from contextlib import suppress

_ENDED = 255
"""Stands for how it ended, which only its parent is told."""
_MOMENT_MS = 5000


class Handed:
    """A running process by its number, its descriptor, and our ends of its pipes; it looks as `plain.Started` does."""

    inner: int | None = None

    def __init__(self, pid: int, descriptor: int, pipes: tuple[int, int, int]) -> None:
        """Take over all four descriptors: that of the process, and the pipes to its input, output and errors."""
        self.pid, self.pipes, self._descriptor = pid, pipes, descriptor

    @property
    def top(self) -> int:
        """The process all others descend from."""
        return self.pid

    def poll(self) -> int | None:
        """Return a number when it has ended, which does not say how; None while it runs."""
        return _ENDED if self._has_ended(0) else None

    def kill(self) -> None:
        """Kill it, and wait for its end."""
        with suppress(OSError):
            signal.pidfd_send_signal(self._descriptor, signal.SIGKILL)
        self._has_ended(_MOMENT_MS)

    def exit_code(self, output: bytes) -> int:
        """Return what `poll` does once it has ended."""
        return _ENDED

    def close(self) -> None:
        """Give back its descriptors."""
        for descriptor in (self._descriptor, *self.pipes):
            os.close(descriptor)

    def _has_ended(self, within_ms: int) -> bool:
        ended = select.poll()
        ended.register(self._descriptor, select.POLLIN)
        return bool(ended.poll(within_ms))
