"""Starts agents, and the exchange with a remote, as processes of their own; it holds no state that the run needs."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from evogit.config import AgentUse
from evogit.errors import StorageError
from evogit.model import RunName
from evogit.store import private
from evogit.store.remote import Remote
from evogit.store.repository import Repository
from evogit.store.task import Task

_POLL_S = 0.2
_SYNC_EVERY_S = 3
_POLLS_BEFORE_NEW = 10
_LAST_SYNC_S = 60.0
_MOMENT_S = 3.0
_ASKED = 143
BUDGET_SPENT = 3
_FINE = (None, 0, BUDGET_SPENT, -signal.SIGTERM, _ASKED, 130)
"""How an agent ends that met no trouble."""


def program(repo: Repository) -> list[str]:
    """Return the command line of evogit for this repository, from whatever folder."""
    # -P: a module of the user's repository must not stand in for one of ours.
    return [sys.executable, "-P", "-m", "evogit", f"--git-dir={repo.common}"]


@dataclass(slots=True)
class Member:
    """A started agent: its definition, its process, and the file its messages go to."""

    use: str
    process: subprocess.Popen[bytes]
    log: Path

    def complaint(self) -> str | None:
        """Return the error it ended with, in its own words, or None when it said none."""
        said = "\n" + self.log.read_text(errors="replace")
        _, found, words = said.rpartition("\nevogit: ")
        return words.strip() if found else None


@dataclass(slots=True)
class Swarm:
    """The agents of one invocation."""

    members: list[Member] = field(default_factory=list)

    def start(
        self,
        repo: Repository,
        task: Task,
        uses: Sequence[AgentUse],
        options: Sequence[str],
        environment: Mapping[str, str],
        inherited: Sequence[int] = (),
    ) -> None:
        """Start the processes; `options` go to each `evogit agent` as they are, with the open files they speak of.

        Raises:
            RepositoryError: the folder of their log files cannot be made.
            StorageError: the disk is full, or no more processes can be started; those that were started stop again.
        """
        folder = private.run_folder(repo, task.run)
        for use in (wanted.use for wanted in uses for _ in range(wanted.count)):
            log = folder / f"start-{len(self.members) + 1}.log"
            command = [*program(repo), "agent", use, *options]
            try:
                with log.open("wb") as output:
                    process = subprocess.Popen(
                        command, cwd=folder, env=dict(environment), stdin=subprocess.DEVNULL, stdout=output,
                        stderr=output, start_new_session=True, pass_fds=inherited,
                    )  # fmt: skip
            except OSError as error:
                raise StorageError(f"cannot start an agent that writes to {log}: {error.strerror}") from error
            self.members.append(Member(use, process, log))

    def watch(self, sleep: Callable[[float], None]) -> Iterator[None]:
        """Yield several times a second until every agent has ended."""
        while any(member.process.poll() is None for member in self.members):
            yield
            sleep(_POLL_S)
        yield

    def ask_to_stop(self) -> None:
        """Ask every living agent to end after what it cannot interrupt."""
        self._signal(signal.SIGTERM)

    def kill(self) -> None:
        """End every living agent now; their guards end what they were running."""
        self._signal(signal.SIGKILL)

    def failed(self) -> list[Member]:
        """Return the agents that ended with an error."""
        return [member for member in self.members if member.process.poll() not in _FINE]

    def _signal(self, number: int) -> None:
        for member in self.members:
            if member.process.poll() is None:
                member.process.send_signal(number)


class SyncLoop:
    """`evogit sync --every` beside agents, as a process of its own; when it dies it is started again."""

    def __init__(self, repo: Repository, remote: Remote, run: RunName, environment: Mapping[str, str]) -> None:
        """Start it.

        Raises:
            RepositoryError, StorageError: as for `Swarm.start`.
        """
        self._folder = private.run_folder(repo, run)
        self._log = self._folder / f"sync-{remote.slug}.log"
        self._environment = dict(environment)
        options = ["--every", str(_SYNC_EVERY_S), "--run", run, "--launcher", str(os.getpid())]
        self._command = [*program(repo), "sync", *options, "--", remote.name]
        self._rest = 0
        self._process = self._start()

    def tend(self) -> None:
        """Start it again some time after it died; to be called with each `Swarm.watch`."""
        if self._process.poll() is None:
            return
        self._rest += 1
        if self._rest >= _POLLS_BEFORE_NEW:
            self._rest = 0
            self._process = self._start()

    def stop(self, slow: Callable[[], None]) -> bool:
        """Let it exchange a last time, and wait for that, but not for ever; returns whether it came to that.

        `slow` is called when it takes longer than a moment.
        """
        self._process.terminate()
        with suppress(subprocess.TimeoutExpired):
            # Asked before it was up, it ends by the signal itself and not with the exit code for it.
            return self._process.wait(_MOMENT_S) == _ASKED
        slow()
        try:
            return self._process.wait(_LAST_SYNC_S) == _ASKED
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            return True  # the remote does not answer: another try would not help

    def _start(self) -> subprocess.Popen[bytes]:
        try:
            with self._log.open("ab") as output:
                return subprocess.Popen(
                    self._command, cwd=self._folder, env=self._environment, stdin=subprocess.DEVNULL, stdout=output,
                    stderr=output, start_new_session=True,
                )  # fmt: skip
        except OSError as error:
            raise StorageError(f"cannot start `evogit sync` that writes to {self._log}: {error.strerror}") from error
