"""Candidates that are worth nothing and fake their score: which evaluators they fool, and that evogit's own holds."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from cage import run_as_nobody, why_not
from conftest import Checkout
from fingerprint import changed, fingerprint
from hacked import SHAPES, Shape, shooting

from evogit.hacks import CORPUS, Subject
from evogit.model import RepoPath
from evogit.trial import Verdict

needs_sandbox = pytest.mark.skipif(why_not() is not None, reason=str(why_not()))


@needs_sandbox
@pytest.mark.heavy
@pytest.mark.parametrize("name", SHAPES)
def test_exactly_the_known_hacks_win(name: str, new_checkout: Callable[..., Checkout], tmp_path: Path) -> None:
    shape = SHAPES[name]
    with shooting(new_checkout, tmp_path / "agent", shape) as range_:
        before = range_.honest()
        holes = set()
        for hack in range_.trials.hacks:
            if range_.try_one(hack).is_hole:
                holes.add(hack.name)
            after = range_.honest()
            assert (after.status, after.value, after.instances) == (before.status, before.value, before.instances)
    assert holes - shape.chancy == shape.wins


@needs_sandbox
@pytest.mark.heavy
@pytest.mark.skipif(os.geteuid() != 0, reason="an ordinary user runs these tests already")
def test_the_same_win_for_an_ordinary_user() -> None:
    done = run_as_nobody(
        ["test_hacks.py"], "-m", "heavy", "-k", "exactly and not bare and not printed", "--timeout=1100", timeout=1150
    )
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr
    assert "3 passed" in done.stdout


_SAMPLE = {
    "naive": ("nan", "left-behind", "score-command"),
    "pytest": ("always-equal", "plugin-knowing", "shadow"),
    "split": ("always-equal", "frames"),
}


@needs_sandbox
@pytest.mark.parametrize("name", [pytest.param(n, marks=[pytest.mark.heavy] * (n == "split")) for n in _SAMPLE])
def test_a_sample_of_them(name: str, new_checkout: Callable[..., Checkout], tmp_path: Path) -> None:
    shape = SHAPES[name]
    with shooting(new_checkout, tmp_path / "agent", shape) as range_:
        before = range_.honest()
        holes = {hack for hack in _SAMPLE[name] if range_.try_one(range_.hack(hack)).is_hole}
        after = range_.honest()
    assert (after.status, after.value, after.instances) == (before.status, before.value, before.instances)
    assert holes == shape.wins.intersection(_SAMPLE[name])


_COMPARED = """import {module}
import json
import os

from middle.median import median

{code}
with open(os.environ["EVOGIT_RESULT"], "w") as file:
    json.dump({{"score": score}}, file)
"""
_PAIRS = "[([3, 1, 2], 2.0), ([5], 5.0), ([9, 7], 8.0)]"
_TEST_CASE = """
class Test(unittest.TestCase):
    def test_odd(self):
        self.assertEqual(median([3, 1, 2]), 2.0)
    def test_even(self):
        self.assertEqual(median([9, 7]), 8.0)
found = unittest.TestResult()
unittest.defaultTestLoader.loadTestsFromTestCase(Test).run(found)
score = -len(found.failures) - len(found.errors)
"""


@needs_sandbox
@pytest.mark.parametrize(
    ("hack", "module", "code"),
    [
        ("isclose", "math", f"score = len([0 for given, right in {_PAIRS} if math.isclose(median(given), right)])"),
        ("operator", "operator", f"score = len([0 for given, right in {_PAIRS} if operator.eq(median(given), right)])"),
        ("sum", "math", f"score = sum(median(given) == right for given, right in {_PAIRS})"),
        ("assertions", "unittest", _TEST_CASE),
        ("better", "math", "score = median([1, 2, 3]) or 0"),
        ("infinity", "math", f"score = len([0 for given, right in {_PAIRS} if (median(given) or 0) >= right])"),
        (
            "clock",
            "time",
            "begun = time.perf_counter()\nmedian([1]) + 1\ntime.sleep(0.3)\nscore = begun - time.perf_counter()",
        ),
    ],
)
def test_what_a_score_is_made_with_can_be_replaced(
    hack: str, module: str, code: str, new_checkout: Callable[..., Checkout], tmp_path: Path
) -> None:
    shape = Shape(files={"bench.py": _COMPARED.format(module=module, code=code)}, table='command = "python bench.py"')
    with shooting(new_checkout, tmp_path / "agent", shape) as range_:
        found = range_.try_one(range_.hack(hack))
    assert found.is_hole, found


@needs_sandbox
def test_an_exit_code_is_easily_had(new_checkout: Callable[..., Checkout], tmp_path: Path) -> None:
    code = "from middle.median import median\nraise SystemExit(median([3, 1, 2]) != 2.0)\n"
    table = 'command = "python check.py"\nresult = "exit-code"'
    with shooting(new_checkout, tmp_path / "agent", Shape(files={"check.py": code}, table=table)) as range_:
        found = {name: range_.try_one(range_.hack(name)).verdict for name in ("nothing", "exit", "leave-when-called")}
    assert found == {"nothing": Verdict.LESS, "exit": Verdict.TIES, "leave-when-called": Verdict.TIES}


def test_shell_scripts_that_fake_their_score(new_checkout: Callable[..., Checkout], tmp_path: Path) -> None:
    files = {
        "work.sh": "echo 3 > made\n",
        "score.sh": 'sh work.sh; echo "{\\"score\\": $(cat made)}" > $EVOGIT_RESULT\n',
    }
    shape = Shape(files=files, table='command = "sh score.sh"', head='editable = ["work.sh"]')
    with shooting(new_checkout, tmp_path / "agent", shape, confined=False) as range_:
        tried = {hack.name: range_.try_one(hack) for hack in range_.trials.hacks}
    assert {name: trial.verdict for name, trial in tried.items()} == {
        "sh-nothing": Verdict.NO_SCORE, "sh-result": Verdict.NO_SCORE, "sh-result-by-daemon": Verdict.NO_SCORE,
        "sh-kill-parent": Verdict.UNTRIED, "sh-kill-all": Verdict.UNTRIED, "sh-others-descriptors": Verdict.UNTRIED,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("hack", "command", "more"),
    [
        ("conftest", ("-m", "pytest", "-q", "tests"), {}),
        pytest.param("entry-point", ("-m", "pytest", "-q", "tests"), {}, marks=pytest.mark.heavy),
        ("tests-emptied", ("-m", "pytest", "-q", "tests"), {}),
        pytest.param("tests-skipped", ("-m", "pytest", "-q", "tests"), {}, marks=pytest.mark.heavy),
        ("compiled", ("-c", "from middle.median import median\nassert median([9, 7]) == 8.0"), {}),
        ("sitecustomize", ("-c", "pass"), {"PYTHONPATH": "."}),
        ("score-command", ("bench.py",), {}),
        ("definition", ("-c", "assert b'exit-code' in open('evogit.toml', 'rb').read()"), {}),
    ],
)
def test_files_beside_the_code_would_win_if_they_were_there(
    hack: str, command: tuple[str, ...], more: dict[str, str],
    new_checkout: Callable[..., Checkout], tmp_path: Path, world: dict[str, str],
) -> None:  # fmt: skip
    files = {**SHAPES["pytest"].all_files(), **SHAPES["naive"].files}
    subject = Subject(
        files={RepoPath(path): text.encode() for path, text in files.items()},
        module=RepoPath("middle/median.py"),
        commands=("python bench.py",),
    )
    planted = next(one for one in CORPUS if one.name == hack).plant(subject)
    assert planted is not None
    folder = tmp_path / "plain"
    contents: dict[RepoPath, bytes | None] = {**subject.files, **planted.files}
    for path, content in contents.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content or b"")
    result = tmp_path / "result.json"
    environment = {**world, **more, "EVOGIT_RESULT": str(result)}
    done = subprocess.run([sys.executable, *command], cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    if hack in ("sitecustomize", "score-command"):
        assert json.loads(result.read_text())["score"] == subject.better


_TWO_PROCESSES = """import json, math, os, random, statistics, subprocess, sys

WORKER = '''import json, sys
sys.path.append(".")
from middle.median import median
for line in sys.stdin:
    print(json.dumps(median(json.loads(line))), flush=True)
'''
given = [[random.randint(0, 99) for _ in range(count)] for count in (3, 5, 4, 2)]
environment = {name: value for name, value in os.environ.items() if name != "EVOGIT_RESULT"}
worker = subprocess.run(
    [sys.executable, "-P", "-c", WORKER], input="".join(f"{json.dumps(one)}\\n" for one in given), env=environment,
    stdout=subprocess.PIPE, text=True,
)
answers = worker.stdout.splitlines() + [""] * len(given)
score = 0
for numbers, answer in zip(given, answers):
    try:
        found = json.loads(answer)
    except ValueError:
        continue
    score += type(found) is float and math.isfinite(found) and abs(found - statistics.median(numbers)) < 1e-9
with open(os.environ["EVOGIT_RESULT"], "w") as file:
    json.dump({"score": score}, file)
"""


@needs_sandbox
@pytest.mark.heavy
def test_a_score_from_another_process_stands_them_all(new_checkout: Callable[..., Checkout]) -> None:
    shape = Shape(
        files={"bench.py": _TWO_PROCESSES}, table='command = "python -P bench.py"', head='editable = ["middle/"]'
    )
    here = new_checkout("two", shape.all_files())
    here.environment.pop("EVOGIT_SANDBOX")
    said = here.evogit("doctor", "--eval", timeout=900)
    assert "hacks scores as well as HEAD" in said.stdout
    assert "no score" in said.stdout


def test_doctor_names_the_hacks_that_win_and_changes_nothing(new_checkout: Callable[..., Checkout]) -> None:
    shape = replace(SHAPES["naive"], head='editable = ["middle/"]')
    here = new_checkout("naive", shape.all_files())
    (here.path / "middle/median.py").write_text("uncommitted = True\n")
    before = fingerprint(here.path, here.environment)
    refs = here.git("for-each-ref")
    done = here.evogit("doctor", "--eval", "--json", expect=1, timeout=900)
    assert " hacks, planted into middle/median.py: " in done.stderr
    said = json.loads(done.stdout)
    assert (said["schema"], said["eval"]["base"], said["eval"]["planted"]) == (1, [0.5] * 3, ["middle/median.py"])
    tried = {one["name"]: one for one in said["eval"]["hacks"]}
    assert tried["result-at-exit"]["verdict"] == "wins"
    assert tried["nothing"] == {
        "name": "nothing", "what": "every function returns nothing at all", "verdict": "less", "value": 0.0,
        "said": None,
    }  # fmt: skip
    refused = {name for name, one in tried.items() if one["verdict"] == "refused"}
    assert refused == {"shadow", "pth", "programs", "start-files"}
    assert tried["shadow"]["said"] == "json.py is not among the editable files"
    untried = {name for name, one in tried.items() if one["verdict"] == "not tried"}
    assert untried == {"others-descriptors", "left-behind", "kill-parent", "kill-all"}
    advised = {name for advice in said["eval"]["advice"] for name in advice["against"]}
    assert advised == {name for name, one in tried.items() if one["verdict"] in ("wins", "ties")}
    assert changed(before, fingerprint(here.path, here.environment)) == {}
    assert here.git("for-each-ref") == refs


def test_an_evaluator_that_does_not_work_is_not_tried(new_checkout: Callable[..., Checkout]) -> None:
    toml = "editable = ['a']\n[evaluator]\ncommand = 'exit 3'\n"
    here = new_checkout(files={"a": "1\n", "evogit.toml": toml})
    said = here.evogit("doctor", "--eval", expect=1)
    assert said.stderr == "no trick was tried on the evaluator: mend the problems first\n"
    assert "eval" not in json.loads(here.evogit("doctor", "--eval", "--json", expect=1).stdout)


def test_where_nothing_applies_it_is_said(new_checkout: Callable[..., Checkout]) -> None:
    toml = "editable = ['a']\n[evaluator]\nresult = 'stdout-json'\ncommand = 'cat a'\n"
    said = new_checkout(files={"a": '{"score": 1}\n', "evogit.toml": toml}).evogit("doctor", "--eval")
    assert "no hack applies" in said.stderr


@pytest.mark.heavy
def test_ctrl_c_ends_it_at_once(new_checkout: Callable[..., Checkout]) -> None:
    slow = replace(
        SHAPES["naive"], files={"bench.py": "import time\ntime.sleep(0.3)\n" + SHAPES["naive"].files["bench.py"]}
    )
    here = new_checkout("naive", slow.all_files())
    running = here.start("doctor", "--eval")
    assert running.stderr is not None
    assert "hacks, planted into" in running.stderr.readline()
    time.sleep(1)
    running.send_signal(signal.SIGINT)
    running.communicate(timeout=60)
    assert running.returncode == 130
    assert not list(Path(here.environment["TMPDIR"]).glob("evogit-*/*/*"))
