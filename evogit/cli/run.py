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

from evogit import assembly, lineup
from evogit.cli import confine, context, models, taking_up
from evogit.cli.beside import Beside, remote_option
from evogit.cli.context import Reading
from evogit.cli.live import Board, Lines
from evogit.cli.output import console, gain, number, plain, print_json, spent_words
from evogit.cli.signals import StopSignals
from evogit.config import AgentUse, Stop, is_agent_name, is_path, parse_definition
from evogit.config import Definition as AgentDefinition
from evogit.errors import EvaluatorBroken, EvogitError, NotAuthenticated, StorageError, Untrusted, UsageError
from evogit.model import parse_run_name
from evogit.sandbox import BWRAP, LANDLOCK, NONE, Sandbox
from evogit.store import definitions, freeze, refs, repository, task, trust
from evogit.store.repository import Repository
from evogit.store.snapshot import Snapshot
from evogit.store.task import Definition, Task
from evogit.swarm import BUDGET_SPENT, Member, Swarm

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
    models: Sequence[str] = ()


@click.command("run")
@click.option("-n", "count", type=click.IntRange(1, 64), help="How many agents; default: as evogit.toml says, or 2")
@click.option("--agent", "agents", multiple=True, metavar="NAME[:COUNT]",
              help="A definition or its .toml file; repeatable; default: as evogit.toml says, or a mix")  # fmt: skip
@models.model_option
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
    named: Sequence[str],
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
    wish = _Wish(run=run, new=new, count=count, agents=agents, seed=seed, as_json=as_json, limits=limits,
                 models=named)  # fmt: skip
    signals = StopSignals()
    repo = context.open_here()
    repository.refuse_read_only(repo)
    refs.refuse_blocking_refs(repo, parse_run_name(run) if run else None)
    frozen = freeze.freeze(repo)
    uses, own = _uses(repo, wish, frozen.definition)
    assembly.refuse_missing(frozen.definition.config.evaluator, os.environ)
    out, stop = console(stderr=True), context.limits(frozen.definition.config.stop, limits)
    sandbox = confine.sandbox(repo)
    sandbox.close()  # it held; each agent makes its own
    # Behind the sandbox's trials, at the end of which every child of this process is taken for one of theirs.
    asked, inherited = _models(repo, wish, _said(repo, uses, own), frozen.definition, stop, out)
    beside = Beside(repo, remote, out) if remote else None
    error = beside.first(None, tasks_only=True) if beside else ""
    wanted = replace(frozen.definition, agents=own)
    chosen, begun = taking_up.take_up(repo, wanted, name=wish.run, new=wish.new)
    # Its definition is that of this work tree: what it runs is what a new run would.
    trust.add(repo, chosen)
    trust.add_tools(repo, own.values())
    if beside and (error := error or beside.first(chosen.run)):
        beside.warn(error)
    chosen = taking_up.adopt(repo, task.read(repo, chosen.run), own)
    context.refuse_stopped(chosen)
    _greet(out, chosen, begun, frozen, uses)
    if begun and not new and (hint := taking_up.run_passed_over(repo, chosen)):
        out.print(plain(hint))
    out.print(plain(_about(sandbox)))
    if blocker := refs.branch_blocker(repo, chosen.run):
        out.print(plain(f"{blocker} stands where branches of agents would go; they are left out, scores are not"))
    reading = _read(repo, chosen)
    session = secrets.token_hex(3)
    swarm = Swarm()
    options = [*_options(wish, chosen, session, stop), *confine.decided(sandbox), *asked]
    swarm.start(repo, chosen, uses, options, os.environ, inherited)
    if beside:
        beside.begin(chosen.run)
    reading = _watch(swarm, reading, session, stop, signals, out, beside)
    if beside:
        beside.end()
        reading.snapshot.refresh()
    _finish(swarm, reading, signals, wish, session, out, stop)


def _uses(repo: Repository, wish: _Wish, definition: Definition) -> tuple[list[AgentUse], Mapping[str, bytes]]:
    """Return the agents to start and the definitions of theirs that the run needs to have with it.

    They are those named, else those of evogit.toml, else the default mix; `-n` sets how many processes in all.
    """
    named, settings = [_parse_use(text) for text in wish.agents], definition.config
    if not named and not settings.agents:
        mixed, said = lineup.default(repo, definition, wish.count or lineup.COUNT, os.environ)
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


def _said(repo: Repository, uses: Sequence[AgentUse], own: Mapping[str, bytes]) -> Mapping[str, AgentDefinition]:
    """Return the definition of each agent by its name; `own` are those that do not ship with evogit."""
    return {
        use.use: parse_definition(own[use.use], where=use.use)
        if use.use in own
        else definitions.find(repo, use.use).definition
        for use in uses
    }


def _models(
    repo: Repository,
    wish: _Wish,
    agents: Mapping[str, AgentDefinition],
    definition: Definition,
    stop: Stop,
    out: Console,
) -> tuple[list[str], list[int]]:
    """Say which models are asked and what they cost; return the options that tell the agents, and what they inherit."""
    chosen = models.chosen(wish.models, definition.config.models)
    asking = [name for name, said in agents.items() if assembly.asks_models(said) and assembly.templates(said)]
    judges = definition.config.evaluator.asks_models
    if not asking and not judges:
        if wish.models:
            raise UsageError("--model: none of these agents asks a model; name one that does: --agent explorer")
        return [], []
    if not chosen:
        who = f"agent {asking[0]} asks" if asking else "the judge of evogit.toml is"
        raise UsageError(
            f"{who} a language model: name one with --model NAME, EVOGIT_MODEL, or [[models]] in evogit.toml"
        )
    size = sum(len(file.content) for file in lineup.editable_files(repo, definition))
    shared = models.share()
    models.greet(out, chosen, size, stop.budget_usd, shared)
    options, inherited = models.passed_on(chosen), []
    if shared.end:
        inherited = [shared.end.fileno()]
        options.append(f"--shared={shared.end.fileno()}")
    return options, inherited


def _parse_use(text: str) -> AgentUse:
    name, _, count = text.partition(":")
    if count and not (count.isdecimal() and 1 <= int(count) <= 64):
        raise UsageError(f"--agent {text!r}: write NAME or NAME:COUNT with a count from 1 to 64")
    if not is_path(name) and not is_agent_name(name):
        raise UsageError(f"--agent {text!r}: write the name of an agent definition, or the path of a .toml file")
    return AgentUse(use=name, count=int(count or 1))


def _about(sandbox: Sandbox) -> str:
    """Return a line on what confines candidates; one that hides less says what it lacks."""
    return f"sandbox landlock: {sandbox.described()}" if sandbox.kind == LANDLOCK else _SANDBOXES[sandbox.kind]


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
    frozen = chosen.definition
    snapshot = Snapshot(repo, chosen.run, frozen.evaluator, frozen.config.direction, base=frozen.base)
    snapshot.refresh()
    return Reading(repo, chosen, snapshot)


def _options(wish: _Wish, chosen: Task, session: str, stop: Stop) -> list[str]:
    options = ["--run", chosen.run, "--session", session, "--launcher", str(os.getpid())]
    return [*options, *context.as_options({**msgspec.structs.asdict(stop), "seed": wish.seed})]


def _watch(
    swarm: Swarm, reading: Reading, session: str, stop: Stop, signals: StopSignals, out: Console, beside: Beside | None
) -> Reading:
    """Show what agents do until the last one has ended; return the run as it is followed then."""
    view = Board(out, reading, session, stop.evals) if out.is_terminal else Lines(out, reading, session)
    asked = False
    with view:
        for _ in swarm.watch(time.sleep):
            reading = reading.followed()
            view.hear(reading)
            view.update(reading.snapshot.refresh())
            if beside:
                beside.tend()
            if signals.reason and not asked:
                asked = True
                swarm.ask_to_stop()
    return reading


def _finish(
    swarm: Swarm, reading: Reading, signals: StopSignals, wish: _Wish, session: str, out: Console, stop: Stop
) -> None:
    """Say what came of it, and leave with the exit code."""
    for where, what in reading.snapshot.problems.items():
        out.print(plain(f"warning: {where}: {what}"))
    failed = swarm.failed()
    none_left = bool(failed) and len(failed) == len(swarm.members)
    reasons = [_reason(member, reading.task) for member in failed]
    if none_left and all(isinstance(reason, Untrusted) for reason in reasons):
        raise reasons[0]  # another evaluator came from elsewhere while they worked
    if none_left and all(isinstance(reason, NotAuthenticated) for reason in reasons):
        raise reasons[0]
    if failed and reading.snapshot.best_value is None:
        raise reasons[0]
    for reason in reasons:
        out.print(plain(f"warning: {reason}"))
    if reading.snapshot.best_value is None and not signals.reason:
        raise EvaluatorBroken(reading.snapshot.why_unscored(reading.task.definition.base))
    _report(reading, session, wish)
    if signals.reason:
        out.print(plain(f"{signals.reason}; go on with: evogit run --run {reading.task.run}"))
    elif stopped := reading.followed().task.stop_reason:
        out.print(plain(stopped))
    is_spent = stop.budget_usd is not None and reading.snapshot.spending.total.usd >= stop.budget_usd
    sys.exit(signals.exit_code or (1 if none_left else BUDGET_SPENT if is_spent else 0))


def _reason(member: Member, chosen: Task) -> EvogitError:
    """Return what stopped an agent, in its own words."""
    code = member.process.returncode
    if code < 0:
        return EvogitError(f"agent {member.use} was killed by signal {-code}; `evogit run --run {chosen.run}` goes on")
    words = member.complaint() or f"agent {member.use} ended with exit code {code}; see {member.log}"
    kinds = {kind.exit_code: kind for kind in (EvogitError, StorageError, UsageError, Untrusted, NotAuthenticated)}
    return kinds.get(code, EvogitError)(words)


def _report(reading: Reading, session: str, wish: _Wish) -> None:
    done, base = reading.snapshot.evaluations_of(session), reading.base_value
    best = reading.find_best()
    value = reading.value(best.id) if best else None
    if wish.as_json:
        print_json(
            {"run": reading.task.run, "base": reading.task.definition.base, "base_value": base, "evaluations": done,
             "best": best.id if best else None, "best_value": value,
             "spent_usd": reading.snapshot.spending.total.usd}
        )  # fmt: skip
        return
    screen = console()
    spent = reading.snapshot.spending.total
    money = f", {spent_words(spent.usd, spent.calls, spent.unknown)}" if spent.calls else ""
    screen.print(plain(f"run {reading.task.run}: {done} evaluations{money}"))
    if best is None or best.id == reading.task.definition.base:
        screen.print(plain(f"nothing better than the base ({number(base)}) was found"))
        return
    screen.print(plain(f"best {best.id[:12]}  {number(value)}  ({gain(value, base)} from {number(base)})"))
    screen.print(plain("look:  evogit diff · evogit log · git log --oneline --graph --branches='evogit/*'"))
    screen.print(plain("take:  evogit apply"))
