"""Pruning a run: one journal stands for all of this clone's, with what is kept as it was and a tombstone for the rest.

The new journal is there before an old one goes, so a crash at any moment leaves the old state, the new one, or both,
which read alike. No journal is forced; the names of the old ones are never written under again.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import msgspec
import pygit2

from evogit.errors import StorageError, UsageError
from evogit.model import PEOPLE, AgentName, CommitId, RunName
from evogit.records import MAX_NOTE_BYTES, AnyRecord, Successor, Tombstone, encode
from evogit.store import (
    git,
    journal,
    locking,
    notes,
    objects,
    packing,
    private,
    refs,
    successors,
    tombs,
    tracking,
    trees,
)
from evogit.store.ledger import stamp
from evogit.store.objects import Durability
from evogit.store.repository import Repository
from evogit.store.tombs import Rest, Shape
from evogit.store.tracking import Kind
from evogit.store.trees import FILE_MODE, Entry

_IN_ONE_NOTE = 1000
"""Tombstones in one note: a note for each would cost an object and a read for each."""


@dataclass(slots=True)
class Pruning:
    """What is to be folded into one journal, what is dropped of it, and which refs go."""

    run: RunName
    journals: dict[AgentName, pygit2.Oid]
    said: dict[CommitId, dict[bytes, None]] = field(default_factory=dict)
    """The lines of all notes of these journals."""
    dropped: dict[CommitId, tuple[Shape, Mapping[str, Rest]]] = field(default_factory=dict)
    stands_for: dict[AgentName, str] = field(default_factory=dict)
    """The tips of these journals, and of those they stand for themselves, by agent."""
    buried: set[tuple[str, str]] = field(default_factory=set)
    """What has a tombstone already: the candidate, and whose records there were dropped."""
    heads: list[CommitId] = field(default_factory=list)
    """Kept candidates that no other kept one came of: through them all others stay alive."""
    branches: dict[str, pygit2.Oid] = field(default_factory=dict)
    """Branches of these agents that lead to what is dropped."""

    @property
    def kept(self) -> int:
        """How many commits keep their notes."""
        return len(self.said) - len(self.dropped)


def plan(
    repo: Repository,
    run: RunName,
    base: CommitId,
    chosen: Collection[CommitId],
    gone: Sequence[str],
    held: Collection[AgentName] | None = None,
) -> Pruning:
    """Return what pruning to `chosen` and all it came from would do; `gone` are the ids of clones that write no more.

    `held` are the agents of this clone that are kept from running; journals of others of it stay (None: none does).

    Kept as well is what may not be dropped: what a journal that stays speaks of, what any branch or tag holds, what a
    person said, what was compared, what is not understood, and all these came from.

    Raises:
        UsageError: there is no journal of a clone that is said to be gone.
        StorageError: Git would not read.
    """
    found = {item.agent: tip for item, tip in tracking.local(repo) if item.run == run and item.kind is Kind.JOURNAL}
    folded, staying = _divide(repo, found, gone, found if held is None else held)
    made = Pruning(run, folded)
    anchors = {str(base), *chosen}
    for tip in staying.values():
        for change in notes.changed(repo, None, journal.tree_of(repo, tip)):
            anchors.update((change.commit, *tombs.compared_with(tombs.lines(repo, change.new))))
    rests = _read(repo, made, anchors)
    branches = _branches(repo, run, folded)
    anchors.update(_tips(repo, branches))
    lost = tombs.reachable(repo, rests, anchors)
    made.dropped = {commit: (lost[commit], rest) for commit, rest in rests.items() if commit in lost}
    made.branches = {name: tip for name, tip in branches.items() if str(tip) in lost}
    kept = tombs.reachable(repo, made.said.keys() - made.dropped.keys() | {base}, _before(repo, base))
    parents = {parent for shape in kept.values() for parent in shape.parents}
    made.heads = sorted(commit for commit in kept.keys() & (made.said.keys() | {base}) if commit not in parents)
    return made


def _divide(
    repo: Repository, found: Mapping[AgentName, pygit2.Oid], gone: Sequence[str], held: Collection[AgentName]
) -> tuple[dict[AgentName, pygit2.Oid], dict[AgentName, pygit2.Oid]]:
    own = private.clone_id(repo)
    for clone in gone:
        if clone == own or not any(agent.endswith(f"-{clone}") for agent in found):
            raise UsageError(
                f"no journal here is of another clone {clone!r}; the names of journals end in their clone's id"
            )
    folded = {}
    for agent, tip in found.items():
        clone = agent.rpartition("-")[2]
        if clone in gone or (clone == own and agent in held and not agent.startswith(PEOPLE)):
            folded[agent] = tip
    return folded, {agent: tip for agent, tip in found.items() if agent not in folded}


def _read(repo: Repository, made: Pruning, anchors: set[str]) -> dict[CommitId, dict[str, Rest]]:
    """Read all notes; return what would stay of those that may be dropped, and add the others to the anchors."""
    rests: dict[CommitId, dict[str, Rest]] = {}
    for agent, tip in made.journals.items():
        before = {AgentName(one.of): one.tip for one in successors.stands_for(repo, agent, tip)}
        made.stands_for |= before
        writers = {agent, *before}
        made.buried.update(tombs.stones(repo, journal.tree_of(repo, tip)))
        for change in notes.changed(repo, None, journal.tree_of(repo, tip)):
            said = tombs.lines(repo, change.new)
            made.said.setdefault(change.commit, {}).update(said)
            own = [line for line in said if not tombs.is_of_the_store(line)]
            found = tombs.rests(own, made.run, writers)
            if found is None:
                anchors.update((change.commit, *tombs.compared_with(own)))
            elif own:
                rests.setdefault(change.commit, {}).update(found)
    made.stands_for |= {agent: str(tip) for agent, tip in made.journals.items()}
    return rests


def _branches(repo: Repository, run: RunName, folded: Collection[AgentName]) -> dict[str, pygit2.Oid]:
    """Return the branches of these agents that nobody stands on."""
    found = {}
    for agent in folded:
        name = refs.branch_ref(run, agent)
        tip = refs.read(repo, name)
        if tip is not None and not repo.raw.lookup_branch(name.removeprefix("refs/heads/")).is_checked_out():
            found[name] = tip
    return found


def _tips(repo: Repository, without: Collection[str]) -> list[str]:
    """Return where all branches and tags of the user point, HEAD included; but those named, and those of remotes."""
    said = git.run(repo, ["for-each-ref", "--format=%(objectname) %(refname)", "refs/heads", "refs/tags", "refs/stash"])
    rows = (line.partition(" ") for line in said.decode("utf-8", "surrogateescape").splitlines())
    head = [] if repo.raw.head_is_unborn else [str(repo.head())]
    return [*(tip for tip, _, name in rows if name not in without), *head]


def _before(repo: Repository, base: CommitId) -> list[str]:
    return [str(parent) for parent in repo.commit(base).parent_ids]


def refuse_living(repo: Repository, run: RunName) -> None:
    """Check that no agent of this clone is at work in a run.

    Raises:
        UsageError: one is.
    """
    if living := private.living(repo, run):
        raise UsageError(f"run {run} has living agents: {', '.join(living)}; stop them first (Ctrl-C, or kill)")


@contextmanager
def alone(repo: Repository, run: RunName) -> Iterator[set[AgentName]]:
    """Keep agents of this clone from running, and journals from being taken over; give the names that are held.

    Raises:
        UsageError: an agent is running.
        RepositoryError, StorageError: the locks cannot be taken.
    """
    refuse_living(repo, run)
    clone = private.clone_id(repo)
    names = set()
    with ExitStack() as held, locking.alone(repo, "takeover"):
        for item, _ in tracking.local(repo):
            ours = item.kind is Kind.JOURNAL and item.agent.endswith(f"-{clone}")
            if item.run == run and ours and not item.agent.startswith(PEOPLE):
                held.callback(private.take_name(repo, run, item.agent).release)
                names.add(item.agent)
        yield names


def finish(repo: Repository, run: RunName) -> None:
    """Let go what a pruning of this clone that was killed had not let go yet; call it under `alone`.

    Raises:
        StorageError: Git would not.
    """
    clone = private.clone_id(repo)
    here = {item: tip for item, tip in tracking.local(repo) if item.run == run}
    for item, known in successors.heirs(repo, here).items():
        if any(heir.old == str(here.get(item)) and heir.agent.endswith(f"-{clone}") for heir in known):
            let_go(repo, run, {item.agent: here[item]}, {})


def carry_out(repo: Repository, made: Pruning, who: pygit2.Signature, now: datetime) -> AgentName:
    """Write the journal that stands for the others, let these go, and return its agent; call it under `alone`.

    Raises:
        StorageError: Git would not write; every journal that was there still is, or the new one is.
    """
    agent = _free_name(repo, made.run)
    durability = Durability(repo)
    try:
        tip = _write(repo, made, agent, who, stamp(now))
        durability.flush()
    finally:
        durability.close()
    _unlock(repo, [refs.journal_ref(made.run, agent)])
    refs.compare_and_swap(repo, refs.journal_ref(made.run, agent), old=None, new=tip, message="evogit: prune")
    let_go(repo, made.run, made.journals, made.branches)
    _forget_former_tips(repo, [refs.branch_ref(made.run, one) for one in made.stands_for])
    return agent


def _free_name(repo: Repository, run: RunName) -> AgentName:
    clone = private.clone_id(repo)
    taken = {*successors.retired(repo, run), *(item.agent for item, _ in tracking.local(repo) if item.run == run)}
    names = (AgentName(f"{successors.PREFIX}{number}-{clone}") for number in range(1, len(taken) + 2))
    return next(name for name in names if name not in taken)


def _write(repo: Repository, made: Pruning, agent: AgentName, who: pygit2.Signature, at: str) -> pygit2.Oid:
    start = journal.begin(repo, agent, who)
    said = {commit: list(found) for commit, found in made.said.items() if commit not in made.dropped}
    for commit in made.dropped:
        if carried := [line for line in made.said[commit] if tombs.is_of_the_store(line)]:
            said[commit] = carried
    for number, (where, record) in enumerate(_own(made, agent, CommitId(str(start)), at)):
        said.setdefault(where, []).append(encode(msgspec.structs.replace(record, seq=number)).rstrip(b"\n"))
    paths: dict[bytes, Entry | None] = {}
    for commit, found in said.items():
        content = b"".join(line + b"\n" for line in found)
        if len(content) > MAX_NOTE_BYTES:
            raise StorageError(
                f"a note of {len(content)} bytes on {commit[:12]}; readers take at most {MAX_NOTE_BYTES}"
            )
        paths[f"{commit[:2]}/{commit[2:]}".encode()] = Entry(FILE_MODE, objects.write_blob(repo, content))
    tree = trees.build(repo, None, paths)
    if tree is None:
        raise StorageError(f"nothing stands in the journals of {made.run}")
    message = f"evogit: stand for {len(made.journals)} journals, without {len(made.dropped)} candidates\n"
    return objects.write_commit(
        repo, author=who, committer=who, message=message, tree=tree, parents=[start, *made.heads]
    )


def _own(made: Pruning, agent: AgentName, start: CommitId, at: str) -> Iterator[tuple[CommitId, AnyRecord]]:
    """Yield what the new journal says itself, and on which commit: for whom it stands, and what was dropped."""
    header: dict[str, Any] = {"v": 1, "agent": agent, "run": made.run, "seq": 0, "at": at}
    for of, tip in sorted(made.stands_for.items()):
        yield start, Successor(**header, of=of, tip=str(tip))
    stones = [
        Tombstone(**header, of=of, id=commit, tree=shape.tree, parents=list(shape.parents), scores=list(rest.scores),
                  operator=rest.operator, paid=list(rest.paid))
        for commit, (shape, found) in sorted(made.dropped.items())
        for of, rest in sorted(found.items()) if (commit, of) not in made.buried
    ]  # fmt: skip
    for number, stone in enumerate(stones):
        yield CommitId(stones[number - number % _IN_ONE_NOTE].id), stone


def let_go(
    repo: Repository, run: RunName, journals: Mapping[AgentName, pygit2.Oid], branches: Mapping[str, pygit2.Oid]
) -> None:
    """Delete journals that another one stands for, where they still are what was looked at, and the copies of them.

    Their reflogs go with them; objects stay until git's own garbage collection finds them unreachable.

    Raises:
        StorageError: Git would not; whatever is left reads as before.
    """
    names = {refs.journal_ref(run, agent): tip for agent, tip in journals.items()}
    _unlock(repo, names)
    copies = [
        name for name in tracking.names(repo, run) if name.rpartition("/")[2].removesuffix(".journal") in journals
    ]
    lines = [f"delete {name} {tip}\n" for name, tip in {**names, **branches}.items()]
    lines += [f"delete {name}\n" for name in copies if not refs.is_broken(repo, name)]
    git.run(repo, ["update-ref", "--stdin"], stdin="".join(lines).encode())
    packing.forget(repo)


def _forget_former_tips(repo: Repository, names: Iterable[str]) -> None:
    """Empty the reflogs of branches that agents left: what a branch pointed at before would be kept alive by them."""
    known = [name for name in names if refs.read(repo, name) is not None and (repo.common / "logs" / name).is_file()]
    if known:
        git.run(repo, ["reflog", "expire", "--expire=now", *known])


def _unlock(repo: Repository, names: Iterable[str]) -> None:
    """Remove the locks that a killed process left on refs whose writers cannot be running."""
    for name in names:
        tracking.unlock(repo, name)
