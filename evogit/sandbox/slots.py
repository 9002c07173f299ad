"""A user id of its own for every process that evaluates as root, held by a lock."""

from __future__ import annotations

import fcntl
import os
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from evogit.errors import UsageError

FIRST = 61000
_COUNT = 1000


@dataclass(slots=True)
class Slot:
    """A user id that nobody else evaluates under while the lock is held; a forked process holds it, too."""

    uid: int
    _lock: int

    def release(self) -> None:
        """Give it back."""
        os.close(self._lock)


def are_there() -> bool:
    """Return whether this process is root, and may become these users: root of a small container may not."""
    if os.geteuid() != 0:
        return False
    try:
        lines = Path("/proc/self/uid_map").read_text().splitlines()
    except OSError:
        return True
    ranges = [(int(first), int(count)) for first, _, count in map(str.split, lines)]
    return any(first <= FIRST and first + count >= FIRST + _COUNT for first, count in ranges)


def take() -> Slot:
    """Take a free user id.

    Raises:
        UsageError: there is no place for the locks, or none is free.
    """
    folder = _folder()
    for uid in range(FIRST, FIRST + _COUNT):
        lock = os.open(folder / str(uid), os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        with suppress(BlockingIOError):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return Slot(uid, lock)
        os.close(lock)
    raise UsageError(f"all {_COUNT} user ids for sandboxes are taken (locks in {folder}); stop some agents")


def _folder() -> Path:
    """Return a folder of root's alone, at a place all processes agree on."""
    for folder in (Path("/run/evogit"), Path(tempfile.gettempdir()) / "evogit-slots"):
        with suppress(OSError):
            folder.mkdir(mode=0o700, exist_ok=True)
            status = folder.lstat()
            if status.st_uid == os.getuid() and not status.st_mode & 0o077 and not folder.is_symlink():
                return folder
    raise UsageError(f"{folder} cannot be made a folder of yours alone; it holds the locks on user ids of sandboxes")
