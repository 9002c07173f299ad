"""What evogit itself costs a candidate, beside the operator and the evaluator, and what git takes for the same.

Run it as `python tests/bench/engine.py [--full] [--only PART] [--at N] [--json FILE]`, on a quiet machine if possible:
figures are CPU time (user and system, children included), medians of repeats, and each stands beside references that
were measured in turns with it. Everything happens in temporary repositories below TMPDIR. "file ms" is what one small
file takes on that disk: a candidate is eleven of them, and on ext4 they cost from 0.03 to 0.5 ms, the more files
anybody has just deleted.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean, median, quantiles
from typing import Any

from grown import grown
from rich.console import Console
from rich.table import Table
from scene import Scene, Worker, build
from team import together, upkeep
from yardsticks import Follower, Git, floor, log

from evogit.store import packing
from evogit.store.repository import open_repository

_BLOCK = 100
_GOALS = "Goals: 5 ms for one agent on 10 files, 8 ms for four with packing, no growth to 20,000, refresh 1 to 5 ms."
Rows = list[dict[str, Any]]


@dataclass
class Turns:
    """Costs of one thing and of its references, measured in turns: milliseconds of CPU for each candidate."""

    own: list[float] = field(default_factory=list)
    packing: list[float] = field(default_factory=list)
    fast_import: list[float] = field(default_factory=list)
    naive: list[float] = field(default_factory=list)
    floor: list[float] = field(default_factory=list)

    def row(self, **first: object) -> dict[str, Any]:
        """Return the table's row: medians of the turns, packing as a mean, since it happens now and then."""
        own, packing, naive = median(self.own), fmean(self.packing), median(self.naive)
        total, yard = own + packing, median(self.fast_import)
        low, _, high = quantiles(self.own, n=4) if len(self.own) > 1 else (own, own, own)
        return {
            **first, "engine ms": total, "agent": own, "quartiles": f"{low:.1f}-{high:.1f}", "packing": packing,
            "fast-import ms": yard, "ratio": total / yard, "naive ms": naive, "naive / engine": naive / total,
            "file ms": median(self.floor),
        }  # fmt: skip


class Bench:
    """All measurements, each a table."""

    def __init__(self, folder: Path, options: argparse.Namespace) -> None:
        self._folder = folder
        self._full: bool = options.full
        self._options = options

    def sizes(self) -> Rows:
        """Cost at several sizes of the repository, one agent."""
        rows = []
        for files, block, turns in ((10, 100, 8), (1_000, 100, 5), (10_000, 30, 4)):
            scene = build(self._folder, f"files-{files}", files)
            worker, follower, git, found = Worker(scene), Follower(scene), Git(scene), Turns()
            self._turn(worker, follower, git, Turns(), 20)  # the first step exports everything
            for _ in range(turns * (3 if self._full else 1)):
                self._turn(worker, follower, git, found, block)
            worker.close()
            rows.append(found.row(files=str(files)))
        return [
            *rows,
            self._odd("10, all scores equal", "--plateau"),
            self._odd("10, the last 300 of a run", "--evals=320"),
        ]

    def _odd(self, title: str, option: str) -> dict[str, Any]:
        """Cost where every candidate is a best one, or where an agent looks for others at every step."""
        scene = build(self._folder, option.strip("-"), 10)
        worker, follower, git, found = Worker(scene, [option]), Follower(scene), Git(scene), Turns()
        self._turn(worker, follower, git, Turns(), 20)
        for _ in range(2):
            self._turn(worker, follower, git, found, 100)
        worker.close()
        return found.row(files=title)

    def growth(self) -> tuple[Rows, Rows, Rows]:
        """Cost as a run grows; what is stored of it; and how fast it is read."""
        scene = build(self._folder, "growing", 10)
        worker, follower, git = Worker(scene), Follower(scene), Git(scene)
        worker.ask("go 20")
        rows, stored, done = [], [], 20
        packing: list[float] = []
        for stage, turns in ((100, 1), (2_000, 6), (20_000, 6)):
            first = stage - _BLOCK * turns // 2
            while done < first:
                count = min(1_000, first - done)
                packing += worker.ask(f"go {count}")["git"]
                done += count
            git.fast_import(follower.news())
            found = Turns()
            for _ in range(turns):
                self._turn(worker, follower, git, found, _BLOCK)
            done += _BLOCK * turns
            packing += [fmean(found.packing)] * _BLOCK * turns
            found.packing = packing[-2_000:]
            rows.append(found.row(candidate=stage))
            if stage > 100:
                stored.append(_stored(scene, done))
        worker.close()
        return rows, stored, self._reading(scene, done)

    def agents(self) -> Rows:
        """Several agents at once on one repository: cost with packing, speed, records lost."""
        each = {1: 800, 2: 600, 4: 500, 8: 250, 16: 120}
        if self._options.total:
            each = {count: self._options.total // count for count in (1, 4, 16)}
        turns = range(3 if self._full else 1)
        return [together(self._begun(f"agents-{count}-{turn}"), count, each[count]) for turn in turns for count in each]

    def upkeep(self) -> Rows:
        """Four agents with their packing and without, by turns."""
        return [
            upkeep(self._begun(f"upkeep-{turn}-{packs}"), 4, (self._options.total or 4_000) // 4, packs=packs)
            for turn in range(3 if self._full else 1)
            for packs in (True, False)
        ]

    def _begun(self, name: str) -> Scene:
        """Return a repository in which a run has as many candidates as was asked for."""
        if not self._options.at:
            return build(self._folder, name, 10)
        (self._folder / name).mkdir()
        return grown(self._folder / name, self._options.at, 4, self._options.keep)

    def spawn(self) -> Rows:
        """What launching an evaluation that does nothing takes."""
        worker = Worker(build(self._folder, "spawn", 10))
        found = [worker.ask("spawn 50") for _ in range(5)]
        worker.close()
        return [{
            "agent ms": median(one["own"][0] for one in found),
            "child ms": median(one["git"][0] for one in found),
            "wall ms": median(one["wall"] for one in found),
        }]  # fmt: skip

    def _turn(self, worker: Worker, follower: Follower, git: Git, found: Turns, count: int) -> None:
        found.floor.append(floor(self._folder))
        spent = worker.ask(f"go {count}")
        found.own.append(fmean(spent["own"]))
        found.packing.append(fmean(spent["git"]))
        made = follower.news()
        found.fast_import.append(git.fast_import(made))
        found.naive.append(git.naively(made[:1]))

    def _reading(self, scene: Scene, done: int) -> Rows:
        reader, writer = Worker(scene), Worker(scene)
        writer.ask("go 1")
        cold, logs, few = [], [], []
        for _ in range(3):
            cold.append(reader.ask("cold")["own"][0])
            logs.append(log(scene))
        reader.ask("refresh")
        for _ in range(20):
            writer.ask("go 8")
            few.append(reader.ask("refresh")["own"][0])
        reader.close()
        writer.close()
        rows = [
            _times(f"refresh, 8 new in {done:,}", few),
            _times(f"cold start of {done:,}, packed", cold),
            _times("git log --notes of the same", logs),
        ]
        if self._full:
            loose = scene.copy("loose")
            loose.loosen()
            reader = Worker(loose)
            rows.append(_times(f"cold start of {done:,}, loose", [reader.ask("cold")["own"][0] for _ in range(2)]))
            reader.close()
            rows.append(_times("git log --notes of the same", [log(loose)]))
        return rows


def _stored(scene: Scene, done: int) -> dict[str, Any]:
    packs = scene.counts()["packs"]
    packed = scene.copy(f"packed-{done}")
    repo = open_repository(packed.path)
    packing.pack(repo)
    packing.roll_up(repo)
    kept = packed.counts()
    return {
        "candidates": done,
        "MB loose, each 1,000": packed.loosen() / 1e3 / done,
        "MB packed, each 1,000": kept["size-pack"] * 1.024 / done,
        "packs while running": packs,
        "packs after a roll-up": kept["packs"],
    }


def _times(what: str, found: Sequence[float]) -> dict[str, Any]:
    return {"what": what, "ms": median(found), "lowest": min(found), "highest": max(found)}


def _show(console: Console, title: str, rows: Rows) -> None:
    table = Table(title=title, title_justify="left")
    for name in rows[0]:
        table.add_column(name, justify="right")
    for row in rows:
        table.add_row(*(f"{value:.2f}" if isinstance(value, float) else str(value) for value in row.values()))
    console.print(table)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--full", action="store_true", help="more repeats, and a cold start of loose objects")
    parser.add_argument("--only", choices=("sizes", "growth", "agents", "upkeep", "spawn"), help="one part")
    parser.add_argument(
        "--at", type=int, default=0, metavar="N", help="let agents and upkeep begin in a run of N candidates"
    )
    parser.add_argument(
        "--total", type=int, metavar="N", help="candidates of all agents together: fewer than by default"
    )
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="where such a run stays, to be used again")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the numbers to a file, too")
    options = parser.parse_args()
    console = Console(width=None if os.isatty(1) else 140)
    with tempfile.TemporaryDirectory(prefix="evogit-bench-") as folder:
        bench = Bench(Path(folder), options)
        tables: dict[str, Rows] = {}
        load = [os.getloadavg()[0]]
        for title, measure in _parts(bench, options.only):
            for name, rows in zip(title.split(" | "), measure(), strict=True):
                tables[name] = rows
                _show(console, name, rows)
        load.append(os.getloadavg()[0])
    console.print(f"{_GOALS}\nLoad average {load[0]:.1f} before and {load[1]:.1f} after, on {os.cpu_count()} cores.")
    if options.json:
        about = {"schema": 1, "python": platform.python_version(), "cores": os.cpu_count(), "load": load}
        options.json.write_text(json.dumps({**about, "tables": tables}, indent=1) + "\n")


def _parts(bench: Bench, only: str | None) -> list[tuple[str, Callable[[], Sequence[Rows]]]]:
    parts: dict[str, tuple[str, Callable[[], Sequence[Rows]]]] = {
        "sizes": ("One agent, CPU for each candidate", lambda: [bench.sizes()]),
        "growth": ("One agent, as the run grows | Storage | Reading", bench.growth),
        "agents": ("Agents at once on one repository", lambda: [bench.agents()]),
        "upkeep": ("Four agents with packing and without", lambda: [bench.upkeep()]),
        "spawn": ("Launching an evaluation that does nothing", lambda: [bench.spawn()]),
    }
    return [part for name, part in parts.items() if only in (None, name)]


if __name__ == "__main__":
    main()
