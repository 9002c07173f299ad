"""Temporary repositories to measure in, in a closed world: no configuration, identity or key of the machine's."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any

from evogit.model import parse_run_name
from evogit.store import freeze, task
from evogit.store.repository import open_repository, signature

RUN = parse_run_name("bench")
_IN_ONE_FOLDER = 100
_LINES = 40
_CONFIG = """goal = "Measure the engine"
direction = "maximize"
editable = ["src/**"]

[evaluator]
command = "true"
timeout_s = 20
"""
_DATE = "2026-01-01T00:00:00+00:00"


def environment(home: Path) -> dict[str, str]:
    """Return the environment of every process that is measured."""
    (home / "tmp").mkdir(parents=True, exist_ok=True)
    return {
        "PATH": os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath))),
        "PYTHONPATH": str(Path(__file__).parents[2]),  # the checkout this file is part of is what is measured
        "HOME": str(home),
        "TMPDIR": str(home / "tmp"),
        "LANG": "C.UTF-8",
        "TZ": "UTC",
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_CONFIG_SYSTEM": os.devnull,
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_ALLOW_PROTOCOL": "file",
        "GIT_AUTHOR_NAME": "Ada",
        "GIT_AUTHOR_EMAIL": "ada@example.invalid",
        "GIT_COMMITTER_NAME": "Ada",
        "GIT_COMMITTER_EMAIL": "ada@example.invalid",
        "GIT_AUTHOR_DATE": _DATE,
        "GIT_COMMITTER_DATE": _DATE,
    }


@dataclass(frozen=True, slots=True)
class Scene:
    """A repository with one commit of `files` source files, and the environment to work in it."""

    path: Path
    environment: Mapping[str, str]

    @property
    def objects(self) -> Path:
        """The folder of objects."""
        return self.path / ".git" / "objects"

    def git(self, *arguments: str, stdin: bytes | None = None) -> bytes:
        """Run git and return its output."""
        done = subprocess.run(
            ["git", *arguments], cwd=self.path, env=dict(self.environment), capture_output=True, input=stdin
        )
        if done.returncode:
            raise SystemExit(f"git {arguments} failed: {done.stderr.decode()}")
        return done.stdout

    def copy(self, name: str) -> Scene:
        """Return a copy of the repository beside this one."""
        path = self.path.with_name(name)
        shutil.copytree(self.path, path, symlinks=True)
        return Scene(path, self.environment)

    def loosen(self) -> int:
        """Take every pack apart, and return how many bytes of disk the loose objects fill."""
        for pack in (self.objects / "pack").glob("pack-*.idx"):
            aside = self.path / pack.name
            pack.rename(aside)
            content = pack.with_suffix(".pack").read_bytes()
            pack.with_suffix(".pack").unlink()
            self.git("unpack-objects", "-q", stdin=content)
            aside.unlink()
        return sum(path.stat().st_blocks * 512 for path in self.objects.glob("??/*"))

    def counts(self) -> dict[str, int]:
        """Return what `git count-objects -v` says: loose objects, packs, and their sizes in KiB."""
        lines = (line.split(b": ") for line in self.git("count-objects", "-v").splitlines())
        return {name.decode(): int(value) for name, value in lines if value.isdigit()}


def build(folder: Path, name: str, files: int) -> Scene:
    """Make a repository of `files` text files of about two kilobytes, committed, with an `evogit.toml`."""
    path = folder / name
    scene = Scene(path, environment(folder / f"{name}.home"))
    path.mkdir()
    scene.git("init", "-q", "-b", "main")
    for number in range(files):
        place = path / _file_name(number, files)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(_content(number))
    (path / "evogit.toml").write_text(_CONFIG)
    scene.git("add", "-A")
    scene.git("commit", "-q", "-m", "Begin")
    scene.git("repack", "-adq")  # as a clone has it: the user's own history is not what is measured
    repo = open_repository(path)
    task.create(repo, RUN, freeze.freeze(repo).definition, signature("Ada", "ada@example.invalid", datetime.now(UTC)))
    return scene


class Worker:
    """A process of `worker.py` in a scene; see there for the orders it takes."""

    def __init__(self, scene: Scene, options: Sequence[str] = ()) -> None:
        program = Path(__file__).with_name("worker.py")
        self._process = subprocess.Popen(
            [sys.executable, str(program), str(scene.path), *options],
            env=dict(scene.environment), cwd=scene.path, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        self.answer()

    def order(self, text: str) -> None:
        """Send an order and return at once."""
        assert self._process.stdin is not None
        print(text, file=self._process.stdin, flush=True)

    def answer(self) -> dict[str, Any]:
        """Wait for the answer to the last order."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise SystemExit(f"a worker ended with {self._process.wait()}")
        found: dict[str, Any] = json.loads(line)
        return found

    def ask(self, text: str) -> dict[str, Any]:
        """Send an order and wait for the answer."""
        self.order(text)
        return self.answer()

    def close(self) -> None:
        """Let it end."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()


def _file_name(number: int, files: int) -> str:
    folder = "src" if files <= _IN_ONE_FOLDER else f"src/p{number // _IN_ONE_FOLDER:03}"
    return f"{folder}/m{number:05}.py"


def _content(number: int) -> str:
    rng = Random(number)
    return "".join(f"VALUE_{line} = {rng.random()!r}  # unit {number}\n" for line in range(_LINES))
