"""What is said between an agent and the process that asks models: one line of JSON each."""

from __future__ import annotations

from enum import StrEnum
from typing import Literal

import msgspec

from evogit.model_table import ModelUse


class Trouble(StrEnum):
    """Why there is no answer."""

    AUTH = "auth"
    """The key is missing or was refused."""
    MODEL = "no such model"
    RATE = "rate limit"
    SERVER = "server error"
    TIMEOUT = "timeout"
    CONNECTION = "no connection"
    CONTEXT = "too long"
    """The question does not fit into what the model reads."""
    REFUSED = "refused"
    """The question was not answered for what it says."""
    MALFORMED = "malformed"
    """What came back is no answer."""
    LEAK = "held a key"
    """The answer had a key of the user's in it, and is kept nowhere."""
    CANCELLED = "cancelled"
    BROKEN = "broken"
    """The process that asks ended."""

    @property
    def may_pass(self) -> bool:
        """Whether the same question may be answered a moment later."""
        return self in (Trouble.RATE, Trouble.SERVER, Trouble.TIMEOUT, Trouble.CONNECTION, Trouble.BROKEN)


class Message(msgspec.Struct, frozen=True):
    """One turn of a conversation."""

    role: Literal["system", "user", "assistant"]
    content: str


class Ask(msgspec.Struct, frozen=True, kw_only=True, tag="ask"):
    """A question to a model; `number` comes back with what is said to it."""

    number: int
    model: ModelUse
    messages: list[Message]


class Look(msgspec.Struct, frozen=True, kw_only=True, tag="look"):
    """A question about a model, which no one else is asked."""

    number: int
    model: ModelUse


class Completion(msgspec.Struct, frozen=True, kw_only=True, tag="completion"):
    """What a model said; `is_whole` is False when it was cut off. Tokens and USD are None where nobody knows them.

    USD without tokens were reckoned from lengths.
    """

    text: str
    is_whole: bool
    tokens_in: int | None = None
    tokens_out: int | None = None
    usd: float | None = None


class Failure(msgspec.Struct, frozen=True, kw_only=True, tag="failure"):
    """Why there is no answer, in one line without any key; `retry_after_s` is what the server asked to wait.

    Tokens and cost are those of an answer that was of no use.
    """

    trouble: Trouble
    words: str
    retry_after_s: float | None = None
    tokens_in: int | None = None
    tokens_out: int | None = None
    usd: float | None = None


class Known(msgspec.Struct, frozen=True, kw_only=True, tag="known"):
    """What is known of a model: USD for a token, how many tokens it reads, which variables with keys are missing."""

    usd_in: float | None = None
    usd_out: float | None = None
    context_tokens: int | None = None
    missing: list[str] = []


class Ready(msgspec.Struct, frozen=True, kw_only=True, tag="ready"):
    """The process has imported what it needs."""


class Told(msgspec.Struct, frozen=True, kw_only=True, tag="told"):
    """What is said to the request of this number, and how long that took; it need not be the one that came first."""

    number: int
    seconds: float
    reply: Completion | Failure | Known


Request = Ask | Look
Line = Ready | Told
"""What the process that asks says."""
