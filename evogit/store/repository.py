"""Opening a repository, refusing the kinds evogit cannot work in, and the identity commits are made with."""

from __future__ import annotations

import os
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal

import pygit2
from pygit2.enums import RepositoryOpenFlag

from evogit.errors import RepositoryError, StorageError
from evogit.model import CommitId

_KINDS: Mapping[str, int] = {"commit": 1, "tree": 2, "blob": 3, "tag": 4}
_UNREADABLE = (KeyError, ValueError, OSError, pygit2.GitError, zlib.error)
_REFUSALS = {
    "object format": "uses SHA-256 objects, which evogit cannot read yet; use a SHA-1 repository",
    "objectformat": "uses SHA-256 objects, which evogit cannot read yet; use a SHA-1 repository",
    "refstorage": "keeps its refs as a reftable, which evogit cannot read yet; use the 'files' ref format",
    "reftable": "keeps its refs as a reftable, which evogit cannot read yet; use the 'files' ref format",
    "not owned by": "belongs to another user; run `git config --global --add safe.directory <path>` if you trust it",
}


@dataclass(frozen=True, slots=True)
class Repository:
    """An open repository: libgit2's handle, the `.git` folder all work trees share, and this work tree's root."""

    raw: pygit2.Repository
    common: Path
    work: Path | None

    @property
    def private(self) -> Path:
        """The folder inside `.git` that is evogit's own; made on first use by those who write there."""
        return self.common / "evogit"

    @property
    def objects(self) -> Path:
        """The folder of objects."""
        return self.common / "objects"

    @property
    def is_shallow(self) -> bool:
        """Whether history is cut off."""
        return bool(self.raw.is_shallow)

    @property
    def is_partial(self) -> bool:
        """Whether objects are fetched on demand (a partial clone)."""
        return "extensions.partialclone" in self.raw.config

    def head(self) -> CommitId:
        """Return the commit that is checked out.

        Raises:
            RepositoryError: there is no commit yet, or HEAD is broken.
        """
        if self.raw.head_is_unborn:
            raise RepositoryError(
                f"{self.work or self.common} has no commit yet; make one first (git commit --allow-empty -m init)"
            )
        try:
            return CommitId(str(self.raw.head.peel(pygit2.Commit).id))
        except (pygit2.GitError, KeyError) as error:
            raise RepositoryError(f"cannot read HEAD of {self.common}: {error}; run `git fsck`") from error

    def commit(self, commit: CommitId) -> pygit2.Commit:
        """Return a commit object.

        Raises:
            StorageError: it is missing, damaged or no commit.
        """
        try:
            _read_loose(self._file_of(commit))
            found = self.raw[commit]
        except _UNREADABLE as error:
            raise self._unreadable("commit", commit, error) from error
        if not isinstance(found, pygit2.Commit):
            raise StorageError(f"{commit[:12]} is not a commit")
        return found

    def content(self, oid: pygit2.Oid | str, kind: Literal["commit", "tree", "blob"]) -> bytes:
        """Return the bytes of a commit, a tree or a blob. Thousands of blobs are read faster by `bulk`.

        Raises:
            StorageError: it is missing, damaged or of another kind.
        """
        try:
            # Not `raw[oid].read_raw()`: that reads twice, and the second time past libgit2's cache.
            found, content = _read_loose(self._file_of(oid)) or self.raw.read(oid)
        except _UNREADABLE as error:
            raise self._unreadable(kind, oid, error) from error
        if found != _KINDS[kind]:
            raise StorageError(f"{str(oid)[:12]} is not a {kind}")
        return content

    def _file_of(self, oid: pygit2.Oid | str) -> str:
        name = str(oid)
        return f"{self.common}/objects/{name[:2]}/{name[2:]}"

    def _unreadable(self, kind: str, oid: pygit2.Oid | str, error: Exception) -> StorageError:
        return StorageError(f"cannot read {kind} {str(oid)[:12]} in {self.common}: {error}; run `git fsck`")


def _read_loose(path: str) -> tuple[int, bytes] | None:
    """Return the kind and content of the object in a file, or None when there is no such file.

    libgit2 1.9 reads for ever in a file that a power cut has shortened, so it is not given one.

    Raises:
        ValueError, zlib.error: the file is damaged.
    """
    try:
        with open(path, "rb") as file:
            packed = file.read()
    except FileNotFoundError:
        return None  # it is in a pack, or in another repository this one borrows from
    inflating = zlib.decompressobj()
    header, _, content = inflating.decompress(packed).partition(b"\0")
    kind, _, size = header.partition(b" ")
    if not inflating.eof or not size.isdigit() or int(size) != len(content):
        raise ValueError("its file is cut short")
    return _KINDS[kind.decode()], content


def open_repository(directory: Path | None = None) -> Repository:
    """Open the repository at or above `directory`; without one, the one git itself would take.

    Raises:
        RepositoryError: there is none, or it is of a kind evogit cannot work in.
    """
    named = os.environ.get("GIT_DIR") if directory is None else None
    where = str(directory or named or "the current folder")
    if directory is None:
        _refuse_deleted_folder()
    try:
        raw = _open_named(named) if named else pygit2.Repository(str(directory or "."), RepositoryOpenFlag.DEFAULT)
    except (pygit2.GitError, KeyError, OSError, ValueError) as error:
        raise RepositoryError(_refusal(where, str(error))) from error
    git_dir = Path(raw.path)
    pointer = git_dir / "commondir"
    common = (git_dir / pointer.read_text().strip()).resolve() if pointer.is_file() else git_dir.resolve()
    _refuse_formats(raw, common)
    if directory is None and not named and not raw.is_bare:
        _refuse_inside(git_dir)
    return Repository(raw, common, Path(raw.workdir) if raw.workdir else None)


def _open_named(git_dir: str) -> pygit2.Repository:
    """Open what GIT_DIR names, with GIT_WORK_TREE as its work tree: libgit2 reads neither when it is given a path."""
    raw = pygit2.Repository(git_dir, RepositoryOpenFlag.NO_SEARCH | RepositoryOpenFlag.NO_DOTGIT)
    inside = Path(raw.path)
    says_where = inside.name == ".git" or "core.worktree" in raw.config or (inside / "commondir").is_file()
    if os.environ.get("GIT_WORK_TREE"):
        raw.workdir = os.path.abspath(os.environ["GIT_WORK_TREE"])
    elif not raw.is_bare and not says_where:
        raw.workdir = os.getcwd()  # as git does; libgit2 takes the folder around GIT_DIR
    return raw


def refuse_read_only(repo: Repository) -> None:
    """Check that agents can write here.

    Raises:
        RepositoryError: they cannot.
    """
    folders = [repo.common, repo.objects, repo.common / "refs"]
    if not all(os.access(folder, os.W_OK | os.X_OK) for folder in folders):
        raise RepositoryError(f"cannot write {repo.common}; agents keep their candidates and scores there")


def _refuse_deleted_folder() -> None:
    try:
        Path.cwd()
    except FileNotFoundError:
        raise RepositoryError("the current folder was deleted; cd to another one") from None


def _refuse_inside(git_dir: Path) -> None:
    here = git_dir.resolve()
    if Path.cwd().resolve().is_relative_to(here):
        raise RepositoryError(f"this is inside {here}; cd to the work tree, or name it with -C")


def _refusal(where: str, message: str) -> str:
    for sign, reason in _REFUSALS.items():
        if sign in message.lower():
            return f"the repository of {where} {reason}"
    if "not found" in message.lower() or "could not find" in message.lower():
        return f"{where} is not inside a Git repository; run `git init` there, or name one with -C"
    return f"cannot open the repository of {where}: {message}"


def _refuse_formats(raw: pygit2.Repository, common: Path) -> None:
    """Say no by the configuration too: which formats libgit2 itself refuses depends on how it was built."""
    config = raw.config
    if "extensions.objectformat" in config and config["extensions.objectformat"] != "sha1":
        raise RepositoryError(f"{common} {_REFUSALS['objectformat']}")
    if "extensions.refstorage" in config and config["extensions.refstorage"] != "files":
        raise RepositoryError(f"{common} {_REFUSALS['refstorage']}")


def committer(repo: Repository, environment: Mapping[str, str], now: datetime) -> pygit2.Signature:
    """Return the identity of the person who runs evogit, as git would find it, at the time `now`.

    pygit2 ignores `GIT_COMMITTER_*`, so they are read here. With no identity at all an `.invalid` one stands in, which
    no forge gives to anybody.
    """
    try:
        known = repo.raw.default_signature
        name, email = known.name, known.email
    except (pygit2.GitError, KeyError):
        name, email = "evogit", "evogit@evogit.invalid"
    name = environment.get("GIT_COMMITTER_NAME") or name
    email = environment.get("GIT_COMMITTER_EMAIL") or email
    return signature(name, email, now)


def signature(name: str, email: str, now: datetime) -> pygit2.Signature:
    """Return a signature at the time `now`, with characters Git cannot keep in one removed."""
    strip = {ord(sign): None for sign in "<>\n\0"}
    offset = now.utcoffset()
    minutes = int(offset.total_seconds() // 60) if offset else 0
    return pygit2.Signature(
        name.translate(strip).strip() or "evogit", email.translate(strip).strip() or "-", int(now.timestamp()), minutes
    )
