"""What a proposer is: one method that turns a parent into an edit. It does not commit, score or print."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from random import Random
from typing import Protocol

from evogit.errors import EvogitError
from evogit.model import CommitId, Count, Edit, SourceFile
from evogit.phylogeny import Asking, Phylogeny
from evogit.records import Call, Choice, Score

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


def _no_question(_template: str, _limit_tokens: int) -> str:
    return ""


def _unlimited() -> float:
    return float("inf")


def _no_advance(_: Random) -> None:
    return None


def _nothing_asked() -> Mapping[str, Sequence[Asking]]:
    return {}


def _allowed(_: Edit) -> None:
    return None


def _unmeasured(_edit: Edit, _model: str) -> str:
    return "nothing is measured here"


@dataclass(frozen=True, slots=True)
class Advance:
    """The editable text files before and after something that made the score better."""

    before: Sequence[SourceFile]
    after: Sequence[SourceFile]


@dataclass(frozen=True, slots=True)
class Turn:
    """Which files an agent should rather change for the moment: of each `among` in their order, that with this number.

    Agents that know of each other have different numbers, and the numbers change as they go on. They so change
    different files at the same time, and what gets better side by side can come together.
    """

    number: int = 0
    among: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What a proposer is given: the parent's editable text files, and what the parent's own operator recorded.

    `feedback` and `instances` are what the evaluator said of the parent. `advance` draws something that made the score
    better, in the parent's own lineage or another's. `parent` and `family` are for a proposer that
    looks at more than the files, `question` writes what a model is asked from a template, in at most so many tokens.
    `left_usd` looks how much of the budget is left, and `refusal` says why an edit may not become a candidate. `seed`
    is the plan's, and `askings` looks what came of asking models so far, by anybody.
    `turn` says which of many files are this agent's for the moment.
    `attempt` measures an edit that a model had part in, as a candidate that is recorded whatever is proposed in the
    end, and returns its score, or why it was not measured.
    """

    files: Sequence[SourceFile]
    params: Mapping[str, float] = field(default_factory=dict)
    feedback: str = ""
    instances: Mapping[str, float] = field(default_factory=dict)
    past: Past = field(default_factory=Past)
    advance: Callable[[Random], Advance | None] = _no_advance
    turn: Turn = Turn()
    parent: CommitId | None = None
    family: Phylogeny | None = None
    question: Callable[[str, int], str] = _no_question
    left_usd: Callable[[], float] = _unlimited
    refusal: Callable[[Edit], str | None] = _allowed
    attempt: Callable[[Edit, str], Score | str] = _unmeasured
    seed: int = 0
    askings: Callable[[], Mapping[str, Sequence[Asking]]] = _nothing_asked


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What came of asking what costs time or money: an edit, or why there is none; the calls count in either case.

    `choices` say which of several models was to be asked, and with which prompt. `fatal` is what the agent has to end
    with.
    """

    calls: Sequence[Call]
    edit: Edit | None = None
    why: str = ""
    fatal: EvogitError | None = None
    choices: Mapping[str, Choice] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Resting:
    """Nothing can be proposed for the moment, and that cost nothing."""


class Proposer(Protocol):
    """Proposes one edit of a parent."""

    def propose(self, request: Request, rng: Random) -> Edit | Answer | Resting | None:
        """Return an edit, or None when it finds nothing to change in these files and that cost nothing.

        Raises:
            Cancelled: the caller wants to stop.
        """
        ...
