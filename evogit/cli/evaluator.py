"""`evogit evaluator`: what measures a run, and the way to another epoch."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass
from datetime import datetime

import click

from evogit.cli import context
from evogit.cli.context import Reading
from evogit.cli.output import console, plain, print_json
from evogit.cli.people import who
from evogit.errors import UsageError
from evogit.store import amendments, epochs, freeze, refs, repository, trust
from evogit.store.task import Definition, Task

_FEW = 5


@click.command("evaluator")
@click.argument("action", type=click.Choice(["show", "update"]), default="show", metavar="[show|update]")
@click.option("--dry-run", is_flag=True, help="Only say what would be changed")
@context.run_option
@context.json_option
def evaluator_command(action: str, dry_run: bool, run: str | None, as_json: bool) -> None:
    """Show or change what measures a run.

    `update` takes the [evaluator] table of evogit.toml and the protected files as they are in the work tree, and opens
    an epoch with them. Agents at work turn to it within a second or two, measure the base and the best of before
    again, and only then try anything new. Scores of two epochs are never compared; those of an evaluator that is gone
    back to count again. Base, direction, goal and what may be edited stay.
    """
    reading = context.read_run(run)
    if action == "update":
        _update(reading, dry_run=dry_run, as_json=as_json)
    elif dry_run:
        raise UsageError("--dry-run goes with `evogit evaluator update`")
    else:
        _show(reading, as_json=as_json)


def _show(reading: Reading, *, as_json: bool) -> None:
    found = reading.snapshot.candidates.values()
    scores = Counter(score.evaluator for one in found for score in one.scores)
    rows = [{**asdict(epoch), "scores": scores[epoch.evaluator]} for epoch in reading.epochs]
    evaluator, files = reading.task.definition.config.evaluator, _paths(reading.task.definition)
    if as_json:
        said = {"evaluator": reading.task.definition.evaluator, "command": evaluator.described(), "files": files}
        print_json({"run": reading.task.run, "epoch": len(rows), **said, "epochs": rows})
        return
    out = console()
    for epoch in reading.epochs:
        opened = datetime.fromtimestamp(epoch.opened).astimezone().strftime("%Y-%m-%d %H:%M")
        count = f"{scores[epoch.evaluator]} scores"
        out.print(plain(f"epoch {epoch.number}  {epoch.evaluator[:12]}  since {opened} by {epoch.by}  {count}"))
    out.print(plain(f"runs     {evaluator.described()}"))
    out.print(plain(f"files    {_few(files)}"))


def _paths(definition: Definition) -> list[str]:
    return [path.decode("utf-8", "replace") for path in sorted(definition.files)]


def _few(names: list[str]) -> str:
    return (", ".join(names[:_FEW]) or "none") + (f" and {len(names) - _FEW} more" if len(names) > _FEW else "")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Change:
    """What an update would do: the evaluator it brings, and what of the work tree it leaves aside."""

    new: Definition
    differing: list[str]
    left_aside: list[str]
    number: int
    was_before: str


def _update(reading: Reading, *, dry_run: bool, as_json: bool) -> None:
    change = _prepare(reading)
    after, written = reading.task, False
    if change.new.evaluator != reading.task.definition.evaluator and not dry_run:
        after, written = _write(reading, change)
    if as_json:
        print_json(
            {"run": after.run, "epoch": len(epochs.of(reading.repo, after)), "evaluator": after.definition.evaluator,
             "changed": written, "would_be": change.new.evaluator, "differing": change.differing,
             "left_aside": change.left_aside}
        )  # fmt: skip
        return
    _print(reading, change, after, written=written, dry_run=dry_run)


def _prepare(reading: Reading) -> _Change:
    old = reading.task.definition
    frozen = freeze.freeze(reading.repo)
    new = frozen.definition.at(old.base)
    if reason := amendments.refusal(old, new):
        raise UsageError(f"the evaluator of run {reading.task.run} cannot become that of this work tree: {reason}")
    on_a_branch_of_it = refs.checked_out_run(reading.repo) == reading.task.run
    head = old.base if on_a_branch_of_it else frozen.definition.base
    return _Change(
        new=new,
        differing=epochs.changes(old, new),
        left_aside=sorted({*epochs.unprotected_changes(reading.repo, new, head), *frozen.uncommitted_ignored}),
        number=len(reading.epochs) + 1,
        was_before=reading.measured_by(new.evaluator),
    )


def _write(reading: Reading, change: _Change) -> tuple[Task, bool]:
    person = who(reading.repo)
    signature = repository.signature(person.name, person.email, person.now())
    message = (
        f"evogit: epoch {change.number} of run {reading.task.run}\n\nanother evaluator: {_few(change.differing)}\n"
    )
    # Of a definition that was allowed to run here, only what this work tree itself holds is replaced.
    is_trusted = trust.is_trusted(reading.repo, reading.task)
    after, written = amendments.change_evaluator(reading.repo, reading.task, change.new, signature, message=message)
    if is_trusted and written:
        trust.add(reading.repo, after)
    return after, written


def _print(reading: Reading, change: _Change, after: Task, *, written: bool, dry_run: bool) -> None:
    out, run = console(), after.run
    if change.new.evaluator == reading.task.definition.evaluator or not (written or dry_run):
        out.print(plain(f"run {run} is measured by the evaluator of this work tree already"))
        return
    number = change.number if dry_run else len(epochs.of(reading.repo, after))
    would = "would be" if dry_run else "is now"
    out.print(plain(f"run {run} {would} in epoch {number}, measured by evaluator {change.new.evaluator[:12]}"))
    out.print(plain(f"changed  {_few(change.differing)}"))
    if change.left_aside:
        out.print(plain(f"left     {_few(change.left_aside)}: changed since the base, but no part of the evaluator"))
    if change.new.config.goal not in (reading.task.goal, reading.task.definition.config.goal):
        out.print(plain(f"goal     stays as it was: {reading.task.goal or 'none'}; evogit goal edit changes it"))
    if known := change.was_before if change.was_before.startswith("epoch") else "":
        out.print(plain(f"scores   of {known} count again: it is the same evaluator"))
    out.print(plain("next     agents measure the base and the best of before again, then go on"))
