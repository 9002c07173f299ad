"""The names of the tests that ran on the base, kept for all agents of a clone: what a candidate must run as well."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

import msgspec

from evogit.store.repository import Repository
from evogit.store.task import Task

_FOLDER = "tests.d"  # no run can have this name


def folders(repo: Repository) -> list[Path]:
    """Return the folder all names are kept in, if there is one."""
    folder = repo.private / _FOLDER
    return [folder] if folder.is_dir() else []


class KnownTests:
    """Reads and writes the names; what cannot be read or written is found out again, at the cost of an evaluation."""

    def __init__(self, repo: Repository, task: Task) -> None:
        self._folder = repo.private / _FOLDER
        self._key = f"{task.definition.evaluator} {task.base_tree}"

    def load(self, label: str) -> frozenset[str] | None:
        """Return the names for the command that is called `label`."""
        try:
            found = msgspec.json.decode(self._path(label).read_bytes(), type=list[str])
        except (OSError, UnicodeDecodeError, msgspec.MsgspecError):
            return None
        return frozenset(found)

    def save(self, label: str, names: frozenset[str]) -> None:
        """Keep the names."""
        path = self._path(label)
        written = path.with_suffix(f".{os.getpid()}")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            written.write_text(json.dumps(sorted(names)))
            written.rename(path)
        except OSError:
            written.unlink(missing_ok=True)

    def _path(self, label: str) -> Path:
        name = hashlib.sha256(f"{self._key} {label}".encode()).hexdigest()[:32]
        return self._folder / f"{name}.json"
