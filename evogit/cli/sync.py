"""`evogit sync`: exchange runs with a remote, once or again and again, or write them into a bundle."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from random import Random

import click

from evogit.cli import context
from evogit.cli.output import console, local_time, plain, print_json
from evogit.cli.signals import StopSignals
from evogit.errors import RemoteUnreachable, UsageError
from evogit.model import RunName, parse_run_name
from evogit.store import remote as remotes
from evogit.store import remote_git, tracking
from evogit.store.repository import Repository
from evogit.store.takeover import Situation
from evogit.sync import Exchange, Outcome, Pace, Report, Wish, keep_in_step, once


@click.command("sync")
@click.argument("remote", metavar="[REMOTE]", required=False)
@click.option("--run", "run", metavar="NAME", help="Only this run; default: all runs of both sides")
@click.option("--every", type=click.FloatRange(1, 86_400), metavar="SECONDS", help="Go on until Ctrl-C")
@click.option("--publish-branches", is_flag=True, help="Also push the branches of this clone's agents")
@click.option("--write", "bundle", metavar="FILE", help="Write a bundle that carries the runs; no remote is asked")
@click.option("--dry-run", is_flag=True, help="Only say what would move")
@context.json_option
@click.option("--launcher", type=int, hidden=True, help="End when this process is gone")
def sync_command(
    remote: str | None,
    run: str | None,
    every: float | None,
    publish_branches: bool,
    bundle: str | None,
    dry_run: bool,
    as_json: bool,
    launcher: int | None,
) -> None:
    """Exchange runs with a remote: take over what others wrote, and send what it lacks.

    REMOTE is a configured remote, an address, a path or a bundle file; default: origin, or the only one. Journals and
    tasks only ever grow, here and there: nothing is forced, and what a remote shows is checked before it is taken over.
    With --every, only this clone's own journals are sent.

    Exit code 6: the remote cannot be reached, refused something, or shows what was not taken over.
    """
    repo = context.open_here()
    chosen = parse_run_name(run) if run else None
    if bundle is not None:
        if remote or every or dry_run:
            raise UsageError("--write goes with --run only; a bundle is read with `evogit sync FILE`")
        _write(repo, Path(bundle), chosen, as_json)
        return
    found = remotes.find(repo, remote)
    if every is None:
        wish = Wish(run=chosen, relay=True, publish_branches=publish_branches, dry_run=dry_run)
        _once(repo, Exchange(repo, found, wish), dry_run=dry_run, as_json=as_json)
        return
    if found.is_bundle or dry_run or as_json:
        raise UsageError("--every needs a remote that changes, and goes without --dry-run and --json")
    exchange = Exchange(repo, found, Wish(run=chosen, publish_branches=publish_branches))
    _keep(repo, exchange, f"sync-{found.slug}.{chosen or ''}.loop", every, launcher)


def _once(repo: Repository, exchange: Exchange, *, dry_run: bool, as_json: bool) -> None:
    if dry_run:
        report: Report | None = exchange.round()
        error = ""
    else:
        report, outcome = once(exchange, repo, context.now())
        error = outcome.error
    if report is None:
        if as_json:
            print_json({"remote": str(exchange.remote), "reached": False, "error": error, "refs": []})
        raise RemoteUnreachable(error)
    if as_json:
        print_json(_as_json(report, dry_run))
    else:
        _print(report, dry_run)
    sys.exit(6 if report.problems else 0)


def _as_json(report: Report, dry_run: bool) -> dict[str, object]:
    rows = [
        {
            "name": one.name,
            "ref": one.ref,
            "situation": one.situation.value,
            "taken": one.taken,
            "sent": one.sent,
            "problem": one.is_problem,
            "detail": one.detail,
        }
        for one in report.outcomes
    ]
    counts = {"taken": report.taken, "sent": report.sent, "problems": len(report.problems)}
    return {"remote": str(report.remote), "reached": True, "error": "", "dry_run": dry_run, **counts, "refs": rows}


def _print(report: Report, dry_run: bool) -> None:
    out = console()
    quiet = 0
    for one in report.outcomes:
        what = _what(one, dry_run)
        quiet += not what
        if what:
            detail = f": {one.detail}" if one.detail else ""
            out.print(plain(f"{what:7}  {one.name}  {one.situation}{detail}"), style="red" if one.is_problem else "")
    would = "would be " if dry_run else ""
    counts = (
        f"{report.taken} {would}taken, {report.sent} {would}sent, {quiet} unchanged, {len(report.problems)} problems"
    )
    out.print(plain(f"{report.remote}: {counts}"))


def _what(one: Outcome, dry_run: bool) -> str:
    """Return what happened to a ref, or nothing when nothing did."""
    if one.is_problem:
        return "problem"
    if one.taken or one.sent:
        return ("take" if one.taken else "send") if dry_run else "taken" if one.taken else "sent"
    return "left" if one.situation is Situation.INVALID else ""


def _keep(repo: Repository, exchange: Exchange, name: str, every: float, launcher: int | None) -> None:
    """Exchange until a signal, or until the launcher is gone; say what changed in what is wrong."""
    signals = StopSignals()

    def stopped() -> str | None:
        return "its launcher is gone" if launcher and os.getppid() != launcher else signals.reason

    pace = Pace(every_s=every, now=context.now, sleep=time.sleep, stopped=stopped, rng=Random())
    out = console(stderr=True)
    said: tuple[str, ...] | None = None
    for outcome in keep_in_step(repo, exchange, name, pace):
        now = (outcome.error, *outcome.problems)
        if now != said:
            said = now
            out.print(plain(f"{local_time(outcome.at)}  {outcome.remote}  {outcome.words}"))
    sys.exit(signals.exit_code)


def _write(repo: Repository, path: Path, run: RunName | None, as_json: bool) -> None:
    found = [item for item, _ in tracking.local(repo) if run in (None, item.run)]
    if not found:
        raise UsageError(f"there is no run {run or ''} in {repo.common} to write".replace("  ", " "))
    remote_git.write_bundle(repo, path.resolve(), [item.ref for item in found])
    runs = sorted({item.run for item in found})
    if as_json:
        print_json({"file": str(path), "runs": runs, "refs": [item.ref for item in found]})
        return
    console().print(plain(f"wrote {path}: {len(found)} refs of {', '.join(runs)}; read it with `evogit sync {path}`"))
