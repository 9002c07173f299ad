"""Puts an agent together from its definition: which proposer and which selector a name stands for."""

from __future__ import annotations

import socket
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from evogit import resources
from evogit.agent import Agent
from evogit.asking import ModelProposer, Reflector
from evogit.command_table import COMMAND
from evogit.config import MODEL, Definition, ModelUse, Stop
from evogit.errors import ConfigError, UsageError
from evogit.evaluation import CommandMeter, Context, instructions, preparing
from evogit.evaluator_table import INSTRUCTIONS, Evaluator
from evogit.judging import CommandJudge, Judge, ModelJudge
from evogit.llm import Caller, Failure, Known, Models, Shared
from evogit.model import AgentName
from evogit.parts import Parts, World
from evogit.planning import Policy
from evogit.proposers.command import Command, Workshop
from evogit.proposers.protocol import Proposer
from evogit.proposers.surgeon import Surgeon
from evogit.proposers.tuner import STEP, Tuner
from evogit.sandbox import Launcher, Sandbox
from evogit.stopping import Limits
from evogit.store import definitions, private, repository, scratch, trust
from evogit.store.export import Export
from evogit.store.known_tests import KnownCosts, KnownTests
from evogit.store.ledger import Writer
from evogit.store.repository import Repository
from evogit.store.task import Task


@dataclass(frozen=True, slots=True, kw_only=True)
class Invocation:
    """What one call of the command line gives an agent."""

    use: str
    session: str
    stop: Stop
    seed: int
    environment: Mapping[str, str]
    sandbox: Sandbox
    host: str
    person: tuple[str, str]
    now: Callable[[], datetime]
    clock: Callable[[], float]
    sleep: Callable[[float], None]
    stopped: Callable[[], str | None]
    models: Sequence[ModelUse] = ()
    shared: socket.socket | None = None
    """An end of what forks the processes that ask models, for all agents of a run."""


def proposer(definition: Definition, *, models: Models | None = None, workshop: Workshop | None = None) -> Proposer:
    """Return the proposer a definition names: `models` are those it may ask, `workshop` is where a tool runs.

    Raises:
        UsageError: it asks models, and there are none; or the tool is not installed, or lacks a key.
    """
    if definition.proposer == COMMAND:
        assert workshop is not None
        made = Command(definition, workshop)
        if lack := made.tool.lack():
            raise UsageError(f"{lack}; `evogit agents check` looks for it")
        return made
    if definition.proposer == MODEL:
        if models is None:
            raise UsageError(
                "these agents ask a language model: name one with --model NAME, EVOGIT_MODEL, or [[models]] in "
                "evogit.toml"
            )
        return ModelProposer(
            models=models, templates=templates(definition), format=definition.format, repairs=definition.repairs,
            fallback=_offline(definition.fallback) if definition.fallback else None, choosing=definition.choosing,
        )  # fmt: skip
    return _offline(definition.proposer, definition.step)


def templates(definition: Definition) -> dict[str, str]:
    """Return the words of a definition's questions by name: those of the prompts it names, or its own.

    Raises:
        ConfigError: there is no such prompt.
    """
    return {name: _template(named) for name, named in definition.prompts.items()}


def _template(named: str) -> str:
    known = resources.prompts()
    if named in known or "\n" in named:
        return known.get(named, named)
    raise ConfigError(f"no prompt {named!r}; there are: {', '.join(known)}; or give its text, in several lines")


def _offline(name: str, step: float | None = None) -> Proposer:
    known: Mapping[str, Callable[[], Proposer]] = {
        "surgeon": Surgeon,
        "tuner": lambda: Tuner(step=step or STEP),
    }
    return known[name]()


def asks_models(definition: Definition) -> bool:
    """Return whether agents of a definition need a model."""
    return definition.proposer == MODEL


@contextmanager
def models_aside(
    uses: Sequence[ModelUse],
    environment: Mapping[str, str],
    stopped: Callable[[], bool] = lambda: False,
    shared: Shared | None = None,
) -> Iterator[tuple[Models, Caller]]:
    """Give a way to ask models outside of any agent; its process, forked by what is `shared`, is gone at the end."""
    launcher = Launcher(spared=shared.pids if shared else ())
    with tempfile.TemporaryDirectory(prefix="evogit-models-") as folder:
        caller = Caller(launcher, Path(folder), environment, stopped, shared.end if shared else None)
        try:
            yield Models(uses, caller, time.monotonic, time.sleep, stopped), caller
        finally:
            caller.close()
            launcher.close()


def look_at_models(
    uses: Sequence[ModelUse], environment: Mapping[str, str], shared: Shared | None = None
) -> list[Known | Failure]:
    """Return what is known of each model, without asking any of them."""
    with models_aside(uses, environment, shared=shared) as (_, caller):
        return [caller.look(use) for use in uses]


def policy(definition: Definition) -> Policy:
    """Return how agents of a definition choose parents."""
    return Policy(
        selection=definition.selection,
        features=definition.features,
        merges=definition.merges,
        crosses=definition.crosses,
        minimizes=definition.minimizes,
        transplants=definition.transplants,
        reverts=definition.reverts,
        widens=definition.widens,
    )


def refuse_missing(evaluator: Evaluator, caller: Mapping[str, str]) -> None:
    """Check that what an evaluator measures with is installed; `caller` is an environment.

    Raises:
        UsageError: it is not.
    """
    if evaluator.result == INSTRUCTIONS:
        instructions.program(caller)


def meter(repo: Repository, task: Task, folder: Path, launcher: Launcher, caller: Mapping[str, str]) -> CommandMeter:
    """Return what measures trees for this task, exporting them into `folder`.

    Raises:
        Untrusted: its definition came from elsewhere, and nobody here said that it may run.
        UsageError: a program it measures with is not installed.
    """
    trust.require(repo, task)
    definition, owner = task.definition, launcher.owner
    evaluator = definition.config.evaluator
    refuse_missing(evaluator, caller)
    export = Export(repo, definition, folder / "tree", owner, hidden=definition.trusted)
    is_split = evaluator.mode == "split"
    context = Context(
        direction=definition.config.direction,
        base=task.base_tree,
        known_tests=KnownTests(repo, task),
        known_costs=KnownCosts(repo, task),
        supplies=lambda: preparing.supplies(repo, task, launcher, caller),
        scorer=Export(repo, definition, folder / "scorer" / "tree", owner) if is_split else None,
        trusted=definition.trusted,
        is_trusted=definition.is_trusted,
    )
    return CommandMeter(evaluator, export, launcher, caller, context)


@contextmanager
def aside(
    repo: Repository, task: Task, sandbox: Sandbox, cancelled: Callable[[], bool] = lambda: False
) -> Iterator[tuple[Path, Launcher]]:
    """Give a folder and a launcher to measure with outside of any agent; both, and the sandbox, are gone at the end.

    Raises:
        StorageError: the folder cannot be made.
    """
    launcher = Launcher(cancelled, sandbox)
    folder = scratch.folder(repo, task.run, scratch.for_evaluation())
    try:
        yield folder, launcher
    finally:
        launcher.close()
        scratch.remove(folder)


def judge(
    repo: Repository,
    task: Task,
    folder: Path,
    launcher: Launcher,
    caller: Mapping[str, str],
    models: Models | None = None,
) -> Judge | None:
    """Return what compares candidates of this task, in folders below `folder`; None where there is nothing to ask.

    `models` are those that may be asked.

    Raises:
        Untrusted: its definition came from elsewhere, and nobody here said that it may run.
    """
    evaluator = task.definition.config.evaluator
    if evaluator.asks_models and models is not None:
        return ModelJudge(repo=repo, definition=task.definition, models=models)
    if evaluator.judge is None or evaluator.judge.command is None:
        return None
    trust.require(repo, task)
    return CommandJudge(
        evaluator, lambda root: Export(repo, task.definition, root, launcher.owner), folder / "judge", launcher, caller,
        lambda: preparing.supplies(repo, task, launcher, caller),
    )  # fmt: skip


class Crew:
    """An agent with the name, the folder and the guard process it holds; `close` gives them back."""

    def __init__(self, repo: Repository, task: Task, invocation: Invocation) -> None:
        """Take a free name, mend what its last holder left half done, and build the agent.

        Raises:
            ConfigError: there is no such definition.
            UsageError, RepositoryError, StorageError: as the parts say.
        """
        found = definitions.find(repo, invocation.use, task=task)
        definition = found.definition
        repository.refuse_read_only(repo)
        trust.require_tool(repo, found.name, definition, found.text)
        self._repo, self._task, self._use, self._definition = repo, task, found.name, definition
        self._environment, self._before = invocation.environment, 0
        self._names = [private.free_name(repo, task.run, found.name)]
        self.mended = private.repair(repo, task.run, self._names[0])
        self._launcher = Launcher(lambda: invocation.stopped() is not None, invocation.sandbox)
        self._folder = scratch.folder(repo, task.run, self.name)
        self._models = self._asked(invocation) if invocation.models else None
        self._parts = Parts(
            proposer=self._proposer(task),
            policy=policy(definition),
            meter=meter(repo, task, self._folder, self._launcher, invocation.environment),
            limits=Limits(invocation.stop, invocation.session, invocation.clock),
            judge=self._judge(task),
            sandbox=self._launcher.kind,
            models=self._models,
            concurrency=definition.concurrency,
            reflector=self._reflector(),
        )
        writer = Writer(
            run=task.run, agent=self.name, session=invocation.session, use=found.name,
            evaluator=task.definition.evaluator, host=invocation.host, person=invocation.person, now=invocation.now,
        )  # fmt: skip
        self._world = World(
            seed=invocation.seed, clock=invocation.clock, sleep=invocation.sleep, stopped=invocation.stopped,
            new_name=self._another_name,
        )  # fmt: skip
        self.agent = Agent(repo, task, writer, self._parts, self._world)

    def _asked(self, invocation: Invocation) -> Models:
        def stopped() -> bool:
            return invocation.stopped() is not None

        caller = Caller(self._launcher, self._folder, invocation.environment, stopped, invocation.shared)
        return Models(invocation.models, caller, invocation.clock, invocation.sleep, stopped)

    @property
    def is_over_budget(self) -> bool:
        """Whether the money is spent."""
        return self._parts.limits.left_usd(self.agent.snapshot) <= 0

    @property
    def name(self) -> AgentName:
        """The name the agent writes under now."""
        return self._names[-1].agent

    @property
    def evaluated(self) -> int:
        """How many evaluations it has made, under all evaluators."""
        return self._before + self.agent.evaluated

    def enter_epoch(self) -> None:
        """Let another agent, of the same name, go on with the evaluator that the run has now.

        Raises:
            Untrusted: that one came from elsewhere, and nobody here said that it may run.
            StorageError: the store cannot be read or written.
        """
        old = self.agent
        self._launcher.end_companions()  # a server of the evaluator before
        measuring = meter(self._repo, old.task, self._folder, self._launcher, self._environment)
        self._parts.limits.begin_epoch()
        self._parts = replace(
            self._parts, meter=measuring, judge=self._judge(old.task), proposer=self._proposer(old.task)
        )
        writer = replace(old.ledger.writer, evaluator=old.task.definition.evaluator)
        self.agent = Agent(self._repo, old.task, writer, self._parts, self._world)
        self._before += old.evaluated
        old.ledger.close()

    def close(self) -> None:
        """Give back everything the agent held."""
        self.agent.ledger.close()
        self._launcher.close()
        scratch.remove(self._folder)
        for name in self._names:
            name.release()

    def _proposer(self, task: Task) -> Proposer:
        folder = self._folder / "tool"
        shop = Workshop(repo=self._repo, task=task, folder=folder, launcher=self._launcher, caller=self._environment)
        return proposer(self._definition, models=self._models, workshop=shop)

    def _reflector(self) -> Reflector | None:
        every = self._definition.reflects
        return Reflector(models=self._models, every=every) if every and self._models else None

    def _judge(self, task: Task) -> Judge | None:
        return judge(self._repo, task, self._folder, self._launcher, self._environment, self._models)

    def _another_name(self) -> AgentName:
        self._names.append(private.free_name(self._repo, self._task.run, self._use))
        self.mended += private.repair(self._repo, self._task.run, self._names[-1])
        return self.name
