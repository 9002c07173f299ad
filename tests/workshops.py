"""Tools run as proposers on the HEAD of a repository, confined as asked."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import pytest
from cage import PATH, why_not
from conftest import Checkout

from evogit import config
from evogit.model import Edit, RepoPath
from evogit.proposers.command import Command, Workshop
from evogit.proposers.protocol import Answer
from evogit.sandbox import Launcher, Plain, Wish, choose
from evogit.store import freeze, task
from evogit.store.repository import open_repository

TOOL: Mapping[str, object] = {"summary": "a test's", "proposer": "command"}
"""The keys that every definition of a tool needs, beside those of the tool."""
Score = Callable[[Edit, Launcher], Mapping[str, object]]


class Workshops:
    """Runs tools in a folder; `close` ends what they were launched by."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._launchers: list[Launcher] = []

    def run(
        self, on: Checkout, definition: str, kind: str = "none", *, score: Score | None = None,
        caller: Mapping[str, str] | None = None, cancelled: Callable[[], bool] = lambda: False,
    ) -> Answer:  # fmt: skip
        """Run the tool of a definition on HEAD, told "The task"; `score` measures what it wants to have tried."""
        if kind != "none" and (reason := why_not(kind)):
            pytest.skip(reason)
        repo, environment = open_repository(on.path), {"PATH": PATH, **(caller or {})}
        unwritten = task.unwritten(repo, freeze.freeze(repo).definition)
        wish = Wish(kind=kind, where="a test", trusted=True, caller=environment, secret=(repo.common,))
        launcher = Launcher(cancelled, Plain() if kind == "none" else choose(wish))
        self._launchers.append(launcher)
        shop = Workshop(repo=repo, task=unwritten, folder=self._folder, launcher=launcher, caller=environment)
        tool = Command(config.parse_definition(definition.encode(), where="a test"), shop)
        measured = partial(_scored, score, launcher) if score else None
        return tool.run(unwritten.definition.base, "The task\n", [RepoPath("knobs.py")], measured)

    def close(self) -> None:
        """End the launchers."""
        for launcher in self._launchers:
            launcher.close()


def toml(value: object) -> str:
    """Return a value as TOML, a mapping as an inline table."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{json.dumps(name)} = {toml(one)}" for name, one in value.items()) + "}"
    return json.dumps(value)


def table(keys: Mapping[str, object]) -> str:
    """Return keys as the text of a definition."""
    return "".join(f"{name} = {toml(value)}\n" for name, value in keys.items())


def _scored(score: Score, launcher: Launcher, edit: Edit) -> Mapping[str, object]:
    return score(edit, launcher)
