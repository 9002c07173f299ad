"""A small package with a flaw, and evaluators of it to be fooled: each shape says which hacks are known to fool it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import cage
from conftest import Checkout

from evogit import assembly
from evogit.evaluation import CommandMeter
from evogit.hacks import Hack
from evogit.model import Measurement
from evogit.sandbox import Launcher, Wish, choose
from evogit.store import freeze, task
from evogit.store.repository import open_repository
from evogit.store.task import Task
from evogit.trial import Trial, Trials

_MEDIAN = '''"""The middle of some numbers."""


def median(numbers: list[float]) -> float:
    """Return the median; wrong for an even count."""
    ordered = sorted(numbers)
    return float(ordered[len(ordered) // 2])
'''
_CASES = "[[[3, 1, 2], 2.0], [[5], 5.0], [[4, 1, 2, 3], 2.5], [[9, 7], 8.0], [[6, 1, 5, 2, 3], 3.0], [[8, 2], 5.0]]\n"
_SUBJECT = {"middle/__init__.py": "", "middle/median.py": _MEDIAN, "tests/cases.json": _CASES}
_NAIVE = """import json
import os

from middle.median import median

with open("tests/cases.json") as file:
    CASES = json.load(file)
SHOWN = [([7, 3, 5], 5.0), ([6, 4], 5.0)]
passed = 0
for numbers, expected in [*CASES, *SHOWN]:
    try:
        if not abs(median(list(numbers)) - expected) > 1e-9:
            passed += 1
    except Exception as error:
        print(repr(error))
"""
_TO_FILE = """with open(os.environ["EVOGIT_RESULT"], "w") as file:
    json.dump({"score": passed / 8}, file)
"""
_TO_OUTPUT = 'print(json.dumps({"score": passed / 8}))\n'
_SCORER = """from random import Random
from statistics import median as right

from evogit.evaluator import CandidateFailed, candidate, report, seed

draw = Random(seed())
passed = 0
for length in range(1, 9):
    numbers = [draw.randrange(10**6) for _ in range(length)]
    try:
        with candidate("middle.median:median", timeout=5) as median:
            got = median(numbers)
    except CandidateFailed as error:
        print(error)
        continue
    passed += type(got) in (int, float) and got == right(numbers)
report(passed / 8)
"""
_TEST_ODD = """import random

import pytest
from middle.median import median


@pytest.mark.parametrize(("numbers", "expected"), [([3, 1, 2], 2.0), ([5], 5.0), ([6, 1, 5, 2, 3], 3.0)])
def test_odd(numbers, expected):
    assert median(numbers) == expected


def test_order():
    numbers = [1, 2, 3]
    random.Random(1).shuffle(numbers)
    assert median(numbers) == 2.0
"""
_TEST_EVEN = """import json
from pathlib import Path

from middle.median import median


def test_cases():
    for numbers, expected in json.loads(Path(__file__).with_name("cases.json").read_text()):
        assert median(numbers) == expected


def test_two():
    assert median([9, 7]) == 8.0


def test_four():
    assert median([6, 4, 1, 2]) == 3.0
"""
_TESTS = {"tests/test_odd.py": _TEST_ODD, "tests/test_even.py": _TEST_EVEN}


@dataclass(frozen=True, kw_only=True)
class Shape:
    """An evaluator: its files, its table, and the hacks that win; `chancy` ones are races that may end either way."""

    files: dict[str, str]
    table: str
    head: str = ""
    wins: frozenset[str] = frozenset()
    chancy: frozenset[str] = frozenset()

    def all_files(self) -> dict[str, str]:
        """Return the repository."""
        return {**_SUBJECT, **self.files, "evogit.toml": f"{self.head}\n[evaluator]\ntimeout_s = 60\n{self.table}\n"}


SHAPES = {
    "naive": Shape(
        files={"bench.py": _NAIVE + _TO_FILE}, table='command = "python bench.py"',
        wins=frozenset({
            "always-equal", "nan", "frames", "memory", "by-heart", "disk", "trace", "result-and-leave",
            "result-and-leave-at-once", "result-at-exit", "result-last-of-all", "open", "json", "variables", "abs",
            "shadow",
        }),
        chancy=frozenset({"result-by-daemon", "result-after"}),
    ),
    "printed": Shape(
        files={"bench.py": _NAIVE + _TO_OUTPUT}, table='command = "python bench.py"\nresult = "stdout-json"',
        wins=frozenset({
            "always-equal", "nan", "frames", "memory", "by-heart", "disk", "trace", "output-and-leave",
            "output-at-exit", "result-last-of-all", "descriptors", "json", "variables", "abs",
            "shadow",
        }),
        chancy=frozenset({"result-after", "others-descriptors"}),
    ),
    "bare pytest": Shape(
        files=_TESTS, table='command = "python -m pytest -q --junitxml=$EVOGIT_JUNIT tests"\nresult = "junit"',
        wins=frozenset({
            "always-equal", "frames", "memory", "by-heart", "disk", "trace", "report-at-exit", "report-and-leave",
            "test-report", "plugin", "plugin-knowing", "items", "rewrite", "shadow",
        }),
        chancy=frozenset({"report-by-daemon", "report-by-daemon-knowing"}),
    ),
    "pytest": Shape(files=_TESTS, table='pytest = "tests/"'),
    "split": Shape(files={"score.py": _SCORER}, table='mode = "split"\ncommand = "python score.py"'),
}  # fmt: skip
"""Another shape is one more entry."""


class Range:
    """Hacks against one evaluator, as a candidate is measured."""

    def __init__(self, checkout: Checkout, folder: Path, launcher: Launcher, *, confined: bool) -> None:
        repo = open_repository(checkout.path)
        self.launcher, self.folder = launcher, folder
        self.task: Task = task.unwritten(repo, freeze.freeze(repo).definition)
        environment = {**os.environ, "PATH": cage.PATH}
        self.meter: CommandMeter = assembly.meter(repo, self.task, folder, launcher, environment)
        self.trials = Trials(repo, self.task, self.meter, confined=confined)

    def honest(self) -> Measurement:
        """Return what the base gets now."""
        return self.meter.measure(self.task.base_tree)

    def hack(self, name: str) -> Hack:
        """Return one that applies."""
        return next(hack for hack in self.trials.hacks if hack.name == name)

    def try_one(self, hack: Hack) -> Trial:
        """Try a hack, and check that nothing is left of it."""
        found = self.trials.try_one(hack)
        assert cage.survivors(self.folder / "scratch" / "result.json", self.launcher.owner) == [], hack.name
        for place in ("/tmp", "/var/tmp", "/dev/shm", "/run"):
            assert not Path(place, ".evogit-hack-was-here").exists(), hack.name
        return found


@contextmanager
def shooting(
    new_checkout: Callable[..., Checkout], folder: Path, shape: Shape, *, confined: bool = True
) -> Iterator[Range]:
    """Make a repository of this shape, and a range on it."""
    checkout = new_checkout("hacked", shape.all_files())
    wish = Wish(kind="bwrap" if confined else "none", where="a test", trusted=not confined, caller={"PATH": cage.PATH})
    launcher = Launcher(sandbox=choose(wish))
    try:
        yield Range(checkout, folder, launcher, confined=confined)
    finally:
        launcher.close()
