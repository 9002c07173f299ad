"""What the open questions of an agent may cost: shown to the other agents of this clone, as no journal has it yet."""

from __future__ import annotations

import math
import os
from pathlib import Path

from evogit.errors import StorageError
from evogit.model import AgentName, RunName
from evogit.store import private
from evogit.store.repository import Repository


class Holds:
    """One agent's hold on a budget, and those of the others."""

    def __init__(self, repo: Repository, run: RunName, agent: AgentName) -> None:
        """Begin with none, whatever a killed holder of the name left.

        Raises:
            RepositoryError, StorageError: the run's private folder cannot be written.
        """
        self._repo, self._run = repo, run
        self._path = private.run_folder(repo, run) / f"{agent}.held"
        self._usd = math.inf
        self.hold(0.0)

    def hold(self, usd: float) -> None:
        """Hold back so much from now on.

        Raises:
            StorageError: that cannot be written.
        """
        if usd == self._usd:
            return
        try:
            if usd:
                made = self._path.with_name(f"{self._path.name}.new")
                made.write_text(f"{usd!r}\n")
                os.replace(made, self._path)
            else:
                self._path.unlink(missing_ok=True)
        except OSError as error:
            raise StorageError(f"cannot write {self._path}: {error.strerror}") from error
        self._usd = usd

    def others(self) -> float:
        """Return how much the other living agents of this clone hold back."""
        held = {path: _read(path) for path in self._path.parent.glob("*.held") if path != self._path}
        return math.fsum(
            usd for path, usd in held.items() if usd and private.is_living(self._repo, self._run, AgentName(path.stem))
        )


def _read(path: Path) -> float:
    try:
        found = float(path.read_text())
    except (OSError, ValueError):
        return 0.0  # given back meanwhile
    return found if 0 < found < math.inf else 0.0
