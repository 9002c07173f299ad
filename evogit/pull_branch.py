"""Which branch proposes a result: the one that does already, or the next free number."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from evogit.errors import RefMoved, UsageError
from evogit.model import CommitId
from evogit.pull_request import Proposal
from evogit.store import commits, landing, refs
from evogit.store.landing import Branch

_TRIES = 5


@dataclass(frozen=True, slots=True)
class Place:
    """A proposed branch's number, the commit it is at (None: it does not exist), and whether that is the proposal."""

    number: int
    tip: CommitId | None
    is_current: bool


def place(proposal: Proposal, *, signed_off: str | None, taken: Iterable[int]) -> Place:
    """Return where the proposal stands or would go; `taken` are numbers a remote has.

    The same candidate in the same style keeps its branch. It is current when tree and parents are equal, and it is
    signed off where that is asked.

    Raises:
        UsageError: a branch stands in the way, or the one that would have to move is checked out.
        StorageError: the refs cannot be listed.
    """
    repo, run = proposal.repo, proposal.task.run
    if blocker := refs.branch_blocker(repo, run):
        raise UsageError(f"{blocker} stands where the branch evogit/{run}/pr-… would go; rename it (git branch -m)")
    known = landing.branches(repo, run)
    found = next((branch for branch in known if _proposes(proposal, branch)), None)
    if found is None:
        return Place(max([0, *(branch.number for branch in known), *taken]) + 1, None, False)
    if _is_current(proposal, found, signed_off):
        return Place(found.number, found.tip, True)
    if landing.is_checked_out(repo, run, found.number):
        raise UsageError(
            f"{short_name(proposal, found.number)} proposes an older version and is checked out, so it is not moved; "
            "check out another branch there"
        )
    return Place(found.number, found.tip, False)


def put(proposal: Proposal, commit: CommitId, *, signed_off: str | None, taken: Iterable[int]) -> Place:
    """Point a branch at the proposal's commit, and return where it stood before.

    When another process made the same proposal meanwhile, its commit stays and `commit` is left to git's cleaning.

    Raises:
        UsageError: as for `place`.
        RefMoved: other processes kept moving the branch.
        StorageError: Git would not move it.
    """
    for count in range(_TRIES):
        there = place(proposal, signed_off=signed_off, taken=taken)
        try:
            if not there.is_current:
                landing.move_branch(proposal.repo, proposal.task.run, there.number, old=there.tip, new=commit)
        except RefMoved:
            if count + 1 == _TRIES:
                raise
        else:
            break
    return there


def short_name(proposal: Proposal, number: int) -> str:
    """Return a proposed branch's name as people write it."""
    return refs.proposed_ref(proposal.task.run, number).removeprefix("refs/heads/")


def _proposes(proposal: Proposal, branch: Branch) -> bool:
    count = len(commits.parents(proposal.repo, branch.tip))
    return branch.best == proposal.best and count == len(proposal.parents)


def _is_current(proposal: Proposal, branch: Branch, signed_off: str | None) -> bool:
    commit = proposal.repo.commit(branch.tip)
    same = (str(commit.tree_id), *(str(parent) for parent in commit.parent_ids)) == (proposal.tree, *proposal.parents)
    return same and (signed_off is None or f"\nSigned-off-by: {signed_off}\n" in f"{commit.message}\n")
