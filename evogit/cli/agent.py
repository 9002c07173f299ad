"""`evogit agent`: one process, by hand or started by `evogit run`."""

from __future__ import annotations

import os
import platform
import secrets
import sys
import time
from collections.abc import Sequence

import click

from evogit.assembly import Crew, Invocation
from evogit.cli import beside, confine, context, models, taking_up
from evogit.cli.join import join
from evogit.cli.output import console, gain, number, plain
from evogit.cli.signals import StopSignals
from evogit.store import definitions, trust
from evogit.swarm import BUDGET_SPENT


@click.command("agent")
@click.argument("use", metavar="NAME")
@context.run_option
@models.model_option
@models.resolved_option
@models.shared_option
@context.limit_options
@click.option("--seed", type=int, help="Make the agent's choices repeatable")
@confine.sandbox_options
@confine.probed_option
@beside.remote_option
@click.option("--trust", "trusted", is_flag=True, help="Allow what the run's definition executes, from now on")
@click.option("--session", hidden=True, help="The invocation whose evaluations count towards --evals")
@click.option("--launcher", type=int, hidden=True, help="Stop when this process is gone")
def agent_command(
    use: str,
    models_json: str | None,
    shared: int | None,
    named: Sequence[str],
    run: str | None,
    seed: int | None,
    session: str | None,
    launcher: int | None,
    remote: str | None,
    trusted: bool,
    **limits: float | None,
) -> None:
    """Be one agent of a run.

    NAME is an agent definition, such as tuner, or the path of its .toml file; `evogit agents` lists them. Any number of
    agents can work on one run, started at any time, in any number of terminals; each is a process of its own, and none
    depends on another. Ctrl-C ends it; the same command goes on.

    With --remote it joins a run of another clone: what others write comes in, and what it writes goes out, beside its
    work. An empty folder becomes a clone for that. A run that was not begun here is somebody else's code: it needs
    --trust once, and again when its definition changes (exit code 5).
    """
    if remote is not None:
        options = [*context.as_options({**limits, "seed": seed}), *(f"--model={name}" for name in named)]
        join(use, remote, run, trusted=trusted, options=[*options, *confine.given()])
    signals = StopSignals()
    end = models.take_up(shared)
    repo = context.open_here()
    task = context.choose_task(repo, run)
    if trusted:
        trust.add(repo, task)
    trust.require(repo, task)
    if launcher is None:
        context.refuse_stopped(task)

    if launcher is None:
        found = definitions.find(repo, use, task=task, beside=context.here())
        if found.is_own:
            if trusted or not found.is_of_a_run:
                trust.add_tools(repo, [found.text])
            task = taking_up.adopt(repo, task, {found.name: found.text})
        use = found.name

    def stopped() -> str | None:
        return "its launcher is gone" if launcher and os.getppid() != launcher else signals.reason

    invocation = Invocation(
        use=use,
        session=session or secrets.token_hex(3),
        stop=context.limits(task.definition.config.stop, limits),
        seed=seed if seed is not None else secrets.randbits(32),
        environment=os.environ,
        sandbox=confine.sandbox(repo),
        host=platform.node()[:64] or "unknown",
        person=context.person(repo),
        now=context.now,
        clock=time.monotonic,
        sleep=time.sleep,
        stopped=stopped,
        models=models.resolved(models_json, named, task.definition.config.models),
        shared=end,
    )
    crew = Crew(repo, task, invocation)
    out = console(stderr=True)
    if task.definition.config.evaluator.asks_models and not invocation.models:
        out.print(plain("no model is named, so this agent leaves its candidates for others, or people, to compare"))
    try:
        for line in crew.mended:
            out.print(plain(line))
        out.print(plain(f"agent {crew.name} of run {task.run}"))
        while (reason := crew.agent.run()) is None:
            crew.enter_epoch()
            out.print(
                plain(f"{context.epoch_words(repo, crew.agent.task)}; the best of before are measured again first")
            )
        crew.agent.graph.refresh()
        value = crew.agent.graph.field.best
        base = crew.agent.snapshot.candidates.get(task.definition.base)
        base_value = base.value(crew.agent.snapshot.evaluator) if base else None
        out.print(
            plain(
                f"{crew.name}: {crew.evaluated} evaluations; stopped: {reason}; "
                f"best of the run {number(value)} {gain(value, base_value)}".rstrip()
            )
        )
        for where, what in crew.agent.snapshot.problems.items():
            out.print(plain(f"warning: {where}: {what}"))
    finally:
        crew.close()
    sys.exit(signals.exit_code or (BUDGET_SPENT if crew.is_over_budget else 0))
