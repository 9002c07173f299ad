"""A started process, and the sandbox that is none: the process runs as the user, in its own process group."""

from __future__ import annotations

import errno
import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Protocol

from evogit.sandbox import processes
from evogit.sandbox.job import Job, Limits

_SIGNALS = range(129, 193)
"""Exit codes that stand for a signal where a shell or a sandbox reports it."""
_MOMENT_S = 5.0


@dataclass(slots=True)
class Started:
    """A running process; `inner` is the first process inside its sandbox, by its number out here.

    `report` is where the sandbox says how the process inside ended. `leash` is the end of a pipe that the process
    itself holds the other end of: when it is closed, it kills all it keeps, and ends.
    """

    process: subprocess.Popen[bytes]
    inner: int | None = None
    report: int | None = None
    leash: int | None = None
    _inner_fd: int | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        if self.inner is not None:
            with suppress(OSError):
                self._inner_fd = os.pidfd_open(self.inner)

    @property
    def pid(self) -> int:
        """The process out here: the program itself, or what keeps its sandbox."""
        return self.process.pid

    @property
    def pipes(self) -> tuple[int, int, int]:
        """Our ends of the pipes of a job that `talks`: to its input, from its output and its errors."""
        process = self.process
        assert process.stdin
        assert process.stdout
        assert process.stderr
        return process.stdin.fileno(), process.stdout.fileno(), process.stderr.fileno()

    @property
    def top(self) -> int:
        """The process all others descend from."""
        return self.process.pid if self.inner is None else self.inner

    def poll(self) -> int | None:
        """Return how it ended, None while it runs."""
        return self.process.poll()

    def kill(self) -> None:
        """Kill it with all that is in its sandbox, or in its process group, and wait for it."""
        if self.leash is not None:
            os.close(self.leash)
            self.leash = None
            with suppress(subprocess.TimeoutExpired):
                self.process.wait(_MOMENT_S)
        if self._inner_fd is not None:
            # With the first process of a process id namespace the kernel kills all others of it. Killed from outside,
            # it cannot have been talked out of dying, and the process around it has an end to report.
            with suppress(OSError):
                signal.pidfd_send_signal(self._inner_fd, signal.SIGKILL)
            with suppress(subprocess.TimeoutExpired):
                self.process.wait(_MOMENT_S)
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def close(self) -> None:
        """Give back its descriptors."""
        for descriptor in (self._inner_fd, self.report):
            if descriptor is not None:
                os.close(descriptor)
        self._inner_fd = self.report = None
        for pipe in (self.process.stdin, self.process.stdout, self.process.stderr):
            if pipe:
                with suppress(BrokenPipeError):
                    pipe.close()

    def exit_code(self, output: bytes) -> int:
        """Return how it ended by itself; negative: a signal.

        Raises:
            OSError: it was never started inside its sandbox.
        """
        code = self.process.returncode
        if self.report is None:
            return code
        if code >= 0 and b'"exit-code"' not in _read_all(self.report):
            raise OSError(output.decode("utf-8", "replace").strip() or f"bwrap ended with exit code {code}")
        return 128 - code if code in _SIGNALS else code


class Sandbox(Protocol):
    """Starts processes, each confined in its way."""

    kind: str
    """What a record says of the confinement a score was measured in."""
    owner: int | None
    """The user whose the files must be that a process is to write; None: the one who runs evogit."""
    limits: Limits
    """What a job may use."""
    is_shared: bool
    """Whether it does not promise to hide the processes of this machine."""

    def start(self, job: Job) -> Started:
        """Start the job.

        Raises:
            OSError: it cannot be started.
        """
        ...

    def described(self) -> str:
        """Return what it is, in words."""
        ...

    def close(self) -> None:
        """Give back what it holds."""
        ...


class Plain:
    """No confinement: a scrubbed environment and a process group is all there is."""

    kind = "none"
    is_shared = False
    owner: int | None = None
    limits = Limits()

    def start(self, job: Job) -> Started:
        """Start the job.

        Raises:
            OSError: it cannot be started.
        """
        return Started(spawn(job.argv, job))

    def described(self) -> str:
        """Return what it is, in words."""
        return "none: candidates run as you, with your files, keys and network in reach"

    def close(self) -> None:
        """There is nothing to give back."""


def spawn(
    argv: Sequence[str], job: Job, descriptors: Sequence[int] = (), enter: Callable[[], None] | None = None
) -> subprocess.Popen[bytes]:
    """Start a program in the folder and with the environment of a job, leading a session of its own.

    `enter` is called in the forked process before it becomes the program. Agents have one thread, so nothing it needs
    can be locked by another.

    Raises:
        OSError: it cannot be started.
    """
    with open(job.input or os.devnull, "rb") as input_:
        return subprocess.Popen(
            list(argv),
            cwd=job.cwd,
            env=dict(job.environment),
            stdin=subprocess.PIPE if job.talks else input_,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE if job.talks else subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=enter,
            pass_fds=(*descriptors, *job.descriptors),
            bufsize=0,
        )


def refuse_missing(job: Job) -> None:
    """Raise what starting a program that is not there raises without a sandbox.

    Raises:
        FileNotFoundError: it is not there.
    """
    name = job.argv[0]
    program = os.path.join(job.cwd, name) if "/" in name else name
    if shutil.which(program, path=job.environment.get("PATH", os.defpath)) is None:
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), name)


def reap_orphans(but: Collection[int], marks: Collection[bytes] = ()) -> None:
    """Kill and reap every child of this process except those: what launched processes left behind.

    What has one of `marks` in its environment is somebody's who still runs.
    """
    for _ in range(1000):
        orphans = [pid for pid in processes.children(os.getpid()) if pid not in but and not _is_marked(pid, marks)]
        if not orphans:
            return
        for pid in orphans:
            processes.kill(pid)
        for pid in orphans:
            with suppress(ChildProcessError):
                os.waitpid(pid, 0)


def _is_marked(pid: int, marks: Collection[bytes]) -> bool:
    return bool(marks) and not set(marks).isdisjoint(processes.environment(pid).split(b"\0"))


def _read_all(descriptor: int) -> bytes:
    found = b""
    while chunk := os.read(descriptor, 4096):
        found += chunk
    return found
