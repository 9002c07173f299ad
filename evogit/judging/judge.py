"""What a judge is: one method that says which of two is better. It knows neither names nor scores of them.

Whoever wants to know asks in both orders, since what comes first may be preferred for that.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from random import Random
from typing import Literal, Protocol

from evogit.errors import EvogitError
from evogit.model import TreeId
from evogit.records import Call, Word, spent


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """What a judge said of two: when the one was shown first and when it was second; all calls; its last answer."""

    verdicts: tuple[Word, Word]
    calls: Sequence[Call]
    last: Answer


def in_both_orders(
    judge: Judge, one: Exhibit, other: Exhibit, goal: str, left_usd: Callable[[], float], rng: Random
) -> Heard:
    """Return what a judge says of two candidates in both orders, or in one when it has no answer there.

    `left_usd` looks how much of the budget is left before the calls made here.

    Raises:
        Cancelled: the caller wants to stop.
    """
    said: dict[bool, Word] = {True: "none", False: "none"}
    calls: list[Call] = []
    answer = Answer(word="none")
    for is_first in (True, False) if rng.random() < 0.5 else (False, True):
        first, second = (one, other) if is_first else (other, one)
        left = partial(_left_after, left_usd, tuple(calls))
        answer = judge.ask(Question(goal=goal, first=first, second=second, left_usd=left), rng)
        calls += answer.calls
        said[is_first] = answer.word
        if answer.word == "none":
            break
    return Heard(verdicts=(said[True], said[False]), calls=calls, last=answer)


def _left_after(left_usd: Callable[[], float], calls: Sequence[Call]) -> float:
    return left_usd() - spent(calls)
