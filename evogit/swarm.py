"""Starts agents as processes of their own and watches them; it holds no state that the run needs."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from evogit.config import AgentUse
from evogit.errors import StorageError
from evogit.store import private
from evogit.store.repository import Repository
from evogit.store.task import Task

_POLL_S = 0.2


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
    ) -> None:
        """Start the processes; `options` go to each `evogit agent` as they are.

        Raises:
            RepositoryError: the folder of their log files cannot be made.
            StorageError: the disk is full, or no more processes can be started; those that were started stop again.
        """
        folder = private.run_folder(repo, task.run)
        for use in (wanted.use for wanted in uses for _ in range(wanted.count)):
            log = folder / f"start-{len(self.members) + 1}.log"
            # -P: a module of the user's repository must not stand in for one of ours.
            command = [sys.executable, "-P", "-m", "evogit", f"--git-dir={repo.common}", "agent", use, *options]
            try:
                with log.open("wb") as output:
                    process = subprocess.Popen(
                        command, cwd=folder, env=dict(environment), stdin=subprocess.DEVNULL, stdout=output,
                        stderr=output, start_new_session=True,
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
        return [member for member in self.members if member.process.poll() not in (None, 0, -signal.SIGTERM, 143, 130)]

    def _signal(self, number: int) -> None:
        for member in self.members:
            if member.process.poll() is None:
                member.process.send_signal(number)
