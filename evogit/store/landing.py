"""What a result lands as: a tree on top of its target, a commit in the user's own name, a branch that is proposed."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pygit2

from evogit.errors import StorageError, UsageError
from evogit.model import CommitId, RunName, TreeId
from evogit.store import commits, merge, refs, trees, user_git
from evogit.store.objects import Durability
from evogit.store.repository import Repository
from evogit.store.task import Definition
from evogit.store.trees import Entry

_BEST = re.compile(r"^Evogit-Best: ([0-9a-f]{40})$", re.MULTILINE)
_NO_GUESSING = ("-c", "user.useConfigOnly=true")
"""Git makes up an identity from the names of the user and the host; what lands carries a real one or none."""


@dataclass(frozen=True, slots=True)
class Target:
    """What a result is to land on: a commit, and the short name of the branch it is the tip of, when it is one's."""

    commit: CommitId
    branch: str | None


@dataclass(frozen=True, slots=True)
class Branch:
    """A branch that is proposed already: its number, its tip, and the candidate that the tip's message names."""

    number: int
    tip: CommitId
    best: str | None


def target(repo: Repository, base: CommitId, onto: str | None) -> Target:
    """Return what to land on: `onto`, or the checked-out branch where it continues the base, or the base itself.

    Raises:
        UsageError: there is no such commit.
    """
    if onto is not None:
        return Target(commits.resolve(repo, onto), _branch_name(repo, onto))
    if repo.raw.head_is_unborn or repo.raw.head_is_detached:
        return Target(base, None)
    branch = str(repo.raw.head.shorthand)
    tip = repo.head()
    if branch.startswith("evogit/") or not descends(repo, tip, base):
        return Target(base, None)
    return Target(tip, branch)


def _branch_name(repo: Repository, name: str) -> str | None:
    if refs.read(repo, f"refs/heads/{name}") is not None:
        return name
    _, _, there = name.partition("/")
    return there if there and refs.read(repo, f"refs/remotes/{name}") is not None else None


def descends(repo: Repository, commit: CommitId, base: CommitId) -> bool:
    """Return whether `base` is `commit` or an ancestor of it."""
    try:
        return commit == base or bool(repo.raw.descendant_of(commit, base))
    except (KeyError, ValueError, pygit2.GitError):
        return False


def own_change(repo: Repository, definition: Definition, base: TreeId, tree: TreeId) -> tuple[TreeId, list[bytes]]:
    """Return the base's tree with what `tree` changes in it, and the protected paths that were left as they are.

    Raises:
        UsageError: nothing would be left.
        StorageError: Git would not read or write.
    """
    wanted: dict[bytes, Entry | None] = {}
    left: list[bytes] = []
    for change in trees.changes(repo, pygit2.Oid(hex=base), pygit2.Oid(hex=tree)):
        if definition.is_protected(change.path):
            left.append(change.path)
        else:
            wanted[change.path] = change.new
    built = trees.build(repo, pygit2.Oid(hex=base), wanted)
    if built is None:
        raise UsageError("it deletes every file; there is nothing to propose")
    return TreeId(str(built)), left


def on_top(repo: Repository, base: TreeId, onto: TreeId, tree: TreeId) -> TreeId:
    """Return `onto` with the change from `base` to `tree` in it, merged in memory.

    Raises:
        UsageError: they conflict.
        StorageError: Git would not read or write.
    """
    if onto == base:
        return tree
    merged = merge.three_way(repo, base, onto, tree)
    if isinstance(merged, merge.Refused):
        raise UsageError(f"conflict: {merged.why}")
    if merged.clashes:
        names = ", ".join(clash.path.decode("utf-8", "replace") for clash in merged.clashes[:5])
        raise UsageError(f"conflict in {names}")
    return merge.write(repo, merged, {})


def changed_files(repo: Repository, old: TreeId, new: TreeId) -> Mapping[bytes, Entry | None]:
    """Return the paths at which two trees differ, each with what stands there in the new one.

    Raises:
        StorageError: a tree cannot be read.
    """
    found = trees.changes(repo, pygit2.Oid(hex=old), pygit2.Oid(hex=new))
    return {change.path: change.new for change in found}


def foreign_judges(repo: Repository, definition: Definition, tree: TreeId) -> list[bytes]:
    """Return the protected files that judge otherwise than those of the same path in `tree` would.

    Raises:
        StorageError: the tree cannot be read.
    """
    there = trees.files(repo, pygit2.Oid(hex=tree))
    return [path for path, entry in definition.files.items() if path != b"evogit.toml" and there.get(path) != entry]


def identity(repo: Repository, caller: Mapping[str, str]) -> str:
    """Return the user's `name <email>` as committer, after checking that they are known as author, too.

    Raises:
        UsageError: Git knows no name or no e-mail of theirs.
    """
    try:
        found = [
            user_git.run(repo, [*_NO_GUESSING, "var", f"GIT_{who}_IDENT"], caller) for who in ("AUTHOR", "COMMITTER")
        ]
    except StorageError as error:
        raise UsageError(
            "the commit is made in your name, and git does not know it; run `git config user.name NAME` and "
            "`git config user.email ADDRESS`"
        ) from error
    return found[1].decode("utf-8", "replace").rpartition(">")[0] + ">"


def write_commit(
    repo: Repository, message: str, tree: TreeId, parents: Sequence[CommitId], caller: Mapping[str, str]
) -> CommitId:
    """Write a commit as the user, signed when they sign theirs (`commit.gpgsign`); no ref moves and no hook runs.

    Raises:
        UsageError: it cannot be signed.
        StorageError: Git would not write it.
    """
    settings = [*_NO_GUESSING, "-c", "i18n.commitEncoding=UTF-8"]
    signed = ["-S"] if _signs(repo, caller) else []
    line = [*settings, "commit-tree", *signed, *(word for parent in parents for word in ("-p", parent)), tree]
    try:
        written = user_git.run(repo, line, caller, stdin=message.encode("utf-8", "replace"))
    except StorageError as error:
        if not signed:
            raise
        raise UsageError(
            f"commit.gpgsign is set and the commit cannot be signed: {error}; mend the signer, or say "
            "`git -c commit.gpgsign=false evogit pr`"
        ) from error
    durability = Durability(repo)
    durability.flush()
    durability.close()
    return CommitId(written.decode().strip())


def _signs(repo: Repository, caller: Mapping[str, str]) -> bool:
    said = user_git.run(repo, ["config", "--type=bool", "--default=false", "--get", "commit.gpgsign"], caller)
    return said.strip() == b"true"


def branches(repo: Repository, run: RunName) -> list[Branch]:
    """Return the branches of this run that are proposed already, by number.

    Raises:
        StorageError: the refs cannot be listed.
    """
    found = []
    for name in refs.names(repo, refs.branch_prefix(run)):
        parsed = refs.parse_proposed_ref(name)
        tip = refs.read(repo, name) if parsed else None
        if parsed and tip is not None:
            commit = CommitId(str(tip))
            found.append(Branch(parsed[1], commit, named_best(message_of(repo, commit))))
    return sorted(found, key=lambda branch: branch.number)


def message_of(repo: Repository, commit: CommitId) -> str:
    """Return a commit's message; empty when it cannot be read."""
    try:
        return str(repo.commit(commit).message)
    except StorageError:
        return ""


def person_of(repo: Repository, commit: CommitId) -> tuple[str, str] | None:
    """Return the name and e-mail of a commit's author, or None when it is an agent or cannot be read."""
    try:
        author = repo.commit(commit).author
    except StorageError:
        return None
    return None if author.email.endswith(".evogit.invalid") else (author.name, author.email)


def named_best(message: str) -> str | None:
    """Return the candidate that a proposal's message names in its last paragraph, or None."""
    found = _BEST.search(message.rstrip().rpartition("\n\n")[2])
    return found[1] if found else None


def is_checked_out(repo: Repository, run: RunName, number: int) -> bool:
    """Return whether some work tree has this proposed branch checked out."""
    found = repo.raw.lookup_branch(refs.proposed_ref(run, number).removeprefix("refs/heads/"))
    return found is not None and bool(found.is_checked_out())


def move_branch(repo: Repository, run: RunName, number: int, *, old: CommitId | None, new: CommitId) -> None:
    """Point a proposed branch at `new`, if it still is at `old` (None: does not exist).

    Raises:
        RefMoved: it is elsewhere by now.
        StorageError: Git would not move it.
    """
    before = None if old is None else pygit2.Oid(hex=old)
    name = refs.proposed_ref(run, number)
    refs.compare_and_swap(repo, name, old=before, new=pygit2.Oid(hex=new), message="evogit: proposed")
