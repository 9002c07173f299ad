"""An agent may be killed at any moment, and the disk may be full: nothing that was stored is lost, and it goes on.

Where strace is there, an agent is killed before each of its system calls that change something, one after another, and
each of them is told that the disk is full.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random

import evidence
import psutil
import pytest
from conftest import Checkout
from evidence import Gate

from evogit.model import Direction, RunName
from evogit.store import freeze, packing, repository, task, trust
from evogit.store.snapshot import Snapshot

_CHANGING = (
    *("openat", "write", "pwrite64", "ftruncate", "link", "linkat", "rename", "renameat", "renameat2", "unlink"),
    *("unlinkat", "mkdir", "mkdirat", "rmdir", "symlink", "chmod", "syncfs", "fsync"),
)
_CALL = re.compile(r"^(\w+)\((.*)\) += (-?\d+)")
_needs_strace = pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")


@pytest.fixture(autouse=True)
def _nothing_outlives_a_test(tmp_path: Path, world: dict[str, str]) -> Iterator[None]:
    yield
    evidence.kill_all([tmp_path, Path(world["HOME"])])


@dataclass(frozen=True)
class Point:
    """A moment in a process's life: before its `number`-th call of `call`; `text` says what that call would do."""

    call: str
    number: int
    text: str


class Victim:
    """A repository with a run, put back to the same state before each crash."""

    def __init__(self, toy: Checkout) -> None:
        self.toy = toy
        self.scratch = Path(toy.environment["TMPDIR"])
        self._copy = toy.path.parent / "as it was"
        shutil.copytree(toy.path, self._copy, symlinks=True)
        self.before = evidence.lines(toy, "r")
        self.users_own = evidence.users_own(toy)

    def reset(self) -> None:
        """Put everything back."""
        shutil.rmtree(self.toy.path)
        shutil.copytree(self._copy, self.toy.path, symlinks=True)

    def traced(
        self, command: Sequence[str], injected: Sequence[str] = (), log: Path | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run a command under strace, which tampers with the calls of that one process and none of its children."""
        tampering = [f"--inject={what}" for what in injected]
        calls = {call for what in injected for call in what.partition(":")[0].split(",")} or set(_CHANGING)
        tracing = ["-y", "--string-limit=256", f"--output={log or os.devnull}", f"--trace={','.join(sorted(calls))}"]
        return subprocess.run(
            ["strace", *tracing, *tampering, *self.toy.command(*command)],
            cwd=self.toy.path,
            env=self.toy.environment,
            capture_output=True,
            text=True,
            timeout=120,
        )

    def points(self, command: Sequence[str]) -> list[Point]:
        """Return every call of this process that changes something, until its second evaluation begins."""
        log = self.toy.path.parent / "calls"
        self.reset()
        done = self.traced(command, log=log)
        assert done.returncode == 0, done.stderr
        self.wait_until_gone()
        found: list[Point] = []
        counted: Counter[str] = Counter()
        begun = 0
        for line in log.read_text().splitlines():
            match = _CALL.match(line)
            if match is None:
                continue
            call, arguments, result = match[1], re.sub(r"AT_FDCWD<[^>]*>", "AT_FDCWD", match[2]), int(match[3])
            counted[call] += 1
            reads = call == "openat" and "O_CREAT" not in arguments
            if result >= 0 and not reads and self._is_ours(arguments):
                found.append(Point(call, counted[call], f"{call}({arguments})"[:300]))
            begun += "<pipe:" in arguments and '"start ' in arguments
            if begun == 2:
                break
        return found

    def _is_ours(self, arguments: str) -> bool:
        return any(place in arguments for place in (f"{self.toy.path}/.git/", str(self.scratch), "<pipe:"))

    def wait_until_gone(self) -> None:
        """Wait until nothing of evogit's runs any more."""
        evidence.wait_until_gone([self.toy.path, self.scratch])

    def check(self) -> None:
        """What must survive is as it was, and everything can be read."""
        assert evidence.fsck(self.toy) == []
        assert self.before <= evidence.lines(self.toy, "r")
        assert evidence.users_own(self.toy) == self.users_own

    def go_on(self, *command: str) -> None:
        """The command works again, takes up the same name, and leaves nothing behind."""
        known, agents = evidence.scores(self.toy, "r"), set(evidence.journals(self.toy, "r"))
        done = self.toy.evogit(*command, "--evals", "1")
        assert evidence.scores(self.toy, "r") == known + 1, done.stderr
        now = set(evidence.journals(self.toy, "r"))
        assert len(now) == 1
        assert agents <= now
        git = self.toy.path / ".git"
        left = {path for path in git.rglob("*.lock") if git / "evogit" not in path.parents}
        # A task is written once: a lock beside a finished one blocks nobody, and is no agent's to remove.
        assert left <= {git / "refs/evogit/r/task.lock"}
        snapshot = Snapshot(repository.open_repository(self.toy.path), RunName("r"), "", Direction.MAXIMIZE)
        snapshot.refresh()
        assert snapshot.problems == {}
        self.check()


_AGENT = ("agent", "tuner", "--run", "r", "--seed", "2")
_LAUNCHER = ("run", "-n", "1", "--run", "r")


def _old_run(toy: Checkout) -> Victim:
    """A run that went on for a while."""
    toy.evogit("run", "-n", "1", "--evals", "3", "--run", "r", "--seed", "1")
    return Victim(toy)


def _new_run(toy: Checkout) -> Victim:
    """A run that no agent has been in yet."""
    repo = repository.open_repository(toy.path)
    trust.add(repo, task.create(repo, RunName("r"), freeze.freeze(repo).definition, repo.raw[repo.head()].committer))
    return Victim(toy)


def _no_run(toy: Checkout) -> Victim:
    """A repository before its first run."""
    return Victim(toy)


_STATES = [
    pytest.param(_old_run, _AGENT, id="an agent that goes on", marks=pytest.mark.heavy),
    pytest.param(_new_run, _AGENT, id="the first agent of a run"),
    pytest.param(_no_run, _LAUNCHER, id="the launcher of a new run", marks=pytest.mark.heavy),
]


def _crash_at(victim: Victim, command: Sequence[str], point: Point) -> None:
    victim.reset()
    done = victim.traced([*command, "--evals", "4"], [f"{point.call}:signal=SIGKILL:when={point.number}"])
    victim.wait_until_gone()
    assert done.returncode == -signal.SIGKILL, f"not killed before {point.text}: {done.stderr}"
    try:
        victim.check()
        victim.go_on(*command)
    except AssertionError as error:
        raise AssertionError(f"after a kill before {point.text}: {error}") from error


@_needs_strace
@pytest.mark.parametrize(("make", "command"), _STATES)
def test_a_kill_at_some_steps(toy: Checkout, make: Callable[[Checkout], Victim], command: Sequence[str]) -> None:
    victim = make(toy)
    points = victim.points([*command, "--evals", "2"])
    # A lock of Git's that stays behind is what hurts most; the other moments are drawn.
    locked = [point for point in points if point.call == "write" and ".lock>" in point.text]
    for point in [*locked[:1], *Random(1).sample(points, 2)]:
        _crash_at(victim, command, point)


@_needs_strace
@pytest.mark.heavy
@pytest.mark.timeout(1800)
@pytest.mark.parametrize(("make", "command"), _STATES)
def test_a_kill_at_every_step(toy: Checkout, make: Callable[[Checkout], Victim], command: Sequence[str]) -> None:
    victim = make(toy)
    for point in victim.points([*command, "--evals", "2"]):
        _crash_at(victim, command, point)


def _fill_up_at(victim: Victim, point: Point, *, for_good: bool) -> int:
    """Let the disk be full at a point, once or from then on, and return the exit code."""
    victim.reset()
    when = f"{point.number}{'+' if for_good else ''}"
    done = victim.traced([*_AGENT, "--evals", "3"], [f"{point.call}:error=ENOSPC:when={when}"])
    victim.wait_until_gone()
    try:
        _check_complaint(done, victim.toy)
        victim.check()
        victim.go_on(*_AGENT)
    except AssertionError as error:
        raise AssertionError(f"after a full disk at {point.text}: {error}") from error
    return done.returncode


def _check_complaint(done: subprocess.CompletedProcess[str], checkout: Checkout) -> None:
    """It went on as if nothing had been, or it ended with one line that says where there is no space."""
    assert done.returncode in (0, 6), done.stderr
    assert "Traceback" not in done.stderr
    if done.returncode:
        complaint = [line for line in done.stderr.splitlines() if line.startswith("evogit: ")]
        assert complaint == done.stderr.splitlines()[-1:]
        assert str(checkout.path / ".git") in complaint[0]
        assert "No space left on device" in complaint[0]


def _points_in_the_repository(victim: Victim) -> list[Point]:
    points = victim.points([*_AGENT, "--evals", "2"])
    # To delete takes no space, and opening may be for reading from then on.
    kinds = ("write", "pwrite64", "ftruncate", "link", "mkdir", "rename", "openat")
    return [point for point in points if point.call in kinds and f"{victim.toy.path}/.git/" in point.text]


@pytest.mark.heavy
@_needs_strace
def test_a_full_disk_at_some_steps(toy: Checkout) -> None:
    victim = _old_run(toy)
    points = _points_in_the_repository(victim)
    for point in Random(1).sample(points, 3):
        _fill_up_at(victim, point, for_good=False)


@_needs_strace
@pytest.mark.heavy
@pytest.mark.timeout(1800)
def test_a_full_disk_at_every_step(toy: Checkout) -> None:
    victim = _old_run(toy)
    for point in _points_in_the_repository(victim):
        _fill_up_at(victim, point, for_good=False)


@_needs_strace
@pytest.mark.heavy
@pytest.mark.parametrize("calls", ["mkdir", "link,rename"])
def test_a_disk_that_stays_full_ends_the_agent(toy: Checkout, calls: str) -> None:
    victim = _old_run(toy)
    point = next(point for point in _points_in_the_repository(victim) if point.call in calls)
    assert _fill_up_at(victim, replace(point, call=calls), for_good=True) == 6


@_needs_strace
def test_a_disk_that_cannot_sync_is_no_place_for_records(toy: Checkout) -> None:
    victim = _old_run(toy)
    done = victim.traced([*_AGENT, "--evals", "2"], ["syncfs:error=EIO:when=1+"])
    assert done.returncode == 6, done.stderr
    assert str(toy.path / ".git") in done.stderr
    assert evidence.lines(toy, "r") == victim.before
    victim.go_on(*_AGENT)


@contextmanager
def _small_disk(at: Path, options: str) -> Iterator[Path]:
    at.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", options, "none", str(at)], capture_output=True)
    if mounted.returncode:
        pytest.skip("only root can mount a small disk, and not everywhere")
    try:
        yield at
    finally:
        subprocess.run(["umount", "--lazy", str(at)], check=True)


def _fill_with_bytes(disk: Path) -> None:
    with (disk / "ballast").open("wb", buffering=0) as file:
        size = 64 * 1024
        while size:
            try:
                file.write(bytes(size))
            except OSError:
                size //= 2


def _fill_with_files(disk: Path) -> None:
    (disk / "ballast").mkdir()
    for number in range(10_000):
        try:
            (disk / "ballast" / str(number)).touch()
        except OSError:
            return


@pytest.mark.parametrize(
    ("options", "fill"),
    [
        pytest.param("size=4m", _fill_with_bytes, id="no bytes", marks=pytest.mark.heavy),
        pytest.param("size=4m,nr_inodes=600", _fill_with_files, id="no files", marks=pytest.mark.heavy),
    ],
)
def test_a_really_full_disk(
    new_checkout: Callable[..., Checkout], toy: Checkout, tmp_path: Path, options: str, fill: Callable[[Path], None]
) -> None:
    with _small_disk(tmp_path / "small", options) as disk:
        files = {name: (toy.path / name).read_text() for name in ("knobs.py", "bench.py", "evogit.toml")}
        small = new_checkout("small/repo", files)
        small.evogit("run", "-n", "1", "--evals", "3", "--run", "r")
        victim = Victim(small)
        running = small.start(*_AGENT, "--evals", "500")
        evidence.wait_for(lambda: evidence.scores(small, "r") > 4, "some evaluations")
        fill(disk)
        said = running.communicate(timeout=120)[1]
        _check_complaint(subprocess.CompletedProcess([], running.returncode, "", said), small)
        assert running.returncode == 6
        ballast = disk / "ballast"
        shutil.rmtree(ballast) if ballast.is_dir() else ballast.unlink()
        victim.check()
        victim.go_on(*_AGENT)


def _agents_of(launcher: subprocess.Popen[str]) -> list[psutil.Process]:
    return psutil.Process(launcher.pid).children()


@pytest.mark.heavy
def test_kills_at_random_moments(toy: Checkout) -> None:
    rng = Random(5)
    scratch = Path(toy.environment["TMPDIR"])
    seen: set[tuple[str, str, bytes]] = set()

    def look(more: int) -> None:
        """Wait for more evaluations; what was once there stays."""
        wanted = evidence.scores(toy, "r") + more
        evidence.wait_for(lambda: evidence.scores(toy, "r") >= wanted, "more evaluations")
        now = evidence.lines(toy, "r")
        assert seen <= now
        seen.update(now)

    launcher = toy.start("run", "-n", "4", "--evals", "5000", "--run", "r")
    evidence.wait_for(lambda: len(evidence.journals(toy, "r")) == 4, "four agents")
    for _ in range(2):
        look(rng.randrange(1, 9))
        rng.choice([agent for agent in _agents_of(launcher) if agent.is_running()]).kill()
    look(rng.randrange(1, 9))
    others = [agent for agent in _agents_of(launcher) if agent.status() != psutil.STATUS_ZOMBIE]
    assert len(others) == 2
    by_hand = toy.start("agent", "tuner", "--run", "r", "--evals", "5000")
    look(rng.randrange(1, 9))
    launcher.kill()
    launcher.communicate()
    # Nobody tells them: agents whose launcher is gone end by themselves, and one started by hand does not mind.
    assert psutil.wait_procs(others, timeout=60)[1] == []
    assert by_hand.poll() is None
    look(3)
    by_hand.send_signal(signal.SIGINT)
    by_hand.communicate(timeout=60)
    assert by_hand.returncode == 130
    evidence.wait_until_gone([toy.path, scratch])
    assert evidence.fsck(toy) == []
    names = set(evidence.journals(toy, "r"))
    toy.evogit("run", "-n", "4", "--evals", "8", "--run", "r")
    assert set(evidence.journals(toy, "r")) == names
    assert seen <= evidence.lines(toy, "r")
    assert evidence.fsck(toy) == []


def _wait_in_an_evaluation(toy: Checkout, gate: Gate, *command: str) -> subprocess.Popen[str]:
    gate.close()
    started = subprocess.Popen(
        toy.command(*command), cwd=toy.path, env=toy.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        stdin=subprocess.DEVNULL, text=True, start_new_session=True,
    )  # fmt: skip
    evidence.wait_for(gate.is_reached, "an evaluation")
    return started


@pytest.mark.parametrize("everybody", [False, True], ids=["the agent alone", "its whole process group"])
def test_what_a_killed_agent_was_evaluating_ends_with_it(toy: Checkout, everybody: bool) -> None:
    # What leaves the process group, as a server that an evaluator starts may do, ends too.
    gate = Gate(toy, first="setsid sleep 1000 & ")
    agent = _wait_in_an_evaluation(toy, gate, "run", "-n", "1", "--run", "r")
    agent.kill()
    agent.communicate()
    evidence.wait_until_gone([toy.path, Path(toy.environment["TMPDIR"])])
    agent = _wait_in_an_evaluation(toy, gate, *_AGENT)
    os.killpg(agent.pid, signal.SIGKILL) if everybody else agent.kill()
    agent.communicate()
    evidence.wait_until_gone([toy.path, Path(toy.environment["TMPDIR"])])


@_needs_strace
def test_an_evaluation_that_just_begins_ends_with_its_agent(toy: Checkout) -> None:
    gate = Gate(toy)
    victim = _old_run(toy)
    points = victim.points([*_AGENT, "--evals", "1"])
    # The agent is killed after it started the process and before it could tell its guard which one.
    (point,) = (point for point in points if "<pipe:" in point.text and "group" in point.text)
    gate.close()
    victim.reset()
    done = victim.traced([*_AGENT, "--evals", "1"], [f"write:signal=SIGKILL:when={point.number}"])
    assert done.returncode == -signal.SIGKILL
    victim.wait_until_gone()


@pytest.mark.parametrize(
    ("command", "number", "code"),
    [
        pytest.param(_LAUNCHER, signal.SIGINT, 130, id="Ctrl-C on the launcher"),
        pytest.param(_LAUNCHER, signal.SIGTERM, 143, id="SIGTERM to the launcher", marks=pytest.mark.heavy),
        pytest.param(_AGENT, signal.SIGINT, 130, id="Ctrl-C on an agent", marks=pytest.mark.heavy),
        pytest.param(_AGENT, signal.SIGHUP, 143, id="an agent's terminal goes away", marks=pytest.mark.heavy),
    ],
)
def test_a_signal_ends_a_long_evaluation(toy: Checkout, command: Sequence[str], number: int, code: int) -> None:
    gate = Gate(toy)
    victim = _old_run(toy)
    process = _wait_in_an_evaluation(toy, gate, *command)
    process.send_signal(number)
    said = process.communicate(timeout=60)[1]
    assert process.returncode == code, said
    assert "Traceback" not in said
    if command[0] == "run":
        assert said.splitlines()[-1].endswith("go on with: evogit run --run r")
    victim.wait_until_gone()
    # Nothing of what was cut short is recorded, and what it left in its folder is in nobody's way.
    assert evidence.scores(toy, "r") == 3
    victim.check()
    gate.open()
    toy.evogit("run", "-n", "2", "--run", "r", "--evals", "4")
    assert evidence.scores(toy, "r") >= 7
    victim.check()


def test_a_second_signal_ends_the_launcher_at_once(toy: Checkout) -> None:
    gate = Gate(toy)
    victim = _old_run(toy)
    launcher = _wait_in_an_evaluation(toy, gate, "run", "-n", "1", "--run", "r")
    (agent,) = _agents_of(launcher)
    agent.suspend()
    launcher.send_signal(signal.SIGINT)
    assert launcher.poll() is None
    evidence.wait_for(lambda: signal.SIGTERM in _pending(agent), "the launcher to ask its agent to stop")
    launcher.send_signal(signal.SIGINT)
    launcher.communicate(timeout=60)
    assert launcher.returncode == 130
    agent.resume()
    victim.wait_until_gone()
    gate.open()
    victim.go_on(*_AGENT)


def _pending(process: psutil.Process) -> set[int]:
    status = Path(f"/proc/{process.pid}/status").read_text()
    masks = [int(mask, 16) for mask in re.findall(r"^(?:SigPnd|ShdPnd):\s*(\w+)", status, re.MULTILINE)]
    return {number for number in range(1, 64) for mask in masks if mask & (1 << (number - 1))}


_CLEAN = ("clean", "--run", "r", "--keep", "best", "--yes")


def _points_of_pruning(victim: Victim) -> list[Point]:
    points = victim.points(_CLEAN)
    first = next(number for number, point in enumerate(points) if "/objects/" in point.text)
    return points[first:]  # before it writes, it takes locks that end with it


def _prune_and_die_at(victim: Victim, point: Point, wanted: dict[str, object]) -> None:
    """Kill a pruning; the old state or the new one is there, and it can be done again."""
    victim.reset()
    done = victim.traced([*_CLEAN], [f"{point.call}:signal=SIGKILL:when={point.number}"])
    victim.wait_until_gone()
    if done.returncode == 0 and point.call == "mkdir" and "/objects/" in point.text:
        return  # how many folders are missing hangs on the ids of what is written, so there may be one less
    assert done.returncode == -signal.SIGKILL, f"not killed before {point.text}: {done.stderr}"
    try:
        assert evidence.fsck(victim.toy) == []
        assert evidence.users_own(victim.toy) == victim.users_own
        assert _told(victim.toy) == wanted
        victim.toy.evogit(*_CLEAN)
        assert _told(victim.toy) == wanted
        victim.toy.evogit(*_AGENT, "--evals", "1")
        assert _told(victim.toy)["evaluations"] == 7
        assert evidence.fsck(victim.toy) == []
    except AssertionError as error:
        raise AssertionError(f"after a kill before {point.text}: {error}") from error


def _told(toy: Checkout) -> dict[str, object]:
    said = json.loads(toy.evogit("status", "--json", "--run", "r").stdout)
    return {name: said[name] for name in ("best", "best_value", "candidates", "evaluations", "problems")}


def _before_pruning(toy: Checkout) -> tuple[Victim, list[Point], dict[str, object]]:
    toy.evogit("run", "-n", "1", "--evals", "6", "--run", "r", "--seed", "1")
    victim = Victim(toy)
    points = _points_of_pruning(victim)
    victim.reset()
    return victim, points, _told(toy)


@pytest.mark.heavy
@_needs_strace
@pytest.mark.timeout(600)
def test_a_kill_while_pruning_as_the_new_journal_appears(toy: Checkout) -> None:
    victim, points, wanted = _before_pruning(toy)
    # The old state becomes the new one there; what comes next is that the old journal goes.
    moved = next(number for number, point in enumerate(points) if point.call == "link" and "kept-1" in point.text)
    _prune_and_die_at(victim, points[moved + 1], wanted)


@_needs_strace
@pytest.mark.heavy
@pytest.mark.timeout(3600)
def test_a_kill_while_pruning_at_every_step(toy: Checkout) -> None:
    victim, points, wanted = _before_pruning(toy)
    for point in points:
        _prune_and_die_at(victim, point, wanted)


_PACK = """
import sys
from pathlib import Path
from evogit.store import packing
from evogit.store.repository import open_repository
repo = open_repository(Path(sys.argv[1]))
packing.pack(repo)
packing.roll_up(repo)
"""


@_needs_strace
@pytest.mark.parametrize(
    "moment",
    ["rename:1", *(pytest.param(each, marks=pytest.mark.heavy) for each in ("unlink:1", "unlink:20", "fsync:1"))],
)
def test_a_kill_while_packing_loses_nothing(toy: Checkout, moment: str) -> None:
    victim = _old_run(toy)
    call, _, number = moment.partition(":")
    tampering = f"--inject={call}:signal=SIGKILL:when={number}"
    done = subprocess.run(
        ["strace", "-f", f"--trace={call}", tampering, f"--output={os.devnull}", sys.executable, "-c", _PACK, toy.path],
        cwd=toy.path,
        env=toy.environment,
        capture_output=True,
        timeout=120,
    )
    assert done.returncode != 0
    victim.check()
    victim.go_on(*_AGENT)
    packing.pack(repository.open_repository(toy.path))
    victim.check()
