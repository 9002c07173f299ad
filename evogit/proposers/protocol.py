"""What a proposer is: one method that turns a parent into an edit. It does not commit, score or print."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field
from random import Random
from typing import Protocol

from evogit.model import CommitId, Count, Edit, SourceFile
from evogit.phylogeny import Phylogeny
from evogit.records import Call

OPERATION, PLACE, EDIT = "op", "place", "edit"
"""Params by which others learn from an edit: what was done, by a number no other proposer uses; in which part of which
file; and what the edit is, whatever else is in the file. Places and edits are hashes below 2**48."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Past:
    """What came of the edits of the run, by anybody.

    `operations` and `places` count by the values of these params; `edits` are those that were tried on this parent, or
    on another one of the same score.
    """

    operations: Mapping[float, Count] = field(default_factory=dict)
    places: Mapping[float, Count] = field(default_factory=dict)
    edits: Set[float] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What a proposer is given: the parent's editable text files, and what the parent's own operator recorded.

    `feedback` and `instances` are what the evaluator said of the parent. `parent` and `family` are for a proposer that
    looks at more than the files.
    """

    files: Sequence[SourceFile]
    params: Mapping[str, float] = field(default_factory=dict)
    feedback: str = ""
    instances: Mapping[str, float] = field(default_factory=dict)
    past: Past = field(default_factory=Past)
    parent: CommitId | None = None
    family: Phylogeny | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What came of asking what costs time or money: an edit, or why there is none; the calls count in either case."""

    calls: Sequence[Call]
    edit: Edit | None = None
    why: str = ""


class Proposer(Protocol):
    """Proposes one edit of a parent."""

    def propose(self, request: Request, rng: Random) -> Edit | Answer | None:
        """Return an edit, or None when it finds nothing to change in these files.

        Raises:
            Cancelled: the caller wants to stop.
        """
        ...
