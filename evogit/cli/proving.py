"""How `evogit pr` finds out whether a result is better: it is measured again, or the judge compares it again."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import click

from evogit import assembly, pull_request
from evogit.cli import confine, models
from evogit.cli.context import Reading
from evogit.cli.output import number, safe, spent_words
from evogit.cli.signals import StopSignals
from evogit.errors import EvaluatorBroken, UsageError
from evogit.judging import Heard
from evogit.judging.contest import LEAST
from evogit.llm import Models
from evogit.model import Measurement, TreeId
from evogit.model_table import ModelUse
from evogit.pull_evidence import Evidence
from evogit.pull_request import Proposal
from evogit.records import points, spent
from evogit.sandbox import Cancelled, Launcher

_REPEAT = 3
_SAID = {1.0: "prefers what is proposed", 0.0: "prefers what is there", 0.5: "finds neither better"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Asking:
    """How often both are measured, or a judge is asked, and the models a judge that is one may ask."""

    repeat: int
    is_judged: bool
    uses: Sequence[ModelUse]

    def words(self, there: str, proposed: str) -> str:
        """Return what would be done, in words."""
        if self.is_judged:
            return f"have the judge compare {there} and {proposed} {self.repeat} times, each time in both orders"
        return f"measure {there} and {proposed} {self.repeat} times each"


def asking(reading: Reading, repeat: int | None, named: Sequence[str]) -> Asking:
    """Return what is asked for.

    Raises:
        UsageError: no number of comparisons so small can show anything; or models are named in vain, or lack.
    """
    config = reading.task.definition.config
    if named and not config.evaluator.asks_models:
        raise UsageError("--model: no judge here is a model; what is proposed is measured again, or a command asked")
    if config.evaluator.judge is None:
        return Asking(repeat=_REPEAT if repeat is None else repeat, is_judged=False, uses=())
    if repeat is not None and repeat < LEAST:
        raise UsageError(f"--repeat {repeat}: by fewer than {LEAST} comparisons no preference is beyond luck")
    uses = models.chosen(named, config.models) if config.evaluator.asks_models else []
    if config.evaluator.asks_models and not uses:
        raise UsageError(
            f"the judge of run {reading.task.run} is a language model: name one with --model NAME or EVOGIT_MODEL"
        )
    return Asking(repeat=LEAST if repeat is None else repeat, is_judged=True, uses=uses)


def evidence(reading: Reading, proposal: Proposal, asking: Asking, signals: StopSignals) -> tuple[Evidence, str]:
    """Return what shows that the proposal is better, and what candidates were confined by; ends where it is stopped.

    Raises:
        NotBetter: it is not.
        EvaluatorBroken: what is there gets no score, or the judge has no answer.
        NotAuthenticated: there is no key for a model.
    """
    sandbox = confine.sandbox(reading.repo)
    with assembly.aside(reading.repo, reading.task, sandbox, signals.came) as (folder, launcher):
        try:
            found = _found(reading, proposal, asking, (folder, launcher), signals)
        except (Cancelled, EvaluatorBroken):
            if signals.reason is None:
                raise
            sys.exit(signals.exit_code)
    if signals.reason is not None:
        sys.exit(signals.exit_code)
    return found, launcher.kind


def _found(
    reading: Reading, proposal: Proposal, asking: Asking, places: tuple[Path, Launcher], signals: StopSignals
) -> Evidence:
    def act(tree: TreeId) -> Measurement:
        # A new meter each time: its export begins by removing whatever is there.
        return assembly.meter(reading.repo, reading.task, *places, os.environ).measure(tree)

    if not asking.is_judged:
        return pull_request.measure(proposal, asking.repeat, act, _tell)
    with _voices(asking.uses, signals) as voices:
        judge = assembly.judge(reading.repo, reading.task, *places, os.environ, voices)
        assert judge is not None
        return pull_request.prefer(proposal, asking.repeat, judge, act, _tell, _hear)


@contextmanager
def _voices(uses: Sequence[ModelUse], signals: StopSignals) -> Iterator[Models | None]:
    if not uses:
        yield None
        return
    with assembly.models_aside(uses, os.environ, signals.came) as (voices, caller):
        for use in uses:
            known = caller.look(use)
            models.refuse(use, known, None)
            click.echo(f"evogit: {safe(models.price_words(use, known))}", err=True)
        yield voices


def _tell(side: str, measured: Measurement) -> None:
    said = number(measured.value) if measured.value is not None else measured.status.value
    click.echo(f"evogit: {side} {said}  in {measured.seconds:.3g} s", err=True)


def _hear(heard: Heard) -> None:
    said = _SAID[points(heard.verdicts) or 0.0]
    unknown = sum(call.usd is None for call in heard.calls)
    cost = f"  ({spent_words(spent(heard.calls), len(heard.calls), unknown)})" if heard.calls else ""
    click.echo(f"evogit: the judge {said}{cost}", err=True)
