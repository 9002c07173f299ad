"""A process that is measured: an agent with a trivial proposer and meter, or a reader of a run.

It takes orders on its standard input and answers each with one line of JSON: `go N` makes N candidates, `refresh` reads
what is new, `cold` reads everything from nothing, `spawn N` launches N empty processes.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from resource import RUSAGE_CHILDREN, RUSAGE_SELF, getrusage
from typing import Any

from evogit.agent import Agent
from evogit.config import Stop
from evogit.model import Edit, Measurement, Status, TreeId
from evogit.parts import Parts, World
from evogit.planning import Policy
from evogit.proposers.protocol import Request
from evogit.sandbox import Job, Launcher
from evogit.stopping import Limits
from evogit.store import private, scratch, task
from evogit.store.export import Export
from evogit.store.ledger import Writer
from evogit.store.repository import open_repository
from evogit.store.snapshot import Snapshot

_BEST_EVERY = 20
"""One candidate in so many is a new best: it moves the branch and is the next parent."""


class CheapProposer:
    """Changes one line of one file; `seconds` is the CPU time it took, which is not the engine's."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def propose(self, request: Request, rng: Random) -> Edit:
        """Return a small edit."""
        begun = time.process_time()
        file = rng.choice(request.files)
        lines = file.content.split(b"\n")
        lines[rng.randrange(len(lines) - 1)] = b"VALUE = %r" % rng.random()
        edit = Edit(files={file.path: b"\n".join(lines)}, subject=f"Change {file.path}", params={"step": 0.125})
        self.seconds += time.process_time() - begun
        return edit


class TrivialMeter:
    """Exports the tree as a real meter does, and takes no time to judge it."""

    def __init__(self, export: Export, *, plateau: bool) -> None:
        self._export = export
        self._plateau = plateau
        self._count = 0

    def measure(self, tree: TreeId) -> Measurement:
        """Return a score that is better than all before once in a while, or the same for all on a plateau."""
        self._export.switch(tree)
        value = float(self._count) if self._count % _BEST_EVERY == 0 or self._plateau else -1.0
        self._count += not self._plateau
        return Measurement(status=Status.OK, value=value, seconds=0.0125)


class Pace:
    """Notes the CPU time at the end of every step, and says stop after as many candidates as were ordered."""

    def __init__(self, proposer: CheapProposer) -> None:
        self._proposer = proposer
        self.agent: Agent | None = None
        self.until = 0
        self.marks: list[tuple[float, float]] = []

    def stopped(self) -> str | None:
        """Return a reason when the order is done."""
        assert self.agent is not None
        self.marks.append((_cpu(RUSAGE_SELF) - self._proposer.seconds, _cpu(RUSAGE_CHILDREN)))
        return "done" if self.agent.evaluated >= self.until else None

    def order(self, count: int) -> dict[str, Any]:
        """Make `count` candidates and return milliseconds per step: this process's, and of the git it ran."""
        assert self.agent is not None
        before = self.agent.evaluated
        self.until = before + count
        self.marks.clear()
        begun = time.monotonic()
        self.agent.run()
        wall = time.monotonic() - begun
        pairs = list(zip(self.marks, self.marks[1:], strict=False))
        return {
            "own": [round((after[0] - before[0]) * 1000, 4) for before, after in pairs],
            "git": [round((after[1] - before[1]) * 1000, 4) for before, after in pairs],
            "wall": wall * 1000,
            "evaluated": self.agent.evaluated - before,
        }


def main() -> None:
    """Begin, say so with the line `{}`, and obey until the input ends."""
    parser = argparse.ArgumentParser()
    parser.add_argument("repository", type=Path)
    parser.add_argument("--evals", type=int)
    parser.add_argument("--plateau", action="store_true")
    options = parser.parse_args()
    orders: dict[str, Callable[[int], dict[str, Any]]] = {"spawn": _spawn}
    reader = _reader(options.repository)
    orders["cold"] = lambda _: _refresh(_reader(options.repository))
    orders["refresh"] = lambda _: _refresh(reader)
    pace: Pace | None = None
    print("{}", flush=True)
    for line in sys.stdin:
        name, _, argument = line.strip().partition(" ")
        if name == "go":
            pace = pace or _agent(options.repository, options.evals, plateau=options.plateau)
            answer = pace.order(int(argument))
        else:
            answer = orders[name](int(argument or 0))
        print(json.dumps(answer), flush=True)


def _agent(path: Path, evals: int | None, *, plateau: bool) -> Pace:
    repo = open_repository(path)
    chosen = task.newest(repo)[0]
    name = private.free_name(repo, chosen.run, "bench")
    folder = scratch.folder(repo, chosen.run, name.agent)
    proposer = CheapProposer()
    meter = TrivialMeter(Export(repo, chosen.definition, folder / "tree"), plateau=plateau)
    pace = Pace(proposer)
    writer = Writer(
        run=chosen.run, agent=name.agent, session="bench", use="bench", evaluator=chosen.definition.evaluator,
        host="bench", person=("Ada", "ada@example.invalid"), now=lambda: datetime.now(UTC),
    )  # fmt: skip
    limits = Limits(Stop(evals=evals), "bench", time.monotonic)
    world = World(
        seed=1, clock=time.monotonic, sleep=time.sleep, stopped=pace.stopped, new_name=lambda: name.agent
    )  # fmt: skip
    parts = Parts(proposer=proposer, policy=Policy(selection="greedy", merges=0.0), meter=meter, limits=limits)
    pace.agent = Agent(repo, chosen, writer, parts, world)
    return pace


def _reader(path: Path) -> Snapshot:
    repo = open_repository(path)
    chosen = task.newest(repo)[0]
    return Snapshot(repo, chosen.run, chosen.definition.evaluator, chosen.definition.config.direction)


def _refresh(snapshot: Snapshot) -> dict[str, Any]:
    begun = _cpu(RUSAGE_SELF)
    events = snapshot.refresh()
    assert not snapshot.problems
    return {
        "own": [(_cpu(RUSAGE_SELF) - begun) * 1000],
        "events": len(events),
        "candidates": len(snapshot.candidates),
        "scores": sum(len(candidate.scores) for candidate in snapshot.candidates.values()),
    }


def _spawn(count: int) -> dict[str, Any]:
    launcher = Launcher()
    job = Job(argv=("true",), cwd=Path.home(), environment=dict(os.environ), timeout_s=20)
    begun, own, children = time.monotonic(), _cpu(RUSAGE_SELF), _cpu(RUSAGE_CHILDREN)
    for _ in range(count):
        launcher.launch(job)
    wall, own, children = time.monotonic() - begun, _cpu(RUSAGE_SELF) - own, _cpu(RUSAGE_CHILDREN) - children
    launcher.close()
    return {"own": [own * 1000 / count], "git": [children * 1000 / count], "wall": wall * 1000 / count}


def _cpu(who: int) -> float:
    used = getrusage(who)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    main()
