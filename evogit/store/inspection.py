"""For people to look at: what in a repository's state could hurt a run, and git's drawing of a history."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pygit2.enums import RepositoryState

from evogit.model import CommitId
from evogit.store import commits, git
from evogit.store.repository import Repository


def concerns(repo: Repository) -> Iterator[str]:
    """Yield one sentence for each thing a person should know."""
    settings = repo.raw.config
    for key in ("gc.pruneexpire", "gc.reflogexpire", "gc.reflogexpireunreachable"):
        if key in settings and settings[key] in ("now", "all"):
            yield f"{key} is {settings[key]!r}: a git gc beside running agents could delete what they are writing"
    if "user.email" not in settings:
        yield "no user.email is configured; commits are made in the name of evogit@evogit.invalid"
    state = RepositoryState(repo.raw.state())
    if state is not RepositoryState.NONE:
        words = state.name.lower().replace("_", " ")
        yield f"a {words} is in progress; runs start from HEAD and leave it alone"
    for path in sorted((repo.common / "refs").rglob("*.lock")):
        yield f"{path} blocks its ref; if no git process runs, delete it"
    packed = repo.common / "packed-refs.lock"
    if packed.exists():
        yield f"{packed} blocks all refs; if no git process runs, delete it"


def draw(repo: Repository, tips: Sequence[CommitId], base: CommitId) -> Iterator[str]:
    """Yield the lines of git's own drawing of how commits came from a base, newest first.

    A line with a commit ends in U+0001 and its id.

    Raises:
        StorageError: git failed.
    """
    arguments = ["log", "--graph", "--topo-order", "--no-color", "--no-notes", "--format=%x01%H", "--stdin"]
    # Options cannot be misread as revisions here: all lines are ids.
    below = [f"^{parent}" for parent in commits.parents(repo, base)]
    drawn = git.run(repo, arguments, stdin="\n".join([*tips, base, *below, ""]).encode())
    yield from drawn.decode("utf-8", "replace").splitlines()
