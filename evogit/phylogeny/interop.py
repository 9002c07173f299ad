"""The family tree as others' tools take it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from evogit.model import CommitId
from evogit.phylogeny.graph import Phylogeny

if TYPE_CHECKING:
    import networkx


def to_networkx(graph: Phylogeny) -> networkx.DiGraph[CommitId]:
    """Return the run as a `networkx.DiGraph`: an edge from each parent to each child, nodes named by commit ids.

    Nodes have `generation`, `gain`, `buildable`, and as far as they are known `value`, `status`, `agent`, `operator`
    and `at`; edges have `difference`, the child's score less the parent's, where both are scored.
    """
    import networkx  # takes a quarter of a second; agents never need it

    made: networkx.DiGraph[CommitId] = networkx.DiGraph(base=graph.base, run=graph.snapshot.run)
    for commit in graph.members():
        made.add_node(commit, **attributes(graph, commit))
        value = graph.value(commit)
        for parent in graph.ancestry.parents(commit):
            before = graph.value(parent)
            known = {"difference": value - before} if value is not None and before is not None else {}
            made.add_edge(parent, commit, **known)
    return made


def attributes(graph: Phylogeny, commit: CommitId) -> dict[str, Any]:
    """Return what is known of a commit, by the names `to_networkx` gives it."""
    found: dict[str, Any] = {
        "generation": graph.ancestry.generation(commit),
        "gain": graph.is_gain(commit),
        "buildable": graph.may_build_on(commit),
    }
    candidate = graph.snapshot.candidates.get(commit)
    if candidate is None:
        return found
    if candidate.proposal:
        found |= {"agent": candidate.proposal.agent, "operator": candidate.proposal.operator.value}
    judged = [score for score in candidate.scores if score.evaluator == graph.snapshot.evaluator]
    if judged:
        last = max(judged, key=lambda score: (score.agent, score.seq))
        found |= {"status": last.status.value, "at": min(score.at for score in judged)}
    value = graph.value(commit)
    return found if value is None else found | {"value": value}
