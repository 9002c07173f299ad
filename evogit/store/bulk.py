"""Reading hundreds of objects by one run of git, which finds them in a large pack several times faster than libgit2."""

from __future__ import annotations

import fcntl
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from io import BufferedReader, RawIOBase
from itertools import repeat
from typing import TYPE_CHECKING, Literal

import pygit2

from evogit.errors import StorageError
from evogit.store import git
from evogit.store.repository import Repository

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

MANY = 200
"""Objects from which a run of git is worth its start; libgit2 looks for a file of each object first."""
_PIECE = 1 << 20
_PAUSE_S = 0.001


def contents(
    repo: Repository, wanted: Sequence[pygit2.Oid], kind: Literal["tree", "blob"], most: int
) -> Iterator[bytes | None]:
    """Yield the content of each object in turn, and None for what git does not give.

    That is what is missing, damaged, of another kind or longer than `most` bytes; all that comes after what git
    stumbles over; and everything where there is no git, or so little that it is not asked. Whoever wants to know why
    asks the repository for that one. Nothing is fetched: in a partial clone, which would do so, nothing is given.
    """
    given = 0
    if len(wanted) >= MANY and not repo.is_partial:
        for content in _told(repo, wanted, kind.encode(), most):
            yield content
            given += 1
    yield from repeat(None, len(wanted) - given)


def _told(repo: Repository, wanted: Sequence[pygit2.Oid], kind: bytes, most: int) -> Iterator[bytes | None]:
    try:
        command = git.command(repo, ["cat-file", "--batch", "--buffer"])
    except StorageError:
        return
    names = [str(oid).encode() for oid in wanted]
    with tempfile.TemporaryFile() as asked:
        asked.write(b"\n".join(names) + b"\n")
        asked.seek(0)
        with subprocess.Popen(
            command, stdin=asked, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, bufsize=0, env=git.environment()
        ) as process:
            try:
                assert isinstance(process.stdout, RawIOBase)
                told = BufferedReader(_Unhurried(process.stdout), _PIECE)
                for name in names:
                    said = told.readline().split()
                    if not said or said[0] != name:
                        return
                    yield _content(told, said, kind, most)
            finally:
                process.kill()


class _Unhurried(RawIOBase):
    """A pipe that is let to fill a little before each read.

    Git writes 4 KB at a time, and to be woken for each of them takes longer than all else that is done with them.
    """

    def __init__(self, pipe: RawIOBase) -> None:
        with suppress(OSError):
            fcntl.fcntl(pipe.fileno(), fcntl.F_SETPIPE_SZ, _PIECE)
        self._pipe = pipe

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int | None:
        time.sleep(_PAUSE_S)
        return self._pipe.readinto(buffer)


def _content(told: BufferedReader, said: Sequence[bytes], kind: bytes, most: int) -> bytes | None:
    """Return what follows a line of git's, `<id> <kind> <size>`, or None; `<id> missing` is followed by nothing."""
    if len(said) != 3:
        return None
    left = int(said[2]) + 1
    if said[1] == kind and left <= most + 1:
        found = told.read(left)
        return found[:-1] if len(found) == left else None
    while left > 0 and (piece := told.read(min(left, _PIECE))):
        left -= len(piece)
    return None
