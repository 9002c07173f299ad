"""What people change in a task while its run goes on; each change is one commit.

That is the goal, whether agents work, definitions of more agents, and the evaluator.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any

import msgspec
import pygit2

from evogit import resources
from evogit.errors import EvogitError, RefMoved, StorageError, UsageError
from evogit.model import CommitId, RunName
from evogit.store import objects, refs, trees
from evogit.store.objects import Durability
from evogit.store.repository import Repository
from evogit.store.task import TASK_FILE, Definition, State, Task, agent_entries, evaluator_entries, read, read_at
from evogit.store.trees import FILE_MODE, Entry

_TRIES = 50
_STALE_S = 60


def amend(
    repo: Repository,
    run: RunName,
    signature: pygit2.Signature,
    *,
    message: str,
    goal: str | None = None,
    state: State | None = None,
    agents: Mapping[str, bytes] | None = None,
) -> tuple[Task, bool]:
    """Put a goal, a state or definitions of more agents into force; return the task and whether anything was written.

    The change goes on top of what others change at the same time. Nothing is written when it says what is so already;
    a stopped run is not paused.

    Raises:
        UsageError: there is no such run, or a newer evogit wrote its task.
        StorageError: Git would not read or write.
    """
    _remove_stale_lock(repo, run, signature.time)
    for _ in range(_TRIES):
        found = read(repo, run)
        _refuse_newer(repo, found)
        new_goal = found.goal if goal is None else goal
        new_state = found.state if state is None else state
        if state is State.PAUSED and found.state is State.STOPPED:
            new_state = State.STOPPED
        new_agents = {name: text for name, text in (agents or {}).items() if name not in found.definition.agents}
        if (new_goal, new_state) == (found.goal, found.state) and not new_agents:
            return found, False
        entries = {**agent_entries(repo, new_agents), **_described(repo, found, new_goal, new_state)}
        try:
            _write(repo, found, signature, message, entries)
        except RefMoved:
            continue
        return read(repo, run), True
    raise StorageError(f"others keep changing the task of run {run}; try again")


def change_evaluator(
    repo: Repository, known: Task, new: Definition, signature: pygit2.Signature, *, message: str
) -> tuple[Task, bool]:
    """Let a run be measured by the evaluator of `new` from now on: return the task, and whether anything was written.

    Base, direction, what is editable and the goal in force stay. The change goes on top of others' goals and states,
    but never on another evaluator than that of `known`, which nobody would notice being replaced.

    Raises:
        UsageError: `new` changes what stays, somebody else changed the evaluator meanwhile, or a newer evogit wrote it.
        StorageError: Git would not read or write.
    """
    if reason := refusal(known.definition, new):
        raise UsageError(f"the evaluator of run {known.run} was not changed: {reason}")
    _remove_stale_lock(repo, known.run, signature.time)
    for _ in range(_TRIES):
        found = read(repo, known.run)
        _refuse_newer(repo, found)
        if found.definition.evaluator == new.evaluator:
            return found, False
        now = found.definition.evaluator
        if now != known.definition.evaluator:
            raise UsageError(
                f"somebody changed the evaluator of run {known.run} at the same time, to {now[:12]}; "
                f"look at theirs (evogit evaluator --run {known.run}), and say it again to replace it"
            )
        # Those of agents that the new configuration names come along; what a name stands for already, it keeps.
        kept = {*found.definition.agents, *resources.definitions()}
        agents = {name: text for name, text in new.agents.items() if name not in kept}
        entries = {**agent_entries(repo, agents), **_described(repo, found, found.goal, found.state, new)}
        try:
            _write(repo, found, signature, message, entries)
        except RefMoved:
            continue
        return read(repo, known.run), True
    raise StorageError(f"others keep changing the task of run {known.run}; try again")


def refusal(old: Definition, new: Definition) -> str | None:
    """Return why a run cannot go on with another definition's evaluator, or None."""
    for name, left, right in zip(("base", "direction", "editable"), old.experiment, new.experiment, strict=True):
        if left != right:
            return (
                f"{name} is another, which stays for a whole run; put it back, or begin another with `evogit run --new`"
            )
    if old.evaluator == new.evaluator and old.protected != new.protected:
        return (
            "only patterns of `protected` differ, and none of them names a file that is there, so scores before and "
            "after could not be told apart; put them back, or begin another with `evogit run --new`"
        )
    return None


def follow(repo: Repository, known: Task) -> Task:
    """Return the task with what is in force now; `known` itself when its ref did not move.

    That is goal, state and evaluator. What cannot be taken over leaves them as they were, and is said in `problem`; so
    is a change of what stays for a whole run: agents go on with the definition they began with.
    """
    try:
        tip = refs.read(repo, refs.task_ref(known.run))
        if tip is None:
            return replace(known, seen=CommitId(""), problem=f"{refs.task_ref(known.run)} was deleted")
        if str(tip) == known.seen:
            return known
        found = read_at(repo, known.run, tip)
        old, new = known.definition, found.definition
        if new.evaluator != old.evaluator and new.experiment == old.experiment:
            return found
        if new.key != old.key:
            problem = f"the definition of run {known.run} was changed; agents go on with the one they began with"
            return replace(known, seen=CommitId(str(tip)), problem=problem)
        # It need not continue the one before: of amendments made in two clones at once, a person puts theirs on again.
        return replace(found, definition=known.definition)
    except EvogitError as error:
        return replace(known, seen=CommitId(""), problem=str(error))  # read again next time: it may pass


def _remove_stale_lock(repo: Repository, run: RunName, now: int) -> None:
    """Remove the lock that a killed process left on the task's ref; a living one holds it for a blink."""
    lock = repo.common / f"{refs.task_ref(run)}.lock"
    with suppress(OSError):
        if now - lock.stat().st_mtime > _STALE_S:
            lock.unlink()


def _described(
    repo: Repository, found: Task, goal: str, state: State, new: Definition | None = None
) -> dict[bytes, Entry | None]:
    """Return what is changed in a task's tree; `new` brings another evaluator."""
    content = trees.read_blob(repo, trees.entries_of(repo, repo.commit(found.tip).tree_id)[TASK_FILE].id)
    described: dict[str, Any] = msgspec.json.decode(content)  # keys this version does not know are kept
    changed: dict[bytes, Entry | None] = {}
    if new is not None:
        changed |= dict.fromkeys(evaluator_entries(repo, found.definition))  # None: removed
        changed |= evaluator_entries(repo, new)
        described["protected"] = list(new.protected)
    _set(described, "goal", None if goal == (new or found.definition).config.goal else goal)
    _set(described, "state", None if state is State.RUNNING else state.value)
    line = msgspec.json.encode(described, order="sorted") + b"\n"
    return {**changed, TASK_FILE: Entry(FILE_MODE, objects.write_blob(repo, line))}


def _write(
    repo: Repository, found: Task, signature: pygit2.Signature, message: str, entries: Mapping[bytes, Entry | None]
) -> None:
    """Write a task commit on top of the ref's, with the tree of the newest one that can be read and these in it."""
    built = trees.build(repo, repo.commit(found.tip).tree_id, entries)
    assert built is not None  # it holds at least the task's file
    commit = objects.write_commit(
        repo, author=signature, committer=signature, message=message, tree=built, parents=[found.seen]
    )
    durability = Durability(repo)
    durability.flush()
    durability.close()
    refs.compare_and_swap(repo, refs.task_ref(found.run), old=pygit2.Oid(hex=found.seen), new=commit)


def _set(described: dict[str, Any], key: str, value: str | None) -> None:
    if value is None:
        described.pop(key, None)
    else:
        described[key] = value


def _refuse_newer(repo: Repository, found: Task) -> None:
    """Check that no newer evogit wrote the commit on top: what it says would be undone unread."""
    if found.seen == found.tip:
        return
    try:
        tree = repo.commit(found.seen).tree_id
        content = trees.read_blob(repo, trees.entries_of(repo, tree)[TASK_FILE].id)
        version = msgspec.json.decode(content)["v"]
    except (StorageError, msgspec.MsgspecError, UnicodeDecodeError, KeyError, TypeError):
        return  # damaged: an amendment on top of it mends the task
    if isinstance(version, int) and version > 1:
        raise UsageError(f"{found.problem}; update evogit to change this run's task")
