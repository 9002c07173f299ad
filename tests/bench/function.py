"""What a candidate costs by a function that scores it, and by a command that imports the same with each candidate.

`python tests/bench/function.py [--python PROGRAM] [--imports "numpy, scipy.optimize"]` measures whole evaluations, the
switch of the export included. CPU is that of this process and of all it started, the server among them, after they
were ended: what many evaluations take beyond what a few take. Beside them stands what a server that forks can not do
without: a fork of a process with the same imports, and its end.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from resource import RUSAGE_CHILDREN, RUSAGE_SELF, getrusage
from statistics import median

from rich.console import Console
from rich.table import Table

from evogit import assembly
from evogit.evaluation import CommandMeter
from evogit.model import TreeId
from evogit.sandbox import Launcher, Plain, Wish, choose
from evogit.store import task
from evogit.store.freeze import freeze
from evogit.store.repository import open_repository

_FEW = 3
_SCORE = """import json, os
import {imports}
import knobs


def score():
    return {{"score": knobs.value()}}


if __name__ == "__main__":
    with open(os.environ["EVOGIT_RESULT"], "w") as file:
        json.dump(score(), file)
"""
_FORKS = 200
_BARE = f"""import gc, os, time
import {{imports}}
gc.collect()
gc.freeze()
used, begun = sum(os.times()[:4]), time.perf_counter()
for _ in range({_FORKS}):
    child = os.fork()
    if not child:
        os._exit(0)
    os.waitpid(child, 0)
for took in (time.perf_counter() - begun, sum(os.times()[:4]) - used):
    print(took * 1000 / {_FORKS})
"""
_EVALUATORS = {"command": 'command = "python bench.py"', "function": 'function = "bench:score"'}
_Figures = tuple[float, float]
"""Milliseconds of wall time and of CPU, for one candidate."""


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--python", default=sys.executable, help="the interpreter that scores")
    parser.add_argument("--imports", default="networkx, rich.console", help="what the scorer imports; json: nothing")
    parser.add_argument("--candidates", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    folder = str(Path(options.python).parent)
    caller = {"PATH": os.pathsep.join((folder, os.environ.get("PATH", os.defpath))), "HOME": os.path.expanduser("~")}
    table = Table(title=f"ms a candidate, medians of {options.rounds} rounds in turns", box=None)
    for heading in ("imports", "sandbox", "evaluator", "wall", "CPU", "wall, of command", "CPU, of command"):
        table.add_column(heading, justify="right" if "wall" in heading or "CPU" in heading else "left")
    with tempfile.TemporaryDirectory() as name:
        os.chmod(name, 0o755)
        for imports in dict.fromkeys(("json", options.imports)):
            bare = [_bare_fork(options.python, imports) for _ in range(options.rounds)]
            table.add_row(
                imports, "none", "bare fork", *(f"{median(figures):.1f}" for figures in zip(*bare, strict=True))
            )
            repository = Path(name) / imports.replace(", ", "-")
            trees = _make(repository, imports, options.candidates)
            for kind in ("none", "bwrap"):
                figures = _measure(repository, trees, kind, caller, options.rounds)
                for evaluator, (wall, cpu) in figures.items():
                    of_command = (wall / figures["command"][0], cpu / figures["command"][1])
                    row = [f"{wall:.1f}", f"{cpu:.1f}", *(f"{part:.2f}" for part in of_command)]
                    table.add_row(imports, kind, evaluator, *row)
    Console(width=110).print(table)


def _bare_fork(python: str, imports: str) -> _Figures:
    said = subprocess.run([python, "-c", _BARE.format(imports=imports)], check=True, capture_output=True, text=True)
    wall, cpu = map(float, said.stdout.split())
    return wall, cpu


def _make(path: Path, imports: str, candidates: int) -> list[TreeId]:
    """Make a repository whose scorer imports this, and return trees of one file changed."""
    path.mkdir()
    (path / "bench.py").write_text(_SCORE.format(imports=imports))
    (path / "evogit.toml").write_text(f"[evaluator]\n{_EVALUATORS['command']}\n")
    _git(path, "init", "-q")
    trees = []
    for number in range(candidates + _FEW):
        (path / "knobs.py").write_text(f"def value():\n    return {number}\n")
        _git(path, "add", "-A")
        trees.append(TreeId(_git(path, "write-tree")))
    _git(path, "-c", "user.name=a", "-c", "user.email=a@example.invalid", "commit", "-q", "-m", "base")
    return trees


def _git(path: Path, *words: str) -> str:
    return subprocess.run(["git", *words], cwd=path, check=True, capture_output=True, text=True).stdout.strip()


def _measure(path: Path, trees: list[TreeId], kind: str, caller: Mapping[str, str], rounds: int) -> dict[str, _Figures]:
    found: dict[str, list[_Figures]] = {name: [] for name in _EVALUATORS}
    for _ in range(rounds):
        for name, evaluator in _EVALUATORS.items():
            (path / "evogit.toml").write_text(f'editable = ["knobs.py"]\n[evaluator]\n{evaluator}\n')
            few, many = (_run(path, part, kind, caller) for part in (trees[:_FEW], trees))
            found[name].append(_per_candidate(few, many, len(trees) - _FEW))
    return {name: (median(each[0] for each in all_), median(each[1] for each in all_)) for name, all_ in found.items()}


def _per_candidate(few: _Figures, many: _Figures, candidates: int) -> _Figures:
    return (many[0] - few[0]) / candidates, (many[1] - few[1]) / candidates


def _run(path: Path, trees: list[TreeId], kind: str, caller: Mapping[str, str]) -> _Figures:
    """Return what measuring all these trees takes, with everything that was started ended."""
    sandbox = Plain() if kind == "none" else choose(Wish(kind=kind, where="the bench", trusted=False, caller=caller))
    launcher = Launcher(sandbox=sandbox)
    repo = open_repository(path)
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        meter = assembly.meter(repo, task.unwritten(repo, freeze(repo).definition), Path(folder), launcher, caller)
        begun, used = time.perf_counter(), _cpu()
        _measure_all(meter, trees)
        seconds = time.perf_counter() - begun
        launcher.close()
        return seconds * 1000, (_cpu() - used) * 1000


def _measure_all(meter: CommandMeter, trees: list[TreeId]) -> None:
    for number, tree in enumerate(trees):
        found = meter.measure(tree)
        assert found.value == number, found.feedback


def _cpu() -> float:
    return sum(used.ru_utime + used.ru_stime for used in (getrusage(RUSAGE_SELF), getrusage(RUSAGE_CHILDREN)))


if __name__ == "__main__":
    main()
