"""What most commands need first: the repository, a run, and what its journals say."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import TypeVar

import click
import msgspec

from evogit.config import Stop
from evogit.errors import UsageError
from evogit.model import AgentName, CommitId, parse_run_name
from evogit.phylogeny import Phylogeny, to_measure_again
from evogit.store import amendments, commits, epochs, refs, repository, task
from evogit.store.candidate import Candidate
from evogit.store.epochs import Epoch
from evogit.store.repository import Repository
from evogit.store.sizes import Sizes
from evogit.store.snapshot import Snapshot
from evogit.store.task import State, Task

_F = TypeVar("_F", bound=Callable[..., object])


def run_option(function: _F) -> _F:
    """Add `--run NAME`."""
    return click.option("--run", "run", metavar="NAME", help="The run; default: the newest")(function)


def json_option(function: _F) -> _F:
    """Add `--json`."""
    return click.option("--json", "as_json", is_flag=True, help="Print one JSON document")(function)


def limit_options(function: _F) -> _F:
    """Add the options that say when to stop; `limits` reads them."""
    for name, kind, words in (
        (
            "budget-usd",
            click.FloatRange(0, min_open=True),
            "Stop when all agents of the run, on all machines, have spent this on models and tools",
        ),
        ("stagnation", click.IntRange(1), "Stop after this many evaluations without a better candidate"),
        ("target", float, "Stop when this score is reached"),
        ("minutes", click.FloatRange(0, min_open=True), "Stop after this time"),
        ("evals", click.IntRange(1), "Stop after this many evaluations by all agents together"),
    ):
        function = click.option(f"--{name}", name.replace("-", "_"), type=kind, help=words)(function)
    return function


def limits(stop: Stop, options: Mapping[str, float | None]) -> Stop:
    """Return the limits of the configuration with those of the options in their place."""
    return msgspec.structs.replace(stop, **{name: value for name, value in options.items() if value is not None})


def as_options(values: Mapping[str, float | None]) -> list[str]:
    """Return options of another process of ours that say the same."""
    return [f"--{name.replace('_', '-')}={value}" for name, value in values.items() if value is not None]


def now() -> datetime:
    """Return the present time."""
    return datetime.now(UTC)


def here() -> Path:
    """Return the folder the user stands in: paths they type are seen from there."""
    return Path.cwd()


def open_here() -> Repository:
    """Open the repository the user stands in.

    Raises:
        RepositoryError: there is none, or of a kind evogit cannot work in.
    """
    return repository.open_repository()


def person(repo: Repository) -> tuple[str, str]:
    """Return the name and e-mail of the person who runs evogit."""
    found = repository.committer(repo, os.environ, now())
    return found.name, found.email


def choose_task(repo: Repository, run: str | None) -> Task:
    """Return the task of the named run, or of the newest.

    Raises:
        UsageError: there is none.
        StorageError: it cannot be read.
    """
    if run is not None:
        return task.read(repo, parse_run_name(run))
    found = task.newest(repo)
    if not found:
        raise UsageError(f"there is no run in {repo.common} yet; start one with `evogit run`")
    return found[0]


def refuse_stopped(task: Task) -> None:
    """Check that agents may work on a run.

    Raises:
        UsageError: a person stopped it.
    """
    if task.state is State.STOPPED:
        raise UsageError(
            f"run {task.run} was stopped; let it go on with `evogit resume --run {task.run}`, or begin another with "
            "`evogit run --new`"
        )


def epoch_words(repo: Repository, task: Task) -> str:
    """Return which epoch a run is in."""
    now = epochs.of(repo, task)[-1]
    return f"run {task.run} is in epoch {now.number}, measured by evaluator {now.evaluator[:12]}"


@dataclass(frozen=True)
class Reading:
    """A run as it stands: the repository, the task, and the snapshot of all its journals."""

    repo: Repository
    task: Task
    snapshot: Snapshot

    @cached_property
    def graph(self) -> Phylogeny:
        """The family tree; built when it is first asked for, as of then."""
        graph = Phylogeny(self.repo, self.snapshot, self.task.definition.base)
        graph.refresh()
        return graph

    @cached_property
    def epochs(self) -> list[Epoch]:
        """The epochs of the run, the present one last."""
        return epochs.of(self.repo, self.task)

    def measured_by(self, evaluator: str) -> str:
        """Return which epoch a score is of; an empty string for those that count now."""
        return "" if evaluator == self.snapshot.evaluator else epochs.named(self.epochs, evaluator)

    def to_measure_again(self) -> list[CommitId]:
        """Return the candidates of earlier epochs that agents measure before they try anything new."""
        return to_measure_again(self.repo, self.graph, epochs.before(self.epochs))

    def followed(self) -> Reading:
        """Return the run as its task says now; itself when that says nothing new. The snapshot stays the same one."""
        heard = amendments.follow(self.repo, self.task)
        if heard is self.task:
            return self
        if heard.definition.evaluator != self.snapshot.evaluator:
            self.snapshot.judge_by(heard.definition.evaluator)
        return Reading(self.repo, heard, self.snapshot)

    @property
    def base_value(self) -> float | None:
        """The base's score."""
        return self.value(self.task.definition.base)

    def value(self, commit: CommitId) -> float | None:
        """Return a commit's score, or None."""
        found = self.snapshot.candidates.get(commit)
        return found.value(self.snapshot.evaluator) if found else None

    def subject(self, commit: CommitId) -> str:
        """Return the first line of a commit's message; a commit that cannot be read has none."""
        return commits.subject(self.repo, commit)

    def find_best(self) -> Candidate | None:
        """Return the best candidate, or None when nothing is scored.

        Among equals it is the one with the smallest difference from the base, the first measured of these. What a
        person pruned, and all that came of it, is no best.
        """
        if any(candidate.verdicts for candidate in self.snapshot.candidates.values()):
            self.graph.refresh()
            return self.graph.best()
        leaders = [self.snapshot.candidates[commit] for commit in self.snapshot.leaders()]
        return self._sizes.least(leaders, self.snapshot.evaluator)

    @cached_property
    def _sizes(self) -> Sizes:
        return Sizes(self.repo, self.task.definition.base)

    def best(self) -> Candidate:
        """Return the best candidate.

        Raises:
            UsageError: nothing has a score yet.
        """
        found = self.find_best()
        if found is None and len(self.epochs) > 1:
            raise UsageError(
                f"nothing in run {self.task.run} has a score in epoch {len(self.epochs)} yet; `evogit run --run "
                f"{self.task.run}` measures the best of before again first"
            )
        if found is None:
            raise UsageError(f"nothing in run {self.task.run} has a score yet")
        return found

    def resolve(self, revision: str | None) -> CommitId:
        """Return the commit a person means: `best` (the default), `base`, an agent's name, or anything git knows.

        Raises:
            UsageError: there is no such commit.
        """
        if revision in (None, "best"):
            return self.best().id
        if revision == "base":
            return self.task.definition.base
        if revision in self.snapshot.agents:
            tip = refs.read(self.repo, refs.branch_ref(self.task.run, AgentName(str(revision))))
            if tip is not None:
                return CommitId(str(tip))
        return commits.resolve(self.repo, str(revision))


def read_run(run: str | None) -> Reading:
    """Open the repository and read a run cold.

    Raises:
        RepositoryError, UsageError, StorageError: as the parts say.
    """
    repo = open_here()
    chosen = choose_task(repo, run)
    frozen = chosen.definition
    snapshot = Snapshot(repo, chosen.run, frozen.evaluator, frozen.config.direction, base=frozen.base)
    snapshot.refresh()
    if chosen.problem:
        snapshot.problems["task"] = chosen.problem
    return Reading(repo, chosen, snapshot)
