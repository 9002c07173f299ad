"""The one way to run a candidate's process: started in its sandbox, watched, and killed with all it started."""

from __future__ import annotations

import ctypes
import os
import selectors
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress

from evogit.sandbox.guard import Guard
from evogit.sandbox.job import MARK, Cancelled, Job, Outcome
from evogit.sandbox.plain import Plain, Sandbox, reap_orphans
from evogit.sandbox.watchdog import Watchdog

_KEPT_OUTPUT = 64 * 1024
_POLL_S = 0.1
_PR_SET_CHILD_SUBREAPER = 36


class Launcher:
    """Launches one process after another, and kills every descendant of each before it returns.

    A guard process outlives a killed agent just long enough to kill what the agent had running.
    """

    def __init__(self, cancelled: Callable[[], bool] = lambda: False, sandbox: Sandbox | None = None) -> None:
        """Begin; `cancelled` is asked several times a second while a process runs.

        The sandbox is closed with the launcher; without one nothing is confined.
        """
        self._cancelled = cancelled
        self._sandbox: Sandbox = sandbox or Plain()
        self._guard = Guard()
        _adopt_orphans(yes=True)

    @property
    def kind(self) -> str:
        """What a record says of the confinement a score was measured in."""
        return self._sandbox.kind

    @property
    def owner(self) -> int | None:
        """The user whose the files must be that a process is to write; None: the one who runs evogit."""
        return self._sandbox.owner

    def close(self) -> None:
        """End the guard process, and give back the sandbox."""
        self.end_guard()
        self._sandbox.close()

    def end_guard(self) -> None:
        """End the guard process alone; the sandbox can serve another launcher."""
        self._guard.close()
        _adopt_orphans(yes=False)

    def stop_if_cancelled(self) -> None:
        """Look whether the caller wants to stop, while something else than a process is waited for.

        Raises:
            Cancelled: it does.
        """
        if self._cancelled():
            raise Cancelled

    def launch(self, job: Job) -> Outcome:
        """Run the job to its end or one of its limits.

        Raises:
            Cancelled: `cancelled` became true.
            OSError: the program cannot be started at all.
        """
        begun = time.monotonic()
        sandbox = Plain() if job.trusted else self._sandbox
        self._guard.expect(job.environment.get(MARK, ""))
        try:
            started = sandbox.start(job)
        except OSError:
            reap_orphans(self._guard.pid)
            raise
        try:
            self._guard.watch(started.process.pid, started.inner)
            watchdog = Watchdog(started.top, job, sandbox.limits, confined=started.inner is not None)
            try:
                output, stopped, ended = self._drain(started.process, begun + job.timeout_s, watchdog)
            finally:
                started.kill()
                reap_orphans(self._guard.pid)
                self._guard.rest()
            seconds = time.monotonic() - begun
            code = started.exit_code(output) if ended else None
        finally:
            started.close()
        return Outcome(exit_code=code, output=output, seconds=seconds, stopped=stopped)

    def _drain(
        self, process: subprocess.Popen[bytes], deadline: float, watchdog: Watchdog
    ) -> tuple[bytes, str | None, bool]:
        """Keep the end of the output until the process ends (True), or a limit is reached; it is named if not time."""
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
                    return bytes(kept), None, True
                if remaining <= 0:
                    return bytes(kept), None, False
                if reason := watchdog.look(time.monotonic()):
                    return bytes(kept), reason, False
                self.stop_if_cancelled()


def _adopt_orphans(*, yes: bool) -> None:
    """Make orphans of a launched process our children or not, so that they are found and killed, too."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, int(yes), 0, 0, 0)


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
