"""Taking a result over: a candidate's change, staged as the user's own."""

from __future__ import annotations

from evogit.errors import StorageError, UsageError
from evogit.model import CommitId, TreeId
from evogit.store import git
from evogit.store.repository import Repository


def patch(repo: Repository, base: CommitId, changed: CommitId | TreeId, *, stat: bool = False) -> bytes:
    """Return what a commit or tree changes against `base`, as a patch or (with `stat`) as a summary.

    Raises:
        StorageError: git failed.
    """
    form = ["--stat"] if stat else ["--binary", "--full-index"]
    return git.run(repo, ["diff", "--no-ext-diff", "--no-textconv", "--no-color", *form, base, changed, "--"])


def summary(repo: Repository, old: TreeId, new: TreeId) -> str:
    """Return which files differ between two trees and how much, in lines for a text of 72 columns, at most 20 files.

    Raises:
        StorageError: git failed.
    """
    form = ["--no-ext-diff", "--no-textconv", "--no-color", "--stat=68,48,20"]
    return git.run(repo, ["diff", *form, old, new, "--"]).decode("utf-8", "replace")


def stage(repo: Repository, base: CommitId, tree: TreeId, *, named: str, dry_run: bool = False) -> list[str]:
    """Apply the change to the index and the work tree, all of it or nothing, and return the paths it touches.

    `named` is what the change is called in messages.

    Raises:
        UsageError: there is no work tree, nothing to apply, or the user's files are in the way.
        StorageError: git failed.
    """
    if repo.work is None:
        raise UsageError(f"{repo.common} is bare; apply needs a work tree (git worktree add, or clone it)")
    change = patch(repo, base, tree)
    if not change:
        raise UsageError(f"{named} changes nothing against the base")
    names = git.run(repo, ["diff", "--name-only", "-z", base, tree, "--"]).decode("utf-8", "surrogateescape")
    try:
        git.run(repo, ["apply", "--index", *(["--check"] if dry_run else []), "-"], stdin=change, in_work_tree=True)
    except StorageError as error:
        raise UsageError(
            f"the change of {named} does not fit the work tree; commit or stash your own changes of these files, "
            f"or check out {base[:12]} first\n{error}"
        ) from error
    return [name for name in names.split("\0") if name]
