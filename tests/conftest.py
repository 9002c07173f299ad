"""A closed world for every test: nothing of the machine's configuration; real Git, real processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from cage import KINDS, why_not
from family import Family

_GIT_DATE = "2026-01-01T00:00:00+00:00"
_KNOBS = """A = 1.0
B = 0


def value():
    return -((A - 3.5) ** 2) - ((B - 40) / 10) ** 2
"""
_BENCH = """import json, os, knobs
with open(os.environ["EVOGIT_RESULT"], "w") as file:
    json.dump({"score": knobs.value()}, file)
"""


def closed_environment(home: Path) -> dict[str, str]:
    """Return the environment every process of a test gets; `python` is the one that runs the tests."""
    kept = {name: os.environ[name] for name in ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE") if name in os.environ}
    return {
        **kept,
        "PATH": os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath))),
        "HOME": str(home),
        "TMPDIR": str(home / "tmp"),
        "LANG": "C.UTF-8",
        "TZ": "UTC",
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_CONFIG_SYSTEM": os.devnull,
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_ALLOW_PROTOCOL": "file",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_AUTHOR_NAME": "Ada",
        "GIT_AUTHOR_EMAIL": "ada@example.invalid",
        "GIT_COMMITTER_NAME": "Ada",
        "GIT_COMMITTER_EMAIL": "ada@example.invalid",
        "GIT_AUTHOR_DATE": _GIT_DATE,
        "GIT_COMMITTER_DATE": _GIT_DATE,
        "PYTHONWARNINGS": "error",
        "EVOGIT_SANDBOX": "none",
        "EVOGIT_I_TRUST_THIS_CODE": "1",
    }


@pytest.fixture(autouse=True)
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """Put this process, too, into the closed environment."""
    home = tmp_path_factory.mktemp("home")
    (home / "tmp").mkdir()
    closed = closed_environment(home)
    before = dict(os.environ)
    os.environ.clear()
    os.environ.update(closed)
    # pytest itself reads this variable while a test runs
    os.environ["PYTEST_CURRENT_TEST"] = before.get("PYTEST_CURRENT_TEST", "")
    yield closed
    os.environ.clear()
    os.environ.update(before)


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    """Each sandbox, or a word why it does not work here."""
    if reason := why_not(request.param):
        pytest.skip(reason)
    return str(request.param)


class Checkout:
    """A real repository with a work tree, and the two programs people use in it."""

    def __init__(self, path: Path, environment: dict[str, str]) -> None:
        self.path = path
        self.environment = environment

    def git(self, *arguments: str, check: bool = True, stdin: bytes | None = None) -> str:
        """Run git and return its output."""
        done = subprocess.run(
            ["git", *arguments], cwd=self.path, env=self.environment, capture_output=True, input=stdin, timeout=120
        )
        if check and done.returncode:
            raise AssertionError(f"git {arguments} failed: {done.stderr.decode()}")
        return done.stdout.decode("utf-8", "replace").strip()

    def evogit(self, *arguments: str, expect: int = 0, timeout: float = 120) -> subprocess.CompletedProcess[str]:
        """Run evogit as a user would and check its exit code."""
        done = subprocess.run(
            self.command(*arguments),
            cwd=self.path,
            env=self.environment,
            capture_output=True,
            text=True,
            errors="replace",
            stdin=subprocess.DEVNULL,
            timeout=timeout,
        )
        assert done.returncode == expect, f"exit code {done.returncode}\n{done.stdout}\n{done.stderr}"
        assert "Traceback" not in done.stderr
        return done

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Start evogit and return the running process."""
        return subprocess.Popen(
            self.command(*arguments),
            cwd=self.path,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            stdin=subprocess.DEVNULL,
            text=True,
            # Whoever runs these tests in the background of a shell has SIGINT ignored, and so would what is started.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )

    def command(self, *arguments: str) -> list[str]:
        """Return the command line of evogit."""
        return [sys.executable, "-P", "-m", "evogit", *arguments]

    def commit(self, message: str = "change") -> str:
        """Commit everything and return the id."""
        self.git("add", "-A")
        self.git("commit", "-q", "-m", message)
        return self.git("rev-parse", "HEAD")


@pytest.fixture
def new_checkout(tmp_path: Path, world: dict[str, str]) -> Callable[..., Checkout]:
    """Make repositories: `new_checkout("name", {"file": "content"})`, committed unless `commit=False`."""

    def make(name: str = "repo", files: dict[str, str] | None = None, *, commit: bool = True) -> Checkout:
        path = tmp_path / name
        path.mkdir(parents=True)
        checkout = Checkout(path, world)
        checkout.git("init", "-q", "-b", "main")
        for file, content in (files or {}).items():
            (path / file).parent.mkdir(parents=True, exist_ok=True)
            (path / file).write_text(content)
        if commit:
            checkout.commit("init")
        return checkout

    return make


@pytest.fixture
def toy(new_checkout: Callable[..., Checkout]) -> Checkout:
    """A repository with two constants to tune, its score command, and an `evogit.toml`, all committed."""
    return new_checkout("toy", {"knobs.py": _KNOBS, "bench.py": _BENCH, "evogit.toml": CONFIG})


@pytest.fixture
def family(toy: Checkout) -> Iterator[Family]:
    """A run whose base scores 1."""
    made = Family(toy.path)
    made.score(made.base, 1.0)
    yield made
    made.close()


CONFIG = """goal = "Raise the value"
direction = "maximize"
editable = ["knobs.py"]
stop = { evals = 20 }

[evaluator]
command = "python bench.py"
timeout_s = 20

[[agents]]
use = "tuner"
"""
