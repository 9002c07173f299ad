"""What asks models, written as a conversation: it hands out each question, and goes on when it is given the answer.

Whoever leads one decides how it is waited for, so one process can lead several.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import TypeVar

from evogit.llm.messages import Completion, Failure, Message
from evogit.model_table import ModelUse

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Question:
    """One model is to be asked."""

    use: ModelUse
    messages: list[Message]


@dataclass(frozen=True, slots=True)
class Pause:
    """Nothing is to be done for so long."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Said:
    """What came of a question, and how long it took."""

    reply: Completion | Failure
    seconds: float


Talk = Generator[Question | Pause, Said | None, _T]
"""A conversation: it yields questions and pauses, is sent what was said (None after a pause) and returns its result."""


def lead(talk: Talk[_T], meet: Callable[[Question | Pause], Said | None]) -> _T:
    """Lead one conversation to its end, and return its result; `meet` does what each step wants."""
    said: Said | None = None
    while True:
        try:
            step = talk.send(said)
        except StopIteration as end:
            result: _T = end.value
            return result
        said = meet(step)
