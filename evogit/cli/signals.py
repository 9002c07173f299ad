"""Ctrl-C and friends: the first asks to stop, the second stops at once."""

from __future__ import annotations

import os
import signal
from types import FrameType

_WORDS = {signal.SIGINT: "interrupted", signal.SIGTERM: "terminated", signal.SIGHUP: "the terminal went away"}


class StopSignals:
    """Remembers the first signal; ends the process on the second one."""

    def __init__(self) -> None:
        self.number: int | None = None
        for number in _WORDS:
            signal.signal(number, self._on_signal)

    @property
    def reason(self) -> str | None:
        """What happened, in words, or None."""
        return None if self.number is None else _WORDS[signal.Signals(self.number)]

    def came(self) -> bool:
        """Return whether there was one."""
        return self.number is not None

    @property
    def exit_code(self) -> int:
        """The exit code shells expect: 130 after Ctrl-C, 143 after a request to terminate; 0 without a signal."""
        if self.number is None:
            return 0
        return _exit_code(self.number)

    def _on_signal(self, number: int, _: FrameType | None) -> None:
        if self.number is not None:
            os._exit(_exit_code(number))  # a guard process ends what was running
        self.number = number


def _exit_code(number: int) -> int:
    return 130 if number == signal.SIGINT else 143
