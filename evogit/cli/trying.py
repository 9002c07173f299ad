"""Commands that measure now and record nothing: `try` the files of the work tree as they are, `evaluate` a commit."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping

import click
import msgspec

from evogit import assembly, edits
from evogit.cli import confine, context
from evogit.cli.candidate import show_details
from evogit.cli.output import console, number, plain, print_json
from evogit.cli.signals import StopSignals
from evogit.errors import UsageError
from evogit.model import CommitId, Edit, Measurement, RepoPath, Status, TreeId
from evogit.proposers.command.taking import taking
from evogit.sandbox import Cancelled
from evogit.store import commits, freeze, leavings, task, trees
from evogit.store.repository import Repository
from evogit.store.task import Task

_EXIT_CODES = {Status.OK: 0, Status.ERROR: 125}
"""Of a measurement that is not recorded; 1 for all others."""


@click.command("try")
@context.run_option
@confine.sandbox_options
@context.json_option
def try_command(run: str | None, as_json: bool) -> None:
    """Measure the work tree as it is, uncommitted, with the evaluator of the run.

    Nothing is recorded or committed. What counts is what an agent might change: editable text files, without new ones
    that Git ignores; all else is as in HEAD. Without a run, the evaluator is that of evogit.toml. Exit codes are those
    of `evogit evaluate`. A coding agent that evogit runs has a command of this name that scores its own files.
    """
    signals = StopSignals()
    repo = context.open_here()
    chosen = _chosen(repo, run)
    tree = _as_it_is(repo, chosen)
    with assembly.aside(repo, chosen, confine.sandbox(repo), signals.came) as (folder, launcher):
        try:
            measured = assembly.meter(repo, chosen, folder, launcher, os.environ).measure(tree)
        except Cancelled:
            sys.exit(signals.exit_code)
    _print_measurement("work tree", {"tree": tree}, measured, launcher.kind, as_json=as_json)
    sys.exit(_EXIT_CODES.get(measured.status, 1))


def _chosen(repo: Repository, run: str | None) -> Task:
    if run is not None or task.names(repo):
        return context.read_run(run).task
    return task.unwritten(repo, freeze.freeze(repo).definition)


def _as_it_is(repo: Repository, chosen: Task) -> TreeId:
    """Return the tree of HEAD with what was changed in the work tree; only objects are written.

    Raises:
        UsageError: there is no work tree, or what was changed there could not become a candidate.
        StorageError: Git cannot be read or written.
    """
    if repo.work is None:
        raise UsageError("this repository has no work tree; `evogit evaluate REV` measures a commit")
    head = TreeId(str(repo.commit(commits.resolve(repo, "HEAD")).tree_id))
    before = trees.files(repo, head)
    try:
        found = leavings.read(repo.work, before, taking(repo, chosen.definition, before))
    except ValueError as error:
        raise UsageError(f"the work tree cannot be measured: {error}") from error
    if not found.files:
        return head
    changed = {RepoPath(os.fsdecode(path)): content for path, content in found.files.items()}
    marked = frozenset(RepoPath(os.fsdecode(path)) for path in found.executable)
    known = {
        path: trees.read_blob(repo, before[os.fsencode(path)].id) for path in changed if os.fsencode(path) in before
    }
    if why := edits.refusal(Edit(files=changed, subject="", executable=marked), chosen.definition, known):
        raise UsageError(f"no agent could propose this: {why}")
    return trees.with_files(repo, head, changed, marked)


@click.command("evaluate")
@click.argument("revision", metavar="REV", required=False)
@context.run_option
@confine.sandbox_options
@context.json_option
def evaluate_command(revision: str | None, run: str | None, as_json: bool) -> None:
    """Measure a commit now, with the evaluator of the run; nothing is recorded.

    Without a run, the evaluator is that of evogit.toml. REV is any commit; default: HEAD. Exit code 0: it has a score;
    1: it has none; 125: the evaluator itself broke, so `git bisect run evogit evaluate HEAD` skips it.
    """
    signals = StopSignals()
    chosen, commit = _what_to_measure(run, revision)
    repo = context.open_here()
    tree = TreeId(str(repo.commit(commit).tree_id))
    with assembly.aside(repo, chosen, confine.sandbox(repo), signals.came) as (folder, launcher):
        try:
            measured = assembly.meter(repo, chosen, folder, launcher, os.environ).measure(tree)
        except Cancelled:
            sys.exit(signals.exit_code)
    _print_measurement(commit[:12], {"commit": commit}, measured, launcher.kind, as_json=as_json)
    sys.exit(_EXIT_CODES.get(measured.status, 1))


def _what_to_measure(run: str | None, revision: str | None) -> tuple[Task, CommitId]:
    repo = context.open_here()
    if run is not None or task.names(repo):
        reading = context.read_run(run)
        return reading.task, reading.resolve(revision or "HEAD")
    definition = freeze.freeze(repo).definition
    return task.unwritten(repo, definition), commits.resolve(repo, revision or "HEAD")


def _print_measurement(
    name: str, what: Mapping[str, str], measured: Measurement, sandbox: str, *, as_json: bool
) -> None:  # fmt: skip
    """Print a measurement that is not recorded, of what has this name, or as JSON `what` says."""
    if as_json:
        print_json({**what, "sandbox": sandbox, **msgspec.to_builtins(measured)})
        return
    out = console()
    said = number(measured.value) if measured.value is not None else measured.status.value
    out.print(plain(f"{name}  {said}  in {measured.seconds:.3g} s, sandbox {sandbox}"))
    show_details(out, measured)
