"""What a stranger does first: init, run, look, apply."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from conftest import Checkout


def test_init_run_look_apply(new_checkout: Callable[..., Checkout], toy: Checkout) -> None:
    files = {name: (toy.path / name).read_text() for name in ("knobs.py", "bench.py")}
    fresh = new_checkout("fresh", files)
    said = fresh.evogit("init", "--score", "python bench.py", "--direction", "maximize", "--goal", "More").stdout
    assert said.splitlines()[0] == f"wrote {fresh.path}/evogit.toml; nothing else was changed"
    fresh.evogit("doctor")
    fresh.evogit("run", "-n", "2", "--evals", "24", "--seed", "1")
    status = _json(fresh, "status")
    assert 24 <= status["evaluations"] <= 25
    assert status["base_value"] == -22.25
    assert status["best_value"] > -22.25
    best = fresh.evogit("best", "-q").stdout.strip()
    assert best == status["best"]
    assert fresh.git("status", "--porcelain") == "?? evogit.toml"
    fresh.evogit("apply")
    assert fresh.git("diff", "--cached", "--name-only") == "knobs.py"
    assert fresh.git("rev-parse", f"{best}:knobs.py") == fresh.git("rev-parse", ":knobs.py")


def test_plain_git_shows_everything(toy: Checkout) -> None:
    toy.evogit("run", "-n", "1", "--evals", "12", "--seed", "2", "--run", "first")
    best = toy.evogit("best", "-q").stdout.strip()
    branches = toy.git("branch", "--list", "evogit/*", "--format=%(refname:short) %(objectname)").splitlines()
    assert [line.split()[1] for line in branches] == [best]
    notes = toy.git("log", "-1", "--format=%N", "--notes=evogit/*", best)
    records = [json.loads(line) for line in notes.splitlines() if line]
    assert [record["kind"] for record in records] == ["proposal", "score"]
    assert toy.git("log", "-1", "--format=%(trailers:key=Evogit-Operator,valueonly)", best) == "mutate"
    assert toy.git("fsck", "--strict") == ""


def test_going_on_without_the_launcher(toy: Checkout) -> None:
    toy.evogit("run", "-n", "2", "--evals", "10", "--run", "shared")
    before = _json(toy, "status", "--run", "shared")
    said = toy.evogit("agent", "tuner", "--run", "shared", "--evals", "7").stderr
    after = _json(toy, "status", "--run", "shared")
    assert "7 evaluations are done" in said
    assert after["evaluations"] == before["evaluations"] + 7
    assert [row["agent"] for row in after["agents"]] == [row["agent"] for row in before["agents"]]


def test_a_second_run_goes_on_with_the_first(toy: Checkout) -> None:
    toy.evogit("run", "-n", "1", "--evals", "3")
    toy.evogit("run", "-n", "1", "--evals", "3")
    assert len(_json(toy, "runs")["runs"]) == 1
    toy.evogit("run", "-n", "1", "--evals", "3", "--new", "--run", "other")
    assert sorted(row["evaluations"] for row in _json(toy, "runs")["runs"]) == [3, 6]


def _json(checkout: Checkout, *arguments: str) -> dict[str, Any]:
    found = json.loads(checkout.evogit(*arguments, "--json").stdout)
    assert found["schema"] == 1
    return dict(found)
