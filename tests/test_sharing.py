"""Agents of one `evogit run` share what imported litellm, and depend on it in nothing."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cage
import evidence
import psutil
import pytest
from conftest import _BENCH, Checkout
from model_server import KEY, Fault, ModelServer, Say
from patient import EDIT, SMITH, Patient, asking, assert_nowhere, proposals, shown

from evogit.llm import Caller, Completion, Message
from evogit.llm.sharing import ask
from evogit.model_table import ModelUse
from evogit.sandbox import Handed, Job, Launcher

_LONG_S = 600
_LOOKING = """import os
for number in os.listdir("/proc/self/fd"):
    if os.path.exists(f"/proc/self/fd/{number}"):
        assert "socket" not in os.readlink(f"/proc/self/fd/{number}")
"""
_DEAF = """import os, sys, time
print(os.getpid(), flush=True)
while True:
    time.sleep(600)
"""


class _Thinker:
    """Raises the number, each time by another step; thinks about questions while it is told to."""

    def __init__(self) -> None:
        self.may_speak = threading.Event()

    def __call__(self, number: int, messages: list[dict[str, Any]]) -> Say | Fault:
        self.may_speak.wait(_LONG_S)
        old = shown(messages)
        return Say(EDIT.format(old=old, new=f"{float(old) + 0.1 + number / 1000:.4f}"))


@contextmanager
def _thinking(toy: Checkout, agents: int, *options: str) -> Iterator[tuple[Patient, _Run, _Thinker, ModelServer]]:
    """Give a run all of whose agents have a question open."""
    thinker = _Thinker()
    with ModelServer(thinker) as server:
        here = asking(toy, server, table={"timeout_s": _LONG_S}, smith=SMITH.replace("repairs = 1", "repairs = 0"))
        started = here.start("run", "--agent", f"smith:{agents}", "--run", "r", *options)
        try:
            evidence.wait_for(lambda: len(server.asked) == agents, "questions", _LONG_S)
            yield here, _Run(started), thinker, server
        finally:
            thinker.may_speak.set()
            if started.poll() is None:
                started.kill()
            started.communicate()
            evidence.kill_all([here.path, Path(here.environment["TMPDIR"])])


class _Run:
    """The processes of a run."""

    def __init__(self, started: subprocess.Popen[str]) -> None:
        self.started = started
        self.all = psutil.Process(started.pid).children(recursive=True)
        self.nursery, *more = [
            process for process in psutil.Process(started.pid).children() if "evogit.llm.nursery" in process.cmdline()
        ]
        assert not more
        self.forked = self.nursery.children()

    def importing(self) -> list[psutil.Process]:
        """Return those that have imported litellm for themselves."""
        found = psutil.Process(self.started.pid).children(recursive=True)
        return [process for process in found if "evogit.llm.service" in _cmdline(process)]

    def wait_until_gone(self) -> None:
        _, alive = psutil.wait_procs(self.all, timeout=60)
        assert [_cmdline(process) for process in alive if process.status() != psutil.STATUS_ZOMBIE] == []


def _cmdline(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.NoSuchProcess:
        return []


@pytest.mark.heavy
@pytest.mark.timeout(900)
def test_one_process_imports_for_all_agents(toy: Checkout) -> None:
    (toy.path / "bench.py").write_text(_LOOKING + _BENCH)  # a candidate has no socket by which to have one forked
    if cage.why_not() is None:  # a run that tries its sandbox ends what that may have left behind, and nothing else
        toy.environment |= {"EVOGIT_SANDBOX": "bwrap", "EVOGIT_I_TRUST_THIS_CODE": ""}
    with _thinking(toy, 3, "--evals", "7") as (here, run, thinker, server):
        assert run.importing() == []
        assert len(run.forked) == 3
        assert run.nursery.num_threads() == 1, "what forks has nothing that a fork would lose half of"
        assert [file.path for file in run.nursery.open_files()] == []
        assert len(run.nursery.net_connections("all")) == 1, "a learned question leaves no connection behind"
        assert len({process.cwd() for process in run.forked}) == 3, "each in the folder of its agent"
        assert KEY not in str([_cmdline(process) for process in run.all])
        thinker.may_speak.set()
        said = run.started.communicate(timeout=_LONG_S)
        assert run.started.returncode == 0, said
        run.wait_until_gone()
    made = [call["outcome"] for proposal in proposals(here) for call in proposal["calls"]]
    assert len(made) == len(server.asked), "nobody asks but the agents"
    assert set(made) <= {"ok", "cancelled"}
    assert set(server.keys) == {f"Bearer {KEY}"}
    assert_nowhere(here, KEY, "".join(said))


@pytest.mark.heavy
@pytest.mark.timeout(900)
def test_agents_go_on_when_what_they_share_dies(toy: Checkout) -> None:
    """First it is killed, which nobody notices; then what it forked for one agent, which starts another by itself."""
    with _thinking(toy, 2, "--evals", "9") as (here, run, thinker, server):
        run.nursery.kill()
        evidence.wait_for(lambda: not run.nursery.is_running() or run.nursery.status() == "zombie", "its end")
        assert all(process.is_running() for process in run.forked)
        run.forked[0].kill()
        evidence.wait_for(lambda: len(server.asked) == 3, "the question again", _LONG_S)
        assert len(run.importing()) == 1, "one agent has nobody to fork for it any more"
        thinker.may_speak.set()
        said = run.started.communicate(timeout=_LONG_S)
        assert run.started.returncode == 0, said
        run.wait_until_gone()
    outcomes = [call["outcome"] for proposal in proposals(here) for call in proposal["calls"]]
    assert outcomes.count("broken") == 1, "the question of the one that was killed is on record, and no other is lost"
    assert set(outcomes) <= {"broken", "ok", "cancelled"}
    assert len(outcomes) == len(server.asked)
    assert evidence.scores(here, "r") >= 9
    assert evidence.fsck(here) == []


@pytest.mark.heavy
@pytest.mark.timeout(900)
@pytest.mark.parametrize("everybody", [False, True], ids=["the run alone", "the run with its agents"])
def test_nothing_stays_of_a_killed_run(toy: Checkout, everybody: bool) -> None:
    with _thinking(toy, 2) as (_, run, _, _):
        agents = [process for process in psutil.Process(run.started.pid).children() if process != run.nursery]
        for process in [psutil.Process(run.started.pid), *(agents if everybody else [])]:
            process.kill()
        run.started.communicate()
        run.wait_until_gone()


@pytest.mark.heavy
@pytest.mark.timeout(900)
def test_who_is_not_answered_imports_for_itself(world: dict[str, str], tmp_path: Path) -> None:
    """What agents share hangs: it is there, and takes requests, and nothing ever comes of them."""
    launcher = Launcher()
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ModelServer(lambda *_: Say("yes")) as server, ours, theirs:
        caller = Caller(launcher, tmp_path, {**world, "OPENAI_API_KEY": KEY}, lambda: False, ours)
        use = ModelUse(name="openai/scripted", api_base=server.base, timeout_s=_LONG_S)
        assert isinstance(caller.ask(use, [Message("user", "?")]), Completion)
        caller.close()
    launcher.close()


def test_who_hangs_or_is_gone_holds_up_nobody(tmp_path: Path) -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(InterruptedError):
        ask(ours, tmp_path, lambda: True)
    theirs.close()
    assert ask(ours, tmp_path, lambda: False) is None
    assert ask(ours, tmp_path / "missing", lambda: False) is None
    assert len(os.listdir("/proc/self/fd")) == before - 1, "of a request in vain nothing stays open"
    ours.close()


def _deaf() -> tuple[subprocess.Popen[bytes], Handed]:
    """Return a process that nobody else looks after, and that does not end when its input does."""
    started = subprocess.Popen(
        [sys.executable, "-c", _DEAF], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        start_new_session=True,
    )  # fmt: skip
    pipes = started.stdin, started.stdout, started.stderr
    to_it, from_it, errors = (os.dup(pipe.fileno()) for pipe in pipes if pipe)
    for pipe in pipes:
        assert pipe
        pipe.close()
    return started, Handed(started.pid, os.pidfd_open(started.pid), (to_it, from_it, errors))


def test_what_was_handed_over_is_watched_and_ended(tmp_path: Path) -> None:
    started, handed = _deaf()
    launcher = Launcher()
    companion = launcher.take_over(handed, Job(argv=(), cwd=tmp_path, environment={}, timeout_s=60, memory_mb=1))
    assert companion.is_alive
    assert int(os.read(companion.output, 32)) == companion.pid == started.pid
    assert "more than 1 MB" in (evidence.wait_for(companion.mind, "its memory") or "")
    assert started.wait(60) == -signal.SIGKILL
    assert not companion.is_alive
    companion.close()
    launcher.close()


def test_what_was_handed_over_ends_with_a_killed_agent(tmp_path: Path) -> None:
    started, handed = _deaf()
    agent = os.fork()
    if agent == 0:
        launcher = Launcher()
        launcher.take_over(handed, Job(argv=(), cwd=tmp_path, environment={}, timeout_s=60))
        os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(agent, 0)
    assert started.wait(60) == -signal.SIGKILL
    handed.close()


def test_who_was_started_in_another_way_is_no_leaving(tmp_path: Path, world: dict[str, str]) -> None:
    started, handed = _deaf()
    launcher = Launcher(spared=[started.pid])
    launcher.launch(Job(argv=["true"], cwd=tmp_path, environment=world, timeout_s=60))
    assert started.poll() is None
    launcher.close()
    handed.kill()
    handed.close()
    assert started.wait(60) == -signal.SIGKILL
