"""Where an agent gets the process that asks models from: forked by what the run's agents share, else started."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from evogit.llm import sharing
from evogit.sandbox import Companion, Job, Launcher
from evogit.sandbox.job import MARK

IMPORTS_S = 300.0
"""How long a process may take until it has imported litellm."""
_MEMORY_MB = 4096


class Source:
    """Gives the process, which is the launcher's to look after, and says what it needs."""

    def __init__(
        self, launcher: Launcher, folder: Path, environment: Mapping[str, str], shared: socket.socket | None
    ) -> None:
        """Begin; the process works in `folder`. `shared` is an end of what forks it; without it, it is started."""
        self._launcher, self._shared = launcher, shared
        self._job = Job(
            argv=[sys.executable, "-P", "-m", "evogit.llm.service"], cwd=folder,
            # The mark by which the guard knows it, when the agent is killed while it starts.
            environment={**sharing.passed_on(environment), MARK: str(folder / "no-result")},
            timeout_s=IMPORTS_S, trusted=True, talks=True, memory_mb=_MEMORY_MB, who="the process that asks models",
        )  # fmt: skip

    def forked(self, stopped: Callable[[], bool]) -> Companion | None:
        """Return a process that has imported litellm; None where nobody forks it.

        Raises:
            InterruptedError: `stopped` said so.
        """
        if self._shared is None:
            return None
        handed = sharing.ask(self._shared, self._job.cwd, stopped)
        if handed is None:
            self.forgo()
            return None
        return self._with_open_pipes(self._launcher.take_over(handed, self._job))

    def forgo(self) -> None:
        """Ask for no more forks: what comes of it is of no use."""
        self._shared = None

    def started(self) -> Companion:
        """Return a process of its own, which begins to import.

        Raises:
            OSError: it cannot be started.
        """
        return self._with_open_pipes(self._launcher.open(self._job))

    def _with_open_pipes(self, companion: Companion) -> Companion:
        for pipe in (companion.input, companion.output):
            os.set_blocking(pipe, False)
        return companion
