"""The system calls of Landlock, by which an ordinary user's process gives up rights for itself and its children.

They have no names in the C library. Each returns what it made here and is used in the process it is to confine.
"""

from __future__ import annotations

import ctypes
import os
import platform
import stat
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from evogit.sandbox import seccomp

OLDEST = 6
"""The first version of Landlock that keeps signals inside (Linux 6.12); files and truncation came before."""
_CREATE, _ADD, _RESTRICT = 444, 445, 446  # on all machines
_SECCOMP = {"x86_64": 317, "aarch64": 277}
_ASK_VERSION, _BENEATH = 1, 1
_SET_FILTER, _NEW_LISTENER, _WAIT_KILLABLE = 1, 1 << 3, 1 << 5
_NO_NEW_PRIVILEGES = 38

_EXECUTE, _WRITE, _READ, _LIST = 1 << 0, 1 << 1, 1 << 2, 1 << 3
_REMOVE_FOLDER, _REMOVE, _MAKE_FOLDER, _MAKE = 1 << 4, 1 << 5, 1 << 7, 1 << 8
_MAKE_FIFO, _MAKE_LINK, _MOVE, _TRUNCATE = 1 << 10, 1 << 12, 1 << 13, 1 << 14
_ALL = (1 << 16) - 1
_OF_FILES = _EXECUTE | _WRITE | _READ | _TRUNCATE
"""All that can be said of what is no folder."""
READ = _EXECUTE | _READ | _LIST
DEVICE = _READ | _WRITE | _TRUNCATE
CHANGE = READ | _WRITE | _REMOVE_FOLDER | _REMOVE | _MAKE_FOLDER | _MAKE | _MAKE_FIFO | _MAKE_LINK | _MOVE | _TRUNCATE
_BOTH_NETWORK = 0b11
"""Binding and connecting by TCP: no socket can be made at all, and one that was handed over is of no use."""
_SCOPES = 0b11
"""Abstract sockets and signals."""


class _Attributes(ctypes.Structure):
    _fields_ = (("files", ctypes.c_uint64), ("network", ctypes.c_uint64), ("scopes", ctypes.c_uint64))


class _Beneath(ctypes.Structure):
    _pack_ = 1
    _fields_ = (("allowed", ctypes.c_uint64), ("parent", ctypes.c_int32))


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("lines", ctypes.c_char_p))


_libc = ctypes.CDLL(None, use_errno=True)


def version() -> int:
    """Return the version of the kernel's Landlock; 0: it has none, or it is switched off."""
    return max(0, int(_libc.syscall(_CREATE, None, ctypes.c_size_t(0), _ASK_VERSION)))


def scope() -> int:
    """Return a ruleset that keeps signals inside and nothing else; the caller closes it.

    Raises:
        OSError: the kernel does not know it.
    """
    # Moving files from folder to folder is what every ruleset refuses unless it is told otherwise.
    return _made(_Attributes(files=_MOVE, scopes=_SCOPES), [(Path("/"), _MOVE)])


def files(allowed: Iterable[tuple[Path, int]], *, has_network: bool = False) -> int:
    """Return a ruleset that leaves only these rights on what is there of these paths, and no network unless it says so.

    Raises:
        OSError: the kernel does not know it, or a path cannot be looked up.
    """
    network = 0 if has_network else _BOTH_NETWORK
    return _made(_Attributes(files=_ALL, network=network, scopes=_SCOPES), allowed)


def give_up_privileges() -> None:
    """Never let this process gain a right by starting a program.

    Raises:
        OSError: the kernel refuses.
    """
    _checked(_libc.prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0))


def restrict(ruleset: int) -> None:
    """Put this process under the ruleset, for good.

    Raises:
        OSError: the kernel refuses.
    """
    _checked(_libc.syscall(_RESTRICT, ruleset, 0))


def filter_calls(program: bytes) -> int:
    """Put this process under the filter, for good, and return where the calls it asks about can be heard of.

    Raises:
        OSError: the kernel refuses.
    """
    what = _Program(length=len(program) // seccomp.LINE, lines=program)
    flags = _NEW_LISTENER | _WAIT_KILLABLE
    return _checked(_libc.syscall(_SECCOMP[platform.machine()], _SET_FILTER, flags, ctypes.byref(what)))


def _made(attributes: _Attributes, allowed: Iterable[tuple[Path, int]]) -> int:
    size = ctypes.c_size_t(ctypes.sizeof(attributes))
    made = _checked(_libc.syscall(_CREATE, ctypes.byref(attributes), size, 0))
    try:
        for path, rights in allowed:
            _allow(made, path, rights)
    except BaseException:
        os.close(made)
        raise
    return made


def _allow(ruleset: int, path: Path, rights: int) -> None:
    with suppress(FileNotFoundError):
        place = os.open(path, os.O_PATH | os.O_CLOEXEC)
        try:
            rights &= _ALL if stat.S_ISDIR(os.fstat(place).st_mode) else _OF_FILES
            rule = _Beneath(allowed=rights, parent=place)
            _checked(_libc.syscall(_ADD, ruleset, _BENEATH, ctypes.byref(rule), 0))
        finally:
            os.close(place)


def _checked(result: int) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result
