"""`evogit clean`: remove runs and what they left behind, or prune one to what is worth keeping."""

from __future__ import annotations

import os
import sys
from collections.abc import Collection, Sequence

import click

from evogit.cli import context
from evogit.cli.output import console, plain
from evogit.errors import UsageError
from evogit.model import CommitId, RunName, parse_run_name
from evogit.phylogeny import Keep, chosen
from evogit.store import cleaning, pruning, repository, task
from evogit.store.pruning import Pruning
from evogit.store.repository import Repository


@click.command("clean")
@click.option("--run", "run", metavar="NAME", help="Remove this run: its refs, and what it left in .git/evogit")
@click.option("--all", "everything", is_flag=True, help="Remove every run")
@click.option(
    "--keep", metavar="best|frontier|N", help="Prune the run instead: only these candidates stay, and their origins"
)
@click.option(
    "--gone", metavar="CLONE", multiple=True, help="With --keep: also prune what this clone wrote, which is no more"
)
@click.option("--dry-run", is_flag=True, help="Only say what would be removed")
@click.option("--yes", is_flag=True, help="Do not ask")
def clean_command(
    run: str | None, everything: bool, keep: str | None, gone: Sequence[str], dry_run: bool, yes: bool
) -> None:
    """Remove what runs left behind, or prune one.

    Without --run or --all, only temporary folders of agents that are gone. A run whose agents live is never removed.

    With --keep, the run goes on, without most of its candidates: `best` keeps the best one, `frontier` every gain that
    nothing better has come of, a number so many of the best; always with all they came from, and with what people made
    or spoke of, what nobody has scored yet, and what other clones' journals speak of. Of each of the others its tree,
    parents and scores stay, so that it is not measured again. Other clones follow at their next sync; what --gone names
    (the last six digits of agents' names) only those where a person says so, too.

    Objects stay until git finds them unreachable; `git gc --prune=now` frees them at once.
    """
    repo = context.open_here()
    if keep is not None:
        if run is None or everything:
            raise UsageError("--keep prunes one run; name it with --run")
        _prune(repo, parse_run_name(run), _what(keep), gone, dry_run=dry_run, yes=yes)
        return
    if gone:
        raise UsageError("--gone goes with --keep")
    out = console()
    runs = task.names(repo) if everything else [parse_run_name(run)] if run else []
    removal = cleaning.plan(repo, runs)
    for what in str(removal).splitlines():
        out.print(plain(f"{'would remove' if dry_run else 'remove'} {what}"))
    if dry_run:
        return
    if removal.refs and not yes:
        _confirm(f"this deletes all records of {', '.join(runs)}")
    cleaning.remove(repo, removal)


def _what(keep: str) -> Keep:
    if keep == "best":
        return "best"
    if keep == "frontier":
        return "frontier"
    if keep.isascii() and keep.isdigit() and 0 < int(keep) < 2**31:
        return int(keep)
    raise UsageError(f"--keep {keep!r}: say best, frontier, or how many of the best candidates")


def _prune(repo: Repository, run: RunName, keep: Keep, gone: Sequence[str], *, dry_run: bool, yes: bool) -> None:
    wanted = _chosen(run, keep)
    base = task.read(repo, run).definition.base
    pruning.refuse_living(repo, run)
    made = pruning.plan(repo, run, base, wanted, gone)
    _say(made, dry_run)
    if dry_run or not made.dropped:
        return
    if not yes:
        _confirm(f"this drops the files and records of {len(made.dropped)} candidates of {run}")
    with pruning.alone(repo, run) as held:
        pruning.finish(repo, run)
        made = pruning.plan(repo, run, base, _chosen(run, keep), gone, held)
        agent = pruning.carry_out(repo, made, repository.committer(repo, os.environ, context.now()), context.now())
    console().print(plain(f"{agent} stands for the others now; `git gc --prune=now` frees the space"))


def _chosen(run: RunName, keep: Keep) -> Collection[CommitId]:
    reading = context.read_run(run)
    return chosen(reading.graph, keep, [epoch.evaluator for epoch in reading.epochs])


def _say(made: Pruning, dry_run: bool) -> None:
    would = "would " if dry_run else ""
    out = console()
    out.print(
        plain(f"{would}drop {len(made.dropped)} candidates, written in {len(made.journals)} journals, keep {made.kept}")
    )
    for name in sorted(made.branches):
        out.print(plain(f"{would}remove the branch {name.removeprefix('refs/heads/')}, which leads to one of them"))


def _confirm(what: str) -> None:
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise UsageError(f"{what}; say --yes to mean it")
    click.confirm(f"{what}; go on?", abort=True)
