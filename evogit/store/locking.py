"""Locks between processes of one clone, for what must not be done twice at a time; they end with their process."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager

from evogit.errors import StorageError
from evogit.store.repository import Repository


@contextmanager
def alone(repo: Repository, name: str, *, wait: bool = True) -> Iterator[bool]:
    """Hold the lock `name` while the body runs, and give it whether it is held: without `wait`, it may not be.

    Raises:
        StorageError: the lock's file cannot be made.
    """
    try:
        repo.private.mkdir(exist_ok=True)
        lock = (repo.private / f"{name}.lock").open("w")
    except OSError as error:
        raise StorageError(f"cannot write {repo.private}: {error.strerror}") from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            yield False
            return
        yield True
