"""`evogit agent --remote`: a small parent of one agent and of the exchange beside it, also in an empty folder."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from evogit.cli import context
from evogit.cli.beside import Beside
from evogit.cli.output import console, plain
from evogit.cli.signals import StopSignals
from evogit.config import is_path
from evogit.errors import EvogitError, RemoteUnreachable, RepositoryError, UsageError
from evogit.model import parse_run_name
from evogit.store import definitions, remote_git, repository, trust
from evogit.store import remote as remotes
from evogit.store.repository import Repository
from evogit.store.task import Task
from evogit.swarm import program

_POLL_S = 0.2


def join(use: str, remote: str, run: str | None, *, trusted: bool, options: Sequence[str]) -> NoReturn:
    """Be the parent of an agent and of the exchange with `remote`; leaves with the agent's exit code.

    Raises:
        EvogitError: the run cannot be had, is not trusted, or the agent cannot be started.
    """
    signals = StopSignals()
    out = console(stderr=True)
    made = _make_clone(remote)
    try:
        repo = context.open_here()
        repository.refuse_read_only(repo)
        beside = Beside(repo, "origin" if made else remote, out)
        task = _meet(repo, beside, run)
    except EvogitError:
        if made:
            shutil.rmtree(made)  # it was empty before, and nothing came
        raise
    if trusted:
        trust.add(repo, task)
    trust.require(repo, task)
    # Here its error is one line; from the child it would come with the exchange begun.
    found = definitions.find(repo, use, task=task, beside=context.here())
    if found.is_own and (trusted or not found.is_of_a_run):
        trust.add_tools(repo, [found.text])
    use = use if is_path(use) else found.name
    command = [*program(repo), "agent", use, "--run", task.run, "--launcher", str(os.getpid()), *options]
    agent = subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True)
    beside.begin(task.run)
    asked = False
    while agent.poll() is None:
        beside.tend()
        time.sleep(_POLL_S)
        if signals.reason and not asked:
            asked = True
            agent.terminate()
    beside.end()
    if agent.returncode < 0:
        out.print(plain(f"the agent was killed by signal {-agent.returncode}; the same command goes on"))
    sys.exit(signals.exit_code or (agent.returncode if agent.returncode >= 0 else 1))


def _make_clone(remote: str) -> Path | None:
    """Make a repository of the current folder if it is empty, and return its `.git`; None when there is one to use."""
    here = Path.cwd()
    around = None if os.environ.get("GIT_DIR") else remotes.surrounding(here)
    if os.environ.get("GIT_DIR") or (around and (any(here.iterdir()) or _is_configured(remote))):
        return None
    if any(here.iterdir()):
        raise RepositoryError(f"{here} is in no repository and not empty; join from an empty folder, or from a clone")
    remote_git.init(here, remotes.absolute(remote))
    return here / ".git"


def _is_configured(remote: str) -> bool:
    repo = context.open_here()
    known = remotes.configured(repo)
    return remote in known or remotes.absolute(remote) in map(remotes.absolute, known.values())


def _meet(repo: Repository, beside: Beside, run: str | None) -> Task:
    """Fetch the run and return its task; a remote that is down is only in the way of a run that is not here yet."""
    name = parse_run_name(run) if run else None
    error = beside.first(name, tasks_only=True)
    try:
        task = context.choose_task(repo, run)
    except UsageError as missing:
        raise RemoteUnreachable(f"{error}; the run is not here yet") if error else missing from missing
    error = error or beside.first(task.run)
    if error:
        beside.warn(error)
    return task
