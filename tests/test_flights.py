"""Several questions open at a time: none waits for another's answer, and money, stops and crashes are accounted for."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from itertools import count
from pathlib import Path
from random import Random
from typing import Any

import pytest
from conftest import _BENCH, Checkout
from family import Family
from model_server import KEY, Fault, ModelServer, Say
from patient import EDIT, SMITH, Patient, asking, proposals, shown
from proposals import document

from evogit.asking import Flights
from evogit.llm import Caller, Completion, Failure, Known, Message, Models, Said, Talk, Trouble
from evogit.model import AgentName, RunName
from evogit.model_table import ModelUse
from evogit.records import Call, spent
from evogit.sandbox import Launcher
from evogit.store import private, repository
from evogit.store.holds import Holds
from evogit.store.repository import Repository

_SMITH = SMITH + "concurrency = 4\n"
_LONG_S = 600
Script = Callable[[int, list[dict[str, Any]]], Say | Fault]


def _better(number: int, messages: list[dict[str, Any]]) -> Say:
    """Answer with another number each time, so that no tree comes twice."""
    old = shown(messages)
    return Say(EDIT.format(old=old, new=f"{int(float(old)) + 1}.{number:04d}"))


class _Gate:
    """Lets nobody through until so many stand before it: whoever asks one question after another waits for ever."""

    def __init__(self, many: int) -> None:
        self._barrier = threading.Barrier(many)

    def __call__(self, number: int, messages: list[dict[str, Any]]) -> Say:
        if number < self._barrier.parties:
            self._barrier.wait(_LONG_S)
        else:
            time.sleep(0.3)
        return _better(number, messages)


class _Deaf:
    """Thinks about every question for ever, once so many were answered; until it is told to hear again."""

    def __init__(self, after: int = 0) -> None:
        self._after, self.hears = after, threading.Event()

    def __call__(self, number: int, messages: list[dict[str, Any]]) -> Say | Fault:
        if number >= self._after:
            self.hears.wait(_LONG_S)
        return _better(number, messages)


def _checkout(toy: Checkout, server: ModelServer, smith: str = _SMITH, **table: object) -> Patient:
    return asking(toy, server, table={"timeout_s": _LONG_S, **table}, smith=smith)


def _calls(here: Checkout) -> list[Mapping[str, Any]]:
    return [call for made in proposals(here) for call in made["calls"]]


def _await(what: Callable[[], object]) -> None:
    deadline = time.monotonic() + _LONG_S
    while not what() and time.monotonic() < deadline:
        time.sleep(0.1)
    assert what()


@pytest.fixture
def caller(world: dict[str, str], tmp_path: Path) -> Iterator[Caller]:
    launcher = Launcher()
    made = Caller(launcher, tmp_path, {**world, "OPENAI_API_KEY": KEY}, lambda: False)
    yield made
    made.close()
    launcher.close()


def _use(server: ModelServer, **settings: Any) -> ModelUse:
    return ModelUse(name="openai/scripted", api_base=server.base, **settings)


def _heard(caller: Caller, number: int) -> Said:
    while (said := caller.take(number)) is None:
        caller.wait(1.0)
    return said


@pytest.mark.heavy
@pytest.mark.timeout(900)
def test_an_answer_that_never_comes_holds_up_nobody(caller: Caller) -> None:
    """Two hang, one in a way that the process itself cannot end; the others' answers come, each to its question."""

    def script(number: int, messages: list[dict[str, Any]]) -> Say | Fault:
        wanted = messages[0]["content"]
        return Fault(wanted) if wanted in ("hang", "drip") else Say(f"said to {wanted}")

    with ModelServer(script) as server:
        whole = _use(server, timeout_s=_LONG_S)
        caller.ask(whole, [Message("user", "first")])  # it has imported all it needs
        stuck = [caller.begin(_use(server, timeout_s=20), [Message("user", how)]) for how in ("hang", "drip")]
        numbers = {caller.begin(whole, [Message("user", f"{i}")]): i for i in range(6)}
        for number, i in reversed(numbers.items()):
            said = _heard(caller, number).reply
            assert isinstance(said, Completion)
            assert said.text == f"said to {i}"
        for number in stuck:
            failure = _heard(caller, number).reply
            assert isinstance(failure, Failure)
            assert failure.trouble is Trouble.TIMEOUT
        assert isinstance(caller.ask(whole, [Message("user", "last")]), Completion)


@pytest.mark.heavy
@pytest.mark.timeout(900)
def test_what_the_process_was_asked_is_answered_when_it_is_killed(caller: Caller) -> None:
    with ModelServer(lambda number, _: Fault("hang") if 0 < number < 3 else Say("yes")) as server:
        use = _use(server, timeout_s=_LONG_S)
        caller.ask(use, [Message("user", "first")])
        numbers = [caller.begin(use, [Message("user", "hang")]) for _ in range(2)]
        _await(lambda: len(server.asked) == 3)
        for pid in subprocess.run(["pgrep", "-P", str(os.getpid()), "-f", "evogit.llm.service"],
                                  capture_output=True, text=True).stdout.split():  # fmt: skip
            os.kill(int(pid), signal.SIGKILL)
        failures = [_heard(caller, number).reply for number in numbers]
        assert [failure.trouble for failure in failures if isinstance(failure, Failure)] == [Trouble.BROKEN] * 2
        assert isinstance(caller.ask(use, [Message("user", "last")]), Completion)


@pytest.mark.heavy
@pytest.mark.timeout(900)
def test_as_many_questions_are_open_as_are_set(toy: Checkout) -> None:
    with ModelServer(_Gate(4)) as server:
        here = _checkout(toy, server)
        here.evogit("run", "--agent", "smith", "--run", "r", "--evals", "12")
    assert server.most_open == 4, "the gate opens for four at once, and never were there more"
    made = proposals(here)
    assert sorted(call["usd"] for call in _calls(here)) == pytest.approx([0.02] * len(server.asked))
    assert document(here, "status")["evaluations"] == 12
    edits = [one for one in made if one["outcome"] == "candidate"]
    assert len({one["seed"] for one in edits}) == len(edits) == 11
    for one in edits[::3]:
        assert document(here, "plan", "--replay", one["on"])["same"], "planned with what was known when it was asked"


@pytest.mark.heavy
@pytest.mark.timeout(900)
def test_a_budget_holds_while_several_questions_are_open(toy: Checkout) -> None:
    """Two agents, of which each knows what the other's open questions may cost."""
    with ModelServer(_Gate(2)) as server:
        here = _checkout(toy, server, max_tokens=100, price_in=1.0, price_out=190.0)
        here.evogit("run", "--agent", "smith:2", "--run", "r", "--budget-usd", "0.3", expect=3)
        assert server.most_open > 1
    spent = sum(call.get("usd", 0.0) for call in _calls(here))
    assert spent == pytest.approx(0.02 * len(server.asked)), "every question that was answered is on record"
    assert 0.3 <= spent + 1e-9 < 0.3 + 2 * 0.02 + 1e-9, "an agent overshoots by one call at most"
    assert not list(here.path.glob(".git/evogit/r/*.held"))
    assert all(document(here, "show", made["on"])["scores"] for made in proposals(here)), "what is paid is measured"


@pytest.mark.heavy
@pytest.mark.timeout(900)
def test_an_agent_killed_with_questions_open_is_followed_by_another(toy: Checkout) -> None:
    """Killed while it measures, with two questions open; what is on record is scored first, and the run goes on."""
    slow = "if knobs.A != 1.0 and not os.path.exists(GO): time.sleep(600)\n"
    go, deaf = toy.path.parent / "go", _Deaf(after=2)
    (toy.path / "bench.py").write_text(f"import os, time, knobs\nGO = {str(go)!r}\n{slow}{_BENCH}")
    with ModelServer(deaf) as server:
        here = _checkout(toy, server)
        config = here.path / "evogit.toml"
        config.write_text(config.read_text().replace("timeout_s = 20", "timeout_s = 300"))
        started = here.start("run", "--agent", "smith", "--run", "r", "--budget-usd", "1000")
        _await(lambda: len(server.asked) == 4 and proposals(here))
        children = subprocess.run(["pgrep", "-P", str(started.pid)], capture_output=True, text=True).stdout.split()
        for pid in (*map(int, children), started.pid):
            os.kill(pid, signal.SIGKILL)
        started.communicate()
        before = proposals(here)
        _await(lambda: not private.living(repository.open_repository(here.path), RunName("r")))
        go.touch()
        deaf.hears.set()
        here.evogit("run", "--agent", "smith", "--run", "r", "--evals", f"{len(before) + 2}", "--budget-usd", "1000")
    made = proposals(here)
    assert made[: len(before)] == before
    assert len(made) == len(before) + 2
    for one in made:
        assert [score["status"] for score in document(here, "show", one["on"])["scores"]] == ["ok"]
    here.git("fsck", "--strict")


@pytest.mark.heavy
@pytest.mark.timeout(900)
def test_ctrl_c_gives_up_all_open_questions(toy: Checkout) -> None:
    with ModelServer(_Deaf()) as server:
        here = _checkout(toy, server)
        started = here.start("run", "--agent", "smith", "--run", "r")
        _await(lambda: len(server.asked) == 4)
        started.send_signal(signal.SIGINT)
        started.communicate(timeout=_LONG_S)
        assert len(server.asked) == 4
    assert started.returncode == 130
    assert [call["outcome"] for call in _calls(here)] == ["cancelled"] * 4


@pytest.mark.heavy
@pytest.mark.timeout(900)
def test_models_that_fail_side_by_side_failed_once(toy: Checkout) -> None:
    """All four questions meet the same outage; the agent does not take that for an outage without an end."""
    with ModelServer(lambda number, m: Fault("bare") if number < 4 else _better(number, m)) as server:
        here = _checkout(toy, server)
        here.evogit("run", "--agent", "smith", "--run", "r", "--evals", "4")
    outcomes = [call["outcome"] for call in _calls(here)]
    assert outcomes.count("malformed") == 4
    assert outcomes.count("ok") >= 3


@pytest.mark.heavy
def test_a_refused_key_ends_an_agent_with_questions_open(toy: Checkout) -> None:
    with ModelServer(_better, key="sk-another-key-9e41") as server:
        here = _checkout(toy, server)
        done = here.evogit("run", "--agent", "smith", "--run", "r", expect=4)
    assert "the key was refused or is missing" in done.stderr.splitlines()[-1]
    assert {call["outcome"] for call in _calls(here)} <= {"auth", "cancelled"}
    assert len(_calls(here)) == 4, "each question is on record"


class _Voice:
    """Answers open questions in an order of its own, each for a price of its own; or, from some time on, none."""

    def __init__(self, rng: Random, most_usd: float) -> None:
        self.open: dict[int, ModelUse] = {}
        self.paid: list[float] = []
        self.most_open = 0
        self._rng, self._most_usd, self._numbers, self._told = rng, most_usd, count(), dict[int, Said]()

    def ask(self, model: ModelUse, messages: list[Message]) -> Completion | Failure:
        pytest.fail("one question at a time is not what this is about")

    def look(self, model: ModelUse) -> Known:
        # Questions here have no text, so that all of the price is the answer's.
        return Known(usd_in=0.0, usd_out=self._most_usd / model.max_tokens)

    def begin(self, model: ModelUse, messages: list[Message]) -> int:
        number = next(self._numbers)
        self.open[number] = model
        self.most_open = max(self.most_open, len(self.open))
        return number

    def take(self, number: int) -> Said | None:
        return self._told.pop(number, None)

    def wait(self, seconds: float) -> None:
        for number in [number for number in self.open if self._rng.random() < 0.1]:
            del self.open[number]
            self.paid.append(self._most_usd * self._rng.random())
            self._told[number] = Said(Completion(text="yes", is_whole=True, usd=self.paid[-1]), 1.0)

    def give_up(self) -> None:
        gone = Failure(trouble=Trouble.CANCELLED, words="interrupted")
        self._told |= dict.fromkeys(self.open, Said(gone, 1.0))
        self.open.clear()


class _Spender:
    """An agent of several questions at a time that does nothing but ask, and book what was answered."""

    def __init__(self, repo: Repository, name: str, voice: _Voice, booked: list[float], budget: float) -> None:
        agent, run = AgentName(f"{name}-1-{private.clone_id(repo)}"), RunName("r")
        self._name = private.take_name(repo, run, agent)
        self.models = Models([ModelUse(name="m")], voice, time.monotonic, time.sleep, lambda: False)
        self.flights = Flights[None, list[Call]](self.models, 4, Holds(repo, run, agent))
        self._booked, self._budget = booked, budget

    def left(self) -> float:
        unseen = self.flights.unseen_usd()
        return self._budget - sum(self._booked) - unseen

    def step(self) -> None:
        if landed := self.flights.landed():
            self._booked.append(spent(landed.result))
        elif self.flights.has_room(0, 100.0):
            assert not self.flights.launch(None, self._talk()) or self.left() <= 0

    def _talk(self) -> Talk[list[Call]]:
        """Ask, and ask once more for the same thing."""
        first = (yield from self.models.asking([], ["m"], lambda made: self.left() > spent(made))).calls
        may_call = lambda made: self.left() > spent(first) + spent(made)  # noqa: E731
        return [*first, *(yield from self.models.asking([], ["m"], may_call)).calls]

    def end(self) -> None:
        for landed in self.flights.end(0.0):
            self._booked.append(spent(landed.result))
        self._name.release()


@pytest.mark.parametrize("seed", range(4))
def test_nobody_asks_with_money_that_is_held_back(seed: int, family: Family) -> None:
    """Two agents and any order of answers: what all questions cost passes the budget by one for each at most."""
    rng, most, budget, booked = Random(seed), 0.1, 2.0, list[float]()
    voices = _Voice(rng, most), _Voice(rng, most)
    agents = [_Spender(family.repo, name, voice, booked, budget) for name, voice in zip("ab", voices, strict=True)]
    for _ in range(600):
        rng.choice(agents).step()
        known = sum(sum(voice.paid) + most * len(voice.open) for voice in voices)
        assert known <= budget + 2 * most
    assert max(voice.most_open for voice in voices) == 4
    assert sum(booked) > budget - 2 * most, "what is held back is given back: all of the budget can be spent"
    for agent in agents:
        agent.end()
    assert sum(booked) == pytest.approx(sum(sum(voice.paid) for voice in voices)), "all that was paid is booked"
    assert not list(family.repo.private.glob("r/*.held"))


def test_what_a_dead_agent_held_back_is_free(family: Family) -> None:
    run, clone = RunName("r"), private.clone_id(family.repo)
    names = [AgentName(f"smith-{number}-{clone}") for number in (1, 2)]
    held = private.take_name(family.repo, run, names[0])
    Holds(family.repo, run, names[0]).hold(0.25)
    mine = Holds(family.repo, run, names[1])
    mine.hold(0.5)
    assert mine.others() == 0.25
    held.release()
    assert mine.others() == 0.0
    again = private.take_name(family.repo, run, names[0])
    Holds(family.repo, run, names[0])
    assert mine.others() == 0.0, "who takes up the name has no question open"
    again.release()


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("concurrency = 0", "concurrency is 0: expected `int` >= 1"),
        ("concurrency = 33", "concurrency is 33: expected `int` <= 32"),
        ('concurrency = "x"', "concurrency is 'x': expected `int`, got `str`"),
        ("concurency = 2", "unknown key 'concurency'; did you mean 'concurrency'?"),
    ],
)
def test_a_wrong_number_is_one_clear_error(setting: str, said: str, toy: Checkout) -> None:
    folder = toy.path / ".evogit" / "agents"
    folder.mkdir(parents=True)
    (folder / "smith.toml").write_text(_SMITH.replace("concurrency = 4", setting))
    assert said in toy.evogit("agents", "show", "smith", expect=2).stderr
    (folder / "smith.toml").write_text('summary = "Moves"\nproposer = "tuner"\nconcurrency = 2\n')
    wanted = "concurrency is for proposer = 'model', and it is 'tuner'; leave it out"
    assert wanted in toy.evogit("agents", "show", "smith", expect=2).stderr
