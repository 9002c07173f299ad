"""Commands that list: what a run tried (`log`), and the runs (`runs`)."""

from __future__ import annotations

from collections.abc import Sequence

import click

from evogit.cli import context
from evogit.cli.context import Reading
from evogit.cli.live import scores
from evogit.cli.output import console, local_time, number, plain, print_json
from evogit.errors import EvogitError
from evogit.harmless import one_line
from evogit.model import AgentName, CommitId
from evogit.phylogeny import Learned, lessons
from evogit.records import Score
from evogit.store import task
from evogit.store.candidate import Event


@click.command("log")
@click.option("-n", "count", type=click.IntRange(1), default=20, show_default=True, help="How many")
@click.option("--all", "everything", is_flag=True, help="All of them")
@click.option("--lessons", "learned", is_flag=True, help="What models learned from what was tried, in its place")
@context.run_option
@context.json_option
def log_command(count: int, everything: bool, learned: bool, run: str | None, as_json: bool) -> None:
    """List what was tried, newest first.

    Scores of other epochs say so: they were given by another evaluator, and are not compared. With --lessons, what
    agents with `reflects` in their definition had models learn from it; the scores after a lesson are of its evidence.
    """
    reading = context.read_run(run)
    if learned:
        found = lessons(reading.graph)
        _lessons(reading, found if everything else found[:count], as_json)
        return
    events = [
        Event(candidate.id, score) for candidate in reading.snapshot.candidates.values() for score in candidate.scores
    ]
    chosen = scores(events)[::-1]
    chosen = chosen if everything else chosen[:count]
    if as_json:
        print_json({"run": reading.task.run, "log": [_log_row(reading, event) for event in chosen]})
        return
    out = console()
    best = reading.snapshot.best_value
    for event in chosen:
        record = event.record
        assert isinstance(record, Score)
        said = number(record.value) if record.value is not None else record.status.value
        who = f"{event.commit[:9]}  {said:>12}  {local_time(record.at)}  {record.agent}"
        other = reading.measured_by(record.evaluator)
        style = "bold" if not other and record.value is not None and record.value == best else ""
        out.print(plain(f"{who}  {_subject(reading, event.commit)}{f'  ({other})' if other else ''}"), style=style)


def _lessons(reading: Reading, found: Sequence[Learned], as_json: bool) -> None:
    if as_json:
        rows = [
            {"text": one.text, "evidence": one.lesson.evidence, "known": list(one.evidence), "at": one.lesson.at,
             "agent": one.lesson.agent, "model": one.lesson.model}
            for one in found
        ]  # fmt: skip
        print_json({"run": reading.task.run, "lessons": rows})
        return
    out = console()
    if not found:
        out.print("nothing was learned yet; agents whose definition sets `reflects` have models draw lessons")
    for one in found:
        out.print(plain(f"{local_time(one.lesson.at)}  {one.lesson.agent}  {one_line(one.text, 400)}"))
        shown = "  ".join(f"{commit[:9]} {number(reading.value(commit))}" for commit in one.evidence)
        out.print(plain(f"  {shown or 'its evidence is not known here'}"))


def _subject(reading: Reading, commit: CommitId) -> str:
    return "(the base)" if commit == reading.task.definition.base else reading.subject(commit)


def _log_row(reading: Reading, event: Event) -> dict[str, object]:
    record = event.record
    assert isinstance(record, Score)
    return {
        "commit": event.commit,
        "status": record.status.value,
        "value": record.value,
        "evaluator": record.evaluator,
        "epoch": [epoch.number for epoch in reading.epochs if epoch.evaluator == record.evaluator],
        "at": record.at,
        "agent": AgentName(record.agent),
        "seconds": record.seconds,
        "subject": _subject(reading, event.commit),
    }


@click.command("runs")
@context.json_option
def runs_command(as_json: bool) -> None:
    """List the runs of this repository, the newest first."""
    repo = context.open_here()
    rows = []
    for name in task.names(repo):
        try:
            reading = context.read_run(name)
        except EvogitError as error:
            rows.append({"run": name, "started": 0, "problem": str(error)})
            continue
        best = reading.find_best()
        rows.append(
            {
                "run": name,
                "started": reading.task.started,
                "base": reading.task.definition.base,
                "state": reading.task.state.value,
                "goal": reading.task.goal,
                "epoch": len(reading.epochs),
                "agents": len(reading.snapshot.agents),
                "evaluations": reading.snapshot.evaluations,
                "base_value": reading.base_value,
                "best": best.id if best else None,
                "best_value": reading.value(best.id) if best else None,
            }
        )
    rows.sort(key=lambda row: (str(row["started"]).zfill(20), str(row["run"])), reverse=True)
    if as_json:
        print_json({"runs": rows})
        return
    out = console()
    if not rows:
        out.print("no runs yet; start one with `evogit run`")
    for row in rows:
        out.print(plain(_run_line(row)))


def _run_line(row: dict[str, object]) -> str:
    if "problem" in row:
        return f"{row['run']}  cannot be read: {row['problem']}"
    base, best = row["base_value"], row["best_value"]
    base_value, best_value = (value if isinstance(value, float) else None for value in (base, best))
    state = "" if row["state"] == "running" else f" ({row['state']})"
    state += "" if row["epoch"] == 1 else f" (epoch {row['epoch']})"
    goal, _, more = str(row["goal"]).partition("\n")
    return (
        f"{row['run']}{state}  {row['evaluations']} evaluations by {row['agents']} agents  "
        f"{number(base_value)} → {number(best_value)}  {goal}{' …' if more else ''}".rstrip()
    )
