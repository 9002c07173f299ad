"""Reading what the system says of processes; a system that does not say gives empty answers."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import suppress

_PAGE = os.sysconf("SC_PAGE_SIZE")
_TICKS = os.sysconf("SC_CLK_TCK")


def pids() -> list[int]:
    """Return the ids of all processes."""
    try:
        return [int(name) for name in os.listdir("/proc") if name.isdecimal()]
    except OSError:
        return []


def environment(pid: int) -> bytes:
    """Return the environment a process was started with; nothing when it ended, or is somebody else's."""
    return _read(f"/proc/{pid}/environ")


def children(pid: int) -> list[int]:
    """Return the children of all threads of a process."""
    try:
        threads = os.listdir(f"/proc/{pid}/task")
    except OSError:
        return []
    return [int(child) for thread in threads for child in _read(f"/proc/{pid}/task/{thread}/children").split()]


def tree(root: int) -> Iterator[int]:
    """Yield a process and all its descendants."""
    waiting = [root]
    while waiting:
        pid = waiting.pop()
        yield pid
        waiting += children(pid)


def begun(pid: int) -> str:
    """Return when a process began, in ticks since the machine did: with its number that tells it from all others."""
    fields = _read(f"/proc/{pid}/stat").rpartition(b")")[2].split()
    return fields[19].decode() if len(fields) > 19 else ""


def threads(pid: int) -> int:
    """Return how many threads a process has."""
    try:
        return len(os.listdir(f"/proc/{pid}/task"))
    except OSError:
        return 0


def threads_of_user(uid: int) -> int:
    """Return how many threads all processes of a user have."""
    found = 0
    for pid in pids():
        with suppress(OSError):
            found += threads(pid) if os.stat(f"/proc/{pid}/task").st_uid == uid else 0
    return found


def resident(pid: int) -> int:
    """Return the bytes of memory a process uses, pages it shares with others counted in full."""
    fields = _read(f"/proc/{pid}/statm").split()
    return int(fields[1]) * _PAGE if len(fields) > 1 else 0


def proportional(pid: int) -> int | None:
    """Return the bytes of memory of a process, shared pages divided among those who share them; None: not said."""
    for line in _read(f"/proc/{pid}/smaps_rollup").splitlines():
        if line.startswith(b"Pss:"):
            return int(line.split()[1]) * 1024
    return None


def cpu_time(pid: int) -> tuple[int, float] | None:
    """Return when a process began, in ticks, and its seconds of CPU, those of its children not counted; None: gone."""
    fields = _read(f"/proc/{pid}/stat").rpartition(b")")[2].split()  # its name may hold anything
    if len(fields) < 20:
        return None
    return int(fields[19]), (int(fields[11]) + int(fields[12])) / _TICKS


def kill(pid: int) -> None:
    """End a process that may be gone already."""
    with suppress(ProcessLookupError, PermissionError):
        os.kill(pid, signal.SIGKILL)


def _read(path: str) -> bytes:
    try:
        with open(path, "rb", buffering=0) as file:
            return file.read()
    except OSError:
        return b""
