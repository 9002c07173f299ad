"""Journals that stand for others: which they are, for whom they stand, and which names nobody may write under again."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass

import pygit2

from evogit.errors import StorageError
from evogit.model import AgentName, CommitId, RunName
from evogit.records import Successor, decode_note
from evogit.store import notes, refs, trees
from evogit.store.repository import Repository
from evogit.store.tracking import Item, Kind, parse

PREFIX = "kept-"
"""What the names of such journals begin with; no agent's does."""
_MAX_COMMITS = 64
"""Commits a successor has at most: it is written at once, and a person may have added a note."""


def is_successor(agent: str) -> bool:
    """Return whether a journal of this name may stand for others."""
    return agent.startswith(PREFIX)


def stands_for(repo: Repository, agent: AgentName, tip: pygit2.Oid) -> list[Successor]:
    """Return for which journals the one of `agent` stands, each as it was; an ordinary journal stands for none.

    Raises:
        StorageError: it cannot be read.
    """
    if not is_successor(agent):
        return []
    commit = repo.commit(CommitId(str(tip)))
    tree = commit.tree_id
    for _ in range(_MAX_COMMITS):
        if not commit.parent_ids:
            break
        commit = repo.commit(CommitId(str(commit.parent_ids[0])))
    else:
        return []
    note = notes.find(repo, tree, CommitId(str(commit.id)))
    said = decode_note(trees.read_blob(repo, note)) if note else ()
    return [record for record in said if isinstance(record, Successor) and record.agent == agent and record.of != agent]


@dataclass(frozen=True, slots=True)
class Heir:
    """A journal here that stands for another one as it was at `old`."""

    agent: AgentName
    tip: pygit2.Oid
    old: str


def heirs(repo: Repository, here: Mapping[Item, pygit2.Oid]) -> dict[Item, list[Heir]]:
    """Return which of these journals stand for which; those that cannot be read are left out."""
    found: dict[Item, list[Heir]] = {}
    for item, tip in here.items():
        if item.kind is not Kind.JOURNAL or not is_successor(item.agent):
            continue
        with suppress(StorageError):
            for one in stands_for(repo, item.agent, tip):
                of = Item(item.run, Kind.JOURNAL, AgentName(one.of))
                found.setdefault(of, []).append(Heir(item.agent, tip, one.tip))
    return found


def retired(repo: Repository, run: RunName) -> set[AgentName]:
    """Return the agents that another journal here stands for: whoever goes on takes another name.

    Raises:
        StorageError: the refs cannot be listed.
    """
    names = (name for name in refs.names(repo, refs.notes_prefix(run)) if "/" + PREFIX in name)
    tips = {item: refs.read(repo, name) for name in names if (item := parse(name)) and not refs.is_broken(repo, name)}
    return {item.agent for item in heirs(repo, {item: tip for item, tip in tips.items() if tip})}
