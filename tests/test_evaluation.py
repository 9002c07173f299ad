"""What one evaluation says of a candidate, whatever its process does."""

from __future__ import annotations

import itertools
import os
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest
from conftest import Checkout

from evogit.config import Evaluator
from evogit.evaluation import CommandMeter, parse_result
from evogit.model import Measurement, Status, TreeId
from evogit.sandbox import Cancelled, Launcher
from evogit.store import task
from evogit.store.export import Export
from evogit.store.freeze import freeze
from evogit.store.repository import open_repository


@dataclass
class Bench:
    """Measures the base of a repository with any command."""

    checkout: Checkout
    folder: Path
    launcher: Launcher
    environment: dict[str, str]

    def measure(self, command: str | tuple[str, ...], timeout_s: float = 20) -> Measurement:
        """Return what one evaluation by this command says."""
        repo = open_repository(self.checkout.path)
        unwritten = task.unwritten(repo, freeze(repo).definition)
        export = Export(repo, unwritten.definition, self.folder / "tree")
        evaluator = Evaluator(command=command, timeout_s=timeout_s)
        meter = CommandMeter(evaluator, export, self.launcher, self.environment)
        return meter.measure(TreeId(unwritten.base_tree))


@pytest.fixture
def bench(toy: Checkout, tmp_path: Path) -> Iterator[Bench]:
    """A bench whose launcher is closed afterwards, and which leaves no process behind."""
    before = {child.pid for child in psutil.Process().children(recursive=True)}
    launcher = Launcher()
    yield Bench(toy, tmp_path / "scratch-of-agent", launcher, dict(os.environ))
    launcher.close()
    left = [child for child in psutil.Process().children(recursive=True) if child.pid not in before]
    assert left == []


_GOOD = '{"score": 1.5, "metrics": {"bins": 3}, "instances": {"a": 0.5}, "feedback": "fine"}'


def test_a_good_result(bench: Bench) -> None:
    found = bench.measure(f"echo '{_GOOD}' > $EVOGIT_RESULT; echo noise")
    assert (found.status, found.value, found.feedback) == (Status.OK, 1.5, "fine")
    assert (dict(found.metrics), dict(found.instances)) == ({"bins": 3.0}, {"a": 0.5})


@pytest.mark.parametrize(
    ("command", "status", "feedback"),
    [
        ("true", Status.FAILED, "no result: the command wrote nothing to the file in EVOGIT_RESULT"),
        (f"echo '{_GOOD}' > $EVOGIT_RESULT; echo oh no >&2; exit 3", Status.FAILED, "exit code 3\noh no"),
        (f"echo '{_GOOD}' > $EVOGIT_RESULT; kill -9 $$", Status.FAILED, "killed by signal 9"),
        ("exit 125", Status.ERROR, "exit code 125: the evaluator cannot test this"),
        ("no-such-program", Status.FAILED, "exit code 127\n/bin/sh: 1: no-such-program: not found"),
        (("no-such-program",), Status.ERROR, None),
        ("ln -s /etc/passwd $EVOGIT_RESULT", Status.INVALID, None),
        ("mkfifo $EVOGIT_RESULT", Status.INVALID, "the result: Input data was truncated"),
        ("mkdir $EVOGIT_RESULT", Status.INVALID, None),
        ("head -c 70000 /dev/zero > $EVOGIT_RESULT", Status.INVALID, "the result file: it has more than 65536 bytes"),
    ],
)
def test_everything_else_is_a_status(
    bench: Bench, command: str | tuple[str, ...], status: Status, feedback: str | None
) -> None:
    found = bench.measure(command)
    assert (found.status, found.value) == (status, None)
    assert found.feedback
    if feedback is not None and status is not Status.INVALID:
        assert found.feedback == feedback


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b'"9"',
        b"9",
        b"null",
        b"{}",
        b'{"score": NaN}',
        b'{"score": Infinity}',
        b'{"score": -Infinity}',
        b'{"score": 1e999}',
        b'{"score": true}',
        b'{"score": "9"}',
        b'{"score": null}',
        b'{"score": 1, "score": 2}',
        b'{"score": 1, "metrics": {"a": 1, "a": 2}}',
        b'{"score": 1, "metrics": {"a": NaN}}',
        b'{"score": 1, "metrics": {"a": true}}',
        b'{"score": 1, "metrics": [1]}',
        b'{"score": 1, "feedback": 5}',
        b'{"score": 1, "scores": 2}',
        b'{"score": ' + b"9" * 5000 + b"}",
        b"[" * 60_000,
        b'{"score": ' + b"[" * 30_000,
        b'\xef\xbb\xbf{"score": 1}',
        '{"score": 1}'.encode("utf-16"),
        b'{"score": 1} {"score": 2}',
    ],
)
def test_results_are_read_strictly(content: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_result(content)


def test_a_hanging_process_that_ignores_sigterm_is_ended_with_all_its_children(bench: Bench) -> None:
    command = (
        "trap '' TERM INT; sleep 1000 & (setsid sleep 1000 & setsid setsid sleep 1000 &) ; echo started; sleep 1000"
    )
    found = bench.measure(command, timeout_s=0.5)
    assert found.status is Status.TIMEOUT
    assert found.feedback == "longer than 0.5 s\nstarted"


def test_a_daemon_that_keeps_the_output_open_does_not_delay_the_result(bench: Bench) -> None:
    started = time.monotonic()
    found = bench.measure(f"(setsid sleep 1000 &); echo '{_GOOD}' > $EVOGIT_RESULT", timeout_s=60)
    assert found.status is Status.OK
    assert time.monotonic() - started < 50  # it ended by itself, not by the limit


def test_endless_output_is_cut_and_ended(bench: Bench) -> None:
    found = bench.measure("yes", timeout_s=1)
    assert found.status is Status.TIMEOUT
    assert len(found.feedback.encode()) <= 4096
    assert bench.measure("head -c 30000000 /dev/zero; echo end; exit 1").feedback.endswith("end")


def test_the_environment_holds_no_key(bench: Bench) -> None:
    bench.environment |= {
        "OPENAI_API_KEY": "sk-canary", "GH_TOKEN": "canary", "AWS_SECRET": "canary", "SSH_AUTH_SOCK": "/canary",
        "GIT_DIR": "/canary", "HTTPS_PROXY": "http://u:canary@h",
    }  # fmt: skip
    said = bench.measure("env; exit 1").feedback
    assert "canary" not in said
    assert "EVOGIT_RESULT=" in said
    assert "HOME=" + str(bench.folder / "scratch" / "home") in said


def test_no_git_is_found_from_the_export(bench: Bench) -> None:
    assert "exit code 128" in bench.measure("git rev-parse --git-dir").feedback


def test_a_wish_to_stop_ends_the_process_at_once(toy: Checkout, tmp_path: Path) -> None:
    ticks = itertools.count()
    launcher = Launcher(lambda: next(ticks) > 2)
    bench = Bench(toy, tmp_path / "agent", launcher, dict(os.environ))
    with pytest.raises(Cancelled):
        bench.measure("sleep 1000", timeout_s=500)
    launcher.close()


def test_a_killed_agent_leaves_no_process(toy: Checkout, new_checkout: Callable[..., Checkout]) -> None:
    marker = toy.path.parent / "pid"
    toml = (toy.path / "evogit.toml").read_text().replace("python bench.py", f"echo $$ > {marker}; sleep 1000")
    (toy.path / "evogit.toml").write_text(toml.replace("timeout_s = 20", "timeout_s = 500"))
    toy.commit()
    launcher = toy.start("run", "-n", "1", "--run", "hang")
    evaluation = _wait_for(lambda: int(marker.read_text()) if marker.exists() and marker.read_text() else None)
    agent = psutil.Process(evaluation).parent()
    assert agent is not None
    agent.send_signal(signal.SIGKILL)
    _wait_for(lambda: 1 if _is_over(evaluation) else None)
    said = launcher.communicate(timeout=60)[1]
    assert launcher.returncode == 1
    assert said.splitlines()[-1] == "evogit: agent tuner was killed by signal 9; `evogit run --run hang` goes on"


def _is_over(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE  # not every container's first process reaps
    except psutil.NoSuchProcess:
        return True


def _wait_for(ask: Callable[[], int | None]) -> int:
    for _ in range(600):
        found = ask()
        if found is not None:
            return found
        time.sleep(0.05)
    raise AssertionError("waited 30 s in vain")
