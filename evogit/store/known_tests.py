"""What the base showed, kept for all agents of a clone: which tests ran, as a candidate's must, and what it cost."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import TypeVar

import msgspec

from evogit.store.repository import Repository
from evogit.store.task import Task

_FOLDER = "tests.d"  # no run can have this name
_T = TypeVar("_T")


def folders(repo: Repository) -> list[Path]:
    """Return the folder all names are kept in, if there is one."""
    folder = repo.private / _FOLDER
    return [folder] if folder.is_dir() else []


class _Known:
    """Reads and writes; what cannot be read or written is found out again, at the cost of an evaluation."""

    def __init__(self, repo: Repository, task: Task) -> None:
        self._folder = repo.private / _FOLDER
        self._key = f"{task.definition.evaluator} {task.base_tree}"

    def _read(self, label: str, kind: type[_T]) -> _T | None:
        try:
            return msgspec.json.decode(self._path(label).read_bytes(), type=kind)
        except (OSError, UnicodeDecodeError, msgspec.MsgspecError):
            return None

    def _write(self, label: str, content: object) -> None:
        path = self._path(label)
        written = path.with_suffix(f".{os.getpid()}")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            written.write_text(json.dumps(content))
            written.rename(path)
        except OSError:
            written.unlink(missing_ok=True)

    def _path(self, label: str) -> Path:
        name = hashlib.sha256(f"{self._key} {label}".encode()).hexdigest()[:32]
        return self._folder / f"{name}.json"


class KnownTests(_Known):
    """The names of the tests that ran on the base."""

    def load(self, label: str) -> frozenset[str] | None:
        """Return the names for the command that is called `label`."""
        found = self._read(label, list[str])
        return None if found is None else frozenset(found)

    def save(self, label: str, names: frozenset[str]) -> None:
        """Keep the names."""
        self._write(label, sorted(names))


class KnownCosts(_Known):
    """What the base cost."""

    def load(self, label: str) -> float | None:
        """Return the cost that was kept as `label`."""
        found = self._read(f"cost {label}", float)
        return found if found is not None and found > 0 else None

    def save(self, label: str, cost: float) -> None:
        """Keep the cost."""
        self._write(f"cost {label}", cost)
