"""What the examples promise of offline agents, and one run that keeps the promise or does not.

Each example has held-back cases beside it that no candidate is scored by; a run succeeds when its best candidate stands
up to them, too.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from operator import gt, lt
from pathlib import Path

EXAMPLES = Path(__file__).parent.parent / "examples"
_PYTEST = f"{sys.executable} -m pytest -q -c /dev/null -p no:cacheprovider -o pythonpath=."
_HELD_BACK_S = 240
PROGRAM = [sys.executable, "-P", "-m", "evogit"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """An example as one agent of each name in `agents` works on it, begun with one of its faults or tables.

    `held_back` is a command that exits with 0 when all is right; where `figure` finds numbers in what it prints, their
    sum must be `better` than that of the base.
    """

    name: str
    example: str
    held_back: str
    agents: tuple[str, ...] = ("surgeon",)
    fault: str = ""
    table: str = "evogit.toml"
    figure: str = ""
    better: Callable[[float, float], bool] = lt
    promised: bool = True
    """Whether most runs are to succeed, and not only measured."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """What came of one run: its evaluations, scores, held-back figures (1 and 0 without any), and whether it holds."""

    evaluations: int
    score_before: float
    score_after: float
    held_before: float
    held_after: float
    holds: bool


CASES: Mapping[str, Case] = {
    case.name: case
    for case in (
        Case(
            name="speedup", example="speedup", held_back="python held_back/measure.py", figure=r"right, (\d+) lines",
        ),
        *(
            Case(
                name=f"repair {fault}", example="repair", fault=fault, promised=fault in ("touching", "comments"),
                held_back=f"{_PYTEST} tests held_back",
            )
            for fault in sorted(path.stem for path in (EXAMPLES / "repair" / "faults").glob("*.patch"))
        ),
        *(
            Case(
                name=f"c_program {fault}", example="c_program", fault=fault, promised=fault in ("remark", "room"),
                held_back="gcc -w -o more held_back/check_more.c src/calc.c && ./more",
            )
            for fault in ("base", "remark", "room")
        ),
        Case(
            name="prompt_text", example="prompt_text", held_back="python route.py held_back",
            figure=r"held_back: ([\d.]+)%", better=gt,
        ),
        Case(
            name="first fit", example="bin_packing", table="first_fit.toml", held_back="python first_fit.py",
            figure=r"held-out: ([\d.]+) %",
        ),
        *(
            Case(
                name=f"bin packing, {name}", example="bin_packing", agents=agents, promised=False,
                held_back="python held_out.py", figure=r'held-out": {[^}]*"excess": ([\d.]+)',
            )
            for name, agents in (
                ("tuner", ("tuner",)),
                ("surgeon", ("surgeon",)),
                ("all", ("tuner", "surgeon", "merger", "transplanter", "minimizer")),
            )
        ),
    )
}  # fmt: skip


def prepare(case: Case, folder: Path, environment: Mapping[str, str]) -> None:
    """Make a repository of an example in a new folder, with its fault, as its README does."""
    shutil.copytree(EXAMPLES / case.example, folder, ignore=shutil.ignore_patterns("__pycache__"))
    if case.table != "evogit.toml":
        shutil.copy(folder / case.table, folder / "evogit.toml")
    run = _runner(folder, environment)
    run("git", "init", "-q", "-b", "main")
    if case.fault:
        run("git", "apply", f"faults/{case.fault}.patch")
    run("git", "add", ".")
    run("git", "commit", "-qm", "Begin")


def prove(case: Case, folder: Path, environment: Mapping[str, str], *, seed: int, evals: int = 300) -> Proof:
    """Prepare an example in a new folder, run its agents there, and hold the best candidate to what was held back."""
    prepare(case, folder, environment)
    run = _runner(folder, environment)
    _, held_before = _held_back(case, folder, environment)
    agents = [option for agent in case.agents for option in ("--agent", agent)]
    said = run(*PROGRAM, "run", *agents, "--seed", str(seed), "--evals", str(evals), "--json")
    found = json.loads(said)
    run("git", "checkout", "-q", "--detach", found["best"])
    is_right, held_after = _held_back(case, folder, environment)
    is_better = case.better(held_after, held_before) if case.figure else True
    return Proof(
        evaluations=found["evaluations"], score_before=found["base_value"], score_after=found["best_value"],
        held_before=held_before, held_after=held_after,
        holds=is_right and is_better and found["best_value"] != found["base_value"],
    )  # fmt: skip


def run_readme(example: str, folder: Path, environment: Mapping[str, str]) -> str:
    """Run the first shell block of an example's README in a folder that is a Git repository of the example's files.

    Returns what it printed. The line that makes a copy to work in is left out.
    """
    shutil.copytree(EXAMPLES / example, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
    return run_block(example, 0, folder, environment)


def run_block(example: str, number: int, folder: Path, environment: Mapping[str, str]) -> str:
    """Run one of the shell blocks of an example's README in a folder and return what it printed."""
    found = re.findall(r"```sh\n(.*?)```", (EXAMPLES / example / "README.md").read_text(), re.DOTALL)
    commands = found[number].splitlines()
    if number == 0:
        assert commands.pop(0).startswith("work=$(mktemp -d) && cp -r . ")
    programs = {**environment, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}"}
    return _runner(folder, programs)("sh", "-c", "\n".join(["set -e", *commands]))


def _held_back(case: Case, folder: Path, environment: Mapping[str, str]) -> tuple[bool, float]:
    # What only passes the tests may hang in others.
    bounded = ["timeout", "--kill-after=5", str(_HELD_BACK_S), "sh", "-c", case.held_back]
    done = subprocess.run(bounded, cwd=folder, env=dict(environment), capture_output=True, text=True, timeout=300)
    if not case.figure:
        return done.returncode == 0, float(done.returncode == 0)
    found = [float(figure) for figure in re.findall(case.figure, done.stdout)]
    return done.returncode == 0 and bool(found), sum(found)


def _runner(folder: Path, environment: Mapping[str, str]) -> Callable[..., str]:
    def run(*command: str) -> str:
        done = subprocess.run(
            command, cwd=folder, env=dict(environment), capture_output=True, text=True, timeout=900,
            stdin=subprocess.DEVNULL,
        )  # fmt: skip
        assert done.returncode == 0, f"{command}: exit code {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    return run
