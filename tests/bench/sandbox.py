"""What a sandbox costs one evaluation: the same commands with and without it, in turns.

Run it as `python tests/bench/sandbox.py [--repeats N]`; Landlock is measured only for an ordinary user, such as root
becomes by `setpriv --reuid=65534 --regid=65534 --clear-groups`, where the interpreter is not root's alone.

Wall time is what an agent waits; CPU time is that of all the processes that were started, and of the launcher.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path
from resource import RUSAGE_CHILDREN, RUSAGE_SELF, getrusage
from statistics import median, quantiles

from rich.console import Console
from rich.table import Table

from evogit.errors import UsageError
from evogit.sandbox import Job, Launcher, Plain, Sandbox, Wish, choose

_PATH = os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)))
_COMMANDS = (("true",), ("python", "-I", "-c", "pass"), ("/bin/sh", "-c", "python -c 'import json' > $EVOGIT_RESULT"))


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--repeats", type=int, default=80)
    repeats = parser.parse_args().repeats
    console = Console(width=130)
    sandboxes: list[Sandbox] = [Plain()]
    for kind in ("bwrap", "landlock"):
        try:
            sandboxes.append(choose(Wish(kind=kind, where="the bench", trusted=False, caller={"PATH": _PATH})))
        except UsageError as error:
            console.print(f"{kind}: {error}")
    launchers = {sandbox.kind: Launcher(sandbox=sandbox) for sandbox in sandboxes}
    table = Table(title=f"ms per evaluation, medians of {repeats} in turns, user {os.getuid()}", box=None)
    for heading in ("command", "sandbox", "wall", "quartiles", "CPU", "wall more", "CPU more"):
        table.add_column(heading, justify="left" if heading in ("command", "sandbox") else "right")
    with tempfile.TemporaryDirectory() as folder:
        for argv in _COMMANDS:
            costs = _measure(launchers, argv, Path(folder), repeats)
            for name, found in costs.items():
                wall, cpu = (median(column) for column in zip(*found, strict=True))
                plain = [median(column) for column in zip(*costs["none"], strict=True)]
                low, _, high = quantiles([each[0] for each in found], n=4)
                more = [] if name == "none" else [f"{wall - plain[0]:.1f}", f"{cpu - plain[1]:.1f}"]
                table.add_row(" ".join(argv), name, f"{wall:.1f}", f"{low:.1f}-{high:.1f}", f"{cpu:.1f}", *more)
    for launcher in launchers.values():
        launcher.close()
    console.print(table)


def _measure(
    launchers: dict[str, Launcher], argv: tuple[str, ...], top: Path, repeats: int
) -> dict[str, list[tuple[float, float]]]:
    costs: dict[str, list[tuple[float, float]]] = {name: [] for name in launchers}
    jobs = {name: _job(argv, top / name, launcher.owner) for name, launcher in launchers.items()}
    for number in range(repeats + 3):
        for name, launcher in launchers.items():
            begun, used = time.perf_counter(), _cpu()
            done = launcher.launch(jobs[name])
            assert done.exit_code == 0, done.output
            if number >= 3:
                costs[name].append(((time.perf_counter() - begun) * 1000, (_cpu() - used) * 1000))
    return costs


def _job(argv: tuple[str, ...], top: Path, owner: int | None) -> Job:
    tree, scratch = top / "tree", top / "scratch"
    for folder in (tree, scratch):
        folder.mkdir(parents=True, exist_ok=True)
        if owner is not None:
            os.chown(folder, owner, owner)
    environment = {"PATH": _PATH, "HOME": str(scratch), "EVOGIT_RESULT": str(scratch / "result.json")}
    return Job(argv=argv, cwd=tree, environment=environment, timeout_s=60, writable=(scratch,))


def _cpu() -> float:
    return sum(used.ru_utime + used.ru_stime for used in (getrusage(RUSAGE_SELF), getrusage(RUSAGE_CHILDREN)))


if __name__ == "__main__":
    main()
