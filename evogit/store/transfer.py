"""Fetching and pushing many refs at once, where one bad ref must not keep the others from moving."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pygit2

from evogit.errors import RemoteUnreachable
from evogit.store import remote_git
from evogit.store.remote import Remote, without_secret
from evogit.store.remote_git import Done
from evogit.store.repository import Repository

_FETCH = (
    *("fetch", "--quiet", "--no-tags", "--no-prune", "--refmap=", "--no-write-fetch-head", "--no-recurse-submodules"),
    *("--no-auto-maintenance", "--no-write-commit-graph", "--no-show-forced-updates", "--no-filter", "--stdin", "--"),
)
"""`--refmap=` and `--no-prune`: a configured refspec may map a remote's notes onto journals."""
_PUSH = ("push", "--porcelain", "--no-verify", "--no-follow-tags", "--recurse-submodules=no")
_OF_CONTENT = (
    *("fsck", "unpack-objects", "index-pack", "bad object", "shallow", "couldn't find remote ref", "not our ref"),
    *("cannot lock ref", "unable to create", "did not send all necessary", "corrupt"),
)
"""Words by which git says that what was sent is at fault, and not the way to it."""
_OF_ALL = ("pre-receive hook declined", "unpacker error", "unpack failed", "atomic")
"""Refusals that one ref brings upon all that are pushed with it."""
_ADVICE = {
    "shallow update not allowed": "history is cut off here; run `git fetch --unshallow`",
    "non-fast-forward": "it moved there meanwhile; the next sync looks again",
    "fetch first": "it moved there meanwhile; the next sync looks again",
    "stale info": "it moved there meanwhile; the next sync looks again",
}
_AT_ONCE = 200


@dataclass(frozen=True, slots=True)
class Push:
    """One ref to send (None: to delete); with `replaces`, the remote's may go when it is this (empty: when absent)."""

    ref: str
    tip: pygit2.Oid | None
    replaces: str | None = None


def fetch(repo: Repository, remote: Remote, wanted: Mapping[str, str]) -> dict[str, str]:
    """Fetch refs (the remote's name to ours, which is overwritten), and return why some of them were not.

    Objects are checked as `git fsck` does before anything may refer to them.

    Raises:
        RemoteUnreachable: the remote, not what it sent, was in the way.
        StorageError: git is missing.
    """
    if not wanted:
        return {}
    lines = "".join(f"+{source}:{target}\n" for source, target in wanted.items())
    done = remote_git.run(repo, [*_FETCH, remote.name], stdin=lines.encode())
    if not done.code:
        return {}
    if not any(word in done.errors.lower() for word in _OF_CONTENT):
        raise RemoteUnreachable(f"cannot fetch from {remote}: {done.reason}")
    if len(wanted) == 1:
        return dict.fromkeys(wanted, done.reason)
    names = list(wanted)
    middle = len(names) // 2
    return {
        ref: reason
        for part in (names[:middle], names[middle:])
        for ref, reason in fetch(repo, remote, {name: wanted[name] for name in part}).items()
    }


def push(repo: Repository, remote: Remote, pushes: Sequence[Push]) -> dict[str, str | None]:
    """Send refs, never by force, and return for each one why the remote refused it, or None.

    Raises:
        RemoteUnreachable: the remote said nothing about them.
        StorageError: git is missing.
    """
    found: dict[str, str | None] = {}
    for start in range(0, len(pushes), _AT_ONCE):
        found |= _push(repo, remote, pushes[start : start + _AT_ONCE])
    return found


def _push(repo: Repository, remote: Remote, pushes: Sequence[Push]) -> dict[str, str | None]:
    leases = [f"--force-with-lease={one.ref}:{one.replaces}" for one in pushes if one.replaces is not None]
    done = remote_git.run(repo, [*_PUSH, *leases, "--", remote.name, *(f"{one.tip or ''}:{one.ref}" for one in pushes)])
    found = _results(done, {one.ref for one in pushes})
    if not found:
        raise RemoteUnreachable(f"cannot push to {remote}: {done.reason}")
    said = [reason or "" for reason in found.values()]
    if len(pushes) > 1 and all(any(word in reason for word in _OF_ALL) for reason in said):
        middle = len(pushes) // 2
        return _push(repo, remote, pushes[:middle]) | _push(repo, remote, pushes[middle:])
    return {one.ref: found.get(one.ref, "git said nothing about it") for one in pushes}


def _results(done: Done, wanted: set[str]) -> dict[str, str | None]:
    """Read the lines of `git push --porcelain`: a flag, the refspec, and in parentheses why not."""
    heard = [line[len("remote:") :].strip() for line in done.errors.splitlines() if line.startswith("remote:")]
    words = next((f": {without_secret(line)}" for line in heard if line), "")
    found: dict[str, str | None] = {}
    for line in done.output.decode("utf-8", "replace").splitlines():
        flag, _, rest = line.partition("\t")
        refspec, _, summary = rest.partition("\t")
        ref = refspec.rpartition(":")[2]
        if ref not in wanted or len(flag) != 1:
            continue
        if flag != "!":
            found.setdefault(ref, None)
            continue
        why = summary.rpartition("(")[2].rstrip(")") if "(" in summary else summary
        advice = f": {_ADVICE[why]}" if why in _ADVICE else ""
        found[ref] = why + advice + (words if "remote" in summary else "")
    return found
