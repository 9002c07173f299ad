"""What `evogit run` shows while agents work: a table on a terminal, one line an event anywhere else."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from rich.console import Console
from rich.live import Live
from rich.table import Table

from evogit.cli import context
from evogit.cli.context import Reading
from evogit.cli.output import gain, local_time, number, plain, safe
from evogit.model import AgentName, CommitId, RunName
from evogit.records import Score
from evogit.store.candidate import Event
from evogit.store.task import State

_RECENT = 8


class Lines:
    """One line for each evaluation, as it becomes known."""

    def __init__(self, console: Console, reading: Reading, session: str) -> None:
        self._console, self._reading, self._session = console, reading, session
        self._best: float | None = reading.snapshot.best_value
        self._state = State.RUNNING

    def __enter__(self) -> Lines:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def hear(self, reading: Reading) -> None:
        """Say when people pause the run or let it go on, or another epoch begins."""
        old, self._reading = self._reading, reading
        if reading.task.definition.evaluator != old.task.definition.evaluator:
            self._best = reading.snapshot.best_value
            self._console.print(plain(context.epoch_words(reading.repo, reading.task)))
        if reading.task.state is not self._state:
            self._state = reading.task.state
            self._console.print(plain(f"run {reading.task.run} {_words(self._state, reading.task.run)}"))

    def update(self, events: Sequence[Event]) -> None:
        """Print what is new."""
        for event in scores(events):
            record = event.record
            assert isinstance(record, Score)
            other = self._reading.measured_by(record.evaluator)
            better = (
                not other
                and record.value is not None
                and (self._best is None or self._reading.snapshot.is_better(record.value, self._best))
            )
            self._best = record.value if better else self._best
            what = _subject(self._reading, event.commit) + (f"  ({other})" if other else "")
            said = number(record.value) if record.value is not None else record.status.value
            mark = "best" if better else ""
            self._console.print(plain(f"{local_time(record.at)}  {record.agent}  {said:>12}  {mark:4}  {what}"))


class Board:
    """A table that is drawn again in place."""

    def __init__(self, console: Console, reading: Reading, session: str, evals: int | None) -> None:
        self._reading, self._session, self._evals = reading, session, evals
        self._count: Counter[str] = Counter()
        self._recent: list[Event] = []
        self._state = State.RUNNING
        self._live = Live(console=console, refresh_per_second=4, transient=True)

    def __enter__(self) -> Board:
        self._live.__enter__()
        return self

    def __exit__(self, *details: object) -> None:
        self._live.__exit__(None, None, None)

    def hear(self, reading: Reading) -> None:
        """Show from now on what people want of the run."""
        self._reading, self._state = reading, reading.task.state

    def update(self, events: Sequence[Event]) -> None:
        """Draw what is known now."""
        for event in scores(events):
            if event.record.session == self._session:
                self._count[event.record.agent] += 1
        self._recent = [*self._recent, *scores(events)][-_RECENT:]
        self._live.update(self._draw())

    def _draw(self) -> Table:
        snapshot = self._reading.snapshot
        best = snapshot.best_value
        done = snapshot.evaluations_of(self._session)
        of = f" of {self._evals}" if self._evals else ""
        epoch = f", epoch {len(self._reading.epochs)}" if len(self._reading.epochs) > 1 else ""
        title = f"run {self._reading.task.run}{epoch}: {done}{of} evaluations, best {number(best)}"
        if self._state is not State.RUNNING:
            title = f"{title}; {_words(self._state, self._reading.task.run)}"
        base = self._reading.base_value
        table = Table(title=f"{title} ({gain(best, base)} from {number(base)})", title_justify="left", box=None)
        for heading in ("time", "agent", "score", "what was tried"):
            table.add_column(heading, justify="right" if heading == "score" else "left", no_wrap=True)
        for event in reversed(self._recent):
            record = event.record
            assert isinstance(record, Score)
            said = number(record.value) if record.value is not None else record.status.value
            other = self._reading.measured_by(record.evaluator)
            table.add_row(
                local_time(record.at),
                f"{record.agent} ({self._count[AgentName(record.agent)]})",
                said,
                plain(_subject(self._reading, event.commit) + (f"  ({other})" if other else "")),
                style="bold" if not other and record.value is not None and record.value == best else "",
            )
        return table


def scores(events: Sequence[Event]) -> list[Event]:
    """Return the measurements among events, in the order they were made."""
    return sorted((e for e in events if isinstance(e.record, Score)), key=lambda e: (e.record.at, e.record.seq))


def _words(state: State, run: RunName) -> str:
    if state is State.RUNNING:
        return "goes on"
    return f"is {state.value}; evogit resume --run {run} lets it go on"


def _subject(reading: Reading, commit: CommitId) -> str:
    return "(the base)" if commit == reading.task.definition.base else safe(reading.subject(commit))
