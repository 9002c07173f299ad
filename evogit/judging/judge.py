"""What a judge is: one method that says which of two is better. It knows neither names nor scores of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random
from typing import Literal, Protocol

from evogit.errors import EvogitError
from evogit.model import TreeId
from evogit.records import Call, Word


@dataclass(frozen=True, slots=True, kw_only=True)
class Exhibit:
    """One of two candidates as a judge sees it: its files, and what the gates wrote when it passed them."""

    tree: TreeId
    said: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """Which of two serves a goal better, in the order in which they are shown.

    `left_usd` looks how much of the budget is left.
    """

    goal: str
    first: Exhibit
    second: Exhibit
    left_usd: Callable[[], float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a judge said, and the calls of models it took; `why` is said where there is no answer.

    `fatal` is what the agent has to end with.
    """

    word: Word
    calls: Sequence[Call] = ()
    why: str = ""
    fatal: EvogitError | None = None


class Judge(Protocol):
    """Says which of two is better."""

    by: Literal["command", "model"]

    def ask(self, question: Question, rng: Random) -> Answer:
        """Return what it says; a judge that does not answer is an answer with the word `none`.

        Raises:
            Cancelled: the caller wants to stop.
        """
        ...
