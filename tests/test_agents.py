"""What agents do together: limits, luck, the base scored once, no tree measured twice, broken evaluators."""

from __future__ import annotations

import json
import re
from collections import Counter
from itertools import pairwise
from statistics import fmean
from typing import Any

import pytest
from clones import Clone
from conftest import CONFIG, Checkout

from evogit.model import RunName
from evogit.store.repository import open_repository

_SHELL = 'read -r _ _ level < knob.txt; echo "{\\"score\\": $level}" > "$EVOGIT_RESULT"\n'


@pytest.fixture
def quick(toy: Checkout) -> Checkout:
    """A repository whose evaluation costs two milliseconds."""
    (toy.path / "score.sh").write_text(_SHELL)
    (toy.path / "knob.txt").write_text("level = 3\n")
    config = CONFIG.replace("python bench.py", "sh score.sh").replace("knobs.py", "knob.txt").replace("evals = 20", "")
    (toy.path / "evogit.toml").write_text(config)
    toy.commit("quick")
    return toy


def _log(checkout: Checkout, run: str) -> list[dict[str, Any]]:
    return list(json.loads(checkout.evogit("log", "--run", run, "--all", "--json").stdout)["log"])


def test_the_limit_is_met_by_all_agents_together(quick: Checkout) -> None:
    quick.evogit("run", "-n", "4", "--evals", "240", "--run", "r")
    log = _log(quick, "r")
    assert 240 <= len(log) <= 244
    assert len(Counter(row["agent"] for row in log)) > 1  # on a busy machine the last ones start when all is done
    # One claims it and the others wait; two that claim it in the same moment may both score it.
    assert Counter(row["subject"] for row in log)["(the base)"] <= 2


def test_no_tree_is_measured_twice_by_choice(quick: Checkout) -> None:
    """Agents that see each other's records do not repeat them; only two that try the same at the same moment do."""
    quick.evogit("run", "-n", "2", "--evals", "80", "--run", "r")
    by_tree: dict[str, list[str]] = {}
    for row in _log(quick, "r"):
        by_tree.setdefault(quick.git("rev-parse", f"{row['commit']}^{{tree}}"), []).append(row["agent"])
    repeated = [agents for agents in by_tree.values() if len(agents) > 1]
    assert all(len(agents) == len(set(agents)) for agents in repeated)
    assert len(repeated) < len(by_tree) / 4


def test_a_tuner_shares_the_files_out_with_other_agents(quick: Checkout) -> None:
    for number in range(4):
        (quick.path / f"part{number}.conf").write_text("level = 3.5\n")
    sums = 'awk \'{ s += $3 } END { print "{\\"score\\": " s "}" }\' part*.conf > "$EVOGIT_RESULT"\n'
    (quick.path / "score.sh").write_text(sums)
    config = (quick.path / "evogit.toml").read_text()
    (quick.path / "evogit.toml").write_text(config.replace('"knob.txt"', '"/part*.conf"'))
    quick.commit("parts")
    same = {}
    for run, others in (("alone", 0), ("shared", 3)):
        quick.evogit("run", "-n", "1", "--evals", "1", "--new", "--run", run)
        pens = Clone(quick, open_repository(quick.path))
        for number in range(others):
            pens.write(1, number=number, run=RunName(run))
        quick.evogit("run", "-n", "1", "--evals", "100", "--seed", "3", "--run", run)
        found = [re.findall(r"part\d", row["subject"]) for row in _log(quick, run) if row["agent"].startswith("tuner")]
        files = [parts[0] for parts in found if len(parts) == 1]
        assert set(files) == {f"part{number}" for number in range(4)}
        same[run] = fmean(one == other for one, other in pairwise(files))
    # Drawn at random, one edit in four is of the file of the one before.
    assert same["alone"] < 0.4 < same["shared"], same


@pytest.mark.heavy
def test_one_agent_never_repeats_itself_and_ends_when_nothing_is_left(quick: Checkout) -> None:
    """With a single digit to choose from the search is over some time, and says so."""
    (quick.path / "score.sh").write_text(
        _SHELL.replace("read", "grep -q '[-.][0-9]\\|[0-9][0-9]' knob.txt && exit 1\nread")
    )
    (quick.path / "evogit.toml").write_text((quick.path / "evogit.toml").read_text().replace("maximize", "minimize"))
    quick.evogit("run", "-n", "1", "--evals", "150", "--run", "r")
    trees = Counter(quick.git("rev-parse", f"{row['commit']}^{{tree}}") for row in _log(quick, "r"))
    assert max(trees.values()) == 1


def test_the_same_seed_tries_the_same(quick: Checkout) -> None:
    for run in ("one", "two"):
        quick.evogit("run", "-n", "1", "--evals", "15", "--seed", "7", "--new", "--run", run)
    quick.evogit("run", "-n", "1", "--evals", "15", "--seed", "8", "--new", "--run", "three")
    tried = [[(row["subject"], row["value"]) for row in _log(quick, run)] for run in ("one", "two", "three")]
    assert tried[0] == tried[1]
    assert tried[0] != tried[2]


def test_an_agent_goes_on_with_new_luck_after_a_restart(quick: Checkout) -> None:
    for _ in range(2):
        quick.evogit("run", "-n", "1", "--evals", "10", "--seed", "7", "--run", "r")
    (journal,) = quick.git("for-each-ref", "--format=%(refname)", "refs/notes/evogit/r").splitlines()
    notes = quick.git("grep", "-h", '"kind":"proposal"', journal).splitlines()
    found = [json.loads(line)["seed"] for line in notes]
    assert len(set(found)) == len(found) == 19


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (["--target", "3"], "the target 3 is reached"),
        (["--stagnation", "12", "--evals", "2000"], "no better candidate in 12 evaluations"),
        (["--minutes", "0.02"], "0.02 minutes are over"),
    ],
)
def test_other_limits(options: list[str], reason: str, quick: Checkout) -> None:
    if "--stagnation" in options:
        (quick.path / "score.sh").write_text('echo "{\\"score\\": 1}" > "$EVOGIT_RESULT"\n')
    quick.evogit("run", "-n", "1", "--run", "r", "--evals", "1")
    said = quick.evogit("agent", "tuner", "--run", "r", *options).stderr
    assert f"stopped: {reason}" in said


def test_a_broken_evaluator_stops_the_agents_and_is_never_a_score(quick: Checkout) -> None:
    (quick.path / "score.sh").write_text("[ -e /proc/self/nothing ] || exit 125\n")
    said = quick.evogit("run", "-n", "2", "--evals", "50", "--run", "r", expect=2).stderr
    assert "the evaluator broke 3 times in a row: exit code 125: the evaluator cannot test this" in said
    assert {row["status"] for row in _log(quick, "r")} == {"error"}


def test_candidates_that_fail_are_recorded_and_never_chosen(quick: Checkout) -> None:
    (quick.path / "score.sh").write_text("grep -q '= 3$' knob.txt || { echo bad luck; exit 4; }\n" + _SHELL)
    quick.evogit("run", "-n", "1", "--evals", "12", "--run", "r")
    log = _log(quick, "r")
    assert Counter(row["status"] for row in log) == {"failed": 11, "ok": 1}
    base = quick.git("rev-parse", "HEAD")
    assert {quick.git("rev-parse", f"{row['commit']}~1") for row in log if row["status"] == "failed"} == {base}
    assert "bad luck" in quick.evogit("show", log[0]["commit"]).stdout


@pytest.mark.heavy
def test_the_branch_of_an_agent_that_a_person_took_over_is_left_alone(quick: Checkout) -> None:
    quick.evogit("run", "-n", "1", "--evals", "6", "--run", "r", "--seed", "1")
    (branch,) = quick.git("branch", "--list", "evogit/r/*", "--format=%(refname:short)").splitlines()
    quick.git("checkout", "-q", branch)
    (quick.path / "knob.txt").write_text("level = 1\n")
    mine = quick.commit("mine")
    quick.git("checkout", "-q", "main")
    quick.evogit("run", "-n", "1", "--evals", "30", "--run", "r", "--seed", "2")
    assert quick.git("rev-parse", branch) == mine


@pytest.mark.heavy
def test_a_second_run_with_another_evaluator_shares_nothing(quick: Checkout) -> None:
    quick.evogit("run", "-n", "1", "--evals", "6", "--run", "one")
    (quick.path / "score.sh").write_text('echo "{\\"score\\": -1}" > "$EVOGIT_RESULT"\n')
    said = quick.evogit("run", "-n", "1", "--evals", "6", "--run", "one", expect=2).stderr
    assert "the evaluator of run 'one' is another than that of this work tree (score.sh)" in said
    quick.evogit("run", "-n", "1", "--evals", "6", "--run", "two")
    assert json.loads(quick.evogit("status", "--json").stdout)["best_value"] == -1
