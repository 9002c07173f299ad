"""Agents' definitions: which one a name stands for, that a run keeps its own, and the default mix."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from conftest import CONFIG, Checkout

from evogit import lineup, resources
from evogit.model import AgentName, Direction, Operator, Plan, RunName
from evogit.store import definitions, epochs, freeze, task
from evogit.store.ledger import Ledger, Writer
from evogit.store.repository import open_repository
from evogit.store.snapshot import Snapshot

_MINE = 'summary = "Steps of its own"\nproposer = "tuner"\nstep = 0.01\nselection = "tournament"\n'


def _put(repo: Checkout, path: str, text: str = _MINE) -> None:
    (repo.path / path).parent.mkdir(parents=True, exist_ok=True)
    (repo.path / path).write_text(text)


@pytest.mark.heavy
def test_a_definition_of_the_repository_travels_with_the_run(
    toy: Checkout, new_checkout: Callable[..., Checkout]
) -> None:
    """Frozen when the run begins: another clone, which has no such file, makes its plans again and runs it."""
    _put(toy, ".evogit/agents/mine.toml")
    toy.evogit("run", "--agent", "mine", "--evals", "6", "--run", "r", "--seed", "1")  # another one may gain nothing
    assert toy.git("cat-file", "blob", "refs/evogit/r/task:agents/mine.toml") == _MINE.strip()
    found = json.loads(toy.evogit("show", "--json").stdout)["proposal"]
    assert found["use"] == "mine"
    other = new_checkout("other", commit=False)
    other.git("fetch", "-q", "--update-head-ok", str(toy.path), "refs/*:refs/*")
    best = toy.evogit("best", "-q").stdout.strip()
    assert "follows from" in other.evogit("plan", "--replay", best).stdout
    assert "agent mine-1-" in other.evogit("agent", "mine", "--trust", "--evals", "2").stderr


@pytest.mark.heavy
def test_a_run_keeps_the_definition_it_was_begun_with(toy: Checkout) -> None:
    _put(toy, ".evogit/agents/mine.toml")
    toy.evogit("run", "--agent", "mine", "--evals", "3", "--run", "r")
    _put(toy, ".evogit/agents/mine.toml", _MINE.replace("0.01", "0.02"))
    said = toy.evogit("run", "--agent", "mine", "--evals", "3", "--run", "r", expect=2).stderr
    assert said == (
        "evogit: run r was begun with another agent definition 'mine'; give the file of this one another name, or "
        "begin another run with --new\n"
    )
    _put(toy, ".evogit/agents/tuner.toml")
    said = toy.evogit("agent", "tuner", "--evals", "3", "--run", "r", expect=2).stderr
    assert "was begun with another agent definition 'tuner'" in said
    # Another one may join: it is put on top of the task, and goal and state stay as they are.
    toy.evogit("goal", "edit", "higher")
    _put(toy, "elsewhere/second.toml")
    toy.evogit("run", "--agent", "./elsewhere/second.toml", "--evals", "3", "--run", "r")
    found = task.read(open_repository(toy.path), RunName("r"))
    assert sorted(found.definition.agents) == ["mine", "second"]
    assert found.goal == "higher"
    assert "agents second for run r" in toy.git("log", "-1", "--format=%s", "refs/evogit/r/task")


def test_a_new_epoch_brings_the_definitions_it_names_and_changes_none(toy: Checkout) -> None:
    _put(toy, "own/mine.toml")
    config = CONFIG.replace('"tuner"', '"own/mine.toml"')
    (toy.path / "evogit.toml").write_text(config)
    toy.evogit("run", "--evals", "3", "--run", "r")
    _put(toy, "own/mine.toml", _MINE.replace("0.01", "0.02"))
    _put(toy, "own/second.toml")
    config = config.replace("timeout_s = 20", "timeout_s = 30") + '[[agents]]\nuse = "own/second.toml"\n'
    (toy.path / "evogit.toml").write_text(config)
    toy.evogit("evaluator", "update", "--run", "r")
    repo = open_repository(toy.path)
    found = task.read(repo, RunName("r"))
    assert len(epochs.of(repo, found)) == 2
    assert found.definition.agents == {"mine": _MINE.encode(), "second": _MINE.encode()}


def test_one_of_the_repository_stands_in_for_a_shipped_one(toy: Checkout) -> None:
    _put(toy, ".evogit/agents/tuner.toml")
    repo = open_repository(toy.path)
    assert definitions.find(repo, "tuner").definition.step == 0.01
    toy.commit("mine")
    toy.evogit("run", "-n", "1", "--evals", "3", "--run", "r")
    assert toy.git("cat-file", "-e", "refs/evogit/r/task:agents/tuner.toml") == ""
    toy.git("clone", "-q", "--bare", ".", "bare.git")
    bare = open_repository(toy.path / "bare.git")
    assert definitions.find(bare, "tuner").origin == ".evogit/agents/tuner.toml"


@pytest.mark.heavy
def test_a_path_in_the_configuration_is_seen_from_the_top(toy: Checkout) -> None:
    _put(toy, "own/mine.toml")
    (toy.path / "evogit.toml").write_text(CONFIG.replace('"tuner"', '"own/mine.toml"'))
    toy.evogit("-C", "own", "run", "--evals", "3", "--run", "r")
    assert "mine-1-" in toy.evogit("log").stdout
    _put(toy, "own/mine.toml", "summary = 1")
    said = toy.evogit("run", "--evals", "3", "--new", expect=2).stderr
    assert said.startswith("evogit: own/mine.toml: summary is 1: ")
    _put(toy, "own/mine.toml")
    _put(toy, "own/Bad_Name.toml")
    assert "the file's name is the agents'" in toy.evogit("run", "--agent", "own/Bad_Name.toml", expect=2).stderr


def test_what_agents_are_told_is_not_for_agents_to_change(toy: Checkout) -> None:
    _put(toy, ".evogit/agents/mine.toml")
    (toy.path / "evogit.toml").write_text(CONFIG.replace('editable = ["knobs.py"]', ""))
    toy.commit("mine")
    definition = freeze.freeze(open_repository(toy.path)).definition
    assert definition.is_editable(b"knobs.py")
    assert not definition.is_editable(b".evogit/agents/mine.toml")


def test_list_show_and_check(toy: Checkout) -> None:
    _put(toy, ".evogit/agents/mine.toml")
    _put(toy, ".evogit/agents/broken.toml", "summary = ")
    rows = {row["name"]: row for row in json.loads(toy.evogit("agents", "--json").stdout)["agents"]}
    assert set(rows) == {"broken", "mine", *resources.definitions()}
    assert rows["mine"] == {
        "name": "mine",
        "summary": "Steps of its own",
        "needs": None,
        "from": ".evogit/agents/mine.toml",
    }
    assert "not valid TOML" in rows["broken"]["problem"]
    assert rows["tuner"]["from"] == "evogit"
    assert "from .evogit/agents/mine.toml" in toy.evogit("agents", "list").stdout
    shown = toy.evogit("agents", "show", "mine").stdout
    assert _MINE.strip() in shown
    assert "merges       share of the plans that merge" in shown
    keys = json.loads(toy.evogit("agents", "show", ".evogit/agents/mine.toml", "--json").stdout)["keys"]
    assert keys["step"]["value"] == 0.01
    assert toy.evogit("agents", "check", "mine").stdout == "mine can be used here\n"
    assert json.loads(toy.evogit("agents", "check", "broken", "--json", expect=1).stdout)["ok"] is False
    (toy.path / "knobs.py").write_text("def value():\n    return float(len('no number'))\n")
    toy.commit("no number")
    said = toy.evogit("agents", "check", "tuner", expect=1).stdout
    assert said == "tuner: its proposer 'tuner' finds nothing to change in the 1 editable files\n"
    said = _default_run(toy).stderr
    assert "agent tuner is left out: its proposer 'tuner' finds nothing to change in the 1 editable files" in said
    assert ": surgeon\n" in said


def _default_run(repo: Checkout) -> subprocess.CompletedProcess[str]:
    (repo.path / "evogit.toml").write_text(CONFIG.partition("[[agents]]")[0])
    return repo.evogit("run", "-n", "1", "--evals", "1", "--run", "d")


def test_shipped_ones_can_be_looked_at_outside_of_a_repository(new_checkout: Callable[..., Checkout]) -> None:
    plain = new_checkout("plain", commit=False)
    (plain.path / ".git").rename(plain.path / "no-git")
    assert "transplanter" in plain.evogit("agents").stdout
    assert 'proposer = "tuner"' in plain.evogit("agents", "show", "minimizer").stdout
    plain.evogit("agents", "check", "tuner", expect=1)


@pytest.mark.parametrize("count", range(1, 13))
def test_the_mix_grows_by_one_at_a_time(count: int) -> None:
    shares = {"a": 6, "b": 1, "c": 1}
    small, large = ({use.use: use.count for use in lineup.mix(number, shares)} for number in (count, count + 1))
    assert sum(small.values()) == count
    assert all(large[name] >= number for name, number in small.items())
    assert {use.use: use.count for use in lineup.mix(8, shares)} == shares
    assert [use.use for use in lineup.mix(3, shares)] == ["a"]


def test_nothing_said_starts_the_default_mix(toy: Checkout) -> None:
    (toy.path / "evogit.toml").write_text(CONFIG.partition("[[agents]]")[0])
    said = toy.evogit("run", "--evals", "4", "--run", "r").stderr
    assert f": {lineup.COUNT} × tuner" in said
    assert "left out" not in said


def test_a_record_names_no_file_of_ours(toy: Checkout) -> None:
    """A record may come from anybody: its `use` is a name, and never read as a path."""
    toy.evogit("run", "--evals", "1", "--run", "r")
    _put(toy, "secret.toml", "secret = 1")
    repo = open_repository(toy.path)
    chosen = task.read(repo, RunName("r"))
    snapshot = Snapshot(repo, chosen.run, chosen.definition.evaluator, Direction.MAXIMIZE)
    snapshot.refresh()
    writer = Writer(
        run=chosen.run, agent=AgentName("x-1-000000"), session="s", use="./secret.toml", host="here",
        evaluator=chosen.definition.evaluator, person=("Ada", "ada@example.invalid"), now=lambda: datetime.now(UTC),
    )  # fmt: skip
    ledger = Ledger(repo, snapshot, writer)
    plan = Plan(operator=Operator.MUTATE, parents=(chosen.definition.base,), seed=1)
    commit = ledger.candidate(chosen.base_tree, plan, "hostile")
    ledger.write(commit, [ledger.proposal(plan, {}, snapshot.seen())], "evogit: hostile\n")
    ledger.close()
    said = toy.evogit("plan", "--replay", commit, "--run", "r", expect=2).stderr
    assert said == (f"evogit: {commit[:12]} was planned by './secret.toml', which is the name of no agent definition\n")
