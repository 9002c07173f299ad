"""Claims to score a commit: which of them stand, so that not everybody spends an evaluation on the same one."""

from __future__ import annotations

from datetime import datetime

from evogit.model import PEOPLE, AgentName, CommitId
from evogit.records import Lease
from evogit.store import private
from evogit.store.ledger import is_current
from evogit.store.repository import Repository
from evogit.store.snapshot import Snapshot


def standing(repo: Repository, snapshot: Snapshot, commit: CommitId, now: datetime) -> list[Lease]:
    """Return the claims on a commit that keep others from scoring it, the first one first.

    Each is current, its holder has not had its try since, and is not known to be dead.

    Raises:
        RepositoryError, StorageError: this clone's id cannot be read.
    """
    found = snapshot.candidates.get(commit)
    if found is None:
        return []
    tried = [(score.agent, score.seq) for score in found.scores]
    open_ = (c for c in found.leases if not any(agent == c.agent and seq > c.seq for agent, seq in tried))
    held = [claim for claim in open_ if is_current(claim, now) and _may_live(repo, snapshot, claim)]
    return sorted(held, key=lambda claim: (claim.at, claim.agent))


def is_elsewhere(repo: Repository, claim: Lease) -> bool:
    """Return whether a claim is that of another clone, of which nobody here can say whether its holder still lives.

    Raises:
        RepositoryError, StorageError: this clone's id cannot be read.
    """
    return not claim.agent.endswith(f"-{private.clone_id(repo)}")


def _may_live(repo: Repository, snapshot: Snapshot, claim: Lease) -> bool:
    """Return whether a holder can still be at it: of the agents of this clone, those that live."""
    if claim.agent.startswith(PEOPLE) or is_elsewhere(repo, claim):
        return True  # a person's hook holds its journal only while it writes
    return private.is_living(repo, snapshot.run, AgentName(claim.agent))
