"""A run's family tree made by hand: real commits and records, without an evaluator."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path

from evogit.merging import Mates
from evogit.model import (
    AgentName,
    CommitId,
    Direction,
    Measurement,
    Operator,
    Plan,
    RepoPath,
    RunName,
    Status,
    TreeId,
)
from evogit.phylogeny import Phylogeny
from evogit.records import AnyRecord, Call, Choice, Verdict
from evogit.store import trees
from evogit.store.ledger import Ledger, Writer
from evogit.store.repository import open_repository
from evogit.store.snapshot import Snapshot

EVALUATOR = "e" * 64
RUN = RunName("r")


class Family:
    """Writes candidates for any number of agents, each with its own journal."""

    def __init__(self, path: Path, *, direction: Direction = Direction.MAXIMIZE, evaluator: str = EVALUATOR) -> None:
        self.repo = open_repository(path)
        self.base = self.repo.head()
        self.direction = direction
        self.evaluator = evaluator
        self._ledgers: dict[str, Ledger] = {}
        self._ticks = count()
        self._made = count()

    def score(
        self,
        commit: CommitId,
        value: float | None,
        *,
        by: str = "a-1-000000",
        metrics: Mapping[str, float] | None = None,
    ) -> None:
        """Record a measurement; without a value, a failed one."""
        tree = TreeId(str(self.repo.commit(commit).tree_id))
        status = Status.FAILED if value is None else Status.OK
        record = self._ledger(by).score(tree, Measurement(status=status, value=value, metrics=metrics or {}), "none")
        self._write(by, commit, [record])

    def child(
        self,
        *parents: CommitId,
        value: float | None,
        by: str = "a-1-000000",
        files: Mapping[str, bytes | None] | None = None,
        instances: Mapping[str, float] | None = None,
        metrics: Mapping[str, float] | None = None,
        params: Mapping[str, float] | None = None,
        feedback: str = "",
        calls: Sequence[Call] = (),
        choices: Mapping[str, Choice] | None = None,
        is_measured: bool = True,
    ) -> CommitId:
        """Make a scored candidate; without `files` it differs from its first parent in a file of its own.

        One that is not measured was planned just now, by somebody who knew all there is.
        """
        ledger = self._ledger(by)
        number = next(self._made)
        start = TreeId(str(self.repo.commit(parents[0]).tree_id))
        changed = {f"own/{number}.txt": b"%d\n" % number} if files is None else files
        tree = trees.with_files(self.repo, start, {RepoPath(path): content for path, content in changed.items()})
        operator = Operator.MERGE if len(parents) > 1 else Operator.MUTATE
        plan = Plan(operator=operator, parents=parents, seed=number)
        commit = ledger.candidate(tree, plan, f"candidate {number}")
        status = Status.FAILED if value is None else Status.OK
        measured = Measurement(
            status=status, value=value, instances=instances or {}, metrics=metrics or {}, feedback=feedback
        )
        scores = [ledger.score(tree, measured, "none")] if is_measured else []
        seen = None if is_measured else self.graph().snapshot.seen()
        self._write(by, commit, [ledger.proposal(plan, params or {}, seen, calls=calls, choices=choices), *scores])
        return commit

    def give_up(
        self,
        *parents: CommitId,
        by: str = "a-1-000000",
        calls: Sequence[Call] = (),
        choices: Mapping[str, Choice] | None = None,
    ) -> None:
        """Record that a merge of these, or an edit that a model was asked for, came to nothing."""
        operator = Operator.MERGE if len(parents) > 1 else Operator.MUTATE
        plan = Plan(operator=operator, parents=parents, seed=next(self._made) if calls else 0)
        self._write(by, parents[0], [self._ledger(by).useless(plan, {}, "a conflict", calls, choices)])

    def learn(
        self, text: str, *evidence: str, by: str = "a-1-000000", on: CommitId | None = None, calls: Sequence[Call] = ()
    ) -> None:
        """Record what a model learned; without a text, that it learned nothing."""
        record = self._ledger(by).lesson(text, [CommitId(one) for one in evidence], "m", next(self._made), calls)
        self._write(by, on or self.base, [record])

    def say(self, commit: CommitId, verdict: str, *, by: str = "u-ada-000000") -> None:
        """Record what a person says of a candidate."""
        record = Verdict(v=1, agent=by, run=RUN, seq=0, at="2026-01-01T00:00:00.000Z", verdict=verdict)  # type: ignore[arg-type]
        self._write(by, commit, [record])

    def snapshot(self) -> Snapshot:
        """Return a snapshot that has read nothing yet."""
        return Snapshot(self.repo, RUN, self.evaluator, self.direction)

    def graph(self, snapshot: Snapshot | None = None) -> Phylogeny:
        """Return the family tree as a fresh reader sees it."""
        known = snapshot or self.snapshot()
        known.refresh()
        graph = Phylogeny(self.repo, known, self.base)
        graph.refresh()
        return graph

    def mates(self, graph: Phylogeny | None = None) -> Mates:
        """Return what pairs lineages."""
        return Mates(self.repo, graph or self.graph())

    def close(self) -> None:
        """Let go of the file system."""
        for ledger in self._ledgers.values():
            ledger.close()

    def _write(self, by: str, commit: CommitId, records: Sequence[AnyRecord]) -> None:
        self._ledger(by).write(commit, [*records], f"evogit: {commit[:12]}\n")

    def _ledger(self, by: str) -> Ledger:
        if by not in self._ledgers:
            writer = Writer(
                run=RUN, agent=AgentName(by), session="s", use="test", evaluator=self.evaluator, host="here",
                person=("Ada", "ada@example.invalid"), now=self._now,
            )  # fmt: skip
            self._ledgers[by] = Ledger(self.repo, self.snapshot(), writer)
        return self._ledgers[by]

    def _now(self) -> datetime:
        return datetime(2026, 1, 1, tzinfo=UTC) + timedelta(milliseconds=next(self._ticks))
