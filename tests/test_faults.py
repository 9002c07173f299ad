"""What happens to an evaluation when the machine, or somebody with its keys, does something to it."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import cage
import psutil
import pytest
from conftest import Checkout

from evogit.config import Evaluator
from evogit.evaluation import CommandMeter
from evogit.model import Status, TreeId
from evogit.sandbox import Job, Launcher, Wish, choose
from evogit.store import task
from evogit.store.export import Export
from evogit.store.freeze import freeze
from evogit.store.repository import open_repository

_SLEEP = ("sleep", "31.5")


def _kill_when_there(launcher: threading.Thread, found: Callable[[psutil.Process], bool]) -> list[int]:
    """Kill, as a person or the kernel would, the first process below this one that is meant; return its number."""
    killed: list[int] = []
    while launcher.is_alive() and not killed:
        for process in psutil.Process().children(recursive=True):
            try:
                if found(process):
                    process.kill()
                    killed.append(process.pid)
                    break
            except psutil.NoSuchProcess:
                continue
        time.sleep(0.02)
    return killed


@pytest.mark.parametrize("victim", ["the command", "its sandbox"])
@pytest.mark.skipif(cage.why_not() is not None, reason=f"no sandbox: {cage.why_not()}")
def test_an_evaluation_that_somebody_kills_is_over_and_the_next_is_fine(tmp_path: Path, victim: str) -> None:
    folder = tmp_path / "work"
    folder.mkdir()
    folder.chmod(0o777)
    launcher = Launcher(sandbox=choose(Wish(kind="bwrap", where="a test", trusted=False, caller={"PATH": cage.PATH})))
    before = {child.pid for child in psutil.Process().children(recursive=True)}

    def job(*argv: str) -> Job:
        return Job(argv=argv, cwd=folder, environment={"PATH": cage.PATH, "EVOGIT_RESULT": str(folder)}, timeout_s=60)

    outcomes = []
    running = threading.Thread(target=lambda: outcomes.append(launcher.launch(job(*_SLEEP))))
    running.start()
    name = "sleep" if victim == "the command" else "bwrap"
    assert _kill_when_there(running, lambda process: process.name() == name and "31.5" in _words(process))
    running.join(30)
    assert outcomes
    assert outcomes[0].exit_code == -9
    assert outcomes[0].seconds < 31
    assert launcher.launch(job("echo", "well")).output == b"well\n"
    assert [child for child in psutil.Process().children(recursive=True) if child.pid not in before] == []
    launcher.close()


def _words(process: psutil.Process) -> list[str]:
    """Return the command lines of a process and of those below it."""
    return [word for one in (process, *process.children(recursive=True)) for word in one.cmdline()]


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """A disk of half a megabyte."""
    at = tmp_path / "small"
    at.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=512k", "none", str(at)], capture_output=True)
    if mounted.returncode:
        pytest.skip(f"cannot mount here: {mounted.stderr.decode().strip()}")
    yield at
    subprocess.run(["umount", "-l", str(at)], check=True)


def test_a_full_temporary_folder_is_no_fault_of_the_candidate(toy: Checkout, small: Path) -> None:
    repo = open_repository(toy.path)
    unwritten = task.unwritten(repo, freeze(repo).definition)
    evaluator = Evaluator(command="python score.py" if (toy.path / "score.py").exists() else "true", result="exit-code")
    launcher = Launcher()
    meter = CommandMeter(
        evaluator, Export(repo, unwritten.definition, small / "agent" / "tree"), launcher, dict(os.environ)
    )
    filler = small / "filler"
    filler.write_bytes(bytes(500 * 1024))
    try:
        with filler.open("ab") as file:
            file.write(bytes(64 * 1024))
    except OSError:
        pass  # now it is full
    full = meter.measure(TreeId(unwritten.base_tree))
    assert (full.status, full.value) == (Status.ERROR, None)
    assert full.feedback.startswith("no space left for the export at ")
    filler.unlink()
    assert meter.measure(TreeId(unwritten.base_tree)).status is Status.OK
    launcher.close()


@pytest.mark.parametrize("limit", [8, 64])
def test_too_few_open_files_is_said_and_few_are_enough(toy: Checkout, world: dict[str, str], limit: int) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "evogit", "run", "-n", "2", "--evals", "4"],
        cwd=toy.path, env=world, capture_output=True, text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit)),
    )  # fmt: skip
    if limit == 64:
        assert done.returncode == 0, done.stderr
        return
    assert done.returncode in (1, 2)
    assert "Too many open files" in done.stderr
    assert "a bug in evogit" not in done.stderr
    assert "Traceback" not in done.stderr
