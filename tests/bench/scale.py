"""How a run's size tells: reading, planning, the commands people type, memory and disk, beside `git log` of the same.

Run it as `python tests/bench/scale.py [--sizes 1000,10000,100000] [--journals 4,64] [--keep FOLDER] [--json FILE]`. A
run of each size is written first, by the real encoder of records and as git objects as agents leave them; then fresh
processes read a copy of it. Times are CPU milliseconds, children included. `git log` prints all candidates with their
notes: `--format='%H %P %T %at %N'`. With --keep the written runs stay in a folder, and are taken from there next time.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any, TypeVar

from grown import agent, grown
from scene import RUN, Scene

from evogit.merging import Mates
from evogit.model import Measurement, Operator, Plan, RepoPath, Status, TreeId
from evogit.phylogeny import Clades, Phylogeny
from evogit.planning import SELECTORS, Planner, Policy
from evogit.store import packing, task, trees
from evogit.store.ledger import Ledger, Writer
from evogit.store.repository import Repository, open_repository
from evogit.store.snapshot import Snapshot

_COMMANDS = ("--version", "best", "best --json", "status", "status --json", "tree", "tree --json")
_AT_ONCE, _TURNS = 8, 12
_NEW = _AT_ONCE * _TURNS
_T = TypeVar("_T")


def read(path: Path) -> dict[str, Any]:
    """Read a written run as a fresh agent does, and return what each part of it took."""
    gc.set_threshold(100_000, 20, 20)  # as every command of evogit begins
    repo = open_repository(path)
    definition = task.read(repo, RUN).definition
    before = _memory()
    snapshot = Snapshot(repo, RUN, definition.evaluator, definition.config.direction)
    found: dict[str, Any] = {}
    _, found["cold start: records"] = _cpu(snapshot.refresh)
    graph = Phylogeny(repo, snapshot, definition.base)
    _, found["cold start: family tree"] = _cpu(graph.refresh)
    after = _memory()
    found["PSS of an agent, MB"], found["what it knows, MB"] = after["Pss"], after["Anonymous"] - before["Anonymous"]
    found["each candidate, KB"] = found["what it knows, MB"] * 1024 / len(snapshot.candidates)
    turns = _news(repo, snapshot, graph)
    found["8 new: records"] = median(one for one, _ in turns[2:])
    found["8 new: family tree"] = median(two for _, two in turns[2:])
    for name in SELECTORS:
        planner = Planner(repo, graph, Policy(selection=name, merges=0.0))
        planner.plan(0)
        _, took = _cpu(lambda planner=planner: [planner.plan(seed) for seed in range(20)])  # type: ignore[misc]
        found[f"plan by {name}"] = took / 20
    mates = Mates(repo, graph)
    _, found["first look for pairs"] = _cpu(mates.pairs)
    _, found["first count of clades"] = _cpu(lambda: Clades(graph).refresh())
    return found


def _news(repo: Repository, snapshot: Snapshot, graph: Phylogeny) -> list[tuple[float, float]]:
    """Let the first agent go on, eight candidates at a time; return what reading each eight took, records and tree."""
    definition = task.read(repo, RUN).definition
    writer = Writer(
        run=RUN, agent=agent(0), session="5ca1e1", use="tuner", evaluator=definition.evaluator,
        host="bench", person=("Ada", "ada@example.invalid"), now=lambda: datetime.now(UTC),
    )  # fmt: skip
    own = Snapshot(repo, RUN, definition.evaluator, definition.config.direction)
    own.refresh()
    ledger = Ledger(repo, own, writer)
    turns = []
    for turn in range(_TURNS):
        _add(repo, ledger, graph, _AT_ONCE * turn)
        _, records = _cpu(snapshot.refresh)
        _, tree = _cpu(graph.refresh)
        turns.append((records, tree))
    return turns


def _add(repo: Repository, ledger: Ledger, graph: Phylogeny, first: int) -> None:
    """Write eight candidates on top of the best, as an agent does."""
    best = graph.field.leaders[0]
    start = TreeId(str(repo.commit(best).tree_id))
    for number in range(first, first + _AT_ONCE):
        tree = trees.with_files(repo, start, {RepoPath("new.txt"): b"%d\n" % number})
        plan = Plan(operator=Operator.MUTATE, parents=(best,), seed=number)
        commit = ledger.candidate(tree, plan, f"Add {number}")
        measured = Measurement(status=Status.OK, value=float(number))
        ledger.write(commit, [ledger.proposal(plan, {}, {}), ledger.score(tree, measured, "none")], "evogit: score\n")


def _memory() -> dict[str, float]:
    """Return this process's memory in MB by the kernel's names for its kinds."""
    gc.collect()
    lines = (line.split() for line in Path("/proc/self/smaps_rollup").read_text().splitlines())
    return {line[0].rstrip(":"): int(line[1]) / 1024 for line in lines if line[-1] == "kB"}


def _cpu(act: Callable[[], _T]) -> tuple[_T, float]:
    """Return what `act` returns, and the CPU milliseconds of this process and of the git it ran."""
    begun = time.process_time() + _children()
    result = act()
    return result, (time.process_time() + _children() - begun) * 1000


def _children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


@dataclass(frozen=True, slots=True)
class Ran:
    """What a process took: CPU milliseconds with its children's, and the most memory it had in MB."""

    ms: float
    megabytes: float


def ran(scene: Scene, command: Sequence[str], stdin: bytes = b"") -> Ran:
    """Run a command in a scene, its output thrown away."""
    with tempfile.TemporaryFile() as given:
        given.write(stdin)
        given.seek(0)
        process = subprocess.Popen(
            command, cwd=scene.path, env=dict(scene.environment), stdin=given, stdout=subprocess.DEVNULL
        )
        _, status, used = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"{command} ended with {status}")
    return Ran((used.ru_utime + used.ru_stime) * 1000, used.ru_maxrss / 1024)


def _git_log(scene: Scene, times: int) -> Ran:
    """Print all candidates with their notes, and return the median."""
    ids = b"".join(
        line.partition(b" ")[2] + b"\n"
        for name in scene.git("for-each-ref", "--format=%(refname)", "refs/notes/evogit").split()
        for line in scene.git("notes", f"--ref={name.decode()}", "list").splitlines()
    )
    arguments = ["log", "--no-walk=unsorted", "--stdin", "--format=%H %P %T %at %N", "--notes=evogit/*"]
    return sorted((ran(scene, ["git", *arguments], ids) for _ in range(times)), key=lambda one: one.ms)[times // 2]


def _commands(scene: Scene, log: Ran) -> dict[str, Any]:
    """Return what the commands take that read a whole run, beside `git log` of it."""
    found: dict[str, Any] = {}
    for words in _COMMANDS:
        one = ran(scene, [str(Path(sys.executable).with_name("evogit")), *words.split()])
        found[f"evogit {words}"] = one.ms
        if words != "--version":
            found[f"evogit {words}: / git log"] = one.ms / log.ms
    found["the last, peak MB"] = one.megabytes
    return found


def _disk(scene: Scene, count: int) -> dict[str, Any]:
    """Return the bytes of a run, and what packing its newest candidates takes, which are loose."""
    repo = open_repository(scene.path)
    size = scene.counts()
    found: dict[str, Any] = {"MB packed, each 1,000": size["size-pack"] * 1.024 / count}
    graph = sum(path.stat().st_size for path in (scene.objects / "info").rglob("*.graph"))
    found["commit-graph, MB each 1,000"] = graph / 1e3 / count
    found["loose objects a candidate"] = size["count"] / _NEW
    found["KB loose a candidate"] = sum(path.stat().st_blocks * 512 for path in scene.objects.glob("??/*")) / 1e3 / _NEW
    _, pack = _cpu(lambda: packing.pack(repo))
    found["pack, a candidate"] = pack / _NEW
    found["KB packed a candidate"] = (scene.counts()["size-pack"] - size["size-pack"]) * 1.024 / _NEW
    _, found["roll-up and commit-graph"] = _cpu(lambda: packing.roll_up(repo))
    found["packs then"] = scene.counts()["packs"]
    return found


def measure(folder: Path, count: int, journals: int, keep: Path | None) -> dict[str, Any]:
    """Take a run of this size, read it in processes of their own, and return the row."""
    scene = grown(folder, count, journals, keep)
    log = _git_log(scene, max(1, min(5, 50_000 // count)))
    commands = _commands(scene, log)
    command = [sys.executable, __file__, "--read", str(scene.path)]
    found = json.loads(subprocess.run(command, env=dict(scene.environment), stdout=subprocess.PIPE, check=True).stdout)
    cold = found["cold start: records"] + found["cold start: family tree"]
    disk = _disk(scene, count)
    shutil.rmtree(scene.path)
    first = {"candidates": f"{count:,}", "journals": journals, "git log": log.ms, "cold start / git log": cold / log.ms}
    return {**first, **found, "git log, peak MB": log.megabytes, **commands, **disk}


def show(rows: Sequence[dict[str, Any]]) -> str:
    """Return a Markdown table with a column for each row of figures."""
    lines = []
    for number, name in enumerate(rows[0]):
        cells = [f"{row[name]:,.2f}" if isinstance(row[name], float) else str(row[name]) for row in rows]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
        if number == 0:
            lines.append("|---|" + "---:|" * len(rows))
    return "\n".join(lines)


def main() -> None:
    """Measure each size with each number of journals and print a table, one column each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", default="1000,10000,100000")
    parser.add_argument("--journals", default="4,64")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="where written runs stay, to be measured again")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the numbers to a file, too")
    parser.add_argument("--read", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.read:
        print(json.dumps(read(options.read)))
        return
    load, rows = [os.getloadavg()[0]], []
    with tempfile.TemporaryDirectory(prefix="evogit-scale-") as folder:
        for size in options.sizes.split(","):
            for journals in options.journals.split(","):
                rows.append(measure(Path(folder), int(size), int(journals), options.keep))
                print(f"{size} candidates over {journals} journals: done", file=sys.stderr)
    load.append(os.getloadavg()[0])
    print(show(rows))
    print(f"\nCPU milliseconds. Load average {load[0]:.1f} before and {load[1]:.1f} after, on {os.cpu_count()} cores.")
    if options.json:
        options.json.write_text(json.dumps({"load": load, "rows": rows}, indent=1))


if __name__ == "__main__":
    main()
