"""What the tripwires around pytest cost: CPU of `pytest = "tests/"` and of pytest as a plain command, on honest tests.

`python tests/bench/guard.py [--tests 200] [--rounds 5]` measures whole evaluations, in turns, without a sandbox.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from resource import RUSAGE_CHILDREN, RUSAGE_SELF, getrusage
from statistics import median

from rich.console import Console
from rich.table import Table

from evogit import assembly
from evogit.sandbox import Launcher, Plain
from evogit.store import task
from evogit.store.freeze import freeze
from evogit.store.repository import open_repository

_TESTS = """import pytest
from knobs import value


@pytest.mark.parametrize("number", range({count}))
def test_value(number):
    assert value(number) == {{"a": number, "b": [number]}}
    assert sorted(value(number)) == ["a", "b"]
"""
_EVALUATORS = {
    "plain command": 'command = "python -m pytest -q --junitxml=$EVOGIT_JUNIT tests"\nresult = "junit"',
    "pytest shape": 'pytest = "tests/"',
}


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--tests", type=int, nargs="+", default=[1, 200])
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    table = Table(title=f"ms of CPU an evaluation, medians of {options.rounds} in turns", box=None)
    for heading in ("tests", *_EVALUATORS):
        table.add_column(heading, justify="right")
    for count in options.tests:
        with tempfile.TemporaryDirectory() as name:
            found = _measured(Path(name), count, options.rounds)
            table.add_row(str(count), *(f"{median(found[evaluator]):.0f}" for evaluator in _EVALUATORS))
    Console(width=100).print(table)


def _measured(folder: Path, count: int, rounds: int) -> dict[str, list[float]]:
    path = folder / "repository"
    (path / "tests").mkdir(parents=True)
    (path / "knobs.py").write_text("def value(number):\n    return {'a': number, 'b': [number]}\n")
    (path / "tests/test_knobs.py").write_text(_TESTS.format(count=count))
    (path / "conftest.py").write_text("")
    for words in ("init -q", "add -A", "-c user.name=a -c user.email=a@example.invalid commit -q -m base"):
        subprocess.run(["git", *words.split()], cwd=path, check=True)
    caller = {"PATH": os.pathsep.join((str(Path(sys.executable).parent), os.defpath))}
    found: dict[str, list[float]] = {name: [] for name in _EVALUATORS}
    launcher = Launcher(sandbox=Plain())
    for number in range(rounds + 1):
        for name, evaluator in _EVALUATORS.items():
            (path / "evogit.toml").write_text(f"[evaluator]\n{evaluator}\n")
            repo = open_repository(path)
            unwritten = task.unwritten(repo, freeze(repo).definition)
            meter = assembly.meter(repo, unwritten, folder / name.replace(" ", "-"), launcher, caller)
            before = _cpu()
            measured = meter.measure(unwritten.base_tree)
            assert measured.value == count, measured.feedback
            found[name] += [(_cpu() - before) * 1000] if number else []
    launcher.close()
    return found


def _cpu() -> float:
    return sum(used.ru_utime + used.ru_stime for used in (getrusage(RUSAGE_SELF), getrusage(RUSAGE_CHILDREN)))


if __name__ == "__main__":
    main()
