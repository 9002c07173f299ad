"""CPU time of one job: what the kernel adds up for whoever waits, and what was seen of processes nobody waited for."""

from __future__ import annotations

import resource

from evogit.sandbox import processes

_EVERY_S = 0.1


class Usage:
    """Counts from when it is made; all that the job started must be over and waited for when `seconds` is asked.

    A program that ignores SIGCHLD has its children's time forgotten by the kernel. They are looked at while they run,
    so that it can hide only those that live for less than a tenth of a second.
    """

    def __init__(self) -> None:
        self._before = _waited_for()
        self._seen: dict[tuple[int, int], float] = {}
        self._next = 0.0

    def look(self, now: float, top: int) -> None:
        """Note what the process `top` and all its descendants have used by now."""
        if now < self._next:
            return
        self._next = now + _EVERY_S
        for pid in processes.tree(top):
            found = processes.cpu_time(pid)
            if found is not None:
                started, seconds = found
                self._seen[pid, started] = seconds

    def seconds(self) -> float:
        """Return the seconds of CPU, user and system."""
        return max(_waited_for() - self._before, sum(self._seen.values()))


def _waited_for() -> float:
    """Return the seconds of all children of this process that ended and were waited for, with those they waited for."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
