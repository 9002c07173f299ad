"""A run that found something better, and what its proposals are made of."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from conftest import _BENCH, _KNOBS, CONFIG, Checkout, closed_environment

BETTER = "A = 3.0\nB = 30\n\n\ndef value():\n    return -((A - 3.5) ** 2) - ((B - 40) / 10) ** 2\n"


@pytest.fixture(scope="module")
def evolved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository with a run that found something better; made once, and copied for each test."""
    top = tmp_path_factory.mktemp("evolved")
    (top / "home" / "tmp").mkdir(parents=True)
    made = Checkout(top / "repo", closed_environment(top / "home"))
    made.path.mkdir()
    made.git("init", "-q", "-b", "main")
    for name, content in {"knobs.py": _KNOBS, "bench.py": _BENCH, "evogit.toml": CONFIG}.items():
        (made.path / name).write_text(content)
    made.commit("init")
    made.evogit("run", "-n", "1", "--evals", "8", "--seed", "2", "--run", "r")
    return made.path


@pytest.fixture
def here(evolved: Path, tmp_path: Path, world: dict[str, str]) -> Checkout:
    """A repository of the test's own with that run in it."""
    shutil.copytree(evolved, tmp_path / "repo", symlinks=True)
    copy = Checkout(tmp_path / "repo", world)
    copy.git("update-index", "-q", "--refresh")
    return copy


def derived(here: Checkout, changes: dict[str, str], subject: str = "Better by hand", onto: str = "main") -> str:
    """Commit changed files on top of a commit, in no work tree; returns the id."""
    index = {**here.environment, "GIT_INDEX_FILE": str(here.path / "index-of-test")}
    aside = Checkout(here.path, index)
    aside.git("read-tree", onto)
    for name, content in changes.items():
        blob = aside.git("hash-object", "-w", "--stdin", stdin=content.encode())
        aside.git("update-index", "--add", "--cacheinfo", f"100644,{blob},{name}")
    made = aside.git("commit-tree", aside.git("write-tree"), "-p", onto, stdin=subject.encode())
    (here.path / "index-of-test").unlink()
    return made


def document(here: Checkout, *arguments: str) -> dict[str, Any]:
    """Return what a command prints as JSON."""
    return dict(json.loads(here.evogit(*arguments, "--json").stdout))


def refs(here: Checkout) -> str:
    """Return all refs and what they point at."""
    return here.git("for-each-ref")


def said(here: Checkout, branch: str) -> str:
    """Return the message of a branch's tip."""
    return here.git("log", "-1", "--format=%B", branch)
