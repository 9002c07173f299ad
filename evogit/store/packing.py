"""Packing what agents write, so that a run never makes the user's next commit meet a long garbage collection.

A candidate is about eight loose objects; Git's own `gc --auto` begins at some 6,700, or at 50 packs. Loose objects are
put into a small pack often and cheaply; small packs are put together now and then, big ones left alone. Nothing is ever
pruned here.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from evogit.errors import StorageError
from evogit.store import git
from evogit.store.repository import Repository

_LOOK_EVERY = 4
"""Candidates between two looks at how many loose objects there are; a look costs some 10 µs."""
_SAMPLE = "17"
"""The one of the 256 folders that `git gc --auto` counts, too."""
_PACK_AT = 8
"""Loose objects in the sample that mean about 2,000 in all; Git's limit is 27 in the sample."""
_WAIT_AT = 16
"""Loose objects in the sample at which agents wait for the one that packs: they write faster than it can pack."""
_ROLL_UP_AFTER = 12
"""New packs that are then put together; at 20,000 candidates that takes a quarter less CPU than after each one, which
writes an object again for every doubling of the packs from 2,000 objects on."""
_BIG_PACK_BYTES = 64 * 1024 * 1024
"""Packs from this size on are left as they are; the user's may have gigabytes."""
_QUICK = ("--window=2", "--compression=1")
"""How small packs are made: at 20,000 candidates 1.3 ms for each of them where Git's defaults take 2.3; a roll-up looks
for better deltas."""


class Packer:
    """Packs the repository now and then, one process of all at a time, while the other agents go on writing."""

    def __init__(self, repo: Repository) -> None:
        self._repo = repo
        self._steps = 0
        self._packs = len(_packs(repo))
        # A geometric repack may not mix objects that are fetched on demand with others.
        self._pack_at: float = float("inf") if repo.is_partial else _PACK_AT

    def tick(self) -> None:
        """Count one candidate; pack when enough objects have gathered.

        Raises:
            StorageError: git failed; it is not tried again before as many objects more have gathered.
        """
        self._steps += 1
        gathered = self._sample() if self._steps % _LOOK_EVERY == 0 else 0
        if gathered < self._pack_at:
            return
        self._pack_at = gathered + _PACK_AT
        self.pack(wait=gathered >= _WAIT_AT)
        self._pack_at = _PACK_AT

    def pack(self, *, wait: bool = False) -> bool:
        """Pack all loose objects, and put small packs together when there are many.

        Returns False when another process is at it, or with `wait`, when it has done it.

        Raises:
            StorageError: git failed.
        """
        self._repo.private.mkdir(exist_ok=True)
        with Path(self._repo.private / "packing.lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
            except OSError:
                return False
            if wait and self._sample() < _PACK_AT:
                return False
            pack(self._repo)
            if len(_packs(self._repo)) >= self._packs + _ROLL_UP_AFTER:
                roll_up(self._repo)
                self._packs = len(_packs(self._repo))
        return True

    def _sample(self) -> int:
        try:
            return len(os.listdir(f"{self._repo.common}/objects/{_SAMPLE}"))
        except FileNotFoundError:
            return 0


def pack(repo: Repository) -> None:
    """Put all loose objects into one new pack.

    Raises:
        StorageError: git failed.
    """
    found = b"".join(_loose(repo))
    if found:
        target = str(repo.objects / "pack" / "pack")
        git.run(repo, ["-c", "pack.threads=1", "pack-objects", "-q", *_QUICK, target], stdin=found)
        git.run(repo, ["prune-packed", "-q"])


def roll_up(repo: Repository) -> None:
    """Put small packs together until each has at least twice the objects of the next, and renew the commit-graph.

    Raises:
        StorageError: git failed.
    """
    big = [f"--keep-pack={path.name}" for path in _packs(repo) if path.stat().st_size >= _BIG_PACK_BYTES]
    options = ["--geometric=2", "-d", "-l", "-q", "-n", "--no-write-bitmap-index", *big]
    git.run(repo, ["-c", "pack.threads=1", "repack", *options])
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


def _packs(repo: Repository) -> list[Path]:
    return list((repo.objects / "pack").glob("pack-*.pack"))


def _loose(repo: Repository) -> Iterator[bytes]:
    for folder in os.listdir(repo.objects):
        with suppress(FileNotFoundError):  # git removes folders that are empty
            names = os.listdir(repo.objects / folder) if len(folder) == 2 else []
            yield from (f"{folder}{name}\n".encode() for name in names if len(name) == 38)
