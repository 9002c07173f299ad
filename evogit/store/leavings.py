"""What a tool left in its folder: changed files and the messages of its commits, read as what a stranger wrote.

No git runs here and libgit2 opens nothing: settings, hooks and links in there are a tool's own. Nothing is followed.
"""

from __future__ import annotations

import hashlib
import os
import re
import stat
import zlib
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from evogit.store import paths
from evogit.store.trees import EXECUTABLE_MODE, FILE_MODE, Entry

_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_FOLDER = os.O_RDONLY | os.O_NOFOLLOW | os.O_DIRECTORY | os.O_CLOEXEC
_MAX_ENTRIES = 200_000
_MAX_DEPTH = 64
_MAX_OBJECT = 64 * 1024
_MAX_COMMITS = 50
_MAX_READ = 256 * 1024 * 1024
"""Bytes of new files that are looked at, taken or not."""
_GIT = b".git"
_ID = re.compile(rb"[0-9a-f]{40}")
_BRANCH = re.compile(rb"refs/heads/[A-Za-z0-9._/-]{1,200}")
_PARENT = re.compile(rb"^parent ([0-9a-f]{40})$", re.MULTILINE)


@dataclass(slots=True)
class Leavings:
    """What differs from what a tool was given: contents (None: deleted), files that can be executed now, and the rest.

    `left_out` says of other files, in words, why they are not taken.
    """

    files: dict[bytes, bytes | None] = field(default_factory=dict)
    executable: set[bytes] = field(default_factory=set)
    left_out: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class Taking:
    """What is taken: which paths, files of how many bytes, of which content, and how many bytes in all.

    `is_passed_over` is asked of files and folders (with `/` at the end) that were not there before.
    """

    is_wanted: Callable[[bytes], bool]
    is_passed_over: Callable[[bytes], bool]
    is_text: Callable[[bytes], bool]
    max_file_bytes: int
    max_bytes: int = 32 * 1024 * 1024


def read(root: Path, before: Mapping[bytes, Entry], taking: Taking) -> Leavings:
    """Return what differs in the folder `root` from the files that were `before`.

    Raises:
        ValueError: there is more than anybody would look at; the text says what.
    """
    walk = _Walk(before, taking)
    try:
        top = os.open(root, _FOLDER)
    except OSError as error:
        raise ValueError("its folder is gone") from error
    try:
        walk.folder(top, b"")
    finally:
        os.close(top)
    for path, entry in before.items():
        gone = path not in walk.seen and not any(path.startswith(closed) for closed in walk.closed)
        if gone and entry.mode in (FILE_MODE, EXECUTABLE_MODE) and taking.is_wanted(path):
            walk.found.files[path] = None
    return walk.found


class _Walk:
    def __init__(self, before: Mapping[bytes, Entry], taking: Taking) -> None:
        self.found = Leavings()
        self.seen: set[bytes] = set()
        self.closed: list[bytes] = []
        self._before, self._taking = before, taking
        self._folders = {folder for path in before for folder in _above(path)}
        self._entries = self._bytes = self._read = 0

    def folder(self, at: int, prefix: bytes) -> None:
        names = []
        with os.scandir(at) as entries:
            for entry in entries:  # somebody may still be adding some
                self._entries += 1
                if self._entries > _MAX_ENTRIES:
                    raise ValueError(f"it left more than {_MAX_ENTRIES} files")
                names.append(os.fsencode(entry.name))
        for name in sorted(names):
            if not prefix and name == _GIT:
                continue
            try:
                self._entry(at, name, prefix + name)
            except FileNotFoundError:
                continue
            except OSError:
                self.closed.append(prefix + name)

    def _entry(self, at: int, name: bytes, path: bytes) -> None:
        status = os.stat(name, dir_fd=at, follow_symlinks=False)
        if stat.S_ISDIR(status.st_mode):
            self._enter(at, name, path)
            return
        self.seen.add(path)
        known = self._before.get(path)
        if known is None and self._taking.is_passed_over(path):
            return
        if known is not None and known.mode not in (FILE_MODE, EXECUTABLE_MODE):
            return  # a link stays the link it was
        if not self._taking.is_wanted(path):
            # What it was given and left alone is not looked at, so this is only said of what is new.
            if known is None:
                self._leave_out(path, "it is not among the editable files")
        elif reason := paths.refusal(path) or (known is None and paths.has_control(path) and "a name of control signs"):
            self._leave_out(path, reason)
        elif not stat.S_ISREG(status.st_mode):
            self._leave_out(path, "it is no plain file")
        else:
            self._file(at, name, path, known)

    def _enter(self, at: int, name: bytes, path: bytes) -> None:
        if path not in self._folders and self._taking.is_passed_over(path + b"/"):
            return
        if path.count(b"/") >= _MAX_DEPTH:
            raise ValueError(f"it made folders more than {_MAX_DEPTH} deep")
        try:
            inner = os.open(name, _FOLDER, dir_fd=at)
        except OSError:
            self.closed.append(path + b"/")
            self._leave_out(path, "it cannot be looked into")
            return
        try:
            self.folder(inner, path + b"/")
        finally:
            os.close(inner)

    def _file(self, at: int, name: bytes, path: bytes, known: Entry | None) -> None:
        most = self._taking.max_file_bytes
        try:
            content, mode = _content(at, name, most + 1)
        except OSError:
            self._leave_out(path, "it cannot be read")
            return
        is_executable = bool(mode & stat.S_IXUSR)
        if known is not None and _blob_id(content) == str(known.id):
            if is_executable and known.mode == FILE_MODE:
                self._take(path, content, is_executable=True)
            return
        self._read += len(content) if known is None else 0
        if self._read > _MAX_READ:
            raise ValueError(f"it left more than {_MAX_READ} bytes in new files")
        if len(content) > most:
            if known is None:
                self._leave_out(path, f"it has more than {most} bytes")
            return
        if not self._taking.is_text(content):
            self._leave_out(path, "it is no text")
            return
        self._take(path, content, is_executable=is_executable)

    def _take(self, path: bytes, content: bytes, *, is_executable: bool) -> None:
        self._bytes += len(content)
        if self._bytes > self._taking.max_bytes:
            raise ValueError(f"it changed files of more than {self._taking.max_bytes} bytes in all")
        self.found.files[path] = content
        if is_executable:
            self.found.executable.add(path)

    def _leave_out(self, path: bytes, why: str) -> None:
        if len(self.found.left_out) < 20:
            self.found.left_out.append(f"{path.decode('utf-8', 'backslashreplace')}: {why}")


def _above(path: bytes) -> list[bytes]:
    found = []
    while path := os.path.dirname(path):
        found.append(path)
    return found


def _content(at: int, name: bytes, most: int) -> tuple[bytes, int]:
    """Return the first bytes of a plain file and its mode.

    Raises:
        OSError: it is none, or cannot be read.
    """
    descriptor = os.open(name, _FILE, dir_fd=at)
    with open(descriptor, "rb") as file:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise OSError("no plain file")
        return file.read(most), status.st_mode


def _blob_id(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0%s" % (len(content), content), usedforsecurity=False).hexdigest()


def messages(root: Path, start: str) -> list[str]:
    """Return the messages of the commits a tool made on top of `start`, the newest first; none if they cannot be read.

    Only loose objects are read, each of a few KB; what is packed, too large or not what it says ends the list.
    """
    with suppress(OSError, ValueError):
        top = os.open(root / ".git", _FOLDER)
        try:
            return _messages(top, start.encode())
        finally:
            os.close(top)
    return []


def _messages(git: int, start: bytes) -> list[str]:
    found: list[str] = []
    at = _tip(git)
    while at != start and len(found) < _MAX_COMMITS:
        header, _, message = _commit(git, at).partition(b"\n\n")
        found.append(message.decode("utf-8", "replace"))
        parents = _PARENT.findall(header)
        if not parents:
            return []  # it does not come from what the tool was given
        at = parents[0]
    return found if at == start else []


def _tip(git: int) -> bytes:
    """Return the id HEAD leads to.

    Raises:
        OSError, ValueError: it leads nowhere.
    """
    said = _read_below(git, b"HEAD", 1024).strip()
    if said.startswith(b"ref: "):
        name = said.removeprefix(b"ref: ").strip()
        if not _BRANCH.fullmatch(name) or any(part in (b"", b".", b"..") for part in name.split(b"/")):
            raise ValueError("no branch")
        said = _read_below(git, name, 1024).strip()
    if not _ID.fullmatch(said):
        raise ValueError("no id")
    return said


def _commit(git: int, commit: bytes) -> bytes:
    packed = _read_below(git, b"objects/%s/%s" % (commit[:2], commit[2:]), _MAX_OBJECT)
    inflating = zlib.decompressobj()
    try:
        data = inflating.decompress(packed, _MAX_OBJECT)
    except zlib.error as error:
        raise ValueError("no object") from error
    kind, _, content = data.partition(b"\0")
    if not inflating.eof or not kind.startswith(b"commit "):
        raise ValueError("no commit")
    return content


def _read_below(at: int, path: bytes, most: int) -> bytes:
    """Return the content of a small file below a folder; no link on the way is followed.

    Raises:
        OSError: there is none.
        ValueError: it is too large.
    """
    *folders, name = path.split(b"/")
    opened: list[int] = []
    try:
        for folder in folders:
            at = os.open(folder, _FOLDER, dir_fd=at)
            opened.append(at)
        content, _ = _content(at, name, most + 1)
    finally:
        for descriptor in opened:
            os.close(descriptor)
    if len(content) > most:
        raise ValueError("too large")
    return content
