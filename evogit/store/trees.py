"""Trees as values: what differs between two, and a tree with some files replaced. No work tree, no index."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import pygit2

from evogit.errors import StorageError
from evogit.model import RepoPath, TreeId
from evogit.store import objects
from evogit.store.repository import Repository

TREE_MODE = 0o040000
FILE_MODE = 0o100644
EXECUTABLE_MODE = 0o100755
LINK_MODE = 0o120000
SUBMODULE_MODE = 0o160000
KEEP_MODE = 0
MAX_ENTRIES = 200_000
MAX_DEPTH = 64


@dataclass(frozen=True, slots=True)
class Entry:
    """A file, link or submodule in a tree."""

    mode: int
    id: pygit2.Oid


@dataclass(frozen=True, slots=True)
class Change:
    """One path that differs between two trees; None stands for absent."""

    path: bytes
    old: Entry | None
    new: Entry | None


def read_tree(repo: Repository, tree: pygit2.Oid | str) -> pygit2.Tree:
    """Return a tree object.

    Raises:
        StorageError: it is missing, damaged or no tree.
    """
    return repo.read(tree, pygit2.Tree)


def read_blob(repo: Repository, blob: pygit2.Oid | str) -> bytes:
    """Return a blob's content.

    Raises:
        StorageError: it is missing, damaged or no blob.
    """
    return bytes(repo.read(blob, pygit2.Blob).data)


def parse_tree(data: bytes) -> dict[bytes, Entry]:
    """Return the entries of a tree object's bytes by name.

    pygit2's own builder takes only names that are UTF-8, which a user's repository need not keep to.

    Raises:
        StorageError: the bytes are no tree.
    """
    entries: dict[bytes, Entry] = {}
    at = 0
    try:
        while at < len(data):
            space = data.index(b" ", at)
            end = data.index(b"\0", space)
            entries[data[space + 1 : end]] = Entry(int(data[at:space], 8), pygit2.Oid(raw=data[end + 1 : end + 21]))
            at = end + 21
    except ValueError as error:
        raise StorageError(f"a damaged tree object: {error}; run `git fsck`") from error
    return entries


def format_tree(entries: Mapping[bytes, Entry]) -> bytes:
    """Return the bytes of a tree object; Git sorts a folder as if its name ended in `/`."""
    ordered = sorted(entries.items(), key=lambda item: item[0] + b"/" if item[1].mode == TREE_MODE else item[0])
    return b"".join(b"%o %s\0%s" % (entry.mode, name, entry.id.raw) for name, entry in ordered)


def entries_of(repo: Repository, tree: pygit2.Oid | None) -> Mapping[bytes, Entry]:
    """Return the entries of a tree (None: the empty tree) by name, one level deep.

    Raises:
        StorageError: it is missing, damaged or no tree.
    """
    return parse_tree(read_tree(repo, tree).read_raw()) if tree else {}


def changes(repo: Repository, old: pygit2.Oid | None, new: pygit2.Oid | None) -> Iterator[Change]:
    """Yield every path that differs between two trees (None: the empty tree), skipping what is equal by id.

    Raises:
        StorageError: a tree cannot be read, is too deep, or has more than `MAX_ENTRIES` changes.
    """
    for count, change in enumerate(_walk(repo, b"", old, new, 0)):
        if count >= MAX_ENTRIES:
            raise StorageError(f"tree {new} has more than {MAX_ENTRIES} files; evogit does not read larger ones")
        yield change


def _walk(
    repo: Repository, prefix: bytes, old: pygit2.Oid | None, new: pygit2.Oid | None, depth: int
) -> Iterator[Change]:
    if old == new:
        return
    if depth > MAX_DEPTH:
        raise StorageError(f"tree {new} is more than {MAX_DEPTH} folders deep; evogit does not read deeper ones")
    before, after = entries_of(repo, old), entries_of(repo, new)
    for name in sorted(before.keys() | after.keys()):
        left, right = before.get(name), after.get(name)
        if left != right:
            yield from _differ(repo, prefix + name, left, right, depth)


def _differ(repo: Repository, path: bytes, left: Entry | None, right: Entry | None, depth: int) -> Iterator[Change]:
    left_tree = left.id if left and left.mode == TREE_MODE else None
    right_tree = right.id if right and right.mode == TREE_MODE else None
    if left_tree or right_tree:
        yield from _walk(repo, path + b"/", left_tree, right_tree, depth + 1)
    old = None if left_tree else left
    new = None if right_tree else right
    if old or new:
        yield Change(path, old, new)


def files(repo: Repository, tree: pygit2.Oid | str) -> dict[bytes, Entry]:
    """Return every file, link and submodule of a tree by path.

    Raises:
        StorageError: as for `changes`.
    """
    root = pygit2.Oid(hex=tree) if isinstance(tree, str) else tree
    return {change.path: change.new for change in changes(repo, None, root) if change.new}


def with_files(repo: Repository, tree: TreeId, replaced: Mapping[RepoPath, bytes | None]) -> TreeId:
    """Return the tree with the content of some files replaced (None: deleted); new files are made, modes are kept.

    Paths must have been checked before: Git's own checks do not run here.

    Raises:
        StorageError: Git would not read or write.
    """
    entries = {
        path.encode("utf-8", "surrogateescape"): None
        if content is None
        else Entry(KEEP_MODE, objects.write_blob(repo, content))
        for path, content in replaced.items()
    }
    built = build(repo, pygit2.Oid(hex=tree), entries)
    return TreeId(str(built or objects.write_tree(repo, b"")))


def build(repo: Repository, tree: pygit2.Oid | None, changed: Mapping[bytes, Entry | None]) -> pygit2.Oid | None:
    """Write `tree` with some paths set or (None) removed; returns None when nothing is left of it.

    A mode of `KEEP_MODE` keeps the mode the path has, or makes a plain file. A path through something that is not a
    folder replaces it.

    Raises:
        StorageError: Git would not read or write.
    """
    entries = dict(entries_of(repo, tree))
    folders: dict[bytes, dict[bytes, Entry | None]] = {}
    for path, entry in changed.items():
        name, _, rest = path.partition(b"/")
        if rest:
            folders.setdefault(name, {})[rest] = entry
        else:
            _put(entries, name, entry)
    for name, inner in folders.items():
        known = entries.get(name)
        below = known.id if known and known.mode == TREE_MODE else None
        written = build(repo, below, inner)
        _put(entries, name, Entry(TREE_MODE, written) if written else None)
    return objects.write_tree(repo, format_tree(entries)) if entries else None


def _put(entries: dict[bytes, Entry], name: bytes, entry: Entry | None) -> None:
    if entry is None:
        entries.pop(name, None)
        return
    if entry.mode == KEEP_MODE:
        known = entries.get(name)
        kept = known.mode if known and known.mode in (FILE_MODE, EXECUTABLE_MODE) else FILE_MODE
        entry = Entry(kept, entry.id)
    entries[name] = entry
