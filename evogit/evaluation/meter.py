"""Measuring one tree: its gates, its stages, and its score, as often as the evaluator asks for."""

from __future__ import annotations

import errno
import os
import statistics
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from evogit.errors import EvaluatorBroken, StorageError
from evogit.evaluation import artifacts, junit, pytest_command, results, spectrum
from evogit.evaluation.bench import Bench, Supplies
from evogit.evaluation.cost import Costs
from evogit.evaluation.function_server import FunctionServer
from evogit.evaluation.reading import cut, refusal, said, under
from evogit.evaluation.split import Split
from evogit.evaluator_table import Command, Evaluator, Stage, shown
from evogit.model import Direction, Measurement, Status, TreeId
from evogit.sandbox import Launcher, Outcome
from evogit.store.export import Export
from evogit.store.known_tests import KnownCosts, KnownTests

_SHOWN = 80


class Meter(Protocol):
    """Measures trees."""

    def measure(self, tree: TreeId) -> Measurement:
        """Return what one evaluation of this tree says; a bad candidate is a status, never an exception."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """What a meter knows of the run beside its evaluator: which scores are better, and the base.

    `supplies` finds what the exports need beside their trees, and is asked once, before the first measurement.
    For a split evaluator, `scorer` is where what scores runs, `trusted` are the files that only it sees, and
    `is_trusted` tells paths that only it may see.
    """

    direction: Direction = Direction.MAXIMIZE
    base: TreeId | None = None
    known_tests: KnownTests | None = None
    known_costs: KnownCosts | None = None
    supplies: Callable[[], Supplies] = Supplies
    scorer: Export | None = None
    trusted: Collection[bytes] = ()
    is_trusted: Callable[[bytes], bool] = lambda _: False


class CommandMeter:
    """Runs the evaluator's commands, each on a fresh copy of the tree."""

    def __init__(
        self,
        evaluator: Evaluator,
        export: Export,
        launcher: Launcher,
        caller: Mapping[str, str],
        context: Context | None = None,
    ) -> None:
        """Measure in `export`, with what `caller` (an environment) has of the variables that are let through."""
        self._evaluator = evaluator
        self._bench = Bench(evaluator, export, launcher, caller)
        self._context = context or Context()
        self._split: Split | None = None
        if self._context.scorer is not None:
            self._split = Split(evaluator, self._bench, Bench(evaluator, self._context.scorer, launcher, caller))
        self._server = FunctionServer(evaluator, self._bench, launcher, self._context.base)
        self._costs = Costs(evaluator, self._bench, self._context.base, self._context.known_costs)
        self._supplied = False
        self._expected: dict[str, frozenset[str]] = {}
        self._looked_at = -1.0

    @property
    def supplies(self) -> Supplies:
        """What the exports have beside their trees, once something was measured."""
        return self._bench.supplies

    def measure(self, tree: TreeId) -> Measurement:
        """Return what one evaluation of this tree says.

        Raises:
            Cancelled: the caller wants to stop.
            EvaluatorBroken: what the exports need beside their trees is not to be had.
        """
        self._supply()
        try:
            return self._measure(tree)
        except StorageError as error:
            return Measurement(status=Status.FAILED, feedback=str(error))
        except OSError as error:
            return Measurement(status=Status.ERROR, feedback=_os_reason(error))

    def exposed(self, tree: TreeId) -> Sequence[str] | None:
        """Return which of the scorer's files the candidate could read (see `Split.exposed`); None: there is no scorer.

        Raises:
            Cancelled, EvaluatorBroken: as for `measure`, or it could not be found out.
            StorageError: the tree cannot be exported.
        """
        self._supply()
        try:
            return self._split.exposed(tree, self._context.trusted) if self._split else None
        except OSError as error:
            raise EvaluatorBroken(_os_reason(error)) from error

    def _supply(self) -> None:
        if self._supplied:
            return
        supplies = self._context.supplies()
        if self._split:
            self._split.supply(supplies)
            supplies = supplies.without(self._context.is_trusted)
            self._refuse_mixed(supplies)
        self._bench.supply(supplies)
        self._supplied = True

    def _refuse_mixed(self, supplies: Supplies) -> None:
        """Check that nothing trusted is in a folder that the candidate sees, too."""
        if self._evaluator.trusted:
            for path in filter(self._context.is_trusted, supplies.below()):
                raise EvaluatorBroken(
                    f"evaluator.trusted names {os.fsdecode(path)}, in a folder that `setup` or `carry` brings and a "
                    "candidate sees as a whole; let it stand in a folder of its own, and name that"
                )

    def _measure(self, tree: TreeId) -> Measurement:
        seconds = 0.0
        reached: dict[str, float] = {}
        wrote: list[str] = []
        for gate in self._evaluator.gates:
            self._bench.prepare(tree)
            outcome = self._bench.run(gate)
            seconds += outcome.seconds
            wrote.append(f"$ {_short(shown(gate))}\n{said(outcome).strip()}".strip())
            refused = refusal(outcome, self._evaluator.timeout_s)
            if refused:
                refused = artifacts.added(refused, self._bench.artifacts)
                return _within(f"gate `{_short(shown(gate))}`", refused, seconds)
        for number, stage in enumerate(self._evaluator.stages, 1):
            measured = self._score(tree, f"stage {number}", stage.command)
            seconds += measured.seconds
            if measured.value is None:
                return _within(f"stage {number}", measured, seconds)
            reached[f"stage {number}"] = measured.value
            if not self._is_enough(measured.value, stage):
                return _short_of(number, measured, stage, self._context.direction, seconds)
        if self._evaluator.judge is not None:
            self._bench.prepare(tree)  # what cannot be exported cannot be shown to a judge either
            feedback = cut("\n".join(wrote)).strip()
            return Measurement(status=Status.OK, metrics=reached, feedback=feedback, seconds=seconds)
        runs: list[Measurement] = []
        for _ in range(self._evaluator.rounds):
            runs.append(self._score(tree, "command", self._evaluator.command))
            if runs[-1].value is None:
                break
        found = _median(runs)
        return replace(found, metrics={**found.metrics, **reached}, seconds=found.seconds + seconds)

    def _is_enough(self, value: float, stage: Stage) -> bool:
        if self._context.direction is Direction.MINIMIZE:
            return value <= stage.threshold
        return value >= stage.threshold

    def _score(self, tree: TreeId, label: str, command: Command | None) -> Measurement:
        if command is not None and self._evaluator.is_cost:
            return self._costs.measure(tree, label, command)
        if self._split and command is not None:
            return artifacts.added(self._split.score(tree, command), self._split.artifacts)
        return artifacts.added(self._read_score(tree, label, command), self._bench.artifacts)

    def _read_score(self, tree: TreeId, label: str, command: Command | None) -> Measurement:
        if command is None and self._evaluator.function is not None:
            return self._server.measure(tree)
        if command is not None and self._evaluator.result != "junit":
            self._bench.prepare(tree)
            return results.read(self._evaluator, self._bench.run(command), self._bench.result)
        if command is None:
            label = f"{label}, {pytest_command.CONTROLLED}"
        known = self._expected.get(label) or self._load(label)
        if known is None and tree != self._context.base:
            found = self._tests_of_base(label, command)
            if isinstance(found, Measurement):
                return found
            known = found
        outcome, report = self._run_tests(tree, command)
        if isinstance(report, Measurement):
            return report
        if known is None:
            known = self._save(label, report)
        measured = junit.measure(report, known, outcome)
        return self._located(tree, measured) if command is None else measured

    def _located(self, tree: TreeId, measured: Measurement) -> Measurement:
        """Return it with the lines that failed tests ran, where more tests pass than in any that was looked at so far.

        To look on takes longer than the tests, and what is no better is seldom built on.
        """
        tests, skipped = (measured.metrics.get(name, 0.0) for name in ("tests", "skipped"))
        if measured.value is None or measured.value <= self._looked_at or measured.value + skipped >= tests:
            return measured
        self._looked_at = measured.value
        self._bench.prepare(tree)
        said = spectrum.look(self._evaluator.pytest or "", self._bench)
        return replace(measured, feedback=cut("\n".join(filter(None, (measured.feedback, said)))))

    def _tests_of_base(self, label: str, command: Command | None) -> frozenset[str] | Measurement:
        if self._context.base is None:
            return Measurement(status=Status.ERROR, feedback="there is no base to know the tests from")
        _, report = self._run_tests(self._context.base, command)
        if isinstance(report, Measurement):
            return _within("the tests of the base", replace(report, status=Status.ERROR), report.seconds)
        return self._save(label, report)

    def _run_tests(self, tree: TreeId, command: Command | None) -> tuple[Outcome, junit.Report | Measurement]:
        bench, named = self._bench, self._evaluator.junit
        bench.prepare(tree)
        path, root = bench.junit, bench.junit.parent
        if named is not None:
            path, root = bench.export.root / named, bench.export.root
            bench.discard(path)
        if command is not None:
            outcome = bench.run(command)
            return outcome, junit.read(outcome, path, root, self._evaluator.timeout_s)
        arguments, secret = pytest_command.command(self._evaluator.pytest or "", bench)
        outcome = bench.run(arguments, pytest_command.ENVIRONMENT)
        report = junit.read(outcome, path, root, self._evaluator.timeout_s)
        if isinstance(report, Measurement):
            return outcome, pytest_command.explained(report, outcome)
        return outcome, pytest_command.divided(report, bench, secret, outcome)

    def _load(self, label: str) -> frozenset[str] | None:
        found = self._context.known_tests.load(label) if self._context.known_tests else None
        if found:
            self._expected[label] = found
        return found

    def _save(self, label: str, report: junit.Report) -> frozenset[str]:
        names = self._expected[label] = report.known
        if self._context.known_tests:
            self._context.known_tests.save(label, names)
        return names


def _within(where: str, measured: Measurement, seconds: float) -> Measurement:
    why, _, more = measured.feedback.partition("\n")
    return replace(measured, feedback=under(f"{where}: {why}", more), seconds=seconds)


def _short_of(number: int, measured: Measurement, stage: Stage, direction: Direction, seconds: float) -> Measurement:
    """Return that a stage was not passed; its score is none of the candidate's, which would compare unlike things."""
    side = "above" if direction is Direction.MINIMIZE else "below"
    why = f"stage {number}: {measured.value:g} is {side} {stage.threshold:g}"
    feedback = under(why, measured.feedback)
    return replace(
        measured, status=Status.FAILED, value=None, metrics={}, instances={}, feedback=feedback, seconds=seconds
    )


def _median(runs: Sequence[Measurement]) -> Measurement:
    """Return one measurement for several; the first that is no score speaks for all."""
    if len(runs) == 1 or runs[-1].value is None:
        return replace(runs[-1], seconds=sum(run.seconds for run in runs))
    values = [run.value for run in runs if run.value is not None]
    middle = min(runs, key=lambda run: abs((run.value or 0.0) - statistics.median_low(values)))
    return Measurement(
        status=Status.OK,
        value=statistics.median(values),
        metrics={"score_min": min(values), "score_max": max(values), **_medians([run.metrics for run in runs])},
        instances=_medians([run.instances for run in runs]),
        feedback=middle.feedback,
        artifacts=middle.artifacts,
        artifacts_left_out=middle.artifacts_left_out,
        seconds=sum(run.seconds for run in runs),
    )


def _medians(tables: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Return the median of each number that stands in all tables."""
    names = [name for name in tables[0] if all(name in table for table in tables)]
    return {name: statistics.median([table[name] for table in tables]) for name in names}


def _short(text: str) -> str:
    return text if len(text) <= _SHOWN else text[:_SHOWN] + "…"


def _os_reason(error: OSError) -> str:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"no space left for the export at {error.filename or 'the temporary folder'}; free some or set TMPDIR"
    return f"the evaluator could not be started: {error}"
