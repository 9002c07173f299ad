"""`evogit status`: how a run stands, and who and what brought it there."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict
from datetime import datetime

import click
from msgspec import to_builtins
from rich.console import Console
from rich.table import Table

from evogit.cli import context
from evogit.cli.context import Reading
from evogit.cli.output import console, gain, local_time, number, plain, print_json, safe, spent_words
from evogit.harmless import one_line
from evogit.model import CommitId
from evogit.phylogeny import Contribution, Takeover, by_agent, by_operator, lessons, takeover
from evogit.records import Judged, Score
from evogit.store import humans, private
from evogit.store.spending import Spent
from evogit.sync import last_outcomes

_COLUMNS = ("agent", "", "scored", "gains", "merges", "in best", "best", "last")
_DEAREST = 6
_LEFT = ("agent", "", "last")


@click.command("status")
@click.option("-w", "--watch", is_flag=True, help="Show it again every second until Ctrl-C")
@context.run_option
@context.json_option
def status_command(watch: bool, run: str | None, as_json: bool) -> None:
    """Show how a run stands: its goal, its best, its agents, and what is wrong.

    A gain is a candidate that beats all its parents; "in best" counts an agent's candidates that the best one descends
    from.
    """
    reading = context.read_run(run)
    if as_json:
        print_json(_status(reading))
        return
    out = console()
    _print(out, reading)
    while watch:
        time.sleep(1)
        reading = reading.followed()
        reading.snapshot.refresh()
        reading.graph.refresh()
        out.clear()
        _print(out, reading)


def _status(reading: Reading) -> dict[str, object]:
    best = reading.find_best()
    definition = reading.task.definition
    return {
        "run": reading.task.run,
        "state": reading.task.state.value,
        "base": definition.base,
        "goal": reading.task.goal,
        "direction": definition.config.direction.value,
        "evaluator": definition.evaluator,
        "epoch": len(reading.epochs),
        "epoch_since": reading.epochs[-1].opened,
        "scores_not_compared": _not_compared(reading),
        "to_measure_again": reading.to_measure_again(),
        "base_value": reading.base_value,
        "best": best.id if best else None,
        "best_value": reading.value(best.id) if best else None,
        "candidates": len(reading.snapshot.candidates) + len(reading.snapshot.dropped),
        "dropped": len(reading.snapshot.dropped),
        "evaluations": reading.snapshot.evaluations,
        "takeover": asdict(over) if (over := takeover(reading.graph)) else None,
        "spent": asdict(reading.snapshot.spending.total),
        "lessons": len(lessons(reading.graph)),
        "compared": _compared(reading),
        "waiting": _waiting(reading),
        "agents": _agents(reading),
        "operators": {name: asdict(row) for name, row in by_operator(reading.graph).items()},
        "exchanges": [to_builtins(last) for last in last_outcomes(reading.repo)],
        "problems": dict(reading.snapshot.problems),
    }


def _waiting(reading: Reading) -> list[CommitId]:
    """Return the commits of people that nobody has scored yet; the snapshot learns what is wrong with others."""
    return humans.waiting(reading.repo, reading.task.run, reading.task.definition.base, reading.snapshot)


def _not_compared(reading: Reading) -> int:
    """Return how many scores other evaluators than the present one gave."""
    found = reading.snapshot.candidates.values()
    return sum(score.evaluator != reading.snapshot.evaluator for one in found for score in one.scores)


def _epoch(reading: Reading) -> str:
    now = reading.epochs[-1]
    others = "epoch 1" if now.number == 2 else "other epochs"
    again = len(reading.to_measure_again())
    since = datetime.fromtimestamp(now.opened).astimezone().strftime("%Y-%m-%d %H:%M")
    return (
        f"{now.number}, evaluator {now.evaluator[:8]} since {since}; {_not_compared(reading)} scores of {others} are "
        "not compared" + (f"; {again} of the best of before are measured again first" if again else "")
    )


def _spent(reading: Reading) -> str:
    """Return what models cost, in all and by agent, the dearest first."""
    total, budget = reading.snapshot.spending.total, reading.task.definition.config.stop.budget_usd
    each = sorted(reading.snapshot.spending.by_agent.items(), key=lambda item: (-item[1].usd, item[0]))
    named = ", ".join(f"{agent} {spent.usd:.4f}" for agent, spent in each[:_DEAREST])
    of = f" of {budget:g}" if budget else ""
    return f"{spent_words(total.usd, total.calls, total.unknown)}{of} ({named})"


def _agents(reading: Reading) -> list[dict[str, object]]:
    """Return one row for each agent: whether it lives, what it did, its best score and when it was last heard of."""
    living = set(private.living(reading.repo, reading.task.run))
    counts: Counter[str] = Counter()
    best: dict[str, float] = {}
    last: dict[str, str] = {}
    for agent, score, value in _scores(reading):
        counts[agent] += 1
        if isinstance(score, Score):
            last[agent] = max(last.get(agent, ""), score.at)
        known = best.get(agent)
        if score.evaluator != reading.snapshot.evaluator or value is None:
            continue
        if known is None or reading.snapshot.is_better(value, known):
            best[agent] = value
    made = by_agent(reading.graph)
    return [
        {
            "agent": agent,
            "alive": agent in living,
            "evaluations": counts[agent],
            "best_value": best.get(agent),
            "last": last.get(agent),
            "spent_usd": reading.snapshot.spending.by_agent.get(agent, Spent()).usd,
            **asdict(made.get(agent, Contribution())),
        }
        for agent in reading.snapshot.agents
    ]


def _scores(reading: Reading) -> Iterator[tuple[str, Score | Judged, float | None]]:
    """Yield all scores with who gave them and what they are worth, what is left of dropped candidates' included."""
    for candidate in reading.snapshot.candidates.values():
        for score in candidate.scores:
            yield score.agent, score, candidate.ratings.get(score.evaluator) if score.is_passed else score.value
    for stones in reading.snapshot.dropped.values():
        yield from ((stone.of, score, score.value) for stone in stones for score in stone.scores)


def _compared(reading: Reading) -> dict[str, int] | None:
    """Return how many comparisons count, by people and in all, and how many candidates wait for one; None: no judge."""
    if reading.task.definition.config.evaluator.judge is None:
        return None
    known, evaluator = reading.snapshot.candidates.values(), reading.snapshot.evaluator
    said = [
        one for found in known for one in found.comparisons if one.evaluator == evaluator and one.points is not None
    ]
    waiting = sum(found.passed(evaluator) is not None and found.value(evaluator) is None for found in known)
    return {"comparisons": len(said), "by_people": sum(one.by == "person" for one in said), "waiting": waiting}


def _print(out: Console, reading: Reading) -> None:
    task, best = reading.task, reading.find_best()
    out.print(plain(f"run      {task.run}" + ("" if task.state.value == "running" else f"  ({task.state.value})")))
    if task.goal:
        out.print(plain(f"goal     {task.goal} ({task.definition.config.direction.value})"))
    if len(reading.epochs) > 1:
        out.print(plain(f"epoch    {_epoch(reading)}"))
    out.print(plain(f"base     {task.definition.base[:12]}  {number(reading.base_value)}"))
    if best:
        value = reading.value(best.id)
        words = f"{best.id[:12]}  {number(value)}  {gain(value, reading.base_value)}  {reading.subject(best.id)}"
        out.print(plain(f"best     {words}"))
    known = reading.snapshot
    dropped = len(known.dropped)
    all_of_them = len(known.candidates) + dropped
    pruned = f", {dropped} of them dropped since" if dropped else ""
    out.print(plain(f"scored   {known.evaluations} evaluations of {all_of_them} candidates{pruned}"))
    if judged := _compared(reading):
        people = f", {judged['by_people']} of them by people" if judged["by_people"] else ""
        waits = f"; {judged['waiting']} candidates wait for one" if judged["waiting"] else ""
        out.print(plain(f"compared {judged['comparisons']} comparisons{people}{waits}"))
    if known.spending.total.calls:
        out.print(plain(f"spent    {_spent(reading)}"))
    if learned := lessons(reading.graph):
        count = "1 lesson" if len(learned) == 1 else f"{len(learned)} lessons"
        out.print(plain(f"learned  {count} (evogit log --lessons), the last: {one_line(learned[0].text, 400)}"))
    for name, row in by_operator(reading.graph).items():
        useless = f", {row.useless} came to nothing" if row.useless else ""
        out.print(plain(f"{name:8} {row.candidates} candidates, {row.gains} gains, {row.in_best} in best{useless}"))
    if over := takeover(reading.graph):
        out.print(plain(f"takeover {_takeover(reading, over)}"))
    for commit in _waiting(reading):
        out.print(plain(f"waiting  {commit[:12]} of a person for a living agent: {reading.subject(commit)}"))
    out.print(_table(reading))
    for last in last_outcomes(reading.repo):
        out.print(plain(f"remote   {last.remote}  {local_time(last.at)}  {last.words}"))
    for where, what in known.problems.items():
        out.print(plain(f"problem  {where}: {what}"))


def _takeover(reading: Reading, over: Takeover) -> str:
    return (
        f"{over.descend} of the last {over.recent} candidates descend from {over.commit[:12]}  "
        f"{number(reading.value(over.commit))}  {reading.subject(over.commit)}"
    )


def _table(reading: Reading) -> Table:
    table = Table(box=None, pad_edge=False)
    for heading in _COLUMNS:
        table.add_column(heading, justify="left" if heading in _LEFT else "right")
    rows = _agents(reading)
    table.columns[0].min_width = max((len(str(row["agent"])) for row in rows), default=0)  # names are for copying
    for row in rows:
        best = row["best_value"]
        table.add_row(
            safe(str(row["agent"])),
            "alive" if row["alive"] else "",
            *(str(row[name]) for name in ("evaluations", "gains", "merges", "in_best")),
            number(best if isinstance(best, float) else None),
            local_time(str(row["last"])),
        )
    return table
