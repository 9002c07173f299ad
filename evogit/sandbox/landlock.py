"""A sandbox made by Landlock, for where bubblewrap does not work: it takes no right to make, and hides less.

Each job gives up its own rights before it begins: on files but those it needs, the network, processes outside.
There is no namespace, so what others of the user run is visible, and nothing private can lie at /tmp or /dev/shm.
"""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from evogit.errors import UsageError
from evogit.sandbox import layout, processes, rlimits, ruleset, seccomp
from evogit.sandbox.bubblewrap import Sight
from evogit.sandbox.job import CONFINED, Job, Limits
from evogit.sandbox.keeper import Confinement
from evogit.sandbox.plain import Started, refuse_missing, spawn
from evogit.sandbox.tools import folders

_DEVICES = ("null", "zero", "full", "random", "urandom")
_ENVIRONMENT = {"GIT_CONFIG_NOSYSTEM": "1"}
"""Git does not work where the machine's settings are there and closed."""
_COUNT_EVERY_S = 10.0
_ROOM = 4
"""How many times the processes of one job may come on top of what the user has: other agents start theirs, too."""


class Landlock:
    """Starts each job under a ruleset of its own, kept by a process that nothing inside reaches."""

    kind = "landlock"
    is_shared = True
    owner: int | None = None

    def __init__(self, sight: Sight, limits: Limits = CONFINED, instead: str = "") -> None:
        """Prepare what all jobs share; `instead` says why it is not bubblewrap.

        Raises:
            UsageError: the kernel has no Landlock that would do, or this is root.
        """
        self._version = _usable()
        self._programs = {yes: seccomp.program(is_shared=True, has_network=yes) or b"" for yes in (False, True)}
        self.limits = replace(limits, is_counted=True)
        self._sight = sight
        self._instead = instead
        self._system = [(path, ruleset.READ) for path in layout.readable()]
        self._system += [(Path("/dev", name), ruleset.DEVICE) for name in _DEVICES]
        self._shown: dict[tuple[Path, ...], list[Path]] = {}
        self._scope: int | None = ruleset.scope()
        self._counted = (float("-inf"), 0)

    def start(self, job: Job) -> Started:
        """Start the job.

        Raises:
            OSError: the program is not there, or the kernel refuses.
        """
        assert self._scope is not None
        refuse_missing(job)
        leash_end, leash = os.pipe()
        files = None
        try:
            files = ruleset.files(self._allowed(job), has_network=job.network)
            confinement = Confinement(
                scope=self._scope, files=files, program=self._programs[job.network], leash=leash_end, held=leash,
                limits=rlimits.of(self.limits, self._users_processes() + _ROOM * self.limits.processes),
                writable=[os.path.realpath(folder) for folder in (job.cwd, *job.writable)],
            )  # fmt: skip
            process = spawn(
                job.argv, replace(job, environment={**_ENVIRONMENT, **job.environment}), enter=confinement.enter
            )
        except BaseException as error:
            os.close(leash)
            if isinstance(error, subprocess.SubprocessError):
                text = "Landlock cannot be entered: too many processes, or a listening filter of system calls around it"
                raise OSError(errno.EPERM, text) from error
            raise
        finally:
            os.close(leash_end)
            if files is not None:
                os.close(files)
        return Started(process, leash=leash)

    def described(self) -> str:
        """Return what it is, in words."""
        lacks = "other processes' names and command lines are seen, there is no /tmp, no /dev/shm and no loopback"
        return (
            f"Landlock version {self._version}, no network, system calls filtered; {lacks}"
            + (f"; bubblewrap hides more, but {self._instead}" if self._instead else "")
        )  # fmt: skip

    def close(self) -> None:
        """Give back its descriptor."""
        if self._scope is not None:
            os.close(self._scope)
            self._scope = None

    def _allowed(self, job: Job) -> Iterator[tuple[Path, int]]:
        """Yield each path the job may use, and what it may do there."""
        yield from self._system
        if job.network:
            yield from ((path, ruleset.READ) for path in layout.names())
        for path in (*self._tools(job), *job.read_only):
            yield path, ruleset.READ
        for path in (job.cwd, *job.writable):
            yield path, ruleset.CHANGE

    def _tools(self, job: Job) -> list[Path]:
        """Return the folders of tools; jobs of one working directory have one environment."""
        key = (job.cwd, *job.writable, *([job.tool] if job.tool else []))
        if key not in self._shown:
            tools = folders(job.environment, self._sight.homes, self._sight.secret, job.tool)
            self._shown[key] = [*tools, *self._sight.read_only]
        return self._shown[key]

    def _users_processes(self) -> int:
        """Return how many threads the user has: the kernel's limit counts them all."""
        counted, number = self._counted
        if time.monotonic() - counted > _COUNT_EVERY_S:
            number = processes.threads_of_user(os.getuid())
            self._counted = (time.monotonic(), number)
        return number


def _usable() -> int:
    """Return the version of Landlock.

    Raises:
        UsageError: it does not do.
    """
    if sys.platform != "linux":
        raise UsageError(f"Landlock needs Linux, and this is {sys.platform}")
    if os.geteuid() == 0 or os.getuid() == 0:
        raise UsageError(
            "Landlock does not confine root, whose processes read each other's environments; "
            "use bubblewrap, or an ordinary user"
        )
    found = ruleset.version()
    if found < ruleset.OLDEST:
        what = (
            f"has version {found} of Landlock" if found else "has no Landlock, or it is switched off or withheld here"
        )
        raise UsageError(f"this kernel {what}, and version {ruleset.OLDEST} is needed (Linux 6.12)")
    if seccomp.program() is None:
        raise UsageError("Landlock needs a filter of system calls beside it, which is made for x86_64 and aarch64 only")
    return found
