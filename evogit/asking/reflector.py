"""Asking a model what is to be learned from what was tried."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from random import Random

from msgspec import structs

from evogit import prompts, resources
from evogit.asking.proposer import count_tokens, question_tokens
from evogit.errors import ConfigError
from evogit.llm import Message, Models, order
from evogit.model import CommitId
from evogit.prompts import Material
from evogit.records import Call, spent
from evogit.replies.lessons import Said, lessons


@dataclass(frozen=True, slots=True, kw_only=True)
class Reflection:
    """What a question taught, whose answer it was, and what it cost."""

    lessons: Sequence[Said] = ()
    model: str = ""
    calls: Sequence[Call] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Reflector:
    """Asks for lessons after every `every` proposals of an agent."""

    models: Models
    every: int

    def ask(
        self, material: Material, known: Mapping[str, CommitId], left_usd: Callable[[], float], rng: Random
    ) -> Reflection:
        """Return what a model learns from this; without calls when none may be made now.

        `known` are the candidates it is told of, by their names.
        """
        try:
            question = prompts.build(material, question_tokens(self.models), count_tokens, resources.reflection())
        except ConfigError:
            return Reflection()  # a model that reads so little has nothing to look back on
        by_weight = order(self.models.weights, rng)
        asked = self.models.ask(
            [Message("user", question)], by_weight, lambda calls: not calls and left_usd() > spent(calls)
        )
        if asked.answer is None:
            return Reflection(calls=asked.calls)
        found = lessons(asked.answer.text, known) if asked.answer.is_whole else []
        *before, last = asked.calls
        calls = asked.calls if found or last.outcome != "ok" else [*before, structs.replace(last, outcome="unusable")]
        return Reflection(lessons=found, model=asked.model, calls=calls)
