"""Which two candidates are compared next, in both orders, and what is to be recorded of it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from random import Random

from evogit.errors import EvaluatorBroken, EvogitError, StorageError
from evogit.judging.judge import Answer, Exhibit, Judge, in_both_orders
from evogit.model import PEOPLE, AgentName, CommitId, TreeId
from evogit.phylogeny import Phylogeny
from evogit.records import Comparison, Score
from evogit.store import comparing
from evogit.store.candidate import Candidate
from evogit.store.ledger import Ledger, Writer
from evogit.store.repository import Repository

_TRIES = 3
"""How often a judge that answered, but with nothing of use, is asked about one candidate."""
_LEFT_S = 600
"""How long whoever measured a candidate has to compare it, unless it is seen to have gone on to something else."""
_GOOD = 8
"""A candidate that is no worse than its parent is compared with one of so many of the best, too."""
_SILENT_IN_A_ROW = 5
_TEXT = 1000


@dataclass(frozen=True, slots=True)
class _Pair:
    """Two to be compared, by which goal; the record stands on the first."""

    commit: CommitId
    than: CommitId
    goal: str
    seed: int


class Panel:
    """Lets a judge compare an agent's candidates, and those that nobody else has compared."""

    def __init__(
        self, repo: Repository, graph: Phylogeny, judge: Judge | None, left_usd: Callable[[], float], seed: int
    ) -> None:
        """Compare candidates of the graph; without a judge, none. `seed` is that of all choices."""
        self._repo, self._graph, self._judge, self._left_usd, self._seed = repo, graph, judge, left_usd, seed
        self._is_turn = False
        self._silent = 0

    def waiting(self, writer: Writer) -> CommitId | None:
        """Return a candidate that whoever made it left without a comparison, at most every second time.

        One is drawn, so that agents who look at once seldom take the same.
        """
        self._is_turn = self._judge is not None and not self._is_turn
        if not self._is_turn:
            return None
        open_ = [commit for commit in self._graph.members() if self._is_left(commit, writer.agent, writer.now())]
        return Random(self._draw(writer.agent, "waiting")).choice(open_) if open_ else None

    def compare(self, commit: CommitId, goal: str, ledger: Ledger) -> Iterator[tuple[Comparison, EvogitError | None]]:
        """Compare a candidate with its parent, then, if it is no worse, with one of the best.

        Yields a record of each, to be written on the candidate before the next is asked for, and what the agent has to
        end with when it is written.

        Raises:
            Cancelled: the caller wants to stop.
        """
        parent = self._parent(commit)
        if self._judge is None or parent is None or commit == self._graph.base:
            return
        seed = self._draw(ledger.writer.agent, commit)
        rng = Random(seed)
        found = self._ask(_Pair(commit, parent, goal, seed), self._judge, rng, ledger)
        if found is None:
            return
        yield found
        value, before = self._graph.value(commit), self._graph.value(parent)
        if value is None or before is None or value < before:
            return
        others = [one for one in self._graph.field.top(_GOOD + 2) if one not in (commit, parent)][:_GOOD]
        if others and (found := self._ask(_Pair(commit, rng.choice(others), goal, seed), self._judge, rng, ledger)):
            yield found

    def _draw(self, agent: AgentName, what: str) -> int:
        known = self._graph.snapshot.next_seq(agent)
        return int.from_bytes(hashlib.sha256(f"{self._seed}/{agent}/{what}/{known}".encode()).digest()[:6])

    def _ask(
        self, pair: _Pair, judge: Judge, rng: Random, ledger: Ledger
    ) -> tuple[Comparison, EvogitError | None] | None:
        """Return what comes of asking in both orders; None when there is nothing to record."""
        one, other = self._exhibit(pair.commit), self._exhibit(pair.than)
        if one is None or other is None:
            return None
        heard = in_both_orders(judge, one, other, pair.goal, self._left_usd, rng)
        answer = heard.last
        fatal = answer.fatal or self._despair(judge, answer)
        if answer.word == "none" and judge.by == "model" and not heard.calls and fatal is None:
            return None
        record = ledger.comparison(
            pair.than, heard.verdicts, judge.by, goal=comparing.goal_digest(pair.goal), seed=pair.seed,
            calls=heard.calls, text=answer.why[:_TEXT],
        )  # fmt: skip
        return record, fatal

    def _despair(self, judge: Judge, answer: Answer) -> EvogitError | None:
        """Return what to end with when a command never says anything of use."""
        self._silent = self._silent + 1 if answer.word == "none" else 0
        if judge.by != "command" or self._silent < _SILENT_IN_A_ROW:
            return None
        return EvaluatorBroken(f"the judge gave no answer {self._silent} times in a row, the last: {answer.why}")

    def _exhibit(self, commit: CommitId) -> Exhibit | None:
        """Return a candidate without its name, or None when it may not be compared."""
        passed = self._passed(self._graph.snapshot.candidates.get(commit))
        try:
            tree = TreeId(str(self._repo.commit(commit).tree_id))
        except StorageError:
            return None
        return Exhibit(tree=tree, said=passed.feedback) if passed else None

    def _passed(self, candidate: Candidate | None) -> Score | None:
        return candidate.passed(self._graph.snapshot.evaluator) if candidate else None

    def _parent(self, commit: CommitId) -> CommitId | None:
        """Return the strongest parent there is, else the base; None when not even that has passed its gates."""
        graph = self._graph
        rated = [(value, one) for one in graph.ancestry.parents(commit) if (value := graph.value(one)) is not None]
        if rated:
            return max(rated)[1]
        return graph.base if graph.value(graph.base) is not None else None

    def _is_left(self, commit: CommitId, agent: AgentName, now: datetime) -> bool:
        """Return whether a candidate passed its gates, has no rating, and whoever measured it does not see to that."""
        graph = self._graph
        candidate = graph.snapshot.candidates.get(commit)
        passed = self._passed(candidate)
        if candidate is None or passed is None or graph.value(commit) is not None or not graph.may_build_on(commit):
            return False
        if sum(map(_is_useless, candidate.comparisons)) >= _TRIES:
            return False
        by = AgentName(passed.agent)
        if by == agent or by.startswith(PEOPLE) or graph.snapshot.next_seq(by) > passed.seq + 1:
            return True
        try:
            return now - datetime.fromisoformat(passed.at) > timedelta(seconds=_LEFT_S)
        except (ValueError, TypeError):
            return True


def _is_useless(said: Comparison) -> bool:
    """Return whether a judge answered, and with nothing of use; one that could not be reached may be asked again."""
    return said.points is None and (said.by == "command" or any(call.outcome == "unusable" for call in said.calls))
