"""`evogit run`: take up or begin a run, start its agents, show them, and say how it ended."""

from __future__ import annotations

import os
import secrets
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import click
import msgspec
from rich.console import Console

from evogit import lineup
from evogit.cli import confine, context
from evogit.cli.beside import Beside, remote_option
from evogit.cli.context import Reading
from evogit.cli.live import Board, Lines
from evogit.cli.output import console, gain, number, plain, print_json
from evogit.cli.signals import StopSignals
from evogit.config import AgentUse, Stop, is_agent_name, is_path
from evogit.errors import EvaluatorBroken, EvogitError, StorageError, UsageError
from evogit.model import RunName, parse_run_name
from evogit.sandbox import BWRAP, NONE
from evogit.store import amendments, definitions, freeze, private, refs, repository, task, trust
from evogit.store.repository import Repository
from evogit.store.snapshot import Snapshot
from evogit.store.task import Definition, Task
from evogit.swarm import Member, Swarm

_SANDBOXES = {
    BWRAP: "sandbox bwrap: the score command sees an export of each candidate, no network, key or other file",
    NONE: "no sandbox: the score command runs as you, in an export of each candidate",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Wish:
    """The options of the command."""

    run: str | None
    new: bool
    count: int | None
    agents: Sequence[str]
    seed: int | None
    as_json: bool
    limits: Mapping[str, float | None]


@click.command("run")
@click.option("-n", "count", type=click.IntRange(1, 64), help="How many agents; default: as evogit.toml says, or 2")
@click.option("--agent", "agents", multiple=True, metavar="NAME[:COUNT]",
              help="A definition or its .toml file; repeatable; default: as evogit.toml says, or a mix")  # fmt: skip
@context.limit_options
@click.option("--run", "run", metavar="NAME", help="Name the run to begin or to go on with")
@click.option("--new", is_flag=True, help="Begin a new run")
@click.option("--seed", type=int, help="Make the agents' choices repeatable")
@confine.sandbox_options
@remote_option
@click.option("--json", "as_json", is_flag=True, help="Print the result as one JSON document")
def run_command(
    count: int | None,
    agents: Sequence[str],
    run: str | None,
    new: bool,
    seed: int | None,
    remote: str | None,
    as_json: bool,
    **limits: float | None,
) -> None:
    """Start agents and watch them.

    The run is frozen from evogit.toml and the protected files of the work tree, and from HEAD. Without --new, the
    newest run with the same definition goes on; on a branch evogit/<run>/<name>, that run. Agents are processes of
    their own: killing this one loses nothing, and `evogit agent` adds one more at any time.
    """
    wish = _Wish(run=run, new=new, count=count, agents=agents, seed=seed, as_json=as_json, limits=limits)
    signals = StopSignals()
    repo = context.open_here()
    repository.refuse_read_only(repo)
    refs.refuse_blocking_refs(repo, parse_run_name(run) if run else None)
    frozen = freeze.freeze(repo)
    uses, own = _uses(repo, wish, frozen.definition)
    sandbox = confine.sandbox(repo)
    sandbox.close()  # it held; each agent makes its own
    out = console(stderr=True)
    beside = Beside(repo, remote, out) if remote else None
    error = beside.first(None, tasks_only=True) if beside else ""
    chosen, begun = _take_up(repo, replace(frozen.definition, agents=own), wish)
    # Its definition is that of this work tree: what it runs is what a new run would.
    trust.add(repo, chosen)
    if beside and (error := error or beside.first(chosen.run)):
        beside.warn(error)
    chosen = context.adopt(repo, task.read(repo, chosen.run), own)
    context.refuse_stopped(chosen)
    _greet(out, chosen, begun, frozen, uses)
    out.print(plain(_SANDBOXES[sandbox.kind]))
    if blocker := refs.branch_blocker(repo, chosen.run):
        out.print(plain(f"{blocker} stands where branches of agents would go; they are left out, scores are not"))
    reading = _read(repo, chosen)
    session = secrets.token_hex(3)
    stop = context.limits(frozen.definition.config.stop, limits)
    swarm = Swarm()
    swarm.start(repo, chosen, uses, [*_options(wish, chosen, session, stop), *confine.decided(sandbox)], os.environ)
    if beside:
        beside.begin(chosen.run)
    _watch(swarm, reading, session, stop, signals, out, beside)
    if beside:
        beside.end()
        reading.snapshot.refresh()
    _finish(swarm, reading, signals, wish, session, out)


def _uses(repo: Repository, wish: _Wish, definition: Definition) -> tuple[list[AgentUse], Mapping[str, bytes]]:
    """Return the agents to start and the definitions of theirs that the run needs to have with it.

    They are those named, else those of evogit.toml, else the default mix; `-n` sets how many processes in all.
    """
    named, settings = [_parse_use(text) for text in wish.agents], definition.config
    if not named and not settings.agents:
        mixed, said = lineup.default(repo, definition, wish.count or lineup.COUNT)
        for line in said:
            console(stderr=True).print(plain(line))
        return mixed, definitions.to_freeze(repo, mixed)
    wanted = named or settings.agents
    own = definitions.to_freeze(repo, wanted, beside=context.here() if named else None)
    uses = [AgentUse(use=use.name, count=use.count) for use in wanted]
    if wish.count is None:
        return uses, own
    names = [use.use for use in uses for _ in range(use.count)]
    return [AgentUse(use=names[number % len(names)]) for number in range(wish.count)], own


def _parse_use(text: str) -> AgentUse:
    name, _, count = text.partition(":")
    if count and not (count.isdecimal() and 1 <= int(count) <= 64):
        raise UsageError(f"--agent {text!r}: write NAME or NAME:COUNT with a count from 1 to 64")
    if not is_path(name) and not is_agent_name(name):
        raise UsageError(f"--agent {text!r}: write the name of an agent definition, or the path of a .toml file")
    return AgentUse(use=name, count=int(count or 1))


def _take_up(repo: Repository, definition: Definition, wish: _Wish) -> tuple[Task, bool]:
    """Return the run to go on with, or the one begun now (True)."""
    name = parse_run_name(wish.run) if wish.run else None
    if name and name in task.names(repo):
        if wish.new:
            raise UsageError(
                f"there is a run {name!r} already; leave out --new to go on with it, or choose another name"
            )
        found = task.read(repo, name)
        if not _goes_on(repo, found, definition):
            raise UsageError(
                f"run {name!r} was begun with another definition ({_difference(found.definition, definition)}); "
                "begin another with --new, or go back to that commit and evogit.toml"
            )
        return found, False
    if name is None and not wish.new:
        for found in task.newest(repo):
            if _goes_on(repo, found, definition):
                return found, False
    _refuse_empty(repo, definition)
    chosen = name or _new_name(repo)
    with private.creating(repo, chosen):
        return task.create(repo, chosen, definition, repository.committer(repo, os.environ, context.now())), True


def _goes_on(repo: Repository, found: Task, definition: Definition) -> bool:
    """Return whether a definition continues a run: the same one, or the same but for the base on a branch of the run.

    A person who works on such a branch means to go on with that run, and not to begin another from their own commit.
    """
    if found.definition.key == definition.key:
        return True
    return refs.checked_out_run(repo) == found.run and found.definition.key[1:] == definition.key[1:]


def _refuse_empty(repo: Repository, definition: Definition) -> None:
    if not task.has_editable_file(repo, definition):
        raise UsageError(
            "no tracked file may be edited: all are protected, or none matches `editable` in evogit.toml; "
            'name the files to evolve there, e.g. editable = ["src/**"]'
        )


def _difference(old: Definition, new: Definition) -> str:
    names = ("base", "goal", "direction", "editable", "protected", "evaluator or its files")
    return ", ".join(name for name, left, right in zip(names, old.key, new.key, strict=True) if left != right)


def _new_name(repo: Repository) -> RunName:
    stem = context.now().strftime("%Y%m%d-%H%M%S")
    taken = set(task.names(repo))
    names = [stem, *(f"{stem}-{number}" for number in range(2, 100))]
    return next(parse_run_name(name) for name in names if name not in taken)


def _greet(out: Console, chosen: Task, begun: bool, frozen: freeze.Frozen, uses: Sequence[AgentUse]) -> None:
    agents = ", ".join(f"{use.use}" if use.count == 1 else f"{use.count} × {use.use}" for use in _grouped(uses))
    out.print(
        plain(
            f"{'new run' if begun else 'going on with run'} {chosen.run} from {chosen.definition.base[:12]}: {agents}"
        )
    )
    if frozen.uncommitted_used:
        out.print(plain(f"scored with uncommitted files of the work tree: {_few(frozen.uncommitted_used)}"))
    if frozen.uncommitted_ignored:
        out.print(plain(f"uncommitted changes that are not part of the run: {_few(frozen.uncommitted_ignored)}"))


def _grouped(uses: Sequence[AgentUse]) -> list[AgentUse]:
    totals: dict[str, int] = {}
    for use in uses:
        totals[use.use] = totals.get(use.use, 0) + use.count
    return [AgentUse(use=name, count=min(total, 64)) for name, total in totals.items()]


def _few(names: Sequence[str]) -> str:
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")


def _read(repo: Repository, chosen: Task) -> Reading:
    snapshot = Snapshot(repo, chosen.run, chosen.definition.evaluator, chosen.definition.config.direction)
    snapshot.refresh()
    return Reading(repo, chosen, snapshot)


def _options(wish: _Wish, chosen: Task, session: str, stop: Stop) -> list[str]:
    options = ["--run", chosen.run, "--session", session, "--launcher", str(os.getpid())]
    for name, value in {**msgspec.structs.asdict(stop), "seed": wish.seed}.items():
        if value is not None:
            options.append(f"--{name}={value}")
    return options


def _watch(
    swarm: Swarm, reading: Reading, session: str, stop: Stop, signals: StopSignals, out: Console, beside: Beside | None
) -> None:
    view = Board(out, reading, session, stop.evals) if out.is_terminal else Lines(out, reading, session)
    asked, heard = False, reading.task
    with view:
        for _ in swarm.watch(time.sleep):
            heard = amendments.follow(reading.repo, heard)
            view.hear(heard.state)
            view.update(reading.snapshot.refresh())
            if beside:
                beside.tend()
            if signals.reason and not asked:
                asked = True
                swarm.ask_to_stop()


def _finish(swarm: Swarm, reading: Reading, signals: StopSignals, wish: _Wish, session: str, out: Console) -> None:
    """Say what came of it, and leave with the exit code."""
    for where, what in reading.snapshot.problems.items():
        out.print(plain(f"warning: {where}: {what}"))
    failed = swarm.failed()
    if failed and reading.snapshot.best_value is None:
        raise _reason(failed[0], reading.task)
    for member in failed:
        out.print(plain(f"warning: {_reason(member, reading.task)}"))
    if reading.snapshot.best_value is None and not signals.reason:
        raise EvaluatorBroken(reading.snapshot.why_unscored(reading.task.definition.base))
    _report(reading, session, wish)
    if signals.reason:
        out.print(plain(f"{signals.reason}; go on with: evogit run --run {reading.task.run}"))
    elif stopped := amendments.follow(reading.repo, reading.task).stop_reason:
        out.print(plain(stopped))
    sys.exit(signals.exit_code or (1 if failed and len(failed) == len(swarm.members) else 0))


def _reason(member: Member, chosen: Task) -> EvogitError:
    """Return what stopped an agent, in its own words."""
    code = member.process.returncode
    if code < 0:
        return EvogitError(f"agent {member.use} was killed by signal {-code}; `evogit run --run {chosen.run}` goes on")
    words = member.complaint() or f"agent {member.use} ended with exit code {code}; see {member.log}"
    kinds = {kind.exit_code: kind for kind in (EvogitError, StorageError, UsageError)}
    return kinds.get(code, EvogitError)(words)


def _report(reading: Reading, session: str, wish: _Wish) -> None:
    done, base = reading.snapshot.evaluations_of(session), reading.base_value
    best = reading.find_best()
    value = reading.value(best.id) if best else None
    if wish.as_json:
        print_json(
            {"run": reading.task.run, "base": reading.task.definition.base, "base_value": base, "evaluations": done,
             "best": best.id if best else None, "best_value": value}
        )  # fmt: skip
        return
    screen = console()
    screen.print(plain(f"run {reading.task.run}: {done} evaluations"))
    if best is None or best.id == reading.task.definition.base:
        screen.print(plain(f"nothing better than the base ({number(base)}) was found"))
        return
    screen.print(plain(f"best {best.id[:12]}  {number(value)}  ({gain(value, base)} from {number(base)})"))
    screen.print(plain("look:  evogit diff · evogit log · git log --oneline --graph --branches='evogit/*'"))
    screen.print(plain("take:  evogit apply"))
