"""Packing what agents write, so that a run never makes the user's next commit meet a long garbage collection.

A candidate is about eight loose objects; Git's own `gc --auto` begins at some 6,700. Nothing is ever pruned here: a
geometric repack puts loose objects and small packs together and leaves big packs alone.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from evogit.errors import StorageError
from evogit.store import git
from evogit.store.repository import Repository

_LOOK_EVERY = 50
"""Candidates between two looks at how many loose objects there are."""
_SAMPLE = "17"
"""The one of the 256 folders that `git gc --auto` counts, too."""
_PACK_AT = 8
"""Loose objects in the sample that mean about 2,000 in all; Git's limit is 27 in the sample."""


class Packer:
    """Packs the repository now and then, one process of all at a time, while the other agents go on writing."""

    def __init__(self, repo: Repository) -> None:
        self._repo = repo
        self._steps = 0

    def tick(self) -> None:
        """Count one candidate; pack when enough objects have gathered.

        Raises:
            StorageError: git failed.
        """
        self._steps += 1
        if self._steps % _LOOK_EVERY == 0 and self.is_due():
            self.pack()

    def is_due(self) -> bool:
        """Return whether enough loose objects have gathered."""
        try:
            return len(os.listdir(self._repo.objects / _SAMPLE)) >= _PACK_AT
        except FileNotFoundError:
            return False

    def pack(self) -> bool:
        """Pack all loose objects and small packs and bring the commit-graph up to date.

        Returns False when another process is at it.

        Raises:
            StorageError: git failed.
        """
        self._repo.private.mkdir(exist_ok=True)
        with Path(self._repo.private / "packing.lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                return False
            pack(self._repo)
        return True


def pack(repo: Repository) -> None:
    """Run the repack and the commit-graph.

    Raises:
        StorageError: git failed.
    """
    if repo.is_partial:
        return  # a geometric repack may not mix fetched-on-demand packs with others
    git.run(
        repo, ["-c", "pack.threads=1", "repack", "--geometric=2", "-d", "-l", "-q", "-n", "--no-write-bitmap-index"]
    )
    _write_graph(repo, "--split")


def forget(repo: Repository) -> None:
    """Leave commits of deleted refs out of the commit-graph: once they are pruned, `git fsck` would miss them there."""
    if (repo.objects / "info" / "commit-graphs").is_dir():
        _write_graph(repo, "--split=replace")


def _write_graph(repo: Repository, split: str) -> None:
    try:
        git.run(repo, ["commit-graph", "write", "--reachable", split, "--no-progress"])
    except StorageError:
        # It only speeds up `git log`, and it refuses where a ref of anybody's is broken or the clone is shallow.
        return
