"""Runs of real agents in one process, on a clock of their own: an evaluation takes about one unit, all else none.

Each agent is an `evogit.agent.Agent` with the planner, the drafter, the journal and the repository that an `evogit
agent` has. It runs in a thread; only one thread runs at a time, until it measures or rests. What it measures is known
to it, and to the others, when its time is over: with eight agents, a plan is made without the results of the seven that
are in flight. The same task, agents and seed give the same run, on any machine, however busy.
"""

from __future__ import annotations

import heapq
import os
import resource
import signal
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from random import Random
from types import ModuleType

import msgspec
from scene import Scene, environment

from evogit import assembly, edits
from evogit.agent import Agent
from evogit.config import Definition, Stop
from evogit.model import Direction, Measurement, Status, TreeId, parse_run_name
from evogit.parts import Parts, World
from evogit.stopping import Limits
from evogit.store import freeze, private, task
from evogit.store.ledger import Writer
from evogit.store.repository import Repository, open_repository, signature
from evogit.store.sources import Sources

RUN = parse_run_name("bench")
SESSION = "bench"
_BEGUN = datetime(2026, 1, 1, tzinfo=UTC)
_LONGEST_S = 0.25
"""CPU seconds until a candidate that does not end is given up."""
_MOST_BYTES = 2**31


@dataclass(frozen=True, slots=True)
class Trial:
    """A task as agents meet it: a repository, and what its files score."""

    module: ModuleType
    scene: Scene

    @property
    def direction(self) -> Direction:
        """Which scores are better."""
        return Direction(self.module.DIRECTION)

    def measure(self, files: Mapping[str, bytes]) -> Measurement:
        """Return what the task says of these files; code runs in a process of its own, which may not end by itself."""
        texts = {name: content.decode() for name, content in files.items()}
        if not getattr(self.module, "IS_CODE", False):
            return _judged(self.module, texts)
        reader, writer = os.pipe()
        child = os.fork()
        if child == 0:
            signal.setitimer(signal.ITIMER_VIRTUAL, _LONGEST_S)  # by default, the signal ends the process
            resource.setrlimit(resource.RLIMIT_AS, (_MOST_BYTES, _MOST_BYTES))
            with suppress(BaseException):
                os.write(writer, msgspec.json.encode(_judged(self.module, texts)))
            os._exit(0)
        os.close(writer)
        with open(reader, "rb") as pipe:
            said = pipe.read()
        os.waitpid(child, 0)
        if not said:
            return Measurement(status=Status.TIMEOUT, feedback="it does not end")
        return msgspec.json.decode(said, type=Measurement)


def _judged(module: ModuleType, texts: Mapping[str, str]) -> Measurement:
    try:
        found = module.of(texts)
    except Exception as error:  # noqa: BLE001 - whatever a candidate raises is its own
        return Measurement(status=Status.FAILED, feedback=f"{type(error).__name__}: {error}"[:500])
    value, instances, feedback = found if isinstance(found, tuple) else (found, {}, "")
    return Measurement(status=Status.OK, value=value, instances=instances, feedback=feedback)


def build(module: ModuleType, folder: Path) -> Trial:
    """Make the repository of a task, with a run that nobody has worked on yet."""
    name = module.__name__.rpartition(".")[2]
    path = folder / name
    scene = Scene(path, environment(folder / f"{name}.home"))
    path.mkdir()
    scene.git("init", "-q", "-b", "main")
    for place, text in module.BASE.items():
        (path / place).parent.mkdir(exist_ok=True)
        (path / place).write_text(text)
    is_code = getattr(module, "IS_CODE", False)
    judged = 'pytest = "tests/"' if is_code else f'function = "{name}:score"'
    editable = ", ".join(f'"/{place}"' for place in module.BASE)
    (path / "evogit.toml").write_text(
        f'direction = "{module.DIRECTION}"\neditable = [{editable}]\n[evaluator]\n{judged}\n'
    )
    if is_code:
        (path / "tests").mkdir()
        (path / "tests" / "test_it.py").write_text("def test_it():\n    pass\n")
    else:
        assert module.__file__
        (path / f"{name}.py").write_text(Path(module.__file__).read_text())
    scene.git("add", "-A")
    scene.git("commit", "-q", "-m", "Begin")
    repo = open_repository(path)
    repo.private.mkdir(exist_ok=True)
    (repo.private / "clone-id").write_text("000000\n")
    pen = signature("Ada", "ada@example.invalid", _BEGUN)
    task.create(repo, RUN, freeze.freeze(repo).definition, pen)
    return Trial(module, scene)


@dataclass(slots=True)
class _Player:
    """An agent and the thread it runs in."""

    agent: Agent | None = None
    thread: threading.Thread | None = None
    turn: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    asked: Mapping[str, bytes] | float | None = None
    answer: Measurement | None = None
    failed: BaseException | None = None


class Arena:
    """The clock, and whose turn it is."""

    def __init__(self, trial: Trial, seed: int) -> None:
        self.now = 0.0
        self._trial = trial
        self._rng = Random(f"{seed}/durations")
        self._back = threading.Semaphore(0)
        self._queue: list[tuple[float, int]] = []
        self._players: list[_Player] = []

    def add(self, made: Callable[[_Player], Agent]) -> None:
        """Let one more agent take part from the beginning."""
        player = _Player()
        player.agent = made(player)
        player.thread = threading.Thread(target=self._play, args=(player,), daemon=True)
        heapq.heappush(self._queue, (0.0, len(self._players)))
        self._players.append(player)

    def run(self) -> None:
        """Go on until every agent has stopped."""
        for player in self._players:
            assert player.thread
            player.thread.start()
        while self._queue:
            self.now, number = heapq.heappop(self._queue)
            player = self._players[number]
            player.turn.release()
            self._back.acquire()
            if player.failed:
                raise player.failed
            if isinstance(player.asked, float):
                heapq.heappush(self._queue, (self.now + player.asked, number))
            elif player.asked is not None:
                player.answer = self._trial.measure(player.asked)
                heapq.heappush(self._queue, (self.now + self._rng.uniform(0.7, 1.3), number))
        for player in self._players:
            assert player.thread
            player.thread.join()

    def wait(self, player: _Player, asked: Mapping[str, bytes] | float) -> Measurement | None:
        """Give the turn back until it is this player's again."""
        player.asked = asked
        self._back.release()
        player.turn.acquire()
        return player.answer

    def _play(self, player: _Player) -> None:
        player.turn.acquire()
        try:
            assert player.agent
            player.agent.run()
        except BaseException as error:  # noqa: BLE001 - raised again in the main thread
            player.failed = error
        player.asked = None
        self._back.release()


class _Meter:
    """Measures when it is the player's turn again."""

    def __init__(self, arena: Arena, player: _Player, repo: Repository, chosen: task.Task) -> None:
        self._arena, self._player = arena, player
        self._sources = Sources(repo, chosen.definition, edits.is_text)

    def measure(self, tree: TreeId) -> Measurement:
        """Return what the task says of a tree."""
        files = {str(file.path): file.content for file in self._sources.read(tree)}
        found = self._arena.wait(self._player, files)
        assert found
        return found


def play(trial: Trial, seed: int, evaluations: int, members: Sequence[tuple[str, Definition]]) -> None:
    """Let agents of these names and definitions work until so many evaluations are done; the repository has it then."""
    arena = Arena(trial, seed)
    for use, definition in members:
        arena.add(partial(_agent, arena, trial, seed, evaluations, use, definition))
    arena.run()


def _agent(
    arena: Arena, trial: Trial, seed: int, evaluations: int, use: str, definition: Definition, player: _Player
) -> Agent:
    repo = open_repository(trial.scene.path)
    chosen = task.read(repo, RUN)
    name = private.free_name(repo, RUN, use)
    writer = Writer(
        run=RUN, agent=name.agent, session=SESSION, use=use, evaluator=chosen.definition.evaluator, host="bench",
        person=("Ada", "ada@example.invalid"), now=lambda: _BEGUN + timedelta(seconds=arena.now),
    )  # fmt: skip
    world = World(
        seed=seed, clock=lambda: arena.now, sleep=lambda seconds: _rest(arena, player, seconds),
        stopped=lambda: None, new_name=lambda: name.agent,
    )  # fmt: skip
    parts = Parts(
        proposer=assembly.proposer(definition), policy=assembly.policy(definition),
        meter=_Meter(arena, player, repo, chosen),
        limits=Limits(Stop(evals=evaluations), SESSION, lambda: arena.now),
    )  # fmt: skip
    return Agent(repo, chosen, writer, parts, world)


def _rest(arena: Arena, player: _Player, seconds: float) -> None:
    arena.wait(player, max(seconds, 0.2))
