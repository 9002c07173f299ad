"""Modes and times of files for a job that may not set them itself: done for it, in the folders it may write.

Landlock has no right for either. The filter of system calls stops the job in such a call; its arguments are read, the
file is looked up once, and the call is made on just that file, so that nothing depends on what the job does meanwhile.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import struct
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress

from evogit.sandbox import seccomp

_RECEIVE, _SEND, _IS_VALID = 0xC0502100, 0xC0182101, 0x40082102
_QUESTION, _ANSWER = struct.Struct("=QIIiIQ6Q"), struct.Struct("=QqiI")
_FROM_HERE = -100
_LINK_ITSELF, _THIS_ONE = 0x100, 0x1000
_FCHMODAT2 = 452  # on all machines
_MODES = 0o1777  # a program that makes others its owner is nothing to leave behind
_PAGE = os.sysconf("SC_PAGE_SIZE")
_LONGEST = 4096
_TIMES = struct.Struct("=qqqq")
_libc = ctypes.CDLL(None, use_errno=True)

_Arguments = tuple[int, ...]


class Attributes:
    """Answers the calls that one filter asks about; `listener` is where they are heard of."""

    def __init__(self, listener: int, writable: Sequence[str]) -> None:
        """Set them in the folders `writable`, which are paths without links."""
        self.listener = listener
        self._writable = writable
        self._names = seccomp.asked()

    def answer(self) -> None:
        """Answer one call; a process that was killed meanwhile gets none."""
        question = bytearray(_QUESTION.size)
        with suppress(OSError):
            fcntl.ioctl(self.listener, _RECEIVE, question)
            number, thread, _, call, _, _, *arguments = _QUESTION.unpack(question)
            try:
                self._act(_Caller(self.listener, number, thread), self._names[call], tuple(arguments))
                failed = 0
            except OSError as error:
                failed = error.errno or errno.EPERM
            fcntl.ioctl(self.listener, _SEND, bytearray(_ANSWER.pack(number, 0, -failed, 0)))

    def _act(self, caller: _Caller, name: str, arguments: _Arguments) -> None:
        place, path, value, flags = _SHAPES[name](arguments)
        # Read before it is asked whether the caller still lives, so that they are the caller's, and not a successor's.
        times = b"" if "chmod" in name else _times(name, caller, value)
        file = caller.look_up(place, path, flags)
        try:
            caller.refuse_if_gone()
            if not self._is_own(file):
                raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))
            if times:
                _checked(_libc.utimensat(file, b"", times, _THIS_ONE))
            else:
                _checked(_libc.syscall(_FCHMODAT2, file, b"", value & _MODES, _THIS_ONE))
        finally:
            os.close(file)

    def _is_own(self, file: int) -> bool:
        real = os.readlink(f"/proc/self/fd/{file}")
        return any(real == folder or real.startswith(f"{folder}/") for folder in self._writable)


class _Caller:
    """A thread that waits for an answer."""

    def __init__(self, listener: int, number: int, thread: int) -> None:
        self._listener, self._number, self._thread = listener, number, thread

    def refuse_if_gone(self) -> None:
        """Raise if it was killed: its number may be another's."""
        fcntl.ioctl(self._listener, _IS_VALID, struct.pack("=Q", self._number))

    def look_up(self, place: int, path: int, flags: int) -> int:
        """Return the file at a path that is in the caller's memory, seen from one of its folders."""
        name = self._text(path) if path else b""
        signed = ctypes.c_int(place).value
        start = f"/proc/{self._thread}/cwd" if signed == _FROM_HERE else f"/proc/{self._thread}/fd/{signed}"
        how = os.O_PATH | os.O_CLOEXEC
        if not name:
            if path and not flags & _THIS_ONE:
                raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
            return os.open(start, how)
        for own in (b"/proc/self/", b"/proc/thread-self/"):  # ours would be others
            if name.startswith(own):
                name = b"/proc/%d/%s" % (self._thread, name.removeprefix(own))
        how |= os.O_NOFOLLOW if flags & _LINK_ITSELF else 0
        if name.startswith(b"/"):
            return os.open(name, how)
        folder = os.open(start, os.O_PATH | os.O_CLOEXEC)
        try:
            return os.open(name, how, dir_fd=folder)
        finally:
            os.close(folder)

    def read(self, address: int, size: int) -> bytes:
        """Return what is in its memory there."""
        memory = os.open(f"/proc/{self._thread}/mem", os.O_RDONLY | os.O_CLOEXEC)
        try:
            found = os.pread(memory, size, address)
        except (OverflowError, OSError) as error:
            raise OSError(errno.EFAULT, os.strerror(errno.EFAULT)) from error
        finally:
            os.close(memory)
        if len(found) < size:
            raise OSError(errno.EFAULT, os.strerror(errno.EFAULT))
        return found

    def _text(self, address: int) -> bytes:
        found = b""
        while len(found) < _LONGEST:
            # Not over the end of a page: the next one may not be there.
            found += self.read(address + len(found), _PAGE - (address + len(found)) % _PAGE)
            if b"\0" in found:
                return found.partition(b"\0")[0]
        raise OSError(errno.ENAMETOOLONG, os.strerror(errno.ENAMETOOLONG))


def _times(name: str, caller: _Caller, address: int) -> bytes:
    """Return the two times to set in seconds and nanoseconds, or what stands for now."""
    now = 0x3FFFFFFF
    if not address:
        return _TIMES.pack(0, now, 0, now)
    if name == "utime":
        first, second = struct.unpack("=qq", caller.read(address, 16))
        return _TIMES.pack(first, 0, second, 0)
    found = _TIMES.unpack(caller.read(address, _TIMES.size))
    if name == "utimensat":
        return _TIMES.pack(*found)
    if not all(0 <= part < 10**6 for part in found[1::2]):
        raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
    return _TIMES.pack(found[0], found[1] * 1000, found[2], found[3] * 1000)


_SHAPES: Mapping[str, Callable[[_Arguments], _Arguments]] = {
    "chmod": lambda given: (_FROM_HERE, given[0], given[1], 0),
    "fchmod": lambda given: (given[0], 0, given[1], 0),
    "fchmodat": lambda given: (given[0], given[1], given[2], 0),
    "fchmodat2": lambda given: (given[0], given[1], given[2], given[3]),
    "utime": lambda given: (_FROM_HERE, given[0], given[1], 0),
    "utimes": lambda given: (_FROM_HERE, given[0], given[1], 0),
    "futimesat": lambda given: (given[0], given[1], given[2], 0),
    "utimensat": lambda given: (given[0], given[1], given[2], given[3]),
}
"""Of each call: the folder it starts at, where the path is (0: the folder itself), the new value, the flags."""


def _checked(result: int) -> None:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
