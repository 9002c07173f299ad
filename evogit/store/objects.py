"""Writing objects with bounded retry, and making them durable before a ref names them."""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Sequence

import pygit2
from pygit2.enums import ObjectType

from evogit.model import TreeId
from evogit.store.refs import retried
from evogit.store.repository import Repository


def write_blob(repo: Repository, content: bytes) -> pygit2.Oid:
    """Write a blob.

    Raises:
        StorageError: Git would not write it, after several tries.
    """
    return retried(lambda: repo.raw.create_blob(content), "write an object", repo)


def write_tree(repo: Repository, data: bytes) -> pygit2.Oid:
    """Write a tree object from its bytes.

    Raises:
        StorageError: Git would not write it, after several tries.
    """
    return retried(lambda: repo.raw.write(ObjectType.TREE, data), "write an object", repo)


def write_commit(
    repo: Repository,
    *,
    author: pygit2.Signature,
    committer: pygit2.Signature,
    message: str,
    tree: pygit2.Oid | TreeId,
    parents: Sequence[pygit2.Oid | str],
) -> pygit2.Oid:
    """Write a commit object; no ref moves and no hook runs.

    Raises:
        StorageError: Git would not write it, after several tries.
    """
    oids = [pygit2.Oid(hex=parent) if isinstance(parent, str) else parent for parent in parents]
    root = pygit2.Oid(hex=tree) if isinstance(tree, str) else tree
    return retried(
        lambda: repo.raw.create_commit(None, author, committer, message, root, oids), "write an object", repo
    )


class Durability:
    """Orders objects before refs on disk with one `syncfs`, which is cheaper than an fsync for each object."""

    def __init__(self, repo: Repository) -> None:
        self._descriptor = os.open(repo.objects, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        self._libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None

    def flush(self) -> None:
        """Return once everything written to the repository's file system is on disk."""
        if self._libc is None:
            os.sync()
        else:
            self._libc.syncfs(self._descriptor)

    def close(self) -> None:
        """Let go of the file system."""
        os.close(self._descriptor)
