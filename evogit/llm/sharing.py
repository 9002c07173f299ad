"""How the agents of one `evogit run` share what imported litellm: it is started by the run, and each asks for a fork.

There is no file and no name: agents inherit one end of a pair of sockets. With a request an agent sends its pipes, its
folder, and where it is told the new process by a descriptor, so that it can hold what it did not start.
"""

from __future__ import annotations

import os
import select
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path

from evogit.sandbox import Handed

REQUEST = b"fork"
HANDED = 5
"""How many descriptors come with a request: for input, output and errors, the folder, the end to reply to."""
_WAIT_S = 60.0
"""Importing takes some seconds of CPU; who has waited for longer imports for itself."""
_POLL_S = 0.1
_NOT_PASSED_ON = ("GIT_", "PYTHON")


class Shared:
    """The run's side: starts the process, and has the end of the sockets that agents inherit."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        """Start it where the system can hand over processes; `environment` is that of the agents, with the keys.

        What cannot be started is not there: agents do without.
        """
        self.end: socket.socket | None = None
        self._process: subprocess.Popen[bytes] | None = None
        if sys.platform != "linux" or not hasattr(os, "pidfd_open"):
            return
        with suppress(OSError):
            ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            with theirs, ExitStack() as in_vain:
                in_vain.callback(ours.close)
                self._process = subprocess.Popen(
                    [sys.executable, "-P", "-m", "evogit.llm.nursery", str(os.getpid())], cwd="/",
                    env=passed_on(environment), stdin=theirs.fileno(), stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL, start_new_session=True,
                )  # fmt: skip
                in_vain.pop_all()
            self.end = ours

    @property
    def pids(self) -> Sequence[int]:
        """The number of its process, where there is one."""
        return [self._process.pid] if self._process else []

    def close(self) -> None:
        """End it; what it forked goes on for its agents."""
        if self.end:
            self.end.close()
            self.end = None
        if self._process:
            self._process.kill()
            self._process.wait()
            self._process = None


def passed_on(environment: Mapping[str, str]) -> dict[str, str]:
    """Return what a process that imports litellm gets of an environment: the keys are among it."""
    kept = {name: value for name, value in environment.items() if not name.startswith(_NOT_PASSED_ON)}
    return {**kept, "PYTHONWARNINGS": "ignore"}


def inherited(number: int) -> socket.socket | None:
    """Return an agent's end by its number, which nothing the agent starts inherits; None: it is no such thing."""
    try:
        os.set_inheritable(number, False)
        return socket.socket(fileno=number)
    except OSError:
        return None


def ask(end: socket.socket, folder: Path, stopped: Callable[[], bool]) -> Handed | None:
    """Return a process that asks models in `folder`, None where there is none to be had in time.

    Raises:
        InterruptedError: `stopped` said so.
    """
    channel, reply = socket.socketpair()
    with channel, ExitStack() as ours:
        with reply, ExitStack() as theirs, suppress(OSError):
            pipes = [_pipe(ours, theirs, ours_writes=ours_writes) for ours_writes in (True, False, False)]
            given = [number for _, number in pipes]
            given.append(os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC))
            theirs.callback(os.close, given[-1])
            socket.send_fds(end, [REQUEST], [*given, reply.fileno()], socket.MSG_DONTWAIT)
        # Where nothing was sent, nobody has the other end any more, and that is what there is to hear.
        found = _reply(channel, stopped)
        if found is None:
            return None
        ours.pop_all()
        to_it, from_it, errors = (number for number, _ in pipes)
        return Handed(*found, (to_it, from_it, errors))


def _pipe(ours: ExitStack, theirs: ExitStack, *, ours_writes: bool) -> tuple[int, int]:
    """Return our end of a new pipe and theirs, each to be closed with its stack."""
    reading, writing = os.pipe()
    mine, other = (writing, reading) if ours_writes else (reading, writing)
    ours.callback(os.close, mine)
    theirs.callback(os.close, other)
    return mine, other


def _reply(channel: socket.socket, stopped: Callable[[], bool]) -> tuple[int, int] | None:
    """Return the number and the descriptor of the new process."""
    deadline = time.monotonic() + _WAIT_S
    while not select.select([channel], [], [], _POLL_S)[0]:
        if stopped():
            raise InterruptedError
        if time.monotonic() >= deadline:
            return None
    try:
        said, descriptors, _, _ = socket.recv_fds(channel, 32, 1, socket.MSG_CMSG_CLOEXEC)
    except OSError:
        return None
    if said.isdigit() and descriptors:
        return int(said), descriptors[0]
    return None
