"""Many writers at once: nothing that was acknowledged is lost, nothing is invented, and nobody hurts another."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random

import evidence
import pytest
from conftest import Checkout
from evidence import Gate

from evogit.model import AgentName, CommitId, Direction, Measurement, Operator, Plan, RepoPath, RunName, Status, TreeId
from evogit.store import packing, private, trees
from evogit.store.ledger import Ledger, Writer
from evogit.store.repository import Repository, open_repository
from evogit.store.snapshot import Snapshot

_SCRIPT = Path(__file__).with_name("writer.py")
_EVALUATOR = "e" * 64
_MAINTENANCE = (("gc", "-q"), ("pack-refs", "--all"), ("repack", "-a", "-d", "-q"))


@pytest.fixture(autouse=True)
def _nothing_outlives_a_test(tmp_path: Path, world: dict[str, str]) -> Iterator[None]:
    yield
    evidence.kill_all([tmp_path, Path(world["HOME"])])


class Pen:
    """A writing child process; what it says goes to a file, so that a kill loses no acknowledgement."""

    def __init__(self, checkout: Checkout, agent: str, count: int) -> None:
        self.agent, self._checkout, self._count = agent, checkout, count
        self._said = checkout.path.parent / f"{agent}.said"
        self._said.touch()
        self.process = self._start()

    def _start(self) -> subprocess.Popen[str]:
        git_dir = str(self._checkout.path / ".git")
        with self._said.open("a") as said:
            return subprocess.Popen(
                [sys.executable, "-P", str(_SCRIPT), git_dir, "shared", self.agent, str(self._count)],
                cwd=self._checkout.path,
                env=self._checkout.environment,
                stdin=subprocess.PIPE,
                stdout=said,
                text=True,
            )

    @property
    def is_ready(self) -> bool:
        """Whether it waits for the word to begin."""
        return self._said.read_text().endswith("ready\n")

    def go(self) -> None:
        """Let it write."""
        assert self.process.stdin is not None
        self.process.stdin.write("go\n")
        self.process.stdin.flush()

    def acknowledged(self) -> set[tuple[int, str]]:
        """Return the (seq, commit) pairs it was told are stored; a line cut short by a kill is none."""
        whole = self._said.read_text().rpartition("\n")[0].splitlines()
        return {(int(line.split()[0]), line.split()[1]) for line in whole if line != "ready"}

    def kill_and_start_again(self) -> None:
        """End it without warning, at whatever it is doing, and take up its name with a new process."""
        self.process.send_signal(signal.SIGKILL)
        self.process.communicate()
        if not self._said.read_text().endswith("\n"):
            with self._said.open("a") as said:
                said.write("\n")
        self.process = self._start()
        evidence.wait_for(lambda: self.is_ready, f"{self.agent} to start again")
        self.go()

    def finish(self) -> None:
        """Wait for its end, which must be a good one."""
        self.process.communicate(timeout=600)
        assert self.process.returncode == 0


@contextmanager
def _writing(checkout: Checkout, agents: int, count: int) -> Iterator[list[Pen]]:
    """Start so many writers and let them begin at once."""
    pens = [Pen(checkout, f"pen-{number}-abcdef", count) for number in range(agents)]
    try:
        for pen in pens:
            evidence.wait_for(lambda pen=pen: pen.is_ready, f"{pen.agent} to be ready")  # type: ignore[misc]
        for pen in pens:
            pen.go()
        yield pens
    finally:
        for pen in pens:
            pen.process.kill()
            pen.process.communicate()


@contextmanager
def _maintained(checkout: Checkout) -> Iterator[None]:
    """Let a person keep house with plain git, over and over, while the body runs."""
    over = threading.Event()
    failed: list[str] = []

    def keep_house() -> None:
        while not over.is_set():
            for command in _MAINTENANCE:
                done = subprocess.run(
                    ["git", *command], cwd=checkout.path, env=checkout.environment, capture_output=True, text=True
                )
                failed.extend([done.stderr] if done.returncode else [])

    keeper = threading.Thread(target=keep_house)
    keeper.start()
    try:
        yield
    finally:
        over.set()
        keeper.join()
    assert not failed


def _cold(checkout: Checkout, run: str = "shared") -> Snapshot:
    snapshot = Snapshot(open_repository(checkout.path), RunName(run), _EVALUATOR, Direction.MAXIMIZE)
    snapshot.refresh()
    return snapshot


def _stored(checkout: Checkout) -> dict[str, set[tuple[int, str]]]:
    """Return the (seq, commit) of every score by agent, as plain Git reads it; each must be its journal's own."""
    found: dict[str, set[tuple[int, str]]] = {agent: set() for agent in evidence.journals(checkout, "shared")}
    for agent, commit, line in evidence.lines(checkout, "shared"):
        record = json.loads(line)
        assert record["agent"] == agent
        if record["kind"] == "score":
            assert (record["seq"], commit) not in found[agent]
            found[agent].add((record["seq"], commit))
    return found


def _check_complete(checkout: Checkout, pens: Sequence[Pen], count: int) -> None:
    """Every acknowledged record is stored, once, and both readers find it; its commit is kept alive by its journal."""
    stored = _stored(checkout)
    assert stored == {pen.agent: pen.acknowledged() for pen in pens}
    assert {agent: len(found) for agent, found in stored.items()} == dict.fromkeys(stored, count)
    snapshot = _cold(checkout)
    assert snapshot.problems == {}
    seen = {(score.seq, found.id) for found in snapshot.candidates.values() for score in found.scores}
    assert snapshot.evaluations == len(pens) * count
    assert seen == {pair for found in stored.values() for pair in found}
    for agent, tip in evidence.journals(checkout, "shared").items():
        reachable = set(checkout.git("rev-list", tip).split())
        assert {commit for _, commit in stored[agent]} <= reachable
    assert evidence.fsck(checkout) == []
    # What a person reads with `git log`: the note of every candidate, found through the glob of all journals.
    commits = sorted(commit for _, commit in seen)
    said = checkout.git(
        "log", "--no-walk", "--format=%N", "--notes=evogit/*", "--stdin", stdin="\n".join(commits).encode()
    )
    assert said.count('"kind":"score"') == len(pens) * count


def _many_writers(checkout: Checkout, agents: int, count: int) -> None:
    with _writing(checkout, agents, count) as pens:
        for pen in pens:
            pen.finish()
        _check_complete(checkout, pens, count)


def test_every_record_of_many_writers_is_stored(toy: Checkout) -> None:
    _many_writers(toy, 8, 50)


@pytest.mark.heavy
@pytest.mark.timeout(600)
def test_every_record_of_sixteen_writers_is_stored(toy: Checkout) -> None:
    _many_writers(toy, 16, 200)


def _many_writers_beside_git(checkout: Checkout, agents: int, count: int) -> None:
    with _writing(checkout, agents, count) as pens:
        with _maintained(checkout):
            for pen in pens:
                pen.finish()
        _check_complete(checkout, pens, count)


def test_writers_beside_gc_and_repack(toy: Checkout) -> None:
    _many_writers_beside_git(toy, 4, 50)


@pytest.mark.heavy
@pytest.mark.timeout(900)
def test_sixteen_writers_beside_gc_and_repack(toy: Checkout) -> None:
    _many_writers_beside_git(toy, 16, 200)


@pytest.mark.parametrize(
    ("agents", "kills", "count"),
    [(4, 8, 40), pytest.param(8, 60, 120, marks=[pytest.mark.heavy, pytest.mark.timeout(900)])],
)
def test_acknowledged_records_survive_killed_writers(toy: Checkout, agents: int, kills: int, count: int) -> None:
    rng = Random(kills)
    reader = Snapshot(open_repository(toy.path), RunName("shared"), _EVALUATOR, Direction.MAXIMIZE)
    seen: dict[CommitId, int] = {}

    def look() -> None:
        """A reader that never rests: it sees no problem, and what it saw once it sees for ever."""
        reader.refresh()
        assert reader.problems == {}
        now = {found.id: len(found.scores) for found in reader.candidates.values()}
        assert all(now.get(commit, 0) >= number for commit, number in seen.items())
        seen.update(now)

    with _writing(toy, agents, count) as pens:
        for _ in range(kills):
            told = sum(len(pen.acknowledged()) for pen in pens)
            more = told + rng.randrange(1, 12)

            def progressed(more: int = more) -> bool:
                look()
                running = any(pen.process.poll() is None for pen in pens)
                return sum(len(pen.acknowledged()) for pen in pens) >= more or not running

            evidence.wait_for(progressed, "more acknowledgements")
            rng.choice(pens).kill_and_start_again()
        for pen in pens:
            pen.finish()
        look()
        stored = _stored(toy)
        for pen in pens:
            # A record that was written just before a kill is stored without anybody having been told.
            assert pen.acknowledged() <= stored[pen.agent]
            assert len(pen.acknowledged()) >= count
        assert sum(map(len, stored.values())) <= sum(len(pen.acknowledged()) for pen in pens) + kills
    cold = _cold(toy)
    assert cold.problems == {}
    assert cold.evaluations == reader.evaluations == sum(map(len, stored.values()))
    assert evidence.fsck(toy) == []


def test_a_second_agent_of_a_name_takes_the_next_one(toy: Checkout) -> None:
    gate = Gate(toy)
    toy.evogit("run", "-n", "1", "--evals", "1", "--run", "r")
    (first,) = evidence.journals(toy, "r")
    gate.close()
    one = toy.start("agent", "tuner", "--run", "r", "--evals", "4")
    evidence.wait_for(gate.is_reached, "the first agent's evaluation")
    two = toy.start("agent", "tuner", "--run", "r", "--evals", "4")
    evidence.wait_for(lambda: len(evidence.journals(toy, "r")) == 2, "the second agent's journal")
    names = {first, first.replace("tuner-1-", "tuner-2-")}
    assert set(private.living(open_repository(toy.path), RunName("r"))) == names
    gate.open()
    for agent in (one, two):
        said = agent.communicate(timeout=120)[1]
        assert agent.returncode == 0, said
    assert set(evidence.journals(toy, "r")) == names
    assert evidence.scores(toy, "r") == 1 + 4 + 4
    assert _cold(toy, "r").problems == {}


def test_an_agent_goes_on_after_a_note_by_a_person(toy: Checkout) -> None:
    gate = Gate(toy)
    toy.evogit("run", "-n", "1", "--evals", "2", "--run", "r")
    (agent,) = evidence.journals(toy, "r")
    base = toy.git("rev-parse", "HEAD")
    (toy.path / "unrelated.txt").write_text("a commit that no record is about\n")
    other = toy.commit()
    gate.close()
    running = toy.start("agent", "tuner", "--run", "r", "--evals", "5")
    evidence.wait_for(gate.is_reached, "an evaluation")
    for commit in (base, other):
        toy.git("notes", f"--ref=refs/notes/evogit/r/{agent}.journal", "append", "-m", "seen by a person", commit)
    gate.open()
    said = running.communicate(timeout=120)[1]
    assert running.returncode == 0, said
    assert list(evidence.journals(toy, "r")) == [agent]
    found = evidence.lines(toy, "r")
    assert {(agent, commit, b"seen by a person") for commit in (base, other)} <= found
    assert sum(b'"kind":"score"' in line for _, _, line in found) == 2 + 5
    assert _cold(toy, "r").evaluations == 2 + 5
    assert evidence.fsck(toy) == []


@pytest.mark.parametrize(
    "where",
    [
        pytest.param("HEAD", id="an unrelated commit", marks=pytest.mark.heavy),
        pytest.param("{tip}~3", id="an older tip"),
    ],
)
def test_an_agent_whose_journal_is_moved_by_force_keeps_all_its_records(toy: Checkout, where: str) -> None:
    gate = Gate(toy)
    toy.evogit("run", "-n", "1", "--evals", "3", "--run", "r")
    (agent,) = evidence.journals(toy, "r")
    ref = f"refs/notes/evogit/r/{agent}.journal"
    reader = Snapshot(open_repository(toy.path), RunName("r"), _EVALUATOR, Direction.MAXIMIZE)
    running = toy.start("agent", "tuner", "--run", "r", "--evals", "25")
    evidence.wait_for(lambda: evidence.scores(toy, "r") >= 6, "some evaluations")
    gate.close()
    evidence.wait_for(gate.is_reached, "an evaluation")
    reader.refresh()
    before = evidence.records(toy, "r")
    moved_to = toy.git("rev-parse", where.format(tip=evidence.journals(toy, "r")[agent]))
    toy.git("update-ref", ref, moved_to)
    gate.open()
    said = running.communicate(timeout=120)[1]
    assert running.returncode == 0, said
    renamed = agent.replace("tuner-1-", "tuner-2-")
    assert set(evidence.journals(toy, "r")) == {agent, renamed}
    assert toy.git("rev-parse", ref) == moved_to
    after = evidence.records(toy, "r")
    assert {_content(record) for record in before} <= {_content(record) for record in after}
    # Whoever reads from the beginning and whoever saw the records under the old name count each one once.
    reader.refresh()
    assert list(reader.problems) == [ref]
    assert _cold(toy, "r").evaluations == reader.evaluations == 3 + 25
    assert evidence.fsck(toy) == []


def _content(record: dict[str, object]) -> str:
    """What a record says, whoever wrote it."""
    return json.dumps({key: value for key, value in record.items() if key not in ("agent", "seq")}, sort_keys=True)


class _History:
    """Random histories by several agents in one process, each with a snapshot of its own."""

    def __init__(self, checkout: Checkout, seed: int) -> None:
        self.repo = open_repository(checkout.path)
        self._checkout = checkout
        self._rng = Random(seed)
        self._time = datetime(2026, 1, 1, tzinfo=UTC)
        self._base = self.repo.head()
        self._tree = TreeId(str(self.repo.commit(self._base).tree_id))
        self.known: list[CommitId] = [self._base]
        self.snapshots: list[Snapshot] = []
        self._pens = [self._pen(f"pen-{number}-abcdef") for number in range(3)]

    def _now(self) -> datetime:
        self._time += timedelta(milliseconds=7)
        return self._time

    def _pen(self, agent: str) -> Ledger:
        writer = Writer(
            run=RunName("r"), agent=AgentName(agent), session=f"of {agent}", use="pen", evaluator=_EVALUATOR,
            host="here", person=("Ada", "ada@example.invalid"), now=self._now,
        )  # fmt: skip
        self.snapshots.append(_snapshot(self.repo))
        return Ledger(self.repo, self.snapshots[-1], writer)

    def step(self) -> None:
        """Let one agent, or a person with plain git, do one random thing."""
        pen = self._rng.choice(self._pens)
        rare = self._rng.random()
        if rare < 0.15:
            commit = self._rng.choice(self.known)
            ref = f"refs/notes/evogit/r/{pen.writer.agent}.journal"
            known = [line for _, where, line in evidence.lines(self._checkout, "r") if where == commit]
            line = self._rng.choice([b'{"v":2,"kind":"of the future"}', b"", *sorted(known)]).decode()
            self._checkout.git("notes", f"--ref={ref}", "append", "--allow-empty", "-m", line, commit)
        elif rare < 0.17:
            self._checkout.git("gc", "-q")
        elif rare < 0.3:
            pen.write(self._rng.choice(self.known), [pen.lease(5)], "evogit: claim\n")
        elif rare < 0.5:
            self._score(pen, self._rng.choice(self.known))
        else:
            self._candidate(pen)

    def _candidate(self, pen: Ledger) -> None:
        parent = self._rng.choice(self.known)
        content = f"{len(self.known)}\n".encode()
        tree = trees.with_files(self.repo, self._tree, {RepoPath("written.txt"): content})
        plan = Plan(operator=Operator.MUTATE, parents=(parent,), seed=len(self.known))
        commit = pen.candidate(tree, plan, "a step")
        self.known.append(commit)
        pen.write(commit, [pen.proposal(plan, {}), pen.score(tree, self._measured(), "none")], "evogit: score\n")

    def _score(self, pen: Ledger, commit: CommitId) -> None:
        tree = TreeId(str(self.repo.commit(commit).tree_id))
        pen.write(commit, [pen.score(tree, self._measured(), "none")], "evogit: score\n")

    def _measured(self) -> Measurement:
        status = self._rng.choice([Status.OK] * 6 + [Status.FAILED, Status.ERROR])
        # Few different values: a draw between candidates is the case that is easy to get wrong.
        return Measurement(status=status, value=float(self._rng.randrange(4)) if status is Status.OK else None)


def _snapshot(repo: Repository) -> Snapshot:
    return Snapshot(repo, RunName("r"), _EVALUATOR, Direction.MAXIMIZE)


def _state(snapshot: Snapshot) -> dict[str, object]:
    return {
        "candidates": {
            candidate.id: (
                sorted((score.agent, score.seq, score.status, score.value) for score in candidate.scores),
                candidate.value(_EVALUATOR),
                candidate.is_scored(_EVALUATOR),
                candidate.proposal,
                sorted((lease.agent, lease.seq) for lease in candidate.leases),
            )
            for candidate in snapshot.candidates.values()
        },
        "leaders": snapshot.leaders(),
        "best value": snapshot.best_value,
        "evaluations": snapshot.evaluations,
        "sessions": [snapshot.evaluations_of(f"of {agent}") for agent in snapshot.agents],
        "numbers": [snapshot.next_seq(agent) for agent in snapshot.agents],
        "problems": snapshot.problems,
    }


@pytest.mark.parametrize("seed", range(3))
def test_reading_bit_by_bit_is_reading_from_the_beginning(toy: Checkout, seed: int) -> None:
    history = _History(toy, seed)
    reader = _snapshot(history.repo)
    for _ in range(40):
        history.step()
        reader.refresh()
        cold = _snapshot(open_repository(toy.path))
        cold.refresh()
        expected = _state(cold)
        assert _state(reader) == expected
        for own in history.snapshots:
            own.refresh()
            assert _state(own) == expected
    assert evidence.fsck(toy) == []


@pytest.mark.parametrize("still_running", [False, True], ids=["a repack", "a repack that ends after the evaluation"])
def test_a_candidate_that_is_being_evaluated_survives(toy: Checkout, still_running: bool) -> None:
    gate = Gate(toy)
    toy.evogit("run", "-n", "1", "--evals", "3", "--run", "r")
    gate.close()
    running = toy.start("agent", "tuner", "--run", "r", "--evals", "3")
    evidence.wait_for(gate.is_reached, "an evaluation")
    # Nothing leads to the candidate yet: our own packing may pack it, and then git drops it as a superfluous object.
    packing.pack(open_repository(toy.path))
    packs = toy.path / ".git" / "objects" / "pack"
    superfluous = list(packs.iterdir())
    # What `git repack -a -d` does first, and what it does last.
    toy.git("repack", "-a", "-q")
    if not still_running:
        for file in superfluous:
            file.unlink()
    gate.open()
    said = running.communicate(timeout=120)[1]
    assert running.returncode == 0, said
    if still_running:
        for file in superfluous:
            file.unlink()
    assert evidence.scores(toy, "r") == 3 + 3
    assert evidence.fsck(toy) == []
