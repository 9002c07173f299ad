"""The one function that launches a candidate's process, and what makes sure that nothing of it stays behind.

There is no confinement yet: the process runs as the user, with a scrubbed environment and in its own process group.
"""

from __future__ import annotations

import ctypes
import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

KIND = "none"
"""What a record says of the confinement a score was measured in."""
_KEPT_OUTPUT = 64 * 1024
_POLL_S = 0.1
_PR_SET_CHILD_SUBREAPER = 36
_MARK = "EVOGIT_RESULT"
"""The variable by which a guard knows the processes of its agent's evaluation: its value is a path of this agent's."""
_QUIET_ROUNDS = 3
_KILL_ROUNDS = 500
_KILL_PAUSE_S = 0.02


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A process to run: its working directory, whole environment, and limit in seconds of wall time.

    `read_only` are files and folders outside the working directory that it needs, at these paths. `trusted` is the
    user's own command, run on no candidate's code: it is never confined. `memory_mb` is what all its processes may use.
    """

    argv: Sequence[str]
    cwd: Path
    environment: Mapping[str, str]
    timeout_s: float
    read_only: Sequence[Path] = ()
    trusted: bool = False
    memory_mb: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How it ended: the exit code (negative: a signal; None: the time limit), the last output, wall seconds."""

    exit_code: int | None
    output: bytes
    seconds: float


class Cancelled(Exception):
    """The caller wants to stop; the process was killed."""


class Launcher:
    """Launches one process after another, and kills every descendant of each before it returns.

    A guard process outlives a killed agent just long enough to kill what the agent had running.
    """

    def __init__(self, cancelled: Callable[[], bool] = lambda: False) -> None:
        """Begin; `cancelled` is asked several times a second while a process runs."""
        self._cancelled = cancelled
        self._guard = _Guard()
        if sys.platform == "linux":
            # Orphans of a launched process become our children, so that they are found and killed, too.
            ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)

    def close(self) -> None:
        """End the guard process."""
        self._guard.close()

    def stop_if_cancelled(self) -> None:
        """Look whether the caller wants to stop, while something else than a process is waited for.

        Raises:
            Cancelled: it does.
        """
        if self._cancelled():
            raise Cancelled

    def launch(self, job: Job) -> Outcome:
        """Run the job to its end or its time limit.

        Raises:
            Cancelled: `cancelled` became true.
            OSError: the program cannot be started at all.
        """
        started = time.monotonic()
        self._guard.expect(job.environment.get(_MARK, ""))
        process = subprocess.Popen(
            list(job.argv),
            cwd=job.cwd,
            env=dict(job.environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        self._guard.watch(process.pid)
        try:
            output, ended = self._drain(process, started + job.timeout_s)
        finally:
            self._kill_all(process)
            self._guard.rest()
        seconds = time.monotonic() - started
        return Outcome(exit_code=process.returncode if ended else None, output=output, seconds=seconds)

    def _drain(self, process: subprocess.Popen[bytes], deadline: float) -> tuple[bytes, bool]:
        """Keep the end of the output until the process ends (True) or the deadline comes (False)."""
        assert process.stdout is not None
        pipe = process.stdout.fileno()
        os.set_blocking(pipe, False)
        kept = bytearray()
        with selectors.DefaultSelector() as selector, _ExitSignal(process.pid) as exited:
            selector.register(pipe, selectors.EVENT_READ)
            if exited.descriptor is not None:
                selector.register(exited.descriptor, selectors.EVENT_READ)
            while True:
                remaining = deadline - time.monotonic()
                selector.select(max(0.0, min(remaining, exited.poll_s)))
                if not _read_into(kept, pipe) and pipe in selector.get_map():
                    selector.unregister(pipe)
                if process.poll() is not None:
                    _read_into(kept, pipe)
                    return bytes(kept), True
                if remaining <= 0:
                    return bytes(kept), False
                if self._cancelled():
                    raise Cancelled

    def _kill_all(self, process: subprocess.Popen[bytes]) -> None:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        if process.stdout:
            process.stdout.close()
        for _ in range(1000):
            orphans = [pid for pid in _children() if pid != self._guard.pid]
            if not orphans:
                return
            for pid in orphans:
                with suppress(ProcessLookupError, PermissionError):
                    os.kill(pid, signal.SIGKILL)
            for pid in orphans:
                with suppress(ChildProcessError):
                    os.waitpid(pid, 0)


class _ExitSignal:
    """A descriptor that becomes readable when a process ends, where the system has one; else a shorter poll."""

    def __init__(self, pid: int) -> None:
        self.descriptor: int | None = None
        self.poll_s = 0.01
        if hasattr(os, "pidfd_open"):
            with suppress(OSError):
                self.descriptor = os.pidfd_open(pid)
                self.poll_s = _POLL_S

    def __enter__(self) -> _ExitSignal:
        return self

    def __exit__(self, *_: object) -> None:
        if self.descriptor is not None:
            os.close(self.descriptor)


class _Guard:
    """A forked process that reads what runs, and kills it when the agent's end of the pipe closes.

    It leaves the agent's session, so that a signal to the whole process group cannot end it first. It shares the lock
    on the agent's name, so that nobody takes up the name, and the folder that goes with it, while anything still runs.
    """

    def __init__(self) -> None:
        reader, self._writer = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            os.close(self._writer)
            _guard(reader)
        os.close(reader)

    def expect(self, mark: str) -> None:
        """Say that a process starts whose environment has `mark`: an agent killed just now could not name its group."""
        self._tell(b"start %s\n" % os.fsencode(mark).hex().encode())

    def watch(self, group: int) -> None:
        """Name the process group that runs now."""
        self._tell(b"group %d\n" % group)

    def rest(self) -> None:
        """Say that nothing runs."""
        self._tell(b"rest\n")

    def close(self) -> None:
        """End the guard."""
        os.close(self._writer)
        with suppress(ChildProcessError):
            os.waitpid(self.pid, 0)

    def _tell(self, line: bytes) -> None:
        with suppress(BrokenPipeError):
            os.write(self._writer, line)


def _guard(reader: int) -> None:
    """The guard's whole life; it never returns."""
    try:
        os.setsid()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        mark, group = b"", 0
        with open(reader, "rb") as lines:
            for line in lines:
                word, _, rest = line[:-1].partition(b" ")
                if word == b"start":
                    mark = b"%s=%s" % (_MARK.encode(), bytes.fromhex(rest.decode())) if rest else b""
                group = int(rest) if word == b"group" else 0
                if word == b"rest":
                    mark = b""
        if group:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(group, signal.SIGKILL)
        if mark:
            _kill_marked(mark)
    finally:
        os._exit(0)


def _kill_marked(mark: bytes) -> None:
    """Kill every process that inherited this environment entry, also one that left its process group."""
    quiet = 0
    for _ in range(_KILL_ROUNDS):
        found = [pid for pid in _pids() if mark in _environment(pid).split(b"\0")]
        for pid in found:
            with suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        # A process between fork and exec does not show its own environment yet: look again a few times.
        quiet = 0 if found else quiet + 1
        if quiet == _QUIET_ROUNDS:
            return
        time.sleep(_KILL_PAUSE_S)


def _pids() -> list[int]:
    try:
        return [int(name) for name in os.listdir("/proc") if name.isdecimal()]
    except OSError:
        return []  # no such list on this system: the process group has to do


def _environment(pid: int) -> bytes:
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:
            return file.read()
    except OSError:
        return b""  # it ended, or is not ours


def _read_into(kept: bytearray, pipe: int) -> bool:
    """Read what is there, keep only the end of it; False when the pipe is closed."""
    for _ in range(64):  # an endless writer must not keep us from looking at the clock
        try:
            chunk = os.read(pipe, _KEPT_OUTPUT)
        except BlockingIOError:
            return True
        if not chunk:
            return False
        kept += chunk
        del kept[:-_KEPT_OUTPUT]
    return True


def _children() -> list[int]:
    try:
        with open(f"/proc/self/task/{os.getpid()}/children") as listing:
            return [int(pid) for pid in listing.read().split()]
    except OSError:
        return []
