"""How well agents search, against a sequential climber and against best of N, at equal evaluations.

    python tests/bench/search.py                 two seeds, 150 evaluations, minutes
    python tests/bench/search.py --full          five seeds, 600 evaluations
    python tests/bench/search.py --mix tuner:8   another mix than the default

Agents run on a clock of their own (see `arena`), so that nothing in the table depends on the machine or its load.

`best` is the median over the seeds with the worst and the best; `wins` how often a run ends better than the climber's
(equal ones count half), over all pairs of seeds; `evaluations` and `time` how many times sooner it reaches the score
that both reach, by evaluations and by the clock (geometric means over the pairs). `learner` is wins and evaluations
against a climber that learns as agents do which edits were worth it. Then: merges of a run, and how many
of them beat all their parents; candidates with a parent of another agent's; trees measured more than once; the mean
steps in the tree between two of the 16 best.
"""

from __future__ import annotations

import argparse
import importlib
import math
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from random import Random
from types import ModuleType

from arena import RUN, Trial, build, play
from climber import Climber

from evogit import assembly, lineup
from evogit.config import Definition, parse_definition
from evogit.model import Direction, Operator
from evogit.phylogeny import Phylogeny
from evogit.store import definitions, task
from evogit.store.repository import Repository, open_repository
from evogit.store.snapshot import Snapshot

TASKS = {
    "sums": ("tuner",),
    "packing": ("tuner",),
    "circles": ("tuner",),
    "planner": ("surgeon",),
    "tour": ("surgeon",),
}
"""The tasks, and with which proposer the climber does best on each: it is spared the choice that a mix has to make."""
TEAMS = (1, 4, 8)
_CLIMBS = 4
"""Climbers for each seed, so that luck of those that all are measured against matters little."""
_TOP = 16
_COLUMNS = (
    "task", "who", "best (median)", "wins", "evaluations", "time", "learner", "merges, better", "from others", "twice",
    "apart",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """One run: (time, score) of each evaluation, and what the family tree says of it."""

    scores: Sequence[tuple[float, float | None]]
    merges: int = 0
    merged_well: int = 0
    from_others: float = math.nan
    duplicates: int = 0
    diversity: float = math.nan


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--full", action="store_true")
    parser.add_argument("--seeds", type=int)
    parser.add_argument("--first", type=int, default=1)
    parser.add_argument("--evals", type=int)
    parser.add_argument("--tasks", nargs="+", default=list(TASKS), choices=TASKS)
    parser.add_argument("--teams", nargs="+", type=int, default=TEAMS)
    parser.add_argument("--mix", nargs="+", help="NAME or FILE.toml, with :SHARE, in the place of the default mix")
    parser.add_argument("--no-base", action="store_true")
    options = parser.parse_args()
    sys.path.insert(0, str(Path(__file__).parent / "tasks"))
    first, count = options.first, options.seeds or (5 if options.full else 2)
    evals = options.evals or (600 if options.full else 150)
    print(f"{count} seeds, {evals} evaluations" + (f", mix {' '.join(options.mix)}" if options.mix else ""))
    print(f"| {' | '.join(_COLUMNS)} |\n|{'---|' * len(_COLUMNS)}", flush=True)
    for name in options.tasks:
        _print_task(name, range(first, first + count), evals, options)


def _print_task(name: str, seeds: Sequence[int], evals: int, options: argparse.Namespace) -> None:
    module = importlib.import_module(name)
    folder = "/dev/shm" if os.path.isdir("/dev/shm") else None
    direction = Direction(module.DIRECTION)
    climbs: list[Outcome] = []
    learners: list[Outcome] = []
    teams: dict[str, list[Outcome]] = {}
    begun = time.monotonic()
    for seed in seeds:
        with tempfile.TemporaryDirectory(dir=folder) as place:
            trial = build(module, Path(place))
            for turn in range(_CLIMBS):
                climbs.append(climbed(trial, TASKS[name], f"{seed}/{turn}", evals))
                learners.append(climbed(trial, TASKS[name], f"{seed}/{turn}", evals, learns=True))
        for count in options.teams:
            teams.setdefault(f"{count} agent" + "s" * (count > 1), []).append(
                _team(module, folder, seed, evals, count, options.mix)
            )
        if not options.no_base:
            teams.setdefault("best of N", []).append(
                _team(module, folder, seed, evals, 1, [_always_the_base(TASKS[name][0])])
            )
    for who, outcomes in {"climber": climbs, "learner": learners, **teams}.items():
        _row(name, who, outcomes, climbs, learners, direction)
    print(f"  ({time.monotonic() - begun:.0f} s)", file=sys.stderr, flush=True)


def _always_the_base(proposer: str) -> Definition:
    text = f'summary = "best of N"\nproposer = "{proposer}"\nselection = "base"\n'
    return parse_definition(text.encode(), where="bench")


def climbed(trial: Trial, proposers: Sequence[str], seed: str, evals: int, *, learns: bool = False) -> Outcome:
    """Return what the climber does in so many evaluations, or one that learns."""
    made = [assembly.proposer(definitions.find(None, name).definition) for name in proposers]
    base = {path: text.encode() for path, text in trial.module.BASE.items()}
    found = Climber(trial.measure, trial.direction, made, learns).climb(base, evals, Random(seed))
    return Outcome(scores=[(float(number), value) for number, value in enumerate(found, 1)])


def _team(
    module: ModuleType, folder: str | None, seed: int, evals: int, count: int, mix: Sequence[str | Definition] | None
) -> Outcome:
    with tempfile.TemporaryDirectory(dir=folder) as place:
        trial = build(module, Path(place))
        members = _members(open_repository(trial.scene.path), count, mix)
        play(trial, seed, evals, members)
        return read(trial, evals)


def _members(repo: Repository, count: int, mix: Sequence[str | Definition] | None) -> list[tuple[str, Definition]]:
    """Return the agents' names and definitions: those of a mix, or of the default one."""
    if mix is None:
        uses = lineup.default(repo, task.read(repo, RUN).definition, count, {})[0]
        found = [(definitions.find(repo, use.use), use.count) for use in uses]
        return [(one.name, one.definition) for one, number in found for _ in range(number)]
    known: dict[str, tuple[str, Definition]] = {}
    shares: dict[str, int] = {}
    for one in mix:
        if isinstance(one, Definition):
            known["bench"], shares["bench"] = ("bench", one), 1
            continue
        use, _, share = one.partition(":")
        named = definitions.find(repo, use, beside=Path.cwd())
        known[named.name], shares[named.name] = (named.name, named.definition), int(share or 1)
    return [known[use.use] for use in lineup.mix(count, shares) for _ in range(use.count)]


def read(trial: Trial, evals: int) -> Outcome:
    """Return what the records of a run say of its first so many evaluations."""
    repo = open_repository(trial.scene.path)
    chosen = task.read(repo, RUN)
    snapshot = Snapshot(repo, RUN, chosen.definition.evaluator, trial.direction)
    snapshot.refresh()
    assert not snapshot.problems, snapshot.problems
    graph = Phylogeny(repo, snapshot, chosen.definition.base)
    graph.refresh()
    records = sorted((score.at, score.agent, score) for one in snapshot.candidates.values() for score in one.scores)
    records = records[:evals]
    begun = min(at for at, _, _ in records)
    made = [one for one in snapshot.candidates.values() if one.proposal]
    maker = {one.id: one.proposal.agent for one in made if one.proposal}
    merges = [one.id for one in made if one.proposal and one.proposal.operator is Operator.MERGE]
    others = [
        any(parent in maker and maker[parent] != maker[one.id] for parent in graph.ancestry.parents(one.id))
        for one in made
    ]
    return Outcome(
        scores=[(_seconds(begun, at) + 1, score.value) for at, _, score in records],
        merges=len(merges),
        merged_well=sum(graph.is_gain(one) for one in merges),
        from_others=sum(others) / max(1, len(others)),
        duplicates=len(records) - len({score.tree for _, _, score in records}),
        diversity=graph.diversity(graph.field.top(_TOP)),
    )


def _seconds(begun: str, at: str) -> float:
    return (datetime.fromisoformat(at) - datetime.fromisoformat(begun)).total_seconds()


def _row(
    name: str, who: str, outcomes: Sequence[Outcome], climbs: Sequence[Outcome], learners: Sequence[Outcome],
    direction: Direction,
) -> None:  # fmt: skip
    bests = [best(one, direction) for one in outcomes]
    wins, evaluations = _against(outcomes, climbs, direction)
    times = _geometric([_speed(one, other, direction, 1) for one in outcomes for other in climbs])
    learner = "{:.0%}, {:.2f}".format(*_against(outcomes, learners, direction))
    merges = sum(one.merges for one in outcomes)
    well = f"{merges // len(outcomes)}, {sum(one.merged_well for one in outcomes) / merges:.0%}" if merges else "–"
    others, twice, apart = (
        statistics.mean(getattr(one, key) for one in outcomes) for key in ("from_others", "duplicates", "diversity")
    )
    own = "| | | |" if math.isnan(others) else f"| {others:.0%} | {twice:.1f} | {apart:.1f} |"
    spread = f"{statistics.median(bests):.4g} ({min(bests):.4g}–{max(bests):.4g})"
    speed = f"{evaluations:.2f} | {times:.2f} | {learner}"
    print(f"| {name} | {who} | {spread} | {wins:.0%} | {speed} | {well} {own}", flush=True)


def _against(ours: Sequence[Outcome], theirs: Sequence[Outcome], direction: Direction) -> tuple[float, float]:
    """Return the share of pairs that end better, and how many times fewer evaluations they needed."""
    pairs = [(one, other) for one in ours for other in theirs]
    wins = statistics.mean(_win(one, other, direction) for one, other in pairs)
    return wins, _geometric([_speed(one, other, direction, 0) for one, other in pairs])


def best(outcome: Outcome, direction: Direction) -> float:
    """Return the best score of a run."""
    values = [value for _, value in outcome.scores if value is not None]
    return max(values) if direction is Direction.MAXIMIZE else min(values)


def _win(one: Outcome, other: Outcome, direction: Direction) -> float:
    left, right = best(one, direction), best(other, direction)
    return 0.5 if left == right else float((left > right) == (direction is Direction.MAXIMIZE))


def _speed(one: Outcome, other: Outcome, direction: Direction, by_time: int) -> float:
    """Return how many times sooner `one` reaches the score that both reach, the worse of their bests."""
    both = best(one, direction), best(other, direction)
    level = min(both) if direction is Direction.MAXIMIZE else max(both)
    return _when(other, level, direction, by_time) / _when(one, level, direction, by_time)


def _when(outcome: Outcome, level: float, direction: Direction, by_time: int) -> float:
    for number, (at, value) in enumerate(outcome.scores, 1):
        if value is not None and (value >= level if direction is Direction.MAXIMIZE else value <= level):
            return at if by_time else number
    raise AssertionError


def _geometric(ratios: Sequence[float]) -> float:
    return math.exp(statistics.mean(map(math.log, ratios)))


if __name__ == "__main__":
    main()
