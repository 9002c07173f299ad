"""One run of an agent's tool on a tiny repository made for it, to see that it can make an edit at all."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path

from evogit.config import Definition
from evogit.errors import EvogitError
from evogit.model import RepoPath
from evogit.proposers.command import Command, Workshop
from evogit.proposers.protocol import Answer
from evogit.sandbox import Launcher, Sandbox
from evogit.store import disposable, freeze, task

_FILE = "greeting.txt"
_FILES = {
    _FILE: b"Hello\n",
    "evogit.toml": b'editable = ["greeting.txt"]\n[evaluator]\ncommand = "true"\n',
}
_TASK = (
    "# Task\n\nYou are in a Git repository of its own. It holds the file `greeting.txt` with the one word `Hello`. "
    "Change that file so that it says `Hello, world` instead, and change nothing else.\n\n"
    "End with one line: `Summary: <what you changed>`\n"
)


def try_out(definition: Definition, sandbox: Sandbox, caller: Mapping[str, str]) -> Answer:
    """Return what came of running a definition's tool once; it may cost money.

    The sandbox is closed at the end; `caller` is an environment.

    Raises:
        EvogitError: the tool cannot be started at all.
        Cancelled: the caller wants to stop.
    """
    launcher = Launcher(sandbox=sandbox)
    try:
        with tempfile.TemporaryDirectory(prefix="evogit-try-", ignore_cleanup_errors=True) as name:
            folder = Path(name).resolve()
            repo = disposable.begin(folder / "repo", _FILES)
            unwritten = task.unwritten(repo, freeze.freeze(repo).definition)
            shop = Workshop(repo=repo, task=unwritten, folder=folder / "tool", launcher=launcher, caller=caller)
            try:
                return Command(definition, shop).run(unwritten.definition.base, _TASK, [RepoPath(_FILE)])
            except OSError as error:
                raise EvogitError(f"{definition.command[0]!r} cannot be started: {error}") from error
    finally:
        launcher.close()
