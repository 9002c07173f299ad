"""`evogit hooks`, and the hidden `evogit hook` that the installed hooks call."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import click

from evogit import assembly, hooks, people
from evogit.cli import confine, context
from evogit.cli.output import console, number, plain, print_json
from evogit.cli.people import who
from evogit.cli.signals import StopSignals
from evogit.errors import UsageError
from evogit.model import CommitId, parse_run_name
from evogit.sandbox import Cancelled
from evogit.store import private, task
from evogit.store.repository import Repository
from evogit.store.snapshot import Snapshot
from evogit.store.task import Task


@click.command("hooks")
@click.argument(
    "action",
    type=click.Choice(["install", "uninstall", "status"]),
    default="status",
    metavar="install|uninstall|status",
)
@click.option("--dry-run", is_flag=True, help="Only say what would be changed")
@context.json_option
def hooks_command(action: str, dry_run: bool, as_json: bool) -> None:
    """Install Git hooks for what people commit on branches evogit/<run>/<name>, take them out, or show what is there.

    With them, a commit there says in trailers who made it in which run, and is scored at once, in the background (git
    config evogit.scoreInForeground true: while you wait). Commits on other branches are left alone, no commit is ever
    blocked, and a hook that is there already is kept and runs first.
    """
    repo = context.open_here()
    done: list[str] = []
    if action == "install":
        done = hooks.install(repo, os.environ, dry_run=dry_run)
    elif action == "uninstall":
        done = hooks.uninstall(repo, dry_run=dry_run)
    found = hooks.status(repo)
    if as_json:
        rows = [
            {
                "hook": h.name,
                "state": h.state.name.lower(),
                "path": str(h.path),
                "kept": str(h.kept) if h.kept else None,
            }
            for h in found
        ]
        print_json({"hooks": rows, "done": done, "dry_run": dry_run})
        return
    out = console()
    for line in done:
        out.print(plain(f"{line} (not done: --dry-run)" if dry_run else line))
    if action != "status":
        if not done:
            out.print("nothing to do: the hooks are " + ("installed" if action == "install" else "not installed"))
        return
    for hook in found:
        beside = f"; {hook.kept} runs, too" if hook.kept else ""
        out.print(plain(f"{hook.name:19} {hook.state.value}{beside}"))


@click.command("hook", hidden=True)
@click.argument("name", type=click.Choice([*hooks.NAMES[:2], "score"]))
@click.argument("run")
@click.argument("words", nargs=-1)
@click.option("--detach", is_flag=True, help="Leave the terminal, and write to a log file")
def hook_command(name: str, run: str, words: Sequence[str], detach: bool) -> None:
    """What the installed hooks call; it is not for people."""
    repo = context.open_here()
    chosen = task.read(repo, parse_run_name(run))
    if not words:
        raise UsageError(f"evogit hook {name} needs what git gives its hook")
    if name == "score":
        if detach:
            _detach(repo, chosen)
        _score(repo, chosen, CommitId(words[0]))
        return
    hooks.add_trailers(repo, chosen.run, who(repo).slug, Path(words[0]), words[1:], os.environ)


def _detach(repo: Repository, chosen: Task) -> None:
    """Leave the terminal's session, so that Ctrl-C and closing it do not end this process."""
    log = private.run_folder(repo, chosen.run) / "person.log"
    with suppress(PermissionError):  # it leads a session already
        os.setsid()
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)


def _score(repo: Repository, chosen: Task, commit: CommitId) -> None:
    signals = StopSignals()
    person = who(repo)
    snapshot = Snapshot(repo, chosen.run, chosen.definition.evaluator, chosen.definition.config.direction)
    out = console(stderr=True)
    with assembly.aside(repo, chosen, confine.sandbox(repo), signals.came) as (folder, launcher):
        try:
            meter = assembly.meter(repo, chosen, folder, launcher, os.environ)
            with people.turn(repo, chosen, time.sleep, lambda: signals.reason):
                measured = people.score(repo, chosen, snapshot, person, commit, meter, launcher.kind)
        except Cancelled:
            sys.exit(signals.exit_code)
    if measured is None:
        out.print(plain(f"evogit: {commit[:12]} needs no new measurement"))
        return
    said = number(measured.value) if measured.value is not None else measured.status.value
    out.print(plain(f"evogit: {commit[:12]} scored {said}"))
