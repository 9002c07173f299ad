"""What a proposer is: one method that turns a parent into an edit. It does not commit, score or print."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Protocol

from evogit.model import Edit, SourceFile


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What a proposer is given: the parent's editable text files, and what the parent's own operator recorded."""

    files: Sequence[SourceFile]
    params: Mapping[str, float] = field(default_factory=dict)


class Proposer(Protocol):
    """Proposes one edit of a parent."""

    def propose(self, request: Request, rng: Random) -> Edit | None:
        """Return an edit, or None when it finds nothing to change in these files."""
        ...
