"""A repository for a tool alone: one candidate's files, some of its history, and nothing that leads back to the user's.

No object is borrowed: through the user's objects a tool could read other candidates, and the answers of an evaluator.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

import pygit2

from evogit.errors import StorageError
from evogit.model import CommitId, TreeId
from evogit.store import objects, trees
from evogit.store.commits import plain_text
from evogit.store.export import Export
from evogit.store.repository import Repository
from evogit.store.task import Definition
from evogit.store.trees import FILE_MODE, SUBMODULE_MODE, Entry

_BRANCH = "refs/heads/main"
_CONFIG = {
    "user.name": "evogit",
    "user.email": "tool@evogit.invalid",
    "commit.gpgsign": "false",
    "gc.auto": "0",  # what it commits is read as loose objects
}


def begin(root: Path, content: Mapping[str, bytes]) -> Repository:
    """Return a new repository in the folder `root` with these files committed.

    Raises:
        StorageError: it cannot be made.
        OSError: the disk says no.
    """
    root.mkdir(parents=True)
    made = _init(root)
    entries: dict[bytes, Entry | None] = {}
    for name, data in content.items():
        (root / name).write_bytes(data)
        entries[os.fsencode(name)] = Entry(FILE_MODE, objects.write_blob(made, data))
    tree = trees.build(made, None, entries) or objects.write_tree(made, b"")
    who = pygit2.Signature(_CONFIG["user.name"], _CONFIG["user.email"])
    tip = objects.write_commit(made, author=who, committer=who, message="Begin\n", tree=tree, parents=[])
    _check_out(made, tip)
    return made


def _init(root: Path) -> Repository:
    try:
        raw = pygit2.init_repository(str(root), initial_head="main")
        for name, value in _CONFIG.items():
            raw.config[name] = value
    except (pygit2.GitError, ValueError) as error:
        raise StorageError(f"cannot make a repository in {root}: {error}") from error
    return Repository(raw=raw, common=root / ".git", work=root)


def _check_out(made: Repository, tip: pygit2.Oid) -> None:
    """Let HEAD and the index hold a commit whose files stand in the folder."""
    try:
        made.raw.references.create(_BRANCH, tip)
        made.raw.index.read_tree(made.raw[tip].peel(pygit2.Tree))
        made.raw.index.write()
    except (pygit2.GitError, ValueError, KeyError) as error:
        raise StorageError(f"cannot make a repository in {made.work}: {error}") from error


def files(repo: Repository, definition: Definition, tree: TreeId) -> dict[bytes, Entry]:
    """Return what a tool may see of a tree: protected files as they judge, and none that only a scorer has.

    Raises:
        StorageError: the tree cannot be read.
    """
    own = {path: entry for path, entry in trees.files(repo, tree).items() if not definition.is_protected(path)}
    laid_over = {path: entry for path, entry in definition.files.items() if path not in definition.trusted}
    shown = {**own, **laid_over}
    return {
        path: shown[path] for path in shown if shown[path].mode != SUBMODULE_MODE and not definition.is_trusted(path)
    }


def make(
    repo: Repository,
    definition: Definition,
    root: Path,
    commit: CommitId,
    *,
    history: int = 0,
    owner: int | None = None,
) -> CommitId:
    """Make the folder `root` a repository that holds a candidate, and return the id its HEAD has there.

    `history` is how many of its ancestors, by first parents, can be seen; `owner` the user whose the files are to be.

    Raises:
        StorageError: an object cannot be read, or the repository not be made.
        OSError: the disk says no.
    """
    export = Export(repo, definition, root, hidden=_Hidden(definition))
    export.switch(TreeId(str(repo.commit(commit).tree_id)))
    made = _init(root)
    copied: dict[pygit2.Oid, Entry] = {}
    tip: pygit2.Oid | None = None
    for one in reversed(list(_lineage(repo, commit, history))):
        tip = _copy(repo, definition, made, one, tip, copied)
    assert tip is not None  # the candidate itself is one of them
    _check_out(made, tip)
    made.raw.free()
    if owner is not None:
        hand_over(root, owner)
    return CommitId(str(tip))


class _Hidden:
    """The paths of protected files that only a scorer sees."""

    def __init__(self, definition: Definition) -> None:
        self._definition = definition

    def __contains__(self, path: object) -> bool:
        return isinstance(path, bytes) and (path in self._definition.trusted or self._definition.is_trusted(path))


def hand_over(folder: Path, owner: int) -> None:
    """Give a folder with all that is in it to a user; links are not followed.

    Raises:
        OSError: the disk says no.
    """
    for path, _, names in os.walk(folder):
        os.chown(path, owner, owner, follow_symlinks=False)
        for name in names:
            os.chown(os.path.join(path, name), owner, owner, follow_symlinks=False)


def _lineage(repo: Repository, commit: CommitId, history: int) -> Iterator[pygit2.Commit]:
    """Yield the commit and its ancestors along first parents, as far as they can be read."""
    found = repo.commit(commit)
    yield found
    for _ in range(history):
        if not found.parent_ids:
            return
        try:
            found = repo.commit(CommitId(str(found.parent_ids[0])))
        except StorageError:
            return  # a shallow clone ends here
        yield found


def _copy(
    repo: Repository, definition: Definition, made: Repository, commit: pygit2.Commit, parent: pygit2.Oid | None,
    copied: dict[pygit2.Oid, Entry],
) -> pygit2.Oid:  # fmt: skip
    shown = files(repo, definition, TreeId(str(commit.tree_id)))
    tree = trees.build(made, None, {path: _copied(repo, made, entry, copied) for path, entry in shown.items()})
    message = plain_text(commit.message.partition("\n")[0])
    return objects.write_commit(
        made, author=commit.author, committer=commit.committer, message=f"{message}\n",
        tree=tree or objects.write_tree(made, b""), parents=[parent] if parent else [],
    )  # fmt: skip


def _copied(repo: Repository, made: Repository, entry: Entry, copied: dict[pygit2.Oid, Entry]) -> Entry:
    if entry.id not in copied:
        copied[entry.id] = Entry(entry.mode, objects.write_blob(made, trees.read_blob(repo, entry.id)))
    return Entry(entry.mode, copied[entry.id].id)


def ignore_files(repo: Repository, shown: Mapping[bytes, Entry]) -> dict[bytes, str]:
    """Return the text of each `.gitignore` among these files, by its folder.

    Raises:
        StorageError: one cannot be read.
    """
    return {
        os.path.dirname(path): trees.read_blob(repo, entry.id).decode("utf-8", "replace")
        for path, entry in shown.items()
        if os.path.basename(path) == b".gitignore"
    }
