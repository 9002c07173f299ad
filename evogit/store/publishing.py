"""Sending a proposed branch to a remote, with the git program and the user's own credentials; never by force.

The one exception is an older version of the same proposal, replaced under a lease on exactly that version.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from evogit.errors import StorageError, UsageError
from evogit.model import CommitId, RunName
from evogit.store import landing, refs, remote, user_git
from evogit.store.repository import Repository


@dataclass(frozen=True, slots=True)
class Remote:
    """A remote as git is told of it, and the address git pushes to."""

    name: str
    url: str
    is_configured: bool


def find(repo: Repository, name: str, caller: Mapping[str, str]) -> Remote:
    """Return the remote a person names: a configured one, an address or a folder.

    Raises:
        UsageError: there is no such remote, or it is a bundle.
        RepositoryError: its configuration would destroy journals.
        StorageError: git failed.
    """
    found = remote.find(repo, name)
    if found.is_bundle or not name:
        raise UsageError(f"--remote {name!r}: nothing can be pushed there; name a remote, an address or a folder")
    if found.name not in remote.configured(repo):
        return Remote(found.name, found.name, False)
    said = user_git.run(repo, ["remote", "get-url", "--push", found.name], caller)
    return Remote(found.name, said.decode("utf-8", "replace").strip(), True)


def proposed(repo: Repository, there: Remote, run: RunName, caller: Mapping[str, str]) -> dict[int, CommitId]:
    """Return the proposed branches of this run that the remote has, by number.

    Raises:
        StorageError: the remote cannot be read.
    """
    said = user_git.run(repo, ["ls-remote", there.name, f"{refs.branch_prefix(run)}pr-*"], caller)
    found = {}
    for line in said.decode("utf-8", "replace").splitlines():
        commit, _, name = line.partition("\t")
        parsed = refs.parse_proposed_ref(name)
        if parsed and parsed[0] == run:
            found[parsed[1]] = CommitId(commit)
    return found


def push(
    repo: Repository, to: Remote, run: RunName, number: int, caller: Mapping[str, str]
) -> Literal["new", "replaced", "unchanged"]:
    """Send a proposed branch and say what that did to the remote's.

    Raises:
        UsageError: something else stands there.
        StorageError: the remote cannot be reached or refuses.
    """
    name = refs.proposed_ref(run, number)
    own = refs.read(repo, name)
    there = proposed(repo, to, run, caller).get(number)
    if own is None:
        raise StorageError(f"{name} is gone; another process removed it")
    if there == str(own):
        return "unchanged"
    lease = []
    if there is not None:
        _refuse_others(repo, to, name, CommitId(str(own)), there)
        lease = [f"--force-with-lease={name}:{there}"]
    user_git.run(repo, ["push", "--no-follow-tags", *lease, to.name, f"{name}:{name}"], caller)
    return "new" if there is None else "replaced"


def _refuse_others(repo: Repository, to: Remote, name: str, own: CommitId, there: CommitId) -> None:
    best = landing.named_best(landing.message_of(repo, own))
    if best is None or landing.named_best(landing.message_of(repo, there)) != best:
        short, shown = name.removeprefix("refs/heads/"), remote.without_secret(to.name)
        raise UsageError(
            f"{short} on {shown} is at {there[:12]}, which is no earlier version of this proposal; fetch it and "
            f"look, or delete it there (git push {shown} --delete {short})"
        )
