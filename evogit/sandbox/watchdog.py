"""What no limit of the kernel's covers: memory and disk of all processes of one job together, and their number."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from evogit.sandbox import processes
from evogit.sandbox.job import Job, Limits

_MB = 1 << 20
_EVERY_S = 0.1
_IN_MEMORY = ("/tmp", "/dev/shm")
"""Folders inside a sandbox that are limited in size, but not in the number of their files, which are memory, too."""


class _Room(NamedTuple):
    """What is free on a disk, or was written by a job."""

    size: int
    files: int


class Watchdog:
    """Looks every tenth of a second whether a job uses too much; a job that is over sooner costs nothing."""

    def __init__(self, top: int, job: Job, limits: Limits, *, confined: bool) -> None:
        """Watch the process `top` with its descendants, and the folders of `job`; confined, it has others in memory."""
        self._top = top
        self._memory_mb = job.memory_mb or limits.memory_mb
        self._limits = limits
        self._who = job.who
        self._folders = (job.cwd, *job.writable)
        self._in_memory = _IN_MEMORY if confined else ()
        self._next = 0.0
        self._since = time.time()
        self._before = _free(job.cwd)

    def look(self, now: float) -> str | None:
        """Return which limit was crossed, in words, or None."""
        if now < self._next:
            return None
        self._next = now + _EVERY_S
        return self._look_at_processes() or self._look_at_disk() or self._look_at_files_in_memory()

    def _look_at_processes(self) -> str | None:
        limit = self._memory_mb
        if limit is None and not self._limits.is_counted:
            return None
        pids = list(processes.tree(self._top))
        if self._limits.is_counted:
            del pids[0]
            if sum(map(processes.threads, pids)) > self._limits.processes:
                return f"processes: it runs more than {self._limits.processes} at once"
        if limit is None or _used(pids, limit * _MB) <= limit * _MB:
            return None
        whose = "its" if self._who == "it" else f"{self._who}'s"
        return f"memory: {whose} processes use more than {limit} MB together"

    def _look_at_disk(self) -> str | None:
        now = _free(self._folders[0])
        if not self._says(_Room(self._before.size - now.size, self._before.files - now.files)):
            return None
        # Somebody else may have filled the disk: only now it is worth looking at every file.
        written = _written([os.fsencode(folder) for folder in self._folders], self._since)
        self._before = _Room(now.size + written.size, now.files + written.files)
        return self._says(written)

    def _look_at_files_in_memory(self) -> str | None:
        for folder in self._in_memory:
            inside = f"/proc/{self._top}/root{folder}"
            with suppress(OSError):  # not mounted yet, or the job ended
                if os.stat(inside).st_dev == os.stat(folder).st_dev:
                    continue  # the sandbox is still being made, and this is the machine's own
                found = os.statvfs(inside)
                if reason := self._says(_Room(0, found.f_files - found.f_ffree)):
                    return reason
        return None

    def _says(self, written: _Room) -> str | None:
        disk, files = self._limits.disk_mb, self._limits.files
        if disk is not None and written.size > disk * _MB:
            return f"disk: {self._who} wrote more than {disk} MB"
        if files is not None and written.files > files:
            return f"disk: {self._who} made more than {files} files"
        return None


def _used(pids: Sequence[int], limit: int) -> int:
    """Return the bytes of memory of processes.

    Pages shared by forked processes are counted in full at first; only a sum above the limit is worth counting well.
    """
    rough = {pid: processes.resident(pid) for pid in pids}
    if sum(rough.values()) <= limit:
        return sum(rough.values())
    exact = {pid: processes.proportional(pid) for pid in pids}
    # Looked at again where the shares are not said: it may have ended between the two looks.
    return sum(processes.resident(pid) if found is None else found for pid, found in exact.items())


def _free(folder: Path) -> _Room:
    try:
        found = os.statvfs(folder)
    except OSError:
        return _Room(0, 0)
    return _Room(found.f_bavail * found.f_frsize, found.f_favail)


def _written(waiting: list[bytes], since: float) -> _Room:
    sizes = list(_sizes(waiting, since))
    return _Room(sum(sizes), len(sizes))


def _sizes(waiting: list[bytes], since: float) -> Iterable[int]:
    """Yield what files and folders changed since then take on the disk."""
    while waiting:
        with suppress(OSError), os.scandir(waiting.pop()) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(entry.path)
                if (status := entry.stat(follow_symlinks=False)).st_ctime >= since:
                    yield status.st_blocks * 512
