"""A candidate, or a lesson, as others are told of it."""

from __future__ import annotations

from evogit.model import CommitId
from evogit.phylogeny import Phylogeny, worth_telling
from evogit.prompts.material import Told
from evogit.records import Score
from evogit.store import commits
from evogit.store.repository import Repository

_LESSONS = 24
_EVIDENCE = 4


def told(repo: Repository, graph: Phylogeny, commit: CommitId, role: str = "", change: str = "") -> Told:
    """Return a candidate with its gain, or how it ended."""
    value = graph.value(commit)
    sign = 1.0 if graph.snapshot.is_better(1.0, 0.0) else -1.0
    before = [sign * found for one in graph.ancestry.parents(commit) if (found := graph.value(one)) is not None]
    said = words_on(graph, commit) if value is None else None
    outcome = f"{said.status.value}: {said.feedback.strip().partition(chr(10))[0]}" if said else ""
    return Told(
        name=commit[:9],
        subject=commits.subject(repo, commit),
        value=value,
        gain=sign * value - max(before) if value is not None and before else None,
        outcome=outcome.rstrip(": "),
        role=role,
        change=change,
    )


def words_on(graph: Phylogeny, commit: CommitId) -> Score | None:
    """Return the measurement whose words and instances a proposer gets."""
    snapshot = graph.snapshot
    found = snapshot.candidates.get(commit)
    scores = [score for score in found.scores if score.evaluator == snapshot.evaluator] if found else []
    return min(scores, key=lambda score: (score.agent, score.seq), default=None)


def learned(graph: Phylogeny) -> tuple[str, ...]:
    """Return the run's lessons, what matters most first, each with the candidates it goes by."""
    return tuple(
        f"({', '.join(commit[:9] for commit in one.evidence[:_EVIDENCE]) or 'no evidence here'}) {one.text}"
        for one in worth_telling(graph)[:_LESSONS]
    )
