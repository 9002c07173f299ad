"""What the epochs before leave to the present one: the candidates that are worth measuring again, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from evogit.errors import StorageError
from evogit.model import CommitId, Direction, TreeId
from evogit.phylogeny.graph import Phylogeny
from evogit.store.repository import Repository

_MOST = 10


def to_measure_again(repo: Repository, graph: Phylogeny, evaluators: Sequence[str]) -> list[CommitId]:
    """Return the candidates to measure before anything new is tried, the best first, the base left out.

    `evaluators` are those of the epochs before, the latest first. Chosen are the ten best by the latest, trees that are
    equal counted once; where it has measured fewer, the best by the one before it make up the number; and all that a
    person promoted. Left out is what the present evaluator has measured, or broken on: trying once is enough here.
    """
    snapshot = graph.snapshot
    if not evaluators:
        return []
    chosen: dict[TreeId | None, CommitId] = {_tree(repo, graph.base): graph.base}
    for evaluator in evaluators:
        for commit in _best_first(graph, evaluator):
            if len(chosen) > _MOST:
                break
            chosen.setdefault(_tree(repo, commit), commit)
    for commit in sorted(one.id for one in snapshot.candidates.values() if one.verdicts and one.is_promoted):
        if graph.may_build_on(commit):
            chosen.setdefault(_tree(repo, commit), commit)
    return still_open(repo, graph, list(chosen.values()))


def still_open(repo: Repository, graph: Phylogeny, commits: Sequence[CommitId]) -> list[CommitId]:
    """Return which of these the present evaluator has not measured yet, nor broken on."""
    return [commit for commit in commits if _is_open(repo, graph, commit)]


def _best_first(graph: Phylogeny, evaluator: str) -> Iterator[CommitId]:
    sign = -1.0 if graph.snapshot.direction is Direction.MAXIMIZE else 1.0
    values = ((one.value(evaluator), one.id) for one in graph.snapshot.candidates.values())
    for _, commit in sorted((sign * value, commit) for value, commit in values if value is not None):
        if graph.may_build_on(commit):
            yield commit


def _tree(repo: Repository, commit: CommitId) -> TreeId | None:
    """Return a commit's tree; None when it cannot be read, which then is measured by nobody."""
    try:
        return TreeId(str(repo.commit(commit).tree_id))
    except StorageError:
        return None


def _is_open(repo: Repository, graph: Phylogeny, commit: CommitId) -> bool:
    snapshot = graph.snapshot
    found = snapshot.candidates.get(commit)
    if commit == graph.base or found is None or any(s.evaluator == snapshot.evaluator for s in found.scores):
        return False
    tree = _tree(repo, commit)
    return tree is not None and snapshot.measured(tree) is None
