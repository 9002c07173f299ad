"""What an exchange does about journals that another one stands for: nothing is sent again, and what is old goes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import pygit2

from evogit.errors import StorageError
from evogit.model import AgentName
from evogit.store import pruning, refs, successors, takeover
from evogit.store.repository import Repository
from evogit.store.successors import Heir
from evogit.store.tracking import Item


def is_inherited(known: Mapping[Item, list[Heir]], item: Item, tip: pygit2.Oid) -> bool:
    """Return whether a journal here was made to stand for this one just as it is."""
    return any(heir.old == str(tip) for heir in known.get(item, ()))


def let_go(repo: Repository, here: Mapping[Item, pygit2.Oid], clone: str) -> Iterator[tuple[Item, AgentName]]:
    """Let journals of other clones go that one of the same clone stands for; yield them, and what stands for them.

    Only after a look at all that they hold. A clone's own are let go by `clean` alone, and those of a clone that
    another one says is gone when a person says so here, too.

    Raises:
        StorageError: Git would not.
    """
    for item, known in successors.heirs(repo, here).items():
        tip = refs.read(repo, item.ref)
        origin = item.agent.rpartition("-")[2]
        if tip is None or origin == clone:
            continue
        for heir in known:
            if heir.agent.rpartition("-")[2] == origin and _is_covered(repo, item, tip, heir):
                pruning.let_go(repo, item.run, {item.agent: tip}, {})
                yield item, heir.agent
                break


def _is_covered(repo: Repository, item: Item, tip: pygit2.Oid, heir: Heir) -> bool:
    try:
        return not takeover.why_kept(repo, item.run, item.agent, tip, heir.tip, exactly=heir.old == str(tip))
    except StorageError:
        return False
