"""What a question tells of two lineages that are to be brought together, beside what each of them changed."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice

from evogit.errors import StorageError
from evogit.merging import conflicts
from evogit.model import CommitId
from evogit.phylogeny import Phylogeny
from evogit.prompts.material import Conflict, Instance
from evogit.store.repository import Repository
from evogit.store.task import Task

_MAX_CONFLICTS = 60
_MAX_SIDE = 8_000


def clashes(
    repo: Repository, task: Task, graph: Phylogeny, one: CommitId, other: CommitId
) -> tuple[tuple[Conflict, ...], str]:
    """Return the editable lines that both changed in different ways, and why there is no merge by lines at all."""
    try:
        found, why = conflicts(repo, graph, one, other)
    except StorageError:
        return (), ""
    shown = (hunk for hunk in found if task.definition.is_editable(hunk.path.encode("utf-8", "surrogateescape")))
    return tuple(
        Conflict(path=hunk.path, own=hunk.ours[:_MAX_SIDE], other=hunk.theirs[:_MAX_SIDE])
        for hunk in islice(shown, _MAX_CONFLICTS)
    ), why


def compared(
    graph: Phylogeny, own: Mapping[str, float], partner: CommitId, met: CommitId | None
) -> tuple[Instance, ...]:
    """Return the parent's instances beside those of its partner, those first on which the two differ most."""
    others, before = _instances(graph, partner), _instances(graph, met)
    found = [Instance(name=name, value=v, partner=others.get(name), met=before.get(name)) for name, v in own.items()]
    found.sort(key=lambda one: (-abs(one.value - (one.value if one.partner is None else one.partner)), one.name))
    return tuple(found)


def _instances(graph: Phylogeny, commit: CommitId | None) -> Mapping[str, float]:
    judged = graph.judged(commit) if commit and commit in graph.snapshot.candidates else None
    return judged.instances if judged else {}
