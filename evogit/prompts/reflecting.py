"""What a model is told that is to learn from what was tried: an agent's own proposals, and what made others better."""

from __future__ import annotations

from collections.abc import Mapping

from evogit.model import AgentName, CommitId
from evogit.phylogeny import Phylogeny
from evogit.prompts.material import Material, Told
from evogit.prompts.telling import learned, told
from evogit.store.ledger import made_by
from evogit.store.repository import Repository
from evogit.store.task import Task

_OWN = 60
_USELESS = 12
_GAINS = 20
_LINEAGE = 12


def look_back(
    repo: Repository, task: Task, graph: Phylogeny, agent: AgentName
) -> tuple[Material, Mapping[str, CommitId]]:
    """Return what an agent tried, the newest first, the best gains of the run, and the candidates by their names."""
    snapshot = graph.snapshot
    best = graph.best()
    own = [
        (found.proposal.seq, commit)
        for commit, found in snapshot.candidates.items()
        if found.proposal and made_by(found, agent) and found.is_scored(snapshot.evaluator)
    ]
    tried = [commit for _, commit in sorted(own, reverse=True)[:_OWN]]
    lineage = graph.lineage(best.id)[:0:-1][:_LINEAGE] if best else []
    gains = [commit for commit in graph.gains.top(_GAINS) if commit not in tried]
    material = Material(
        goal=task.goal or "",
        higher=snapshot.is_better(1.0, 0.0),
        value=graph.value(best.id) if best else None,
        base_value=graph.value(graph.base),
        best_value=graph.value(best.id) if best else None,
        lineage=tuple(told(repo, graph, commit) for commit in lineage),
        tried=(*(told(repo, graph, commit) for commit in (*tried, *gains)), *_useless(graph, agent)),
        lessons=learned(graph),
    )
    return material, {commit[:9]: commit for commit in (*tried, *gains, *lineage)}


def _useless(graph: Phylogeny, agent: AgentName) -> list[Told]:
    """Return the agent's newest proposals that came to nothing, by where they began."""
    found = [
        (made.seq, commit, made.why)
        for commit, candidate in graph.snapshot.candidates.items()
        for made in candidate.useless
        if made.agent == agent and made.calls
    ]
    return [
        Told(name=commit[:9], subject="a proposal from here came to nothing", outcome=why)
        for _, commit, why in sorted(found, reverse=True)[:_USELESS]
    ]
