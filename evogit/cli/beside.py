"""What `evogit run` and `evogit agent` do with `--remote`: a first exchange, a loop beside the agents, and a last word.

A remote that is down, slow or says no never stops an agent: it costs a line.
"""

from __future__ import annotations

import os

import click
from rich.console import Console

from evogit.cli import context
from evogit.cli.output import plain
from evogit.errors import UsageError
from evogit.model import RunName
from evogit.store import outcomes
from evogit.store import remote as remotes
from evogit.store.outcomes import LastOutcome
from evogit.store.repository import Repository
from evogit.swarm import SyncLoop
from evogit.sync import Exchange, Wish, once

remote_option = click.option(
    "--remote", metavar="REMOTE", help="Exchange with this remote, address or path before, beside and after the work"
)


class Beside:
    """The exchange with one remote during one invocation."""

    def __init__(self, repo: Repository, remote: str, out: Console) -> None:
        """Find the remote.

        Raises:
            UsageError, RepositoryError: as for `remote.find`.
        """
        self._repo, self._out = repo, out
        self._remote = remotes.find(repo, remote)
        if self._remote.is_bundle:
            raise UsageError(
                f"{self._remote} is a bundle file, which nothing can be sent to; read it with `evogit sync`"
            )
        self._loop: SyncLoop | None = None
        self._run: RunName | None = None

    def first(self, run: RunName | None, *, tasks_only: bool = False) -> str:
        """Exchange once and say what was not taken; returns why the remote was not reached, or nothing.

        Raises:
            StorageError: Git would not read or write here.
        """
        outcome = self._once(Wish(run=run, tasks_only=tasks_only))
        for line in outcome.problems:
            self._out.print(plain(f"warning: {outcome.remote}: {line}"))
        return outcome.error

    def warn(self, error: str) -> None:
        """Say that the remote was not reached, and that the work begins all the same."""
        self._out.print(plain(f"warning: {error}; it is tried again beside the work"))

    def begin(self, run: RunName) -> None:
        """Start the loop.

        Raises:
            RepositoryError, StorageError: it cannot be started.
        """
        self._run = run
        self._loop = SyncLoop(self._repo, self._remote, run, os.environ)

    def tend(self) -> None:
        """Keep the loop alive."""
        if self._loop:
            self._loop.tend()

    def end(self) -> None:
        """Exchange a last time, and say how that ended."""
        if self._loop is None:
            return
        waiting = plain(f"a last exchange with {self._remote}, for a minute at most")
        done = self._loop.stop(lambda: self._out.print(waiting))
        last = outcomes.last_outcome(self._repo, self._remote.slug) if done else self._once(Wish(run=self._run))
        if last is None:
            self._out.print(plain(f"warning: {self._remote} did not answer; `evogit sync` sends what is new"))
        elif last.error or last.problems:
            self._out.print(plain(f"warning: {last.remote}: {last.words}; `evogit sync` tries again"))
        else:
            self._out.print(plain(f"in step with {last.remote}"))

    def _once(self, wish: Wish) -> LastOutcome:
        return once(Exchange(self._repo, self._remote, wish), self._repo, context.now())[1]
