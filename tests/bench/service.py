"""What it costs to have agents ask models: one process for each agent that imports litellm, and one for all of a run.

`python tests/bench/service.py [--agents 4] [--rounds 3]` starts so many agents in turns by hand, where each has a
process of its own, and by `evogit run`, whose look at prices is counted too. Measured when as many answers were given
as there are agents.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import psutil
from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).parents[1]))

from conftest import _BENCH, _KNOBS, CONFIG, Checkout, closed_environment
from model_server import ModelServer, Say
from patient import Patient, asking

from evogit.sandbox import processes

_SMITH = 'summary = "Asks"\nproposer = "model"\nprompt = "refiner"\nrepairs = 0\nselection = "greedy"\n'
_NAMES = ("evogit.llm.service", "evogit.llm.nursery")
_PATIENCE_S = 600


class Cost(NamedTuple):
    """CPU seconds and MB of all processes that ask models, wall seconds from the start; processes that imported."""

    cpu_s: float
    pss_mb: float
    wall_s: float
    imports: int


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--agents", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    found: dict[str, list[Cost]] = {"a process an agent": [], "shared by the run": []}
    for _ in range(options.rounds):
        for name, costs in found.items():
            costs.append(_measured(options.agents, is_shared=name.startswith("shared")))
    table = Table(title=f"{options.agents} agents until each has an answer, medians of {options.rounds}", box=None)
    for heading in ("", "imports", "CPU s", "ratio", "PSS MB", "ratio", "wall s"):
        table.add_column(heading, justify="right")
    own = _middle(found["a process an agent"])
    for name, costs in found.items():
        cost = _middle(costs)
        table.add_row(
            name, f"{cost.imports}", f"{cost.cpu_s:.2f}", f"{cost.cpu_s / own.cpu_s:.2f}", f"{cost.pss_mb:.0f}",
            f"{cost.pss_mb / own.pss_mb:.2f}", f"{cost.wall_s:.1f}",
        )  # fmt: skip
    Console(width=100).print(table)


def _middle(costs: Sequence[Cost]) -> Cost:
    cpu_s, pss_mb, wall_s, imports = (median(column) for column in zip(*costs, strict=True))
    return Cost(cpu_s, pss_mb, wall_s, int(imports))


def _measured(agents: int, *, is_shared: bool) -> Cost:
    go_on = threading.Event()

    def script(number: int, messages: list[dict[str, Any]]) -> Say:
        if number >= agents:
            go_on.wait(_PATIENCE_S)  # its second question: it has had an answer
        old = re.findall(r"(?m)^A = (-?[\d.]+)$", messages[1]["content"])[0]
        return Say(f"Subject: Raise A\n\n### `knobs.py`\n```\nA = {float(old) + 1 + number / 1000:.4f}\nB = 0\n\n\n"
                   "def value():\n    return -((A - 3.5) ** 2) - ((B - 40) / 10) ** 2\n```\n")  # fmt: skip

    with tempfile.TemporaryDirectory() as folder, ModelServer(script) as server:
        here = _repository(Path(folder), server)
        run = ["--evals", "1000", "--run", "r"]
        if is_shared:
            commands = [["run", "--agent", f"smith:{agents}", *run]]
        else:
            here.evogit("run", "-n", "1", "--agent", "tuner", "--evals", "1", "--run", "r")
            commands = [["agent", "smith", *run]] * agents
        begun = time.monotonic()
        started = [here.start(*command) for command in commands]
        try:
            while len(server.asked) < 2 * agents:
                assert time.monotonic() < begun + _PATIENCE_S
                time.sleep(0.02)
            return _cost(started, time.monotonic() - begun)
        finally:
            for process in started:
                process.terminate()
            go_on.set()
            for process in started:
                process.communicate()


def _repository(folder: Path, server: ModelServer) -> Patient:
    (folder / "home/tmp").mkdir(parents=True)
    (folder / "toy").mkdir()
    toy = Checkout(folder / "toy", closed_environment(folder / "home"))
    toy.git("init", "-q", "-b", "main")
    for name, text in {"knobs.py": _KNOBS, "bench.py": _BENCH, "evogit.toml": CONFIG}.items():
        (toy.path / name).write_text(text)
    return asking(toy, server, table={"timeout_s": _PATIENCE_S}, smith=_SMITH)


def _cost(started: Sequence[subprocess.Popen[str]], wall_s: float) -> Cost:
    """Return what the processes that ask models have used; of those that ended, what their parent was told."""
    found: dict[int, psutil.Process] = {}
    for process in started:
        for child in psutil.Process(process.pid).children(recursive=True):
            with suppress(psutil.NoSuchProcess):
                if any(name in child.cmdline() for name in _NAMES):
                    found[child.pid] = child
    times = [process.cpu_times() for process in found.values()]
    cpu_s = sum(used.user + used.system + used.children_user + used.children_system for used in times)
    pss = sum(processes.proportional(pid) or 0 for pid in found)
    return Cost(cpu_s, pss / 2**20, wall_s, sum(process.ppid() not in found for process in found.values()))


if __name__ == "__main__":
    main()
