"""Measures what a candidate costs beside its operator and its evaluator: `make bench`. Prints tables, asserts nothing.

CPU time of the process and of the git it runs, in milliseconds, beside references measured in the same run.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

import references
from rich.console import Console
from rich.table import Table
from scene import Scene, Worker, build

_console = Console()
_found: dict[str, list[dict[str, Any]]] = {}


def main() -> None:
    """Run the benches asked for, all by default."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", choices=list(_BENCHES), action="append", help="leave out the others; repeatable")
    parser.add_argument("--candidates", type=int, default=20_000, help="length of the long run")
    parser.add_argument("--json", type=Path, help="write the numbers there, too")
    options = parser.parse_args()
    for name in options.only or _BENCHES:
        with tempfile.TemporaryDirectory(prefix="evogit-bench-") as folder:
            begun = time.monotonic()
            _BENCHES[name](Path(folder), options.candidates)
            _console.print(f"[dim]{name}: {time.monotonic() - begun:.0f} s[/dim]\n")
    if options.json:
        options.json.write_text(json.dumps(_found, indent=2) + "\n")


def sizes(folder: Path, _: int) -> None:
    """Measure one agent on repositories of different sizes, beside git's ways of doing the same."""
    rows = []
    for files, naive_count in ((10, 30), (1_000, 10), (10_000, 2)):
        scene = build(folder, f"files-{files}", files)
        worker = Worker(scene)
        worker.ask("go 50")
        fast, naive, engine = [], [], []
        for _ in range(3):
            engine.append(_each(worker.ask("go 100")))
            fast.append(references.fast_import(scene, 300))
            naive.append(references.naive(scene, naive_count))
        worker.close()
        cost, import_cost, naive_cost = (statistics.median(values) for values in (engine, fast, naive))
        rows.append(
            {"files": files, "engine ms": cost, "fast-import ms": import_cost, "worktree+commit+notes ms": naive_cost,
             "engine / fast-import": cost / import_cost, "worktree way / engine": naive_cost / cost}
        )  # fmt: skip
    _show("sizes", "One agent: CPU for each candidate, by the repository's number of files", rows)


def growth(folder: Path, candidates: int) -> None:
    """Measure one agent as its run grows, packing included; then reading that run, and its bytes."""
    scene = build(folder, "growth", 10)
    reference = statistics.median(references.fast_import(scene, 300) for _ in range(3))
    worker, reader = Worker(scene), Worker(scene)
    rows, done = [], 0
    for at in (100, 2_000, candidates):
        window = min(at // 2, 1_000)
        if at - window > done:
            worker.ask(f"go {at - window - done}")
        answer = worker.ask(f"go {window}")
        done = at
        own, git = statistics.mean(answer["own"]), statistics.mean(answer["git"])
        counts = scene.counts()
        rows.append(
            {
                "up to candidate": at,
                "own ms": own,
                "median ms": statistics.median(answer["own"]),
                "packing ms": git,
                "together / fast-import": (own + git) / reference,
                "loose objects": counts["count"],
                "packs": counts["packs"],
            }
        )
    _show("growth", f"One agent, 10 files, as the run grows (mean; fast-import: {reference:.2f} ms)", rows)
    _reading(scene, worker, reader, candidates)
    for one in (worker, reader):
        one.close()
    loose = scene.counts()["size"] + scene.counts()["size-pack"]
    scene.git("repack", "-adq")
    packed = scene.counts()["size-pack"]
    per = candidates / 1000
    _show(
        "bytes",
        "Bytes for 1,000 candidates",
        [{"as agents left it, KiB": loose / per, "after git repack -ad, KiB": packed / per}],
    )


def _reading(scene: Scene, worker: Worker, reader: Worker, candidates: int) -> None:
    reader.ask("refresh")
    refreshes = []
    for _ in range(9):
        worker.ask("go 8")
        refreshes.append(reader.ask("refresh")["own"][0])
    log = references.git_log(scene)
    cold = reader.ask("cold")
    rows = [
        {
            "what": "refresh with 8 new",
            "ms": statistics.median(refreshes),
            "/ git log": statistics.median(refreshes) / log,
        },
        {"what": f"cold start of {cold['candidates']:,}", "ms": cold["own"][0], "/ git log": cold["own"][0] / log},
        {"what": "git log with notes, all of it", "ms": log, "/ git log": 1.0},
    ]
    _show("reading", f"Reading a run of {candidates:,}", rows)


def agents(folder: Path, _: int) -> None:
    """Measure 1 to 8 agents at once on one repository, packing included, and count what was lost."""
    rows = []
    for count in (1, 2, 4, 8):
        scene = build(folder, f"agents-{count}", 10)
        reference = references.fast_import(scene, 300)
        workers = [Worker(scene) for _ in range(count)]
        each = 1_600 // count
        for worker in workers:
            worker.ask("go 1")
        begun = time.monotonic()
        for worker in workers:
            worker.order(f"go {each}")
        answers = [worker.answer() for worker in workers]
        wall = time.monotonic() - begun
        for worker in workers:
            worker.close()
        cost = sum(sum(answer["own"]) + sum(answer["git"]) for answer in answers) / (each * count)
        reader = Worker(scene)
        stored = reader.ask("cold")["scores"]
        reader.close()
        counts = scene.counts()
        made = sum(len(answer["own"]) for answer in answers) + count
        rows.append(
            {"agents": count, "candidates a second": each * count / wall, "ms each": cost,
             "/ fast-import": cost / reference, "packs": counts["packs"], "loose objects": counts["count"],
             "records lost": max(0, made - stored)}
        )  # fmt: skip
    _show("agents", "Agents on one repository of 10 files, packing included", rows)


def launching(folder: Path, _: int) -> None:
    """Measure launching the smallest process there is, which is the evaluator's cost and not the engine's."""
    worker = Worker(build(folder, "launching", 10))
    found = [worker.ask("spawn 100") for _ in range(3)]
    worker.close()
    row = {"own ms": _median(found, "own"), "the process ms": _median(found, "git")}
    _show(
        "launching",
        "Launching `true` as an evaluation",
        [{**row, "wall ms": statistics.median(f["wall"] for f in found)}],
    )


def _median(found: Sequence[dict[str, Any]], key: str) -> float:
    return float(statistics.median(answer[key][0] for answer in found))


def _each(answer: dict[str, Any]) -> float:
    return float(statistics.median(answer["own"]) + statistics.mean(answer["git"]))


def _show(name: str, title: str, rows: list[dict[str, Any]]) -> None:
    _found[name] = rows
    table = Table(title=title, title_justify="left")
    for heading in rows[0]:
        table.add_column(heading, justify="left" if heading == "what" else "right")
    for row in rows:
        table.add_row(
            *(f"{v:,.2f}" if isinstance(v, float) else f"{v:,}" if isinstance(v, int) else v for v in row.values())
        )
    _console.print(table)


_BENCHES: dict[str, Callable[[Path, int], None]] = {
    "sizes": sizes, "growth": growth, "agents": agents, "launching": launching,
}  # fmt: skip

if __name__ == "__main__":
    main()
