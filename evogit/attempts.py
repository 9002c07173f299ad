"""What a proposer may have measured before it is done, what is known of a tree, and whether a measurement may lead."""

from __future__ import annotations

from evogit.model import CommitId, Measurement, Status
from evogit.phylogeny import Phylogeny
from evogit.records import Score
from evogit.stopping import Limits
from evogit.store.snapshot import Snapshot
from evogit.store.task import State, Task

_LEAST = 2
"""Evaluations that must be left: the last one is for what is proposed in the end."""


def refusal(task: Task, graph: Phylogeny, limits: Limits) -> str | None:
    """Return why nothing may be measured for a proposer now, or None when it may."""
    if task.definition.evaluator != graph.snapshot.evaluator:
        return "the run is measured in another way by now"
    if task.state is State.PAUSED:
        return "the run is paused"
    if reason := limits.reason(graph) or task.stop_reason:
        return f"the run ends: {reason}"
    if limits.remaining(graph.snapshot) < _LEAST:
        return "one evaluation is left, and that is for what is there in the end"
    return None


def known_score(snapshot: Snapshot, commit: CommitId) -> Score | str:
    """Return what the evaluator in force said of a candidate, or why that is not known here."""
    found = snapshot.candidates.get(commit)
    scores = [score for score in found.scores if score.evaluator == snapshot.evaluator] if found else []
    if not scores:
        return f"these files were measured before, as {commit[:12]}, and no more is known of it"
    return min(scores, key=lambda score: (score.agent, score.seq))


def may_lead(snapshot: Snapshot, measured: Measurement) -> bool:
    """Return whether nothing known is better: between equals the size of the difference decides."""
    best = snapshot.best_value
    if measured.value is None:
        return measured.status is Status.OK  # a judge has not spoken yet
    return best is None or not snapshot.is_better(best, measured.value)
