"""An agent's branch: which of its candidates it points at. It only serves people."""

from __future__ import annotations

from dataclasses import dataclass

from evogit.errors import StorageError
from evogit.model import AgentName, CommitId
from evogit.store import commits
from evogit.store.repository import Repository
from evogit.store.snapshot import Snapshot
from evogit.store.task import Task


@dataclass(frozen=True, slots=True)
class _Rank:
    """A score, and the size of the difference that decides between equal ones, where it is recorded."""

    value: float
    size: int | None


class Branch:
    """Points at the best of an agent's own candidates, once that beats the base by the evaluator in force."""

    def __init__(self, repo: Repository, task: Task, snapshot: Snapshot, own: set[CommitId]) -> None:
        """Learn what has to be beaten; `own` grows as the agent makes candidates."""
        self._repo, self._run, self._base = repo, task.run, task.definition.base
        self._snapshot, self._own = snapshot, own
        self._best = self._find_best()[0]

    def settle_in(self, agent: AgentName) -> None:
        """Begin a new epoch: point at what is the best in it, if that beats the base."""
        self._best, commit = self._find_best()
        if commit is not None and commit != self._base:
            self._point_at(commit, agent)

    def follow(self, commit: CommitId, value: float | None, agent: AgentName) -> None:
        """Take in a measurement; the branch moves when it is of an own candidate that is the best of them now."""
        if value is None:
            return
        rank = _Rank(value, self._size(commit))
        if self._best is not None and not self._is_better(rank, self._best):
            return
        if commit in self._own or commit == self._base:
            self._best = rank
        if commit in self._own:
            self._point_at(commit, agent)

    def _point_at(self, commit: CommitId, agent: AgentName) -> None:
        try:
            commits.move_branch(self._repo, self._run, agent, commit, self._own)
        except StorageError as error:
            # A user's branch `evogit` may block it, and the score is stored already.
            self._snapshot.problems["branch"] = str(error)

    def _find_best(self) -> tuple[_Rank | None, CommitId | None]:
        """Return the best of the base and our own candidates, which the next has to beat, and how good it is."""
        best: _Rank | None = None
        chosen: CommitId | None = None
        for commit in (self._base, *sorted(self._own)):
            value = self._value(commit)
            if value is None:
                continue
            rank = _Rank(value, self._size(commit))
            if best is None or self._is_better(rank, best):
                best, chosen = rank, commit
        return best, chosen

    def _is_better(self, rank: _Rank, than: _Rank) -> bool:
        if rank.value != than.value:
            return self._snapshot.is_better(rank.value, than.value)
        return rank.size is not None and than.size is not None and rank.size < than.size

    def _value(self, commit: CommitId) -> float | None:
        found = self._snapshot.candidates.get(commit)
        return found.value(self._snapshot.evaluator) if found else None

    def _size(self, commit: CommitId) -> int | None:
        if commit == self._base:
            return 0
        found = self._snapshot.candidates.get(commit)
        return found.proposal.size if found and found.proposal else None
