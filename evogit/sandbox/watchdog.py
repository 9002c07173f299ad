"""What no limit of the kernel's covers: memory and disk of all processes of one job together."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from evogit.sandbox import processes
from evogit.sandbox.job import Job, Limits

_MB = 1 << 20
_EVERY_S = 0.1


class Watchdog:
    """Looks every tenth of a second whether a job uses too much; a job that is over sooner costs nothing."""

    def __init__(self, top: int, job: Job, limits: Limits) -> None:
        """Watch the process `top` with its descendants, and the folders of `job`."""
        self._top = top
        self._memory_mb = job.memory_mb or limits.memory_mb
        self._disk_mb = limits.disk_mb
        self._folders = (job.cwd, *job.writable)
        self._next = 0.0
        self._since = time.time()
        self._free_before = _free(job.cwd)

    def look(self, now: float) -> str | None:
        """Return which limit was crossed, in words, or None."""
        if now < self._next:
            return None
        self._next = now + _EVERY_S
        return self._look_at_memory() or self._look_at_disk()

    def _look_at_memory(self) -> str | None:
        limit = self._memory_mb
        if limit is None or _used(self._top, limit * _MB) <= limit * _MB:
            return None
        return f"memory: its processes use more than {limit} MB together"

    def _look_at_disk(self) -> str | None:
        limit = self._disk_mb
        if limit is None or self._free_before - _free(self._folders[0]) <= limit * _MB:
            return None
        written = sum(_sizes([os.fsencode(folder) for folder in self._folders], self._since))
        if written > limit * _MB:
            return f"disk: it wrote more than {limit} MB"
        self._free_before = _free(self._folders[0]) + written  # somebody else filled the disk
        return None


def _used(top: int, limit: int) -> int:
    """Return the bytes of memory of a process and its descendants.

    Pages shared by forked processes are counted in full at first; only a sum above the limit is worth counting well.
    """
    pids = list(processes.tree(top))
    rough = {pid: processes.resident(pid) for pid in pids}
    if sum(rough.values()) <= limit:
        return sum(rough.values())
    exact = {pid: processes.proportional(pid) for pid in pids}
    return sum(rough[pid] if found is None else found for pid, found in exact.items())


def _free(folder: Path) -> int:
    try:
        found = os.statvfs(folder)
    except OSError:
        return 0
    return found.f_bavail * found.f_frsize


def _sizes(waiting: list[bytes], since: float) -> Iterable[int]:
    """Yield what files changed since then take on the disk."""
    while waiting:
        with suppress(OSError), os.scandir(waiting.pop()) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(entry.path)
                elif (status := entry.stat(follow_symlinks=False)).st_ctime >= since:
                    yield status.st_blocks * 512
