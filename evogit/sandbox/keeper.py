"""The process around a job that no sandbox hides: it outlives the job for a moment, and everything in it for good.

The job can neither signal it nor read its memory, because Landlock lets only it reach into the job and not the other
way round. What it kills, it kills at once: the kernel lets nobody fork meanwhile.
"""

from __future__ import annotations

import ctypes
import os
import resource
import select
import signal
import socket
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import NoReturn

from evogit.sandbox import ruleset
from evogit.sandbox.attributes import Attributes

_SET_DUMPABLE, _SET_CHILD_SUBREAPER = 4, 36
_REAP_EVERY_MS = 200
_FAILED = 125
_libc = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Confinement:
    """What is done between fork and exec: rulesets for the keeper and for the job, the filter, and the limits.

    `writable` are the folders of the job's own, without links. `leash` is the end of a pipe: once the other end, `held`
    by whoever launches, is closed or gone, the job has to end.
    """

    scope: int
    files: int
    program: bytes
    limits: Mapping[int, int]
    writable: Sequence[str]
    leash: int
    held: int

    def enter(self) -> None:
        """Confine this process, which was forked to become the job; it returns in a child of it, which is the job.

        Raises:
            OSError: the kernel refuses.
        """
        os.close(self.held)
        ruleset.give_up_privileges()
        ruleset.restrict(self.scope)
        _refuse_to_reach(os.getppid())
        _libc.prctl(_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        ours, theirs = socket.socketpair()
        job = os.fork()
        if job:
            _keep(job, self.leash, ours, self.writable)
        os.setsid()
        ours.close()
        _be_the_first_to_go()
        _limit(self.limits)
        ruleset.restrict(self.files)
        listener = ruleset.filter_calls(self.program)
        socket.send_fds(theirs, [b"."], [listener])
        theirs.close()


def _refuse_to_reach(pid: int) -> None:
    """Raise unless a process outside is out of reach: killing everything in reach is what the keeper does."""
    try:
        os.kill(pid, 0)
    except PermissionError:
        return
    raise OSError(f"Landlock lets a process signal process {pid}, which is outside")


def _be_the_first_to_go() -> None:
    with suppress(OSError):
        file = os.open("/proc/self/oom_score_adj", os.O_WRONLY | os.O_CLOEXEC)
        os.write(file, b"1000")
        os.close(file)


def _limit(limits: Mapping[int, int]) -> None:
    for kind, value in limits.items():
        hard = resource.getrlimit(kind)[1]
        most = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(kind, (most, most))


def _keep(job: int, leash: int, channel: socket.socket, writable: Sequence[str]) -> NoReturn:
    """The keeper's whole life: it ends as the job ended."""
    status = None
    try:
        _libc.prctl(_SET_DUMPABLE, 0, 0, 0, 0)  # what it inherited is the launcher's memory: no core of that
        _close_all_but(leash, channel.fileno())
        os.chdir("/")
        status = _wait(job, leash, channel, writable)
    finally:
        found = _kill_all()
        status = found.get(job, status)
        _end_like(status)


def _wait(job: int, leash: int, channel: socket.socket, writable: Sequence[str]) -> int | None:
    """Answer until the job ends, and return how; None: it has to end."""
    ended = os.pidfd_open(job)
    poll = select.poll()
    for descriptor in (ended, leash, channel.fileno()):
        poll.register(descriptor, select.POLLIN)
    attributes: Attributes | None = None
    while True:
        ready = dict(poll.poll(_REAP_EVERY_MS))
        if leash in ready:
            return None
        if attributes is not None and ready.get(attributes.listener, 0) & select.POLLIN:
            attributes.answer()
        elif attributes is not None and attributes.listener in ready:  # nobody is left to ask
            poll.unregister(attributes.listener)
        if channel.fileno() in ready:
            poll.unregister(channel.fileno())
            _, listeners, _, _ = socket.recv_fds(channel, 1, 1)
            if listeners:
                attributes = Attributes(listeners[0], writable)
                poll.register(listeners[0], select.POLLIN)
        found = _reap()
        if job in found:
            return found[job]


def _reap(options: int = os.WNOHANG) -> dict[int, int]:
    """Take note of the children that ended, and return how each did."""
    found: dict[int, int] = {}
    with suppress(ChildProcessError):
        while (ended := os.waitpid(-1, options))[0]:
            found[ended[0]] = ended[1]
    return found


def _kill_all() -> dict[int, int]:
    """Kill all that is in reach, which is what the job started, and wait for the end of it."""
    with suppress(ProcessLookupError):
        os.kill(-1, signal.SIGKILL)
    return _reap(0)


def _end_like(status: int | None) -> NoReturn:
    code = _FAILED if status is None else os.waitstatus_to_exitcode(status)
    if code < 0:
        with suppress(OSError):  # some have no default to be set
            signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    os._exit(code & 0xFF)


def _close_all_but(*kept: int) -> None:
    start = 0
    for descriptor in sorted(kept):
        os.closerange(start, descriptor)
        start = descriptor + 1
    os.closerange(start, resource.getrlimit(resource.RLIMIT_NOFILE)[0])
