"""The task of a run, in its ref: the base, `evogit.toml`, and the protected files."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from functools import cached_property
from typing import Literal

import msgspec
import pathspec
import pygit2

from evogit import config
from evogit.errors import ConfigError, StorageError, UsageError
from evogit.evaluator_table import Command
from evogit.model import CommitId, RunName, TreeId
from evogit.store import naming, objects, refs, trees
from evogit.store.objects import Durability
from evogit.store.repository import Repository
from evogit.store.trees import EXECUTABLE_MODE, FILE_MODE, Entry

TASK_FILE = b"task.json"
_CONFIG_FILE = b"evogit.toml"
_PROTECTED = b"protected/"
_AGENTS = b"agents/"
_NEVER_EDITED = b".evogit/"
_MAX_UNREADABLE = 100
_MAX_DEFINITIONS = 256
MAX_AMENDMENTS = 100_000


class State(StrEnum):
    """What people want of the agents of a run."""

    RUNNING = "running"
    PAUSED = "paused"
    STOPPED = "stopped"


class _TaskFile(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    v: int
    run: str
    base: str
    editable: tuple[str, ...]
    protected: tuple[str, ...]
    goal: str | None = None
    state: Literal["paused", "stopped"] | None = None


class _Version(msgspec.Struct):
    v: int = 0


@dataclass(frozen=True)
class Definition:
    """What makes two runs the same experiment: base, configuration, patterns, frozen files.

    `editable` and `protected` are the patterns with the defaults filled in, so that they mean the same for ever; an
    empty `editable` is every text file that is not protected. `agents` are the definitions of agents that do not ship
    with evogit, by name.
    """

    base: CommitId
    config: config.Config
    config_text: bytes
    editable: tuple[str, ...]
    protected: tuple[str, ...]
    files: Mapping[bytes, Entry]
    agents: Mapping[str, bytes] = field(default_factory=dict)

    @cached_property
    def evaluator(self) -> str:
        """The digest of the evaluator: scores with another one are never compared with these.

        Of `evogit.toml` only the `[evaluator]` table counts: another limit or goal measures the same.
        """
        files = ((path, entry.mode, str(entry.id)) for path, entry in self.files.items() if path != _CONFIG_FILE)
        return config.evaluator_digest(self.config.evaluator, files)

    @cached_property
    def key(self) -> tuple[object, ...]:
        """What must be equal for one run to continue another; limits and the choice of agents may differ."""
        return (self.base, self.config.goal, self.config.direction, self.editable, self.protected, self.evaluator)

    @property
    def experiment(self) -> tuple[object, ...]:
        """What stays for a whole run: where it starts, which scores are better, and what may be changed."""
        return (self.base, self.config.direction, self.editable)

    def at(self, base: CommitId) -> Definition:
        """Return the same definition for candidates that start from another commit."""
        return replace(self, base=base)

    @cached_property
    def trusted(self) -> frozenset[bytes]:
        """The protected files that only the scorer of a split evaluator sees: those named so, and the scorer's own."""
        evaluator = self.config.evaluator
        if evaluator.mode != "split":
            return frozenset()
        own = self._named(evaluator.scorers()) - self._named(evaluator.beside())
        return frozenset(own | {path for path in self.files if self.is_trusted(path)})

    def is_trusted(self, path: bytes) -> bool:
        """Return whether `trusted` of the evaluator names this path, or a folder it is in."""
        return self._trusted_spec.match_file(path.decode("utf-8", "surrogateescape"))

    def _named(self, commands: Iterable[Command]) -> set[bytes]:
        words = (guess for command in commands for guess in naming.guesses(command))
        return {os.fsencode(os.path.normpath(word)) for word in words} & self.files.keys()

    @cached_property
    def _trusted_spec(self) -> pathspec.GitIgnoreSpec:
        return pathspec.GitIgnoreSpec.from_lines(self.config.evaluator.trusted)

    @cached_property
    def _protected_spec(self) -> pathspec.GitIgnoreSpec:
        return pathspec.GitIgnoreSpec.from_lines(self.protected)

    @cached_property
    def _editable_spec(self) -> pathspec.GitIgnoreSpec:
        return pathspec.GitIgnoreSpec.from_lines(self.editable)

    def is_protected(self, path: bytes) -> bool:
        """Return whether candidates never change this path and are scored with the frozen version of it."""
        return path in self.files or self._protected_spec.match_file(path.decode("utf-8", "surrogateescape"))

    def is_editable(self, path: bytes) -> bool:
        """Return whether a proposer may change this path."""
        if path.startswith(_NEVER_EDITED) or self.is_protected(path):
            return False
        return not self.editable or self._editable_spec.match_file(path.decode("utf-8", "surrogateescape"))


@dataclass(frozen=True)
class Task:
    """A run, its definition, and what people say of it now.

    `tip` is the newest task commit that can be read and `seen` where the task's ref pointed when it was read: where
    they differ, `problem` says why. `started` is the time of the first task commit, in seconds since 1970.
    """

    run: RunName
    definition: Definition
    base_tree: TreeId
    tip: CommitId
    seen: CommitId
    started: int
    goal: str = ""
    state: State = State.RUNNING
    problem: str = ""

    @property
    def stop_reason(self) -> str | None:
        """Why agents end when the run was stopped, or None."""
        if self.state is not State.STOPPED:
            return None
        return f"the run was stopped (evogit resume --run {self.run} goes on)"


def create(repo: Repository, run: RunName, definition: Definition, signature: pygit2.Signature) -> Task:
    """Write the task of a new run and return it.

    Raises:
        RefMoved: there is a run of that name.
        StorageError: Git would not write it.
    """
    described = _TaskFile(
        v=1, run=run, base=definition.base, editable=definition.editable, protected=definition.protected
    )
    line = msgspec.json.encode(described, order="sorted") + b"\n"
    own = agent_entries(repo, definition.agents)
    tree = trees.build(repo, None, {TASK_FILE: _file(repo, line), **evaluator_entries(repo, definition), **own})
    assert tree is not None  # it holds at least the two files
    goal = definition.config.goal
    commit = objects.write_commit(
        repo,
        author=signature,
        committer=signature,
        message=f"evogit: task of run {run}\n" + (f"\n{goal}\n" if goal else ""),
        tree=tree,
        parents=[definition.base],
    )
    durability = Durability(repo)
    durability.flush()
    durability.close()
    refs.compare_and_swap(repo, refs.task_ref(run), old=None, new=commit)
    return read(repo, run)


def evaluator_entries(repo: Repository, definition: Definition) -> dict[bytes, Entry]:
    """Return what a task's tree holds beside `task.json` and `agents/`; the configuration's blob is written.

    Raises:
        StorageError: Git would not write it.
    """
    files = {_PROTECTED + path: entry for path, entry in definition.files.items()}
    return {_CONFIG_FILE: _file(repo, definition.config_text), **files}


def agent_entries(repo: Repository, agents: Mapping[str, bytes]) -> dict[bytes, Entry | None]:
    """Return what a task's tree holds of these agents' definitions; their blobs are written.

    Raises:
        StorageError: Git would not write it.
    """
    return {b"%s%s.toml" % (_AGENTS, name.encode()): _file(repo, text) for name, text in agents.items()}


def _agents(repo: Repository, entries: Mapping[bytes, Entry]) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    for path, entry in entries.items():
        if len(found) == _MAX_DEFINITIONS:
            break
        name = path.removeprefix(_AGENTS).removesuffix(b".toml").decode("utf-8", "replace")
        if path == b"%s%s.toml" % (_AGENTS, name.encode()) and config.is_agent_name(name):
            found[name] = trees.read_blob(repo, entry.id)
    return found


def _file(repo: Repository, content: bytes) -> Entry:
    return Entry(FILE_MODE, objects.write_blob(repo, content))


def read(repo: Repository, run: RunName) -> Task:
    """Return the task of a run: what the newest commit of its ref that can be read says.

    Raises:
        UsageError: there is no such run.
        StorageError: its task cannot be read.
    """
    tip = refs.read(repo, refs.task_ref(run))
    if tip is None:
        known = ", ".join(names(repo)) or "none yet"
        raise UsageError(f"there is no run {run!r} in {repo.common}; runs: {known}")
    return read_at(repo, run, tip)


def read_at(repo: Repository, run: RunName, tip: pygit2.Oid) -> Task:
    """Return the task as its ref says when it points at `tip`.

    A commit on top that is damaged, or written by a newer evogit, is passed over: it stops nobody.

    Raises:
        StorageError: none can be read.
        ConfigError: the configuration of the first one is not valid.
    """
    problem: StorageError | ConfigError | None = None
    at = repo.commit(CommitId(str(tip)))
    for _ in range(_MAX_UNREADABLE):
        try:
            found = _parse(repo, run, at)
        except (StorageError, ConfigError) as error:
            problem = problem or error
            if not at.parent_ids or TASK_FILE not in trees.entries_of(repo, at.tree_id):
                break
            at = repo.commit(CommitId(str(at.parent_ids[0])))
        else:
            return replace(found, seen=CommitId(str(tip)), problem=str(problem or ""))
    assert problem is not None  # the loop ends in no other way
    raise problem


def _parse(repo: Repository, run: RunName, commit: pygit2.Commit) -> Task:
    where = f"the task of run {run}"
    described, definition = _definition(repo, run, commit, where)
    return Task(
        run=run,
        definition=definition,
        base_tree=TreeId(str(repo.commit(definition.base).tree_id)),
        tip=CommitId(str(commit.id)),
        seen=CommitId(str(commit.id)),
        started=_started(repo, commit, definition.base, where),
        goal=definition.config.goal if described.goal is None else described.goal,
        state=State(described.state or State.RUNNING),
    )


def definition_of(repo: Repository, run: RunName, commit: pygit2.Commit) -> Definition:
    """Return the definition one task commit holds.

    Raises:
        StorageError: it cannot be read.
        ConfigError: its configuration is not valid.
    """
    return _definition(repo, run, commit, f"the task of run {run}")[1]


def _definition(repo: Repository, run: RunName, commit: pygit2.Commit, where: str) -> tuple[_TaskFile, Definition]:
    try:
        content = trees.read_blob(repo, trees.entries_of(repo, commit.tree_id)[TASK_FILE].id)
        version = msgspec.json.decode(content, type=_Version).v
        if version > 1:
            raise StorageError(f"{where} is of version {version}; this evogit reads version 1")
        described = msgspec.json.decode(content, type=_TaskFile)
        entries = trees.files(repo, commit.tree_id)
        text = trees.read_blob(repo, entries[_CONFIG_FILE].id)
    except (KeyError, msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise StorageError(f"{where} is damaged: {error}") from error
    if described.v != 1 or described.run != run:
        raise StorageError(
            f"{where} is of version {described.v} for run {described.run!r}; this evogit reads version 1"
        )
    return described, Definition(
        base=CommitId(described.base),
        config=config.parse(text, where=where),
        config_text=text,
        editable=described.editable,
        protected=described.protected,
        files={path.removeprefix(_PROTECTED): entry for path, entry in entries.items() if path.startswith(_PROTECTED)},
        agents=_agents(repo, entries),
    )


def _started(repo: Repository, commit: pygit2.Commit, base: CommitId, where: str) -> int:
    """Return the time of the first task commit, the one on the base."""
    for _ in range(MAX_AMENDMENTS):
        if not commit.parent_ids:
            break
        parent = CommitId(str(commit.parent_ids[0]))
        if parent == base:
            return int(commit.commit_time)
        commit = repo.commit(parent)
    raise StorageError(f"{where} is damaged: it does not lead down to its base {base[:12]} by first parents")


def unwritten(repo: Repository, definition: Definition) -> Task:
    """Return a task that stands in no ref, to measure with.

    Raises:
        StorageError: the base cannot be read.
    """
    tree = TreeId(str(repo.commit(definition.base).tree_id))
    return Task(RunName("unwritten"), definition, tree, definition.base, definition.base, 0)


def names(repo: Repository) -> Sequence[RunName]:
    """Return the names of all runs, by name.

    Raises:
        StorageError: the refs cannot be listed.
    """
    found = (refs.parse_task_ref(name) for name in refs.names(repo, "refs/evogit/"))
    return sorted(run for run in found if run)


def newest(repo: Repository) -> list[Task]:
    """Return the tasks of all readable runs, the newest first.

    Raises:
        StorageError: the refs cannot be listed.
    """
    tasks = []
    for run in names(repo):
        try:
            tasks.append(read(repo, run))
        except (StorageError, UsageError):
            continue  # a run that cannot be read is named by `runs` and `doctor`; it hides no other
    return sorted(tasks, key=lambda task: (task.started, task.run), reverse=True)


def has_editable_file(repo: Repository, definition: Definition) -> bool:
    """Return whether the base has any plain file a proposer may change.

    Raises:
        StorageError: the base cannot be read.
    """
    tracked = trees.files(repo, repo.commit(definition.base).tree_id)
    return any(
        entry.mode in (FILE_MODE, EXECUTABLE_MODE) and definition.is_editable(path) for path, entry in tracked.items()
    )
