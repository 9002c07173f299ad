"""How reading and planning grow with a run: cold start, refresh, family tree, plans, memory, beside `git log`.

Run it as `python tests/bench/scale.py [--sizes 1000,10000,100000] [--journals 4] [--json FILE]`. A run of each size is
written first, by the real encoder of records and as git objects byte for byte as agents leave them; then a fresh
process reads it. Figures are CPU milliseconds; `git log` of the same candidates with their notes is the reference.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from statistics import median
from typing import Any, TypeVar

import pygit2
from rich.console import Console
from rich.table import Table
from scene import RUN, Scene, build

from evogit.merging import Mates
from evogit.model import AgentName, CommitId, Measurement, Operator, Plan, RepoPath, Status, TreeId
from evogit.phylogeny import Clades, Phylogeny
from evogit.planning import SELECTORS, Planner, Policy
from evogit.records import Proposal, Score, encode
from evogit.store import objects, packing, refs, task, trees
from evogit.store.ledger import Ledger, Writer, stamp
from evogit.store.repository import Repository, open_repository, signature
from evogit.store.snapshot import Snapshot
from evogit.store.trees import FILE_MODE, Entry

_BATCH = 200
_START = datetime(2026, 1, 1, tzinfo=UTC)
_VALUE = "value.txt"
_T = TypeVar("_T")


def write(scene: Scene, count: int, journals: int) -> None:
    """Write a run of `count` candidates: a random walk upwards, every twelfth a merge of two recent gains."""
    repo = open_repository(scene.path)
    definition = task.read(repo, RUN).definition
    made = list(_family(count, Random(count)))
    ids = _commits(scene, definition.base, made, journals)
    base = trees.parse_tree(trees.read_tree(repo, str(repo.commit(definition.base).tree_id)))
    for journal in range(journals):
        notes = {}
        for number in range(journal, count, journals):
            tree = _hash("tree", trees.format_tree({**base, _VALUE.encode(): _entry(number)}))
            notes[ids[number]] = _note(
                _agent(journal), number // journals, number, made[number], tree, definition.evaluator
            )
        _journal(repo, journal, notes)
    packing.pack(repo)
    packing.roll_up(repo)
    scene.git("repack", "-adq")
    scene.git("commit-graph", "write", "--reachable", "--no-progress")


def _family(count: int, rng: Random) -> Iterator[tuple[tuple[int, ...], float]]:
    """Yield for each candidate its parents (-1: the base) and its score."""
    gains, values = [-1], {-1: 0.0}
    for number in range(count):
        merge = number % 12 == 11 and len(gains) > 8
        parents = tuple(rng.sample(gains[-8:], 2)) if merge else (rng.choice(gains[-4:]),)
        better = rng.random() < 0.1
        values[number] = max(values[one] for one in parents) + (rng.random() if better else -rng.random())
        if better:
            gains.append(number)
        yield parents, values[number]


def _content(number: int) -> bytes:
    return b"%d\n" % number


def _entry(number: int) -> Entry:
    return Entry(FILE_MODE, pygit2.Oid(hex=_hash("blob", _content(number))))


def _hash(kind: str, content: bytes) -> str:
    return hashlib.sha1(f"{kind} {len(content)}\0".encode() + content, usedforsecurity=False).hexdigest()


def _agent(journal: int) -> AgentName:
    return AgentName(f"tuner-{journal + 1}-abcdef")


def _commits(scene: Scene, base: CommitId, made: list[tuple[tuple[int, ...], float]], journals: int) -> list[CommitId]:
    """Write the candidates by `git fast-import` and return their ids."""
    lines = []
    for number, (parents, _) in enumerate(made):
        agent, when = _agent(number % journals), int(_START.timestamp()) + number
        message = f"Set the value to {number}\n\nEvogit-Run: {RUN}\nEvogit-Agent: {agent}\nEvogit-Operator: mutate\n"
        author = f"author {agent} <{agent}@{RUN}.evogit.invalid> {when} +0000\n"
        committer = f"committer Ada <ada@example.invalid> {when} +0000\n"
        lines += [f"commit refs/heads/scale\nmark :{number + 1}\n", author, committer]
        lines.append(f"data {len(message)}\n{message}\n")
        for word, parent in zip(("from", "merge"), parents, strict=False):
            lines.append(f"{word} {base if parent < 0 else f':{parent + 1}'}\n")
        content = _content(number).decode()
        lines.append(f"M 100644 inline {_VALUE}\ndata {len(content)}\n{content}\n")
    marks = scene.path / "marks"
    scene.git("fast-import", "--quiet", "--force", f"--export-marks={marks}", stdin="".join(lines).encode())
    known = dict(line.split() for line in marks.read_text().splitlines())
    marks.unlink()
    scene.git("update-ref", "-d", "refs/heads/scale")
    return [CommitId(known[f":{number + 1}"]) for number in range(len(made))]


def _note(agent: str, count: int, number: int, made: tuple[tuple[int, ...], float], tree: str, evaluator: str) -> bytes:
    at = stamp(_START + timedelta(seconds=number))
    operator = Operator.MERGE if len(made[0]) > 1 else Operator.MUTATE
    proposal = Proposal(
        v=1, agent=agent, run=RUN, at=at, session="5ca1e0", seq=2 * count, operator=operator, use="tuner", seed=number,
        outcome="candidate", params={"step": 0.25, "move": 1.0}, seen={agent: 2 * count},
    )  # fmt: skip
    score = Score(
        v=1, agent=agent, run=RUN, at=at, session="5ca1e0", seq=2 * count + 1, status=Status.OK, value=made[1],
        evaluator=evaluator, tree=tree, seconds=0.25, sandbox="none", host="bench",
    )  # fmt: skip
    return encode(proposal) + encode(score)


def _journal(repo: Repository, number: int, notes: dict[CommitId, bytes]) -> None:
    """Write a journal in batches, each commit of which introduces its candidates."""
    who = signature("Ada", "ada@example.invalid", _START)
    tip = objects.write_commit(repo, author=who, committer=who, message="evogit: begin\n",
                               tree=objects.write_tree(repo, b""), parents=[])  # fmt: skip
    tree: pygit2.Oid | None = None
    listed = sorted(notes, key=lambda commit: notes[commit])
    for start in range(0, len(listed), _BATCH):
        batch = listed[start : start + _BATCH]
        paths: dict[bytes, Entry | None] = {
            f"{commit[:2]}/{commit[2:]}".encode(): Entry(FILE_MODE, objects.write_blob(repo, notes[commit]))
            for commit in batch
        }
        tree = trees.build(repo, tree, paths)
        assert tree is not None
        tip = objects.write_commit(repo, author=who, committer=who, message="evogit: score\n", tree=tree,
                                   parents=[tip, *batch])  # fmt: skip
    refs.compare_and_swap(repo, refs.journal_ref(RUN, _agent(number)), old=None, new=tip)


def read(path: Path) -> dict[str, Any]:
    """Read a written run as a fresh agent does, and return what each part of it took."""
    repo = open_repository(path)
    definition = task.read(repo, RUN).definition
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    snapshot = Snapshot(repo, RUN, definition.evaluator, definition.config.direction)
    found: dict[str, Any] = {}
    _, found["cold records"] = _cpu(snapshot.refresh)
    graph = Phylogeny(repo, snapshot, definition.base)
    _, found["cold tree"] = _cpu(graph.refresh)
    found["MB"] = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    writer = Writer(
        run=RUN, agent=AgentName("new-1-abcdef"), session="5ca1e1", use="tuner", evaluator=definition.evaluator,
        host="bench", person=("Ada", "ada@example.invalid"), now=lambda: datetime.now(UTC),
    )  # fmt: skip
    ledger = Ledger(repo, Snapshot(repo, RUN, definition.evaluator, definition.config.direction), writer)
    turns = []
    for turn in range(12):
        _add(repo, ledger, graph, 8 * turn)
        begun = time.process_time()
        snapshot.refresh()
        middle = time.process_time()
        graph.refresh()
        turns.append((middle - begun, time.process_time() - middle))
    found["8 new: records"] = median(one for one, _ in turns[2:]) * 1000
    found["8 new: tree"] = median(two for _, two in turns[2:]) * 1000
    for name in SELECTORS:
        planner = Planner(repo, graph, Policy(selection=name, merges=0.0))
        planner.plan(0)
        _, took = _cpu(lambda planner=planner: [planner.plan(seed) for seed in range(20)])  # type: ignore[misc]
        found[f"plan {name}"] = took / 20
    mates = Mates(repo, graph)
    _, found["pairs cold"] = _cpu(mates.pairs)
    _, found["clades cold"] = _cpu(lambda: Clades(graph).refresh())
    return found


def _add(repo: Repository, ledger: Ledger, graph: Phylogeny, first: int) -> None:
    """Write eight candidates on top of the best, as an agent does."""
    best = graph.field.leaders[0]
    start = TreeId(str(repo.commit(best).tree_id))
    for number in range(first, first + 8):
        tree = trees.with_files(repo, start, {RepoPath("new.txt"): _content(number)})
        plan = Plan(operator=Operator.MUTATE, parents=(best,), seed=number)
        commit = ledger.candidate(tree, plan, f"Add {number}")
        measured = Measurement(status=Status.OK, value=float(number))
        ledger.write(commit, [ledger.proposal(plan, {}, {}), ledger.score(tree, measured, "none")], "evogit: score\n")


def _cpu(act: Callable[[], _T]) -> tuple[_T, float]:
    """Return what `act` returns, and the CPU milliseconds of this process and of the git it ran."""
    begun = time.process_time() + _children()
    result = act()
    return result, (time.process_time() + _children() - begun) * 1000


def _children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _git_log(scene: Scene) -> float:
    """Return the CPU milliseconds of printing all candidates with their notes."""
    ids = b"".join(
        line.partition(b" ")[2] + b"\n"
        for name in scene.git("for-each-ref", "--format=%(refname)", "refs/notes/evogit").split()
        for line in scene.git("notes", f"--ref={name.decode()}", "list").splitlines()
    )
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    scene.git("log", "--no-walk=unsorted", "--stdin", "--format=%H %P %T %at %N", "--notes=evogit/*", stdin=ids)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime) * 1000


def measure(folder: Path, count: int, journals: int) -> dict[str, Any]:
    """Write a run of this size, read it in a process of its own, and return the row."""
    scene = build(folder, f"run-{count}", 10)
    write(scene, count, journals)
    command = [sys.executable, __file__, "--read", str(scene.path)]
    found = json.loads(subprocess.run(command, env=dict(scene.environment), stdout=subprocess.PIPE, check=True).stdout)
    log = _git_log(scene)
    whole = found["cold records"] + found["cold tree"]
    packed = sum(path.stat().st_size for path in (scene.objects / "pack").glob("*"))
    return {"candidates": count, **found, "git log": log, "cold / git log": whole / log, "packed MB": packed / 2**20}


def main() -> None:
    """Measure each size and print a table, one column a size."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", default="1000,10000,100000")
    parser.add_argument("--journals", type=int, default=4)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--read", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.read:
        print(json.dumps(read(options.read)))
        return
    with tempfile.TemporaryDirectory(prefix="evogit-scale-") as folder:
        rows = [measure(Path(folder), int(size), options.journals) for size in options.sizes.split(",")]
    table = Table(title=f"One run over {options.journals} journals, CPU ms", title_justify="left")
    table.add_column("")
    for row in rows:
        table.add_column(f"{row['candidates']:,}", justify="right")
    for name in rows[0]:
        if name != "candidates":
            table.add_row(name, *(f"{row[name]:,.2f}" for row in rows))
    Console(width=100).print(table)
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
