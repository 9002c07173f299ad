"""What an evaluation leaves for people to look at: short texts and small files, cut to what a record can carry."""

from __future__ import annotations

import codecs
import hashlib
import os
import re
import stat
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import msgspec

from evogit.model import Artifact, Measurement
from evogit.store import leaks

MAX_TEXT_BYTES = 4096
MAX_TOTAL_BYTES = 16 * 1024
"""Of all of them as JSON: beside them a record has room for all else."""
MAX_ARTIFACTS = 16
_MOST_ENTRIES = 1000
_DEEPEST = 4
_MOST_READ, _MOST_HASHED = 64 * 1024, 1 << 20
"""Bytes of a file: larger ones are looked at from both ends, and have no digest where they are no text."""
_LONGEST_NAME = 100
_MARK = 64
"""Bytes of the line that says what was left out."""
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff]")


def added(measured: Measurement, folder: Path) -> Measurement:
    """Return the measurement with what its command left in `folder`, beside what its result held."""
    found = [*measured.artifacts.items(), *_files(folder)]
    if not found:
        return measured
    kept: dict[str, Artifact] = {}
    size = 0
    for name, artifact in found:
        unique = _unique(_safe(name).replace("\n", "?").replace("\t", "?")[:_LONGEST_NAME], kept)
        cost = len(msgspec.json.encode({unique: artifact}))
        if len(kept) < MAX_ARTIFACTS and artifact is not _LEFT_OUT and size + cost <= MAX_TOTAL_BYTES:
            kept[unique] = artifact
            size += cost
    return replace(measured, artifacts=kept, artifacts_left_out=len(found) - len(kept))


def of_texts(texts: Mapping[str, str]) -> dict[str, Artifact]:
    """Return texts of a result as artifacts, each cut."""
    return {name: _of_content(_safe(text).encode()) for name, text in texts.items()}


_LEFT_OUT = Artifact(bytes=-1)
"""Stands for what is there and is not read: a link, a device, what lies too deep."""


def _files(folder: Path) -> Iterator[tuple[str, Artifact]]:
    try:
        top = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return  # a command may have made anything of it
    budget = [_MOST_ENTRIES]
    try:
        yield from _below(top, "", 1, budget)
    finally:
        os.close(top)


def _below(folder: int, prefix: str, depth: int, budget: list[int]) -> Iterator[tuple[str, Artifact]]:
    """Yield what is in an open folder; no name is looked up twice, so nothing can be put in its place meanwhile."""
    for name in sorted(_names(folder, budget)):
        # Not a path: whatever it is, it is opened as what it was seen to be, or not at all.
        shown = prefix + os.fsencode(name).decode("utf-8", "replace")
        found: Iterable[tuple[str, Artifact]] = [(shown, _LEFT_OUT)]
        with suppress(OSError):
            mode = os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode
            if stat.S_ISREG(mode):
                found = [(shown, _of_file(name, folder))]
            elif stat.S_ISDIR(mode) and depth < _DEEPEST:
                flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
                inner = os.open(name, flags, dir_fd=folder)
                try:
                    found = list(_below(inner, f"{shown}/", depth + 1, budget))
                finally:
                    os.close(inner)
        yield from found


def _names(folder: int, budget: list[int]) -> Iterator[str]:
    with os.scandir(folder) as entries:
        for entry in entries:
            if budget[0] == 0:
                return
            budget[0] -= 1
            yield entry.name


def _of_file(name: str, folder: int) -> Artifact:
    """Return a file as an artifact.

    Raises:
        OSError: it cannot be read, or is no plain file any more.
    """
    descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            return _LEFT_OUT
        size = status.st_size
        if size <= _MOST_READ:
            return _of_content(_read(descriptor, 0, size))
        text = _excerpt(_read(descriptor, 0, _MOST_READ), _read(descriptor, size - _MOST_READ, _MOST_READ), size)
        if text is not None:
            return Artifact(bytes=size, text=text)
        return _of_bytes(_read(descriptor, 0, size)) if size <= _MOST_HASHED else Artifact(bytes=size)
    finally:
        os.close(descriptor)


def _read(descriptor: int, start: int, size: int) -> bytes:
    found = b""
    while len(found) < size and (chunk := os.pread(descriptor, size - len(found), start + len(found))):
        found += chunk
    return found


def _of_content(content: bytes) -> Artifact:
    text = _excerpt(content, content, len(content))
    return _of_bytes(content) if text is None else Artifact(bytes=len(content), text=text)


def _of_bytes(content: bytes) -> Artifact:
    return Artifact(bytes=len(content), sha256=hashlib.sha256(content).hexdigest())


def _excerpt(head: bytes, tail: bytes, size: int) -> str | None:
    """Return a text of `size` bytes, cut in its middle where it is long; None: it is none."""
    if b"\0" in head or b"\0" in tail:
        return None
    if kind := leaks.found(head) or leaks.found(tail):  # before it is cut: half a key is none any more
        return f"left out: it looks as if it holds {kind}"
    try:
        if size <= MAX_TEXT_BYTES:
            return _safe(head.decode())
        room = MAX_TEXT_BYTES - _MARK
        tail = tail[-(room // 3) :]
        while tail and tail[0] & 0xC0 == 0x80:  # within a character
            tail = tail[1:]
        before = codecs.getincrementaldecoder("utf-8")().decode(head[: room - room // 3])
        after = tail.decode()
    except UnicodeDecodeError:
        return None
    left = size - len(before.encode()) - len(tail)
    return f"{_safe(before)}\n… {left} bytes left out …\n{_safe(after)}"


def _safe(text: str) -> str:
    """Return text without what drives a terminal; no character takes more bytes than before."""
    return _CONTROL.sub("?", text.replace("\r\n", "\n"))


def _unique(name: str, taken: Mapping[str, Artifact]) -> str:
    numbers = (f"{name}~{number}" for number in range(2, MAX_ARTIFACTS + 3))
    return name if name not in taken else next(other for other in numbers if other not in taken)
