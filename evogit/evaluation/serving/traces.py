"""What one child could leave for the next one, and how it is removed."""

from __future__ import annotations

import contextlib
import ctypes
import os
import platform
import re
import resource
import signal
import stat
import sys

_IN_MEMORY = ("/tmp", "/dev/shm")
_SHARED_OBJECTS = ("/proc/sysvipc/shm", "/proc/sysvipc/msg", "/proc/sysvipc/sem")
_SOCKETS = ("/proc/net/sockstat", "/proc/net/sockstat6")
_IO_PRIORITY = {"x86_64": 252, "aarch64": 31}.get(platform.machine())
_libc = ctypes.CDLL(None, use_errno=True)


class Traces:
    """What one child could leave for the next, in this process or, `alone` in a sandbox, in what the sandbox has."""

    def __init__(self, alone: bool) -> None:
        self._alone = alone
        self._settings = _settings()
        self._known = self._look() if alone else {}
        in_memory = {self._known[folder][0] for folder in _IN_MEMORY if folder in self._known}
        ours = [path for path, sign in self._known.items() if sign[0] in in_memory]
        self._times = {path: os.lstat(path).st_mtime_ns for path in ours}

    def end_processes(self, child: int) -> float:
        """Kill everything that was started, and return the seconds of CPU of those that were not waited for yet."""
        used = 0.0
        if sys.platform != "linux":
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(child, signal.SIGKILL)
        while True:
            try:
                pid, _, spent = os.wait4(-1, os.WNOHANG)  # where there is none, nobody is left to be looked for
                if not pid:
                    self._kill()
                    _, _, spent = os.wait4(-1, 0)
            except ChildProcessError:
                return used
            used += seconds(spent)

    def _kill(self) -> None:
        if self._alone:
            with contextlib.suppress(ProcessLookupError):
                os.kill(-1, signal.SIGKILL)  # the whole sandbox but this, its first process
            return
        for each in _children():
            with contextlib.suppress(ProcessLookupError):
                os.kill(each, signal.SIGKILL)

    def remove(self) -> str:
        """Remove what is left, and return why that is not possible, or nothing."""
        if _settings() != self._settings:
            return "the limits or the priority of the server were changed"
        if not self._alone:
            return ""
        try:
            for folder in _IN_MEMORY:
                self._empty(folder)
            if self._look() != self._known:
                return "a folder in memory was changed"
            for path, when in self._times.items():
                with contextlib.suppress(PermissionError):
                    os.utime(path, ns=(when, when), follow_symlinks=False)
        except OSError as error:
            return f"a file in memory cannot be removed: {error}"
        if any(_text(path).count(b"\n") > 1 for path in _SHARED_OBJECTS):
            return "shared memory, semaphores or messages are left"
        if any(re.search(rb"(inuse|tw) [1-9]", _text(path)) for path in _SOCKETS):
            return "connections are left"
        return ""

    def _empty(self, folder: str) -> None:
        with os.scandir(folder) as entries:
            found = list(entries)
        for entry in found:
            if entry.path not in self._known:
                if entry.is_dir(follow_symlinks=False):
                    _remove_all(entry.path)
                else:
                    os.unlink(entry.path)
            elif entry.is_dir(follow_symlinks=False) and self._known[entry.path][0] == self._known[folder][0]:
                self._empty(entry.path)

    def _look(self) -> dict[str, tuple[object, ...]]:
        """Return the folders that were there before, and what is known of them: the export may lie below /tmp."""
        found: dict[str, tuple[object, ...]] = {}
        waiting = list(_IN_MEMORY)
        while waiting:
            path = waiting.pop()
            status = os.lstat(path)
            kept = tuple(sorted(os.listxattr(path, follow_symlinks=False))) if sys.platform == "linux" else ()
            found[path] = (status.st_dev, status.st_ino, status.st_mode, status.st_uid, kept)
            top = os.path.dirname(path)
            is_ours = path in _IN_MEMORY or found.get(top, (None,))[0] == status.st_dev
            if is_ours and stat.S_ISDIR(status.st_mode):
                waiting += [os.path.join(path, name) for name in os.listdir(path)]
        return found


def _settings() -> object:
    """Return what a process of the same user can change in this one."""
    limits = []
    for kind in range(16):
        with contextlib.suppress(ValueError, OSError):
            limits.append(resource.getrlimit(kind))
    if sys.platform != "linux":
        return limits, os.getpriority(os.PRIO_PROCESS, 0)
    io_priority = _libc.syscall(_IO_PRIORITY, 1, 0) if _IO_PRIORITY else None
    schedule = os.sched_getscheduler(0), os.sched_getparam(0).sched_priority, sorted(os.sched_getaffinity(0))
    return limits, os.getpriority(os.PRIO_PROCESS, 0), io_priority, schedule


def _children() -> list[int]:
    found: list[int] = []
    for thread in _names("/proc/self/task"):
        found += map(int, _text(f"/proc/self/task/{thread}/children").split())
    return found


def _remove_all(folder: str) -> None:
    import shutil  # seldom needed, and every child would inherit it

    shutil.rmtree(folder)


def _names(folder: str) -> list[str]:
    try:
        return os.listdir(folder)
    except OSError:
        return []


def _text(path: str) -> bytes:
    """Return what the kernel says there; nothing where there is no such file."""
    try:
        with open(path, "rb", buffering=0) as file:
            return file.read()
    except OSError:
        return b""


def seconds(used: resource.struct_rusage) -> float:
    """Return the seconds of CPU."""
    return used.ru_utime + used.ru_stime
