"""Scores that say what a command costs: CPU time, executed lines or instructions, relative to the base's."""

from __future__ import annotations

import hashlib
import os
import shutil
import statistics
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace

from evogit.evaluation import artifacts, instructions
from evogit.evaluation.bench import JUNIT, RESULT, Bench
from evogit.evaluation.lines import Lines
from evogit.evaluation.reading import bad, refusal, under
from evogit.evaluator_table import CPU_TIME, INSTRUCTIONS, LINES, Command, Evaluator
from evogit.model import Measurement, Status, TreeId
from evogit.sandbox import KEPT, Outcome
from evogit.store.known_tests import KnownCosts

_METRIC = {CPU_TIME: "cpu_s", LINES: "lines", INSTRUCTIONS: "instructions"}
_Run = Callable[[Command], tuple[Outcome, float | str]]


@dataclass(frozen=True, slots=True)
class _Spent:
    """What one run cost, in the units of its kind, its seconds of wall time, and what else it left."""

    amount: float
    seconds: float
    left: Measurement


class Costs:
    """Runs the command on a tree and on the base; the score is how many times as dear the tree is."""

    def __init__(self, evaluator: Evaluator, bench: Bench, base: TreeId | None, known: KnownCosts | None) -> None:
        """Compare with `base`; `known` keeps what it costs, where that is the same each time."""
        self._evaluator = evaluator
        self._bench = bench
        self._base = base
        self._known = known
        self._of_base: dict[str, float] = {}
        self._run: _Run | None = None

    def measure(self, tree: TreeId, label: str, command: Command) -> Measurement:
        """Return the cost of `command`, which `label` names, on a tree: 1.0 is what it costs on the base.

        Raises:
            Cancelled: the caller wants to stop.
            StorageError: the tree cannot be exported.
            OSError: the disk says no, or the command cannot be started.
        """
        if self._base is None:
            return Measurement(status=Status.ERROR, feedback="there is no base to compare the cost with")
        if self._evaluator.result == CPU_TIME:
            return self._in_turns(tree, self._base, command)
        return self._counted(tree, self._base, label, command)

    def _in_turns(self, tree: TreeId, base: TreeId, command: Command) -> Measurement:
        """Run both in pairs: base, candidate, candidate, base, and so on, so that both meet the same disturbances.

        The score is the median of the pairs' ratios, not the ratio of the medians. What disturbs a machine lasts longer
        than a run, hits both of a pair, and cancels in their ratio: Bulej et al., "Duet benchmarking: improving
        measurement accuracy in the cloud", ICPE 2020, pp. 100-107 (arXiv:2001.05811), and in turns rather than at once
        as in Abedi and Brecht, ICPE 2017, pp. 287-292.
        """
        found: dict[str, list[_Spent]] = {"base": [], "own": []}
        seconds = 0.0
        for pair in range(self._evaluator.pairs):
            for side in ("base", "own") if pair % 2 == 0 else ("own", "base"):
                spent = self._spend(base if side == "base" else tree, command)
                seconds += spent.seconds
                if isinstance(spent, Measurement):
                    is_own = side == "own" or tree == base
                    return replace(spent, seconds=seconds) if is_own else _of_base(spent, seconds)
                found[side].append(spent)
        ratios = [own.amount / of_base.amount for own, of_base in zip(found["own"], found["base"])]
        amounts = {side: statistics.median(spent.amount for spent in runs) for side, runs in found.items()}
        metrics = {
            **self._metrics(amounts["own"], amounts["base"]), "score_min": min(ratios), "score_max": max(ratios)
        }  # fmt: skip
        left = found["own"][ratios.index(statistics.median_low(ratios))].left
        return replace(left, value=statistics.median(ratios), metrics=metrics, seconds=seconds)

    def _counted(self, tree: TreeId, base: TreeId, label: str, command: Command) -> Measurement:
        """Run it once: a count comes out the same each time, so that of the base is kept."""
        key = self._key(base, label)
        known = self._of_base.get(key) or (self._known.load(key) if self._known else None)
        seconds = 0.0
        if known is None and tree != base:
            spent = self._spend(base, command)
            if isinstance(spent, Measurement):
                return _of_base(spent, spent.seconds)
            known, seconds = self._keep(key, spent.amount), spent.seconds
        spent = self._spend(tree, command)
        seconds += spent.seconds
        if isinstance(spent, Measurement):
            return replace(spent, seconds=seconds)
        if known is None:
            known = self._keep(key, spent.amount)
        self._of_base[key] = known
        metrics = self._metrics(spent.amount, known)
        return replace(spent.left, value=spent.amount / known, metrics=metrics, seconds=seconds)

    def _spend(self, tree: TreeId, command: Command) -> _Spent | Measurement:
        """Run the command on a fresh copy; a command that does not end well has no cost."""
        self._run = self._run or self._runner()
        self._bench.prepare(tree)
        outcome, amount = self._run(command)
        folder = self._bench.artifacts
        refused = refusal(outcome, self._evaluator.timeout_s)
        if refused:
            return artifacts.added(refused, folder)
        if isinstance(amount, str):
            return artifacts.added(bad(Status.INVALID, amount, outcome), folder)
        return _Spent(amount, outcome.seconds, artifacts.added(Measurement(status=Status.OK), folder))

    def _runner(self) -> _Run:
        """Return what runs a command and says what it cost, or why that is not known."""
        bench = self._bench
        if self._evaluator.result == LINES:
            return Lines(bench).run
        if self._evaluator.result == INSTRUCTIONS:
            valgrind = instructions.program(bench.environment)
            return lambda command: instructions.run(bench, command, valgrind)
        return lambda command: _timed(bench.run(command))

    def _metrics(self, amount: float, of_base: float) -> dict[str, float]:
        name = _METRIC[self._evaluator.result]
        return {name: amount, f"base_{name}": of_base}

    def _keep(self, key: str, amount: float) -> float:
        if self._known:
            self._known.save(key, amount)
        return amount

    def _key(self, base: TreeId, label: str) -> str:
        """Return what names the base's cost: another interpreter, library, sandbox or place could make it another."""
        bench, kind = self._bench, self._evaluator.result
        environment = bench.environment
        names = [*KEPT, *(("HOME", "TMPDIR", RESULT, JUNIT) if kind == INSTRUCTIONS else ())]
        facts = [
            base, label, kind, bench.kind, os.uname().machine, *(f"{name}={environment.get(name)}" for name in names),
            *sorted(os.fspath(target) for target in bench.supplies.links.values()),
            *_versions((*_programs(environment), "/etc/ld.so.cache")),
        ]  # fmt: skip
        return hashlib.sha256("\0".join(facts).encode("utf-8", "surrogateescape")).hexdigest()


def _timed(outcome: Outcome) -> tuple[Outcome, float | str]:
    return outcome, outcome.cpu_s or "the CPU time: the system did not count any"


def _of_base(found: Measurement, seconds: float) -> Measurement:
    why, _, more = found.feedback.partition("\n")
    return replace(found, status=Status.ERROR, feedback=under(f"the cost of the base: {why}", more), seconds=seconds)


def _programs(environment: Mapping[str, str]) -> Iterator[str]:
    for name in ("sh", "python", "python3", "valgrind"):
        yield shutil.which(name, path=environment.get("PATH", os.defpath)) or name


def _versions(paths: tuple[str, ...]) -> Iterator[str]:
    """Yield for each file what changes when another version of it is installed."""
    for path in paths:
        try:
            status = os.stat(path)
        except OSError:
            yield path
        else:
            yield f"{os.path.realpath(path)} {status.st_size} {status.st_mtime_ns}"
