"""Commands that look at a run as a whole: `status`, `log`, `runs`."""

from __future__ import annotations

import time
from collections import Counter

import click
from rich.console import Console
from rich.table import Table

from evogit.cli import context
from evogit.cli.context import Reading
from evogit.cli.live import scores
from evogit.cli.output import console, gain, local_time, number, plain, print_json, safe
from evogit.errors import EvogitError
from evogit.model import AgentName, CommitId
from evogit.records import Score
from evogit.store import private, task
from evogit.store.candidate import Event


@click.command("status")
@click.option("-w", "--watch", is_flag=True, help="Show it again every second until Ctrl-C")
@context.run_option
@context.json_option
def status_command(watch: bool, run: str | None, as_json: bool) -> None:
    """Show how a run stands: its goal, its best, its agents, and what is wrong."""
    reading = context.read_run(run)
    if as_json:
        print_json(_status(reading))
        return
    out = console()
    _print_status(out, reading)
    while watch:
        time.sleep(1)
        reading.snapshot.refresh()
        out.clear()
        _print_status(out, reading)


def _status(reading: Reading) -> dict[str, object]:
    best = reading.snapshot.best()
    definition = reading.task.definition
    return {
        "run": reading.task.run,
        "base": definition.base,
        "goal": definition.config.goal,
        "direction": definition.config.direction.value,
        "evaluator": definition.evaluator,
        "base_value": reading.base_value,
        "best": best.id if best else None,
        "best_value": reading.value(best.id) if best else None,
        "candidates": len(reading.snapshot.candidates),
        "evaluations": reading.snapshot.evaluations,
        "agents": _agents(reading),
        "problems": dict(reading.snapshot.problems),
    }


def _agents(reading: Reading) -> list[dict[str, object]]:
    """Return one row for each agent: whether it lives, what it did, its best score and when it was last heard of."""
    living = set(private.living(reading.repo, reading.task.run))
    counts: Counter[str] = Counter()
    best: dict[str, float] = {}
    last: dict[str, str] = {}
    for candidate in reading.snapshot.candidates.values():
        for score in candidate.scores:
            counts[score.agent] += 1
            last[score.agent] = max(last.get(score.agent, ""), score.at)
            known = best.get(score.agent)
            if score.value is not None and (known is None or reading.snapshot.is_better(score.value, known)):
                best[score.agent] = score.value
    return [
        {
            "agent": agent,
            "alive": agent in living,
            "evaluations": counts[agent],
            "best_value": best.get(agent),
            "last": last.get(agent),
        }
        for agent in reading.snapshot.agents
    ]


def _print_status(out: Console, reading: Reading) -> None:
    status = _status(reading)
    best = reading.snapshot.best()
    out.print(plain(f"run      {reading.task.run}"))
    if reading.task.definition.config.goal:
        out.print(plain(f"goal     {reading.task.definition.config.goal} ({status['direction']})"))
    out.print(plain(f"base     {reading.task.definition.base[:12]}  {number(reading.base_value)}"))
    if best:
        value = reading.value(best.id)
        words = f"{best.id[:12]}  {number(value)}  {gain(value, reading.base_value)}  {reading.subject(best.id)}"
        out.print(plain(f"best     {words}"))
    out.print(
        plain(f"scored   {reading.snapshot.evaluations} evaluations of {len(reading.snapshot.candidates)} candidates")
    )
    table = Table(box=None, pad_edge=False)
    for heading in ("agent", "", "evaluations", "best", "last"):
        table.add_column(heading, justify="right" if heading in ("evaluations", "best") else "left")
    for row in _agents(reading):
        best_of = row["best_value"]
        table.add_row(
            safe(str(row["agent"])),
            "alive" if row["alive"] else "",
            str(row["evaluations"]),
            number(best_of if isinstance(best_of, float) else None),
            local_time(str(row["last"])),
        )
    out.print(table)
    for where, what in reading.snapshot.problems.items():
        out.print(plain(f"problem  {where}: {what}"))


@click.command("log")
@click.option("-n", "count", type=click.IntRange(1), default=20, show_default=True, help="How many")
@click.option("--all", "everything", is_flag=True, help="All of them")
@context.run_option
@context.json_option
def log_command(count: int, everything: bool, run: str | None, as_json: bool) -> None:
    """List what was tried, newest first."""
    reading = context.read_run(run)
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
        style = "bold" if record.value is not None and record.value == best else ""
        out.print(plain(f"{who}  {_subject(reading, event.commit)}"), style=style)


def _subject(reading: Reading, commit: CommitId) -> str:
    return "(the base)" if commit == reading.task.definition.base else reading.subject(commit)


def _log_row(reading: Reading, event: Event) -> dict[str, object]:
    record = event.record
    assert isinstance(record, Score)
    return {
        "commit": event.commit,
        "status": record.status.value,
        "value": record.value,
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
        best = reading.snapshot.best()
        rows.append(
            {
                "run": name,
                "started": reading.task.started,
                "base": reading.task.definition.base,
                "goal": reading.task.definition.config.goal,
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
    return (
        f"{row['run']}  {row['evaluations']} evaluations by {row['agents']} agents  "
        f"{number(base_value)} → {number(best_value)}  {row['goal']}".rstrip()
    )
