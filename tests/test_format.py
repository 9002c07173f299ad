"""FORMAT.md is enough to read a run, and what earlier versions wrote stays readable."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from conftest import Checkout
from plain_reader import read_epochs, read_run

from evogit.model import RunName
from evogit.store import epochs, task
from evogit.store.repository import open_repository
from evogit.store.snapshot import Snapshot

_DATA = Path(__file__).parent / "data"


def _read_with_evogit(path: Path, run: str) -> tuple[dict[str, Any], Snapshot]:
    repo = open_repository(path)
    chosen = task.read(repo, RunName(run))
    snapshot = Snapshot(repo, chosen.run, chosen.definition.evaluator, chosen.definition.config.direction)
    snapshot.refresh()
    records: dict[str, list[Any]] = {}
    for commit, found in snapshot.candidates.items():
        made = [found.proposal] if found.proposal else []
        records[commit] = msgspec.to_builtins(
            [*found.leases, *made, *found.useless, *found.scores, *found.verdicts, *found.lessons]
        )
    values = {commit: found.value(snapshot.evaluator) for commit, found in snapshot.candidates.items()}
    return {
        "base": chosen.definition.base,
        "records": records,
        "values": {commit: value for commit, value in values.items() if value is not None},
    }, snapshot


def _normal(found: dict[str, Any]) -> dict[str, Any]:
    records = {commit: sorted(lines, key=_place) for commit, lines in found["records"].items()}
    return {**found, "records": dict(sorted(records.items())), "values": dict(sorted(found["values"].items()))}


def _place(line: dict[str, Any]) -> tuple[int, str]:
    return int(line["seq"]), line["agent"]


def test_a_reader_made_of_git_and_json_agrees(toy: Checkout) -> None:
    toy.evogit("run", "-n", "2", "--evals", "12", "--run", "r")
    ours, snapshot = _read_with_evogit(toy.path, "r")
    plain = read_run(toy.path, "r", toy.environment)
    assert _normal(ours) == _normal(plain)
    assert snapshot.problems == {}
    assert len(plain["values"]) >= 1


@pytest.mark.parametrize("bundle", sorted(_DATA.glob("*.bundle")), ids=lambda path: path.stem)
def test_old_runs_stay_readable(bundle: Path, new_checkout: Callable[..., Checkout]) -> None:
    expected = json.loads(bundle.with_suffix(".json").read_text())
    checkout = new_checkout("old", commit=False)
    checkout.git("fetch", "-q", "--update-head-ok", str(bundle), "refs/*:refs/*")
    ours, snapshot = _read_with_evogit(checkout.path, expected["run"])
    assert _normal(ours) == expected["reading"]
    assert sorted(snapshot.problems) == expected["problems"]
    assert snapshot.evaluator == expected["evaluator"]
    assert snapshot.leaders() == expected["leaders"]
    assert _normal(read_run(checkout.path, expected["run"], checkout.environment)) == expected["reading"]
    repo = open_repository(checkout.path)
    found = [(one.evaluator, one.commit) for one in epochs.of(repo, task.read(repo, RunName(expected["run"])))]
    assert found == read_epochs(checkout.path, expected["run"], checkout.environment)
    assert [evaluator for evaluator, _ in found] == expected.get("epochs", [expected["evaluator"]])


def test_fixtures_are_there() -> None:
    assert [path.name for path in sorted(_DATA.glob("*.bundle"))] == [
        "run-v1-epochs.bundle",
        "run-v1-family.bundle",
        "run-v1.bundle",
    ]


def test_trailers_are_what_git_takes_for_trailers(toy: Checkout) -> None:
    toy.evogit("run", "-n", "1", "--evals", "5", "--run", "r", "--seed", "3")
    best = toy.evogit("best", "-q").stdout.strip()
    message = toy.git("log", "-1", "--format=%B", best)
    parsed = subprocess.run(
        ["git", "interpret-trailers", "--parse"],
        input=message.encode(),
        env=toy.environment,
        capture_output=True,
        check=True,
    ).stdout.decode()
    agent = toy.git("log", "-1", "--format=%an", best)
    assert parsed == f"Evogit-Run: r\nEvogit-Agent: {agent}\nEvogit-Operator: mutate\n"
    assert toy.git("log", "-1", "--format=%ae|%cn", best) == f"{agent}@r.evogit.invalid|Ada"
    assert len(message.splitlines()[0]) <= 72
