"""Three-way merges of trees in memory, and what keeps one from being clean. Nothing is checked out, no ref moves."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import pygit2

from evogit.model import CommitId, TreeId
from evogit.store import objects, trees
from evogit.store.refs import retried
from evogit.store.repository import Repository
from evogit.store.trees import Entry


@dataclass(frozen=True, slots=True)
class Clash:
    """A file both sides changed where git cannot decide: its path and git's merge of it, with conflict markers."""

    path: bytes
    mode: int
    marked: bytes


@dataclass(frozen=True, slots=True)
class Merged:
    """What changes in our tree when theirs is merged into it: whole entries, texts git merged, and what is undecided.

    `write` makes the tree of it; a merge without `clashes` is clean.
    """

    ours: TreeId
    entries: Mapping[bytes, Entry | None]
    texts: Mapping[bytes, tuple[int, bytes]]
    clashes: tuple[Clash, ...]


@dataclass(frozen=True, slots=True)
class Refused:
    """A merge that no choice between two texts can settle, and why."""

    why: str


def three_way(repo: Repository, base: TreeId, ours: TreeId, theirs: TreeId) -> Merged | Refused:
    """Merge two trees by their common ancestor's.

    Raises:
        StorageError: a tree cannot be read.
    """
    return _merge(repo, base, ours, theirs, lambda: repo.raw.merge_trees(base, ours, theirs))


def criss_cross(repo: Repository, base: CommitId, ours: CommitId, theirs: CommitId) -> Merged | Refused:
    """Merge two commits that have several best common ancestors, `base` one of them; git merges those first.

    Raises:
        StorageError: a commit cannot be read.
    """
    at, left, right = (TreeId(str(repo.commit(commit).tree_id)) for commit in (base, ours, theirs))
    return _merge(repo, at, left, right, lambda: repo.raw.merge_commits(ours, theirs))


def write(repo: Repository, merged: Merged, settled: Mapping[bytes, bytes]) -> TreeId:
    """Write the merged tree, with the texts in `settled` for the clashes, as objects that are all fresh.

    Raises:
        StorageError: Git would not write it.
    """
    entries = dict(merged.entries)
    texts = {**merged.texts, **{clash.path: (clash.mode, settled[clash.path]) for clash in merged.clashes}}
    for path, (mode, content) in texts.items():
        entries[path] = Entry(mode, objects.write_blob(repo, content))
    built = trees.build(repo, pygit2.Oid(hex=merged.ours), entries)
    return TreeId(str(built or objects.write_tree(repo, b"")))


def _merge(
    repo: Repository, base: TreeId, ours: TreeId, theirs: TreeId, act: Callable[[], pygit2.Index]
) -> Merged | Refused:
    if moved := _moved_folder(repo, base, ours, theirs) or _moved_folder(repo, base, theirs, ours):
        return Refused(f"{moved.decode('utf-8', 'replace')} is new in a folder the other side has moved or removed")
    left, right = _changes(repo, base, ours), _changes(repo, base, theirs)
    here = {change.path: change.new for change in left}
    there = {change.path: change for change in right}
    try:
        index = retried(act, "merge two trees", repo)
        clashes = [_clash(repo, entries) for entries in index.conflicts or ()]
        refused = next((clash for clash in clashes if isinstance(clash, Refused)), None)
        if refused:
            return refused
        found = [clash for clash in clashes if isinstance(clash, Clash)]
        paths = (here.keys() | there.keys()) - {clash.path for clash in found}
        result = {path: _entry(index, path) for path in paths}
    except UnicodeError:
        return Refused("a name or a text that is not UTF-8 was changed on both sides")
    entries: dict[bytes, Entry | None] = {}
    texts: dict[bytes, tuple[int, bytes]] = {}
    for path, entry in result.items():
        change = there.get(path)
        if entry == here.get(path, change.old if change else None):
            continue
        if entry is None or (change and entry == change.new):
            entries[path] = entry
        else:
            texts[path] = (entry.mode, trees.read_blob(repo, entry.id))  # git's own merge of both, or a renamed file
    return Merged(ours, entries, texts, tuple(found))


def _entry(index: pygit2.Index, path: bytes) -> Entry | None:
    try:
        found = index[path.decode()]
    except KeyError:
        return None
    return Entry(found.mode, found.id)


def _clash(repo: Repository, entries: Sequence[pygit2.IndexEntry | None]) -> Clash | Refused:
    known = [entry for entry in entries if entry is not None]
    if len(known) < 3 or len({entry.path for entry in known}) != 1:
        return Refused(f"{known[0].path} was deleted, renamed or added on one side only")
    ancestor, ours, theirs = known
    if {ours.mode, theirs.mode} - {trees.FILE_MODE, trees.EXECUTABLE_MODE}:
        return Refused(f"{ours.path} is no plain file")
    if any(b"\0" in trees.read_blob(repo, entry.id) for entry in known):
        return Refused(f"{ours.path} is no text")
    marked = repo.raw.merge_file_from_index(ancestor, ours, theirs, use_deprecated=False).contents
    return Clash(str(ours.path).encode(), ours.mode, marked.encode())


def _moved_folder(repo: Repository, base: TreeId, mover: TreeId, adder: TreeId) -> bytes | None:
    """Return a file `adder` puts into a folder that `mover` emptied, or None.

    git calls that a conflict; libgit2 says "clean" and leaves the file where nothing belongs any more.
    """
    added = [change.path for change in _changes(repo, base, adder) if change.old is None and b"/" in change.path]
    if not added:
        return None
    gone = {change.path for change in _changes(repo, base, mover) if change.new is None}
    for path in added:
        folder = path.rpartition(b"/")[0]
        while folder:
            if any(lost.startswith(folder + b"/") for lost in gone) and not _has_folder(repo, mover, folder):
                return path
            folder = folder.rpartition(b"/")[0]
    return None


def _changes(repo: Repository, old: TreeId, new: TreeId) -> Sequence[trees.Change]:
    return list(trees.changes(repo, pygit2.Oid(hex=old), pygit2.Oid(hex=new)))


def _has_folder(repo: Repository, tree: TreeId, folder: bytes) -> bool:
    at: pygit2.Oid | None = pygit2.Oid(hex=tree)
    for name in folder.split(b"/"):
        entry = trees.entries_of(repo, at).get(name)
        if entry is None or entry.mode != trees.TREE_MODE:
            return False
        at = entry.id
    return True


def changed_paths(repo: Repository, old: TreeId, new: TreeId) -> dict[bytes, str]:
    """Return the paths at which two trees differ, each with the blob it has in the new one (`-`: none).

    Raises:
        StorageError: a tree cannot be read.
    """
    found = _changes(repo, old, new)
    return {change.path: f"{change.new.mode:o} {change.new.id}" if change.new else "-" for change in found}
