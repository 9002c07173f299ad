"""Which run `evogit run` goes on with, when it begins another, and which definitions of agents join it."""

from __future__ import annotations

import os
from collections.abc import Mapping

from evogit.cli import context
from evogit.errors import StorageError, UsageError
from evogit.model import RunName, parse_run_name
from evogit.store import amendments, definitions, epochs, private, refs, repository, task
from evogit.store.repository import Repository
from evogit.store.task import Definition, Task

_FEW = 5
_PARTS = ("base", "goal", "direction", "editable", "protected", "evaluator or its files")
_MEASURING = {"protected", "evaluator or its files"}


def take_up(repo: Repository, definition: Definition, *, name: str | None, new: bool) -> tuple[Task, bool]:
    """Return the run to go on with, or the one begun now (True).

    Raises:
        UsageError: the named run is of another definition, or there is nothing to evolve.
        StorageError: Git would not read or write.
    """
    wanted = parse_run_name(name) if name else None
    if wanted and wanted in task.names(repo):
        if new:
            raise UsageError(
                f"there is a run {wanted!r} already; leave out --new to go on with it, or choose another name"
            )
        found = task.read(repo, wanted)
        if differing := _differing(repo, found, definition):
            raise UsageError(_other_definition(repo, found, definition, differing))
        return found, False
    if wanted is None and not new:
        for found in task.newest(repo):
            if not _differing(repo, found, definition):
                return found, False
    _refuse_empty(repo, definition)
    chosen = wanted or _new_name(repo)
    with private.creating(repo, chosen):
        return task.create(repo, chosen, definition, repository.committer(repo, os.environ, context.now())), True


def run_passed_over(repo: Repository, begun: Task) -> str | None:
    """Return what to say of a run that would have been gone on with, were its evaluator not another; or None."""
    for found in task.newest(repo):
        differing = _differing(repo, found, begun.definition)
        if found.run != begun.run and differing and set(differing) <= _MEASURING:
            return (
                f"run {found.run} has another evaluator, so this is a run of its own; to go on there instead, Ctrl-C "
                f"and `evogit evaluator update --run {found.run}`"
            )
    return None


def _differing(repo: Repository, found: Task, definition: Definition) -> list[str]:
    """Return in which parts a definition is not that of a run; none when it goes on with it.

    A base that differs in protected files only is no other one, nor is any on a branch of the run: a person who works
    on such a branch means to go on with that run, and not to begin another from their own commit.
    """
    old, new = found.definition, definition
    names = [name for name, left, right in zip(_PARTS, old.key, new.key, strict=True) if left != right]
    if "base" in names and (refs.checked_out_run(repo) == found.run or _starts_alike(repo, old, new)):
        names.remove("base")
    return names


def _starts_alike(repo: Repository, old: Definition, new: Definition) -> bool:
    try:
        return not epochs.unprotected_changes(repo, new.at(old.base), new.base)
    except StorageError:
        return False  # what cannot be compared is not taken for the same


def _other_definition(repo: Repository, found: Task, definition: Definition, differing: list[str]) -> str:
    run, changed = found.run, epochs.changes(found.definition, definition)
    named = ", ".join(changed[:_FEW]) + (f" and {len(changed) - _FEW} more" if len(changed) > _FEW else "")
    update = f"`evogit evaluator update --run {run}`"
    may_update = bool(changed) and not {"direction", "editable"} & set(differing)
    if not may_update or "base" in differing:
        more = f"; its evaluator differs as well ({named}): {update} opens an epoch with this one" if may_update else ""
        return (
            f"run {run!r} was begun with another definition ({', '.join(differing)}); "
            f"begin another with --new, or go back to that commit and evogit.toml{more}"
        )
    known = epochs.of(repo, found)
    if earlier := [epoch for epoch in known if epoch.evaluator == definition.evaluator]:
        return (
            f"run {run!r} is in epoch {len(known)} with a newer evaluator, and this work tree has that of epoch "
            f"{earlier[-1].number} ({named}): take over the new files, or join with `evogit agent NAME --run {run}`; "
            f"{update} goes back to it"
        )
    return (
        f"the evaluator of run {run!r} is another than that of this work tree ({named}): {update} opens an epoch with "
        "this one, --new begins another run"
    )


def _refuse_empty(repo: Repository, definition: Definition) -> None:
    if not task.has_editable_file(repo, definition):
        raise UsageError(
            "no tracked file may be edited: all are protected, or none matches `editable` in evogit.toml; "
            'name the files to evolve there, e.g. editable = ["src/**"]'
        )


def _new_name(repo: Repository) -> RunName:
    stem = context.now().strftime("%Y%m%d-%H%M%S")
    taken = set(task.names(repo))
    names = [stem, *(f"{stem}-{number}" for number in range(2, 100))]
    return next(parse_run_name(name) for name in names if name not in taken)


def adopt(repo: Repository, chosen: Task, wanted: Mapping[str, bytes]) -> Task:
    """Return a run's task with these definitions of agents frozen into it.

    Raises:
        UsageError: it has another one of that name.
        StorageError: Git would not write it.
    """
    missing = definitions.not_frozen(chosen, wanted)
    if not missing:
        return chosen
    signature = repository.committer(repo, os.environ, context.now())
    message = f"evogit: agents {', '.join(sorted(missing))} for run {chosen.run}\n"
    return amendments.amend(repo, chosen.run, signature, message=message, agents=missing)[0]
