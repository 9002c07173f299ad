"""When an agent looks back on what it tried, and what it records of that."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from random import Random

from evogit import prompts
from evogit.asking import Reflector
from evogit.model import CommitId
from evogit.phylogeny import Phylogeny
from evogit.records import AnyRecord
from evogit.selection.stagnation import Stagnation
from evogit.store import leaks
from evogit.store.ledger import Ledger
from evogit.store.repository import Repository
from evogit.store.task import Task


class Lookback:
    """Has a model draw lessons after every so many scored proposals of an agent.

    How many there were since the last time follows from the journal, so that a restart changes nothing.
    """

    def __init__(self, repo: Repository, graph: Phylogeny, reflector: Reflector, left_usd: Callable[[], float]) -> None:
        self._repo, self._graph, self._reflector, self._left_usd = repo, graph, reflector, left_usd
        self._stagnation = Stagnation(graph)

    def is_due(self, ledger: Ledger, own: Iterable[CommitId]) -> bool:
        """Return whether enough was scored of the agent's own candidates; half is, while the best gets no better."""
        snapshot, agent = self._graph.snapshot, ledger.writer.agent
        last = max((one.seq for one in snapshot.lessons if one.agent == agent), default=-1)
        found = (snapshot.candidates.get(commit) for commit in own)
        since = sum(
            one.proposal.seq > last and one.is_scored(snapshot.evaluator)
            for one in found
            if one and one.proposal and one.proposal.agent == agent
        )
        every = self._reflector.every
        if since < max(1, every // 2):
            return False
        return since >= every or self._stagnation.wideness() > 0

    def records(self, task: Task, ledger: Ledger, seed: int) -> list[AnyRecord]:
        """Ask, and return what is to be recorded: lessons, or one without a text; nothing when nobody may be asked."""
        material, known = prompts.look_back(self._repo, task, self._graph, ledger.writer.agent)
        came = self._reflector.ask(material, known, self._left_usd, Random(f"{seed}/lesson"))
        if not came.calls:
            return []
        told = [(one.text, one.evidence) for one in came.lessons if not leaks.found(one.text.encode())] or [("", ())]
        return [
            ledger.lesson(text, evidence, came.model, seed, came.calls if number == 0 else ())
            for number, (text, evidence) in enumerate(told)
        ]
