"""Commands that show where candidates came from: `tree`, `lineage`."""

from __future__ import annotations

import re
from collections.abc import Iterator

import click
from rich.console import Console
from rich.text import Text

from evogit import promote
from evogit.cli import context
from evogit.cli.context import Reading
from evogit.cli.output import console, gain, number, plain, print_json, safe
from evogit.errors import UsageError
from evogit.merging import Mates
from evogit.model import CommitId
from evogit.phylogeny import attributes
from evogit.store import inspection

_TIPS = 6
_MARK = re.compile(r"\x01([0-9a-f]{40})")


@click.command("tree")
@click.option("-n", "count", type=click.IntRange(1), default=40, show_default=True, help="How many candidates")
@click.option("--all", "everything", is_flag=True, help="Every candidate, not only the best lineages")
@context.run_option
@context.json_option
def tree_command(count: int, everything: bool, run: str | None, as_json: bool) -> None:
    """Draw the family tree with scores, newest first.

    Shown are the lineages of the best candidates that nothing better has come of; with --all, every candidate. A star
    is a candidate, `M` a merge; `+` marks scores that beat all parents. --json always has every candidate.
    """
    reading = context.read_run(run)
    if as_json:
        print_json(_as_json(reading))
        return
    graph = reading.graph
    tips = graph.tips() if everything else _best_tips(reading)
    out = console()
    shown = 0
    for line in inspection.draw(reading.repo, tips, graph.base):
        found = _MARK.search(line)
        shown += found is not None
        if shown > count and not everything:
            out.print(plain(f"… older ones: evogit tree -n {2 * count}, or --all"))
            break
        out.print(_labelled(reading, line, CommitId(found[1])) if found else plain(line))


def _best_tips(reading: Reading) -> list[CommitId]:
    graph = reading.graph
    promising = Mates(reading.repo, graph).pool()[:_TIPS]
    best = graph.best()
    return list(dict.fromkeys([*([best.id] if best else []), *promising])) or [graph.base]


def _labelled(reading: Reading, line: str, commit: CommitId) -> Text:
    graph = reading.graph
    drawing = line[: line.index("\x01")]
    value = graph.value(commit)
    candidate = reading.snapshot.candidates.get(commit)
    made = candidate.proposal if candidate else None
    sign = "M" if len(graph.ancestry.parents(commit)) > 1 else " "
    mark = "+" if graph.is_gain(commit) else " "
    said = number(value) if value is not None or candidate is None else _status(reading, commit)
    who = "base" if commit == graph.base else made.agent if made else "-"
    pruned = "  (pruned)" if not graph.may_build_on(commit) else ""
    words = f"{commit[:9]} {sign}{mark}{said:>11}  {safe(who)}  {reading.subject(commit)}{pruned}"
    leader = value is not None and value == graph.field.best
    return Text.assemble(safe(drawing), (safe(words), "bold" if leader else ""))


def _status(reading: Reading, commit: CommitId) -> str:
    return str(attributes(reading.graph, commit).get("status", "-"))


def _as_json(reading: Reading) -> dict[str, object]:
    graph = reading.graph
    best = graph.best()
    nodes = [
        {"commit": commit, "parents": graph.ancestry.parents(commit), **attributes(graph, commit)}
        for commit in graph.members()
    ]
    return {
        "run": reading.task.run,
        "base": graph.base,
        "best": best.id if best else None,
        "tips": graph.tips(),
        "diversity": graph.diversity(Mates(reading.repo, graph).pool()),
        "nodes": nodes,
    }


@click.command("lineage")
@click.argument("revision", metavar="REV", required=False)
@click.option("-p", "--patch", is_flag=True, help="With the change of each step")
@context.run_option
@context.json_option
def lineage_command(revision: str | None, patch: bool, run: str | None, as_json: bool) -> None:
    """Show step by step how a candidate came to be, from the base on.

    Each step has its score, what it gained on the step before, who made it how, and what was tried; a merge names the
    other lineages it brought in. REV is a commit, an agent's name or `best` (the default).
    """
    reading = context.read_run(run)
    commit = reading.resolve(revision)
    if commit not in reading.graph.ancestry:
        raise UsageError(f"{commit[:12]} is no candidate of run {reading.task.run}; see `evogit log`")
    steps = list(_steps(reading, commit, patch))
    if as_json:
        print_json({"run": reading.task.run, "commit": commit, "steps": steps})
        return
    out = console()
    for number_, step in enumerate(steps):
        _print_step(out, reading, number_, step)


def _steps(reading: Reading, commit: CommitId, patch: bool) -> Iterator[dict[str, object]]:
    graph = reading.graph
    before: CommitId | None = None
    for at in graph.lineage(commit):
        known = attributes(graph, at)
        value, last = graph.value(at), graph.value(before) if before else None
        step: dict[str, object] = {
            "commit": at,
            "value": value,
            "gain": value - last if value is not None and last is not None else None,
            "operator": known.get("operator"),
            "agent": known.get("agent"),
            "subject": reading.subject(at),
            "merged": graph.ancestry.parents(at)[1:],
        }
        if patch and before:
            step["patch"] = promote.patch(reading.repo, before, at).decode("utf-8", "replace")
        yield step
        before = at


def _print_step(out: Console, reading: Reading, count: int, step: dict[str, object]) -> None:
    value, gained = step["value"], step["gain"]
    said = number(value if isinstance(value, float) else None)
    more = gain(value, value - gained) if isinstance(value, float) and isinstance(gained, float) else ""
    what = "(the base)" if count == 0 else f"{step['operator'] or '-'}  {step['agent'] or '-'}  {step['subject']}"
    out.print(plain(f"{count:4}  {str(step['commit'])[:9]}  {said:>11}  {more:>10}  {what}"))
    merged = step["merged"]
    for other in merged if isinstance(merged, list) else []:
        out.print(plain(f"      with {other[:9]}  {number(reading.value(other)):>6}  {reading.subject(other)}"))
    if "patch" in step:
        out.print(plain(str(step["patch"])))
