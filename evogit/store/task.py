"""The task of a run, frozen in its ref: the base, `evogit.toml`, and the protected files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import msgspec
import pathspec
import pygit2

from evogit import config
from evogit.errors import StorageError, UsageError
from evogit.model import CommitId, RunName, TreeId
from evogit.store import objects, refs, trees
from evogit.store.objects import Durability
from evogit.store.repository import Repository
from evogit.store.trees import EXECUTABLE_MODE, FILE_MODE, Entry

_TASK_FILE = b"task.json"
_CONFIG_FILE = b"evogit.toml"
_PROTECTED = b"protected/"


class _TaskFile(msgspec.Struct, frozen=True, kw_only=True):
    v: int
    run: str
    base: str
    editable: tuple[str, ...]
    protected: tuple[str, ...]


@dataclass(frozen=True)
class Definition:
    """What makes two runs the same experiment: base, configuration, patterns, frozen files.

    `editable` and `protected` are the patterns with the defaults filled in, so that they mean the same for ever; an
    empty `editable` is every text file that is not protected.
    """

    base: CommitId
    config: config.Config
    config_text: bytes
    editable: tuple[str, ...]
    protected: tuple[str, ...]
    files: Mapping[bytes, Entry]

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
        if self.is_protected(path):
            return False
        return not self.editable or self._editable_spec.match_file(path.decode("utf-8", "surrogateescape"))


@dataclass(frozen=True)
class Task:
    """A run and its definition; `tip` is the task ref's commit, `started` its time in seconds since 1970."""

    run: RunName
    definition: Definition
    base_tree: TreeId
    tip: CommitId
    started: int


def create(repo: Repository, run: RunName, definition: Definition, signature: pygit2.Signature) -> Task:
    """Write the task of a new run and return it.

    Raises:
        RefMoved: there is a run of that name.
        StorageError: Git would not write it.
    """
    described = _TaskFile(
        v=1, run=run, base=definition.base, editable=definition.editable, protected=definition.protected
    )
    entries: dict[bytes, Entry | None] = {
        _TASK_FILE: _file(repo, msgspec.json.encode(described, order="sorted") + b"\n"),
        _CONFIG_FILE: _file(repo, definition.config_text),
        **{_PROTECTED + path: entry for path, entry in definition.files.items()},
    }
    tree = trees.build(repo, None, entries)
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


def _file(repo: Repository, content: bytes) -> Entry:
    return Entry(FILE_MODE, objects.write_blob(repo, content))


def read(repo: Repository, run: RunName) -> Task:
    """Return the task of a run.

    Raises:
        UsageError: there is no such run.
        StorageError: its task cannot be read.
    """
    tip = refs.read(repo, refs.task_ref(run))
    if tip is None:
        known = ", ".join(names(repo)) or "none yet"
        raise UsageError(f"there is no run {run!r} in {repo.common}; runs: {known}")
    commit = repo.commit(CommitId(str(tip)))
    entries = trees.files(repo, commit.tree_id)
    where = f"the task of run {run}"
    try:
        described = msgspec.json.decode(trees.read_blob(repo, entries[_TASK_FILE].id), type=_TaskFile)
        text = trees.read_blob(repo, entries[_CONFIG_FILE].id)
    except (KeyError, msgspec.MsgspecError) as error:
        raise StorageError(f"{where} is damaged: {error}") from error
    if described.v != 1 or described.run != run:
        raise StorageError(
            f"{where} is of version {described.v} for run {described.run!r}; this evogit reads version 1"
        )
    base = CommitId(described.base)
    definition = Definition(
        base=base,
        config=config.parse(text, where=where),
        config_text=text,
        editable=described.editable,
        protected=described.protected,
        files={path.removeprefix(_PROTECTED): entry for path, entry in entries.items() if path.startswith(_PROTECTED)},
    )
    return Task(run, definition, TreeId(str(repo.commit(base).tree_id)), CommitId(str(tip)), commit.commit_time)


def unwritten(repo: Repository, definition: Definition) -> Task:
    """Return a task that stands in no ref, to measure with.

    Raises:
        StorageError: the base cannot be read.
    """
    tree = TreeId(str(repo.commit(definition.base).tree_id))
    return Task(RunName("unwritten"), definition, tree, definition.base, 0)


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
