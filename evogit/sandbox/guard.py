"""A process that outlives a killed agent just long enough to kill what the agent had running."""

from __future__ import annotations

import os
import select
import signal
import time
from contextlib import suppress
from dataclasses import dataclass

from evogit.sandbox import processes
from evogit.sandbox.job import MARK

_QUIET_ROUNDS = 3
_KILL_ROUNDS = 500
_KILL_PAUSE_S = 0.02
_KEEPER_MS = 5000


class Guard:
    """A forked process that reads what runs, and kills it when the agent's end of the pipe closes.

    It leaves the agent's session, so that a signal to the whole process group cannot end it first. It shares the locks
    on the agent's name and on its user id in the sandbox, so that nobody takes them up, and the folder that goes with
    the name, while anything still runs.
    """

    def __init__(self) -> None:
        reader, self._writer = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            os.close(self._writer)
            _live(reader)
        os.close(reader)

    def expect(self, key: int, mark: str) -> None:
        """Say that a process starts whose environment has `mark`: an agent killed just now could not name its group.

        `key` is a number that tells it from others that run at the same time.
        """
        self._tell(b"%d start %s\n" % (key, os.fsencode(mark).hex().encode()))

    def watch(self, key: int, group: int, inner: int | None, *, is_kept: bool = False) -> None:
        """Name the process group that runs now, and the first process inside its sandbox.

        `is_kept` says that the process of that group kills what it keeps by itself when the agent is gone.
        """
        if is_kept:
            self._tell(b"%d kept %d\n" % (key, group))
            return
        self._tell(b"%d group %d\n" % (key, group))
        if inner is not None:
            self._tell(b"%d inner %d\n" % (key, inner))

    def hold(self, key: int, pid: int) -> None:
        """Name a process that another one than the agent started for it, and that is to end with the agent."""
        self._tell(b"%d inner %d\n" % (key, pid))

    def rest(self, key: int) -> None:
        """Say that it runs no more."""
        self._tell(b"%d rest\n" % key)

    def close(self) -> None:
        """End the guard."""
        os.close(self._writer)
        with suppress(ChildProcessError):
            os.waitpid(self.pid, 0)

    def _tell(self, line: bytes) -> None:
        with suppress(BrokenPipeError):
            os.write(self._writer, line)


@dataclass(slots=True)
class _Known:
    mark: bytes = b""
    group: int = 0
    inner: int | None = None
    keeper: int | None = None

    def hear(self, word: bytes, rest: bytes) -> None:
        """Take in one line of the agent's."""
        # By a descriptor: its number may be another's by the time it is to be killed, or waited for.
        if word == b"inner":
            with suppress(OSError):
                self.inner = os.pidfd_open(int(rest))
            return
        if word == b"kept":
            with suppress(OSError):
                self.keeper = os.pidfd_open(int(rest))
            return
        if word in (b"start", b"rest"):
            self.mark = b"%s=%s" % (MARK.encode(), bytes.fromhex(rest.decode())) if rest else b""
        self.group = int(rest) if word == b"group" else 0
        for held in (self.inner, self.keeper):
            if held is not None:
                os.close(held)
        self.inner = self.keeper = None

    def kill(self) -> None:
        """Kill what was running when the agent was last heard of."""
        if self.keeper is not None:
            # Killed first, it could not do its part, and what has cleared its environment would live on.
            poll = select.poll()
            poll.register(self.keeper, select.POLLIN)
            poll.poll(_KEEPER_MS)
        if self.inner is not None:
            # It is the sandbox's, and a candidate may have taken from it that it dies with its parent.
            with suppress(OSError):
                signal.pidfd_send_signal(self.inner, signal.SIGKILL)
        if self.group:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self.group, signal.SIGKILL)
        if self.mark:
            _kill_marked(self.mark)


def _live(reader: int) -> None:
    """The guard's whole life; it never returns."""
    try:
        os.setsid()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        known: dict[bytes, _Known] = {}
        with open(reader, "rb") as lines:
            for line in lines:
                key, word, *rest = line[:-1].split(b" ")
                known.setdefault(key, _Known()).hear(word, b"".join(rest))
                if word == b"rest":
                    del known[key]
        for running in known.values():
            running.kill()
    finally:
        os._exit(0)


def _kill_marked(mark: bytes) -> None:
    """Kill every process that inherited this environment entry, also one that left its process group."""
    quiet = 0
    for _ in range(_KILL_ROUNDS):
        found = [pid for pid in processes.pids() if mark in processes.environment(pid).split(b"\0")]
        for pid in found:
            processes.kill(pid)
        # A process between fork and exec does not show its own environment yet: look again a few times.
        quiet = 0 if found else quiet + 1
        if quiet == _QUIET_ROUNDS:
            return
        time.sleep(_KILL_PAUSE_S)
