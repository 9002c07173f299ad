"""What in a repository's own state could hurt a run, for `evogit doctor`; nothing is changed."""

from __future__ import annotations

from collections.abc import Iterator

from pygit2.enums import RepositoryState

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
