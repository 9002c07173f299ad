"""Folders outside the repository where evaluations happen, each with the same name at every start."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from evogit.errors import RepositoryError
from evogit.model import RunName
from evogit.store import private
from evogit.store.repository import Repository


def folder(repo: Repository, run: RunName, holder: str) -> Path:
    """Return the folder where `holder` (an agent, or a single evaluation) evaluates, made for this user alone.

    It keeps its name, so that what a killed agent left there is used or cleared by its successor.

    Raises:
        RepositoryError: it belongs to somebody else, or cannot be made.
    """
    root = _root(repo)
    top = root.parent
    try:
        top.mkdir(mode=0o700, exist_ok=True)
        status = top.lstat()
        if status.st_uid != os.getuid() or status.st_mode & 0o077 or top.is_symlink():
            raise RepositoryError(f"{top} is not a folder of yours alone; remove it or set TMPDIR")
        made = root / run / holder
        made.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RepositoryError(
            f"cannot make a folder in {top}: {error.strerror}; set TMPDIR to another place"
        ) from error
    return made


def remove(path: Path) -> None:
    """Delete a folder of this module's, and its parents where they are empty then."""
    shutil.rmtree(path, ignore_errors=True)
    for parent in path.parents[:2]:
        try:
            parent.rmdir()
        except OSError:
            return


def abandoned(repo: Repository) -> Iterator[Path]:
    """Yield the folders of this repository whose holders are gone."""
    for path in sorted(_root(repo).glob("*/*")):
        living = private.living(repo, RunName(path.parent.name))
        if path.name not in living and not _is_running(path.name):
            yield path


def for_evaluation() -> str:
    """Return the name under which this process holds a folder for a single evaluation."""
    return f"evaluate.{os.getpid()}"


def _root(repo: Repository) -> Path:
    key = hashlib.sha256(os.fsencode(repo.common)).hexdigest()[:12]
    return Path(tempfile.gettempdir()) / f"evogit-{os.getuid()}" / key


def _is_running(holder: str) -> bool:
    kind, _, pid = holder.partition(".")
    return kind == "evaluate" and pid.isdecimal() and Path(f"/proc/{pid}").exists()
