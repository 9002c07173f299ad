"""The one way to run a candidate's process: started in its sandbox, watched, and killed with all it started."""

from __future__ import annotations

import ctypes
import itertools
import os
import selectors
import sys
import time
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress

from evogit.sandbox.companion import Companion, read_into
from evogit.sandbox.guard import Guard
from evogit.sandbox.handed import Handed
from evogit.sandbox.job import MARK, Cancelled, Job, Outcome
from evogit.sandbox.plain import Plain, Sandbox, Started, reap_orphans
from evogit.sandbox.usage import Usage
from evogit.sandbox.watchdog import Watchdog

_POLL_S = 0.1
_PR_SET_CHILD_SUBREAPER = 36


class Launcher:
    """Launches one process after another, and kills every descendant of each before it returns.

    A guard process outlives a killed agent just long enough to kill what the agent had running.
    """

    def __init__(
        self,
        cancelled: Callable[[], bool] = lambda: False,
        sandbox: Sandbox | None = None,
        spared: Collection[int] = (),
    ) -> None:
        """Begin; `cancelled` is asked several times a second while a process runs.

        The sandbox is closed with the launcher; without one nothing is confined. `spared` are children of this process
        that it started in another way: all others are taken for what a launched process left behind.
        """
        self._cancelled = cancelled
        self._sandbox: Sandbox = sandbox or Plain()
        self._spared = frozenset(spared)
        self._guard = Guard()
        self._companions: dict[int, Companion] = {}
        self._outer: list[_Running | Companion] = []
        self._keys = itertools.count()
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
        """End what still runs and the guard process, and give back the sandbox."""
        self.end_companions()
        self.end_guard()
        self._sandbox.close()

    def end_companions(self) -> None:
        """End every process that stays."""
        for companion in list(self._companions.values()):
            companion.close()

    def end_guard(self) -> None:
        """End the guard process alone; the sandbox can serve another launcher."""
        self._guard.close()
        _adopt_orphans(yes=False)

    def stop_if_cancelled(self) -> None:
        """Look whether the caller wants to stop, and after processes around the one that is waited for.

        Raises:
            Cancelled: the caller does.
        """
        for running in self._outer:
            running.mind()
        if self._cancelled():
            raise Cancelled

    def open(self, job: Job) -> Companion:
        """Start a job that `talks`, which stays until it is closed.

        Raises:
            OSError: the program cannot be started at all.
        """
        sandbox = self._sandbox_of(job)
        key = next(self._keys)
        started = self._start(sandbox, job, key)
        self._guard.watch(key, started.process.pid, started.inner, is_kept=started.leash is not None)
        return self._keep(key, Companion(started, job, sandbox.limits, lambda: self._ended(key)))

    def take_over(self, handed: Handed, job: Job) -> Companion:
        """Look after a process that another one started for this job, which stays until it is closed."""
        key = next(self._keys)
        self._guard.hold(key, handed.pid)
        return self._keep(key, Companion(handed, job, Plain.limits, lambda: self._ended(key)))

    def launch(
        self, job: Job, beside: Sequence[Companion] = (), meanwhile: Callable[[], float] | None = None
    ) -> Outcome:
        """Run the job to its end or one of its limits, or of those of a companion that is `beside` it.

        `meanwhile` is called several times a second. It may launch other processes, one after another, and returns the
        seconds that are none of the job's time.

        Raises:
            Cancelled: `cancelled` became true.
            OSError: the program cannot be started at all.
        """
        begun, usage = time.monotonic(), Usage()
        sandbox = self._sandbox_of(job)
        key = next(self._keys)
        started = self._start(sandbox, job, key)
        try:
            self._guard.watch(key, started.process.pid, started.inner, is_kept=started.leash is not None)
            for companion in beside:
                companion.begin()
            watchdog = Watchdog(started.top, job, sandbox.limits, confined=started.inner is not None)
            running = _Running(started, job, _looker(watchdog, usage, started.top, beside))
            try:
                ended = self._drain(running, begun + job.timeout_s, beside, meanwhile)
            finally:
                started.kill()
                self._ended(key)
            seconds, output = time.monotonic() - begun, bytes(running.output)
            code = started.exit_code(output) if ended else None
        finally:
            started.close()
        # bubblewrap does not wait for the first process inside: we do, among the orphans, so that its time is known.
        return Outcome(exit_code=code, output=output, seconds=seconds, stopped=running.crossed, cpu_s=usage.seconds())

    def aside(self, running: _Running | Companion, meanwhile: Callable[[], float]) -> float:
        """Do something else, which may launch processes, and look after one that runs from there; return what it does.

        A process that crosses a limit meanwhile is ended at once.
        """
        self._outer.append(running)
        try:
            return meanwhile()
        finally:
            self._outer.pop()

    def _keep(self, key: int, companion: Companion) -> Companion:
        self._companions[key] = companion
        return companion

    def _sandbox_of(self, job: Job) -> Sandbox:
        return Plain() if job.trusted else self._sandbox

    def _start(self, sandbox: Sandbox, job: Job, key: int) -> Started:
        """Start a job that the guard knows of before it runs."""
        self._guard.expect(key, job.environment.get(MARK, ""))
        try:
            return sandbox.start(job)
        except OSError:
            self._ended(key)
            raise

    def _ended(self, key: int) -> None:
        """Kill what a process left behind that has ended."""
        self._companions.pop(key, None)
        kept = {companion.pid for companion in self._companions.values()}
        kept |= {running.pid for running in self._outer}
        reap_orphans({self._guard.pid, *kept, *self._spared}, {running.mark for running in self._outer})
        self._guard.rest(key)

    def _drain(
        self, running: _Running, deadline: float, beside: Sequence[Companion], meanwhile: Callable[[], float] | None
    ) -> bool:
        """Keep the end of the output until the process ends (True), or a limit is reached."""
        process, pipe = running.started.process, running.pipe
        with selectors.DefaultSelector() as selector, _ExitSignal(process.pid) as exited:
            selector.register(pipe, selectors.EVENT_READ)
            if exited.descriptor is not None:
                selector.register(exited.descriptor, selectors.EVENT_READ)
            for companion in beside:
                selector.register(companion.errors, selectors.EVENT_READ)
            while True:
                remaining = deadline - time.monotonic()
                selector.select(max(0.0, min(remaining, exited.poll_s)))
                if not running.hear() and pipe in selector.get_map():
                    selector.unregister(pipe)
                if process.poll() is not None:
                    running.hear()
                    return running.crossed is None
                if remaining <= 0 or running.mind():
                    return False
                for companion in beside:
                    if not companion.is_heard and companion.errors in selector.get_map():
                        selector.unregister(companion.errors)
                self.stop_if_cancelled()
                if meanwhile:
                    deadline += self.aside(running, meanwhile)


class _Running:
    """A launched process with the end of its output, and which limit it crossed, in words."""

    def __init__(self, started: Started, job: Job, looker: Callable[[], str | None]) -> None:
        assert started.process.stdout is not None
        self.started, self.pid, self.pipe = started, started.process.pid, started.process.stdout.fileno()
        self.mark = os.fsencode(f"{MARK}={job.environment.get(MARK, '')}")
        self.output = bytearray()
        self.crossed: str | None = None
        self._looker, self._most = looker, job.kept
        os.set_blocking(self.pipe, False)

    def hear(self) -> bool:
        """Keep what it said; return whether it may say more."""
        return read_into(self.output, self.pipe, self._most)

    def mind(self) -> str | None:
        """Keep what it said, and end it when it crosses a limit; return which."""
        self.hear()
        if self.crossed is None and (reason := self._looker()):
            self.crossed = reason
            self.started.kill()
        return self.crossed


def _looker(watchdog: Watchdog, usage: Usage, top: int, beside: Sequence[Companion]) -> Callable[[], str | None]:
    """Return what says which limit was crossed, by the job itself or beside it."""

    def look() -> str | None:
        usage.look(time.monotonic(), top)
        reasons = [companion.look() for companion in beside]
        return next(filter(None, reasons), None) or watchdog.look(time.monotonic())

    return look


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
