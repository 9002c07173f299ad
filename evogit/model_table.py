"""`[[models]]`: which language models agents may ask, and what is known of each. Keys are never in it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import msgspec

_Price = Annotated[float, msgspec.Meta(ge=0, le=1_000_000)]
MAX_MODELS = 16


class ModelUse(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """One model by the name litellm has for it, such as `openai/gpt-4o-mini`, and how it is asked.

    `weight` is its share of the questions, among all that are named. `price_in` and `price_out` are USD for a million
    tokens of what is sent and what is answered, and stand in for what litellm knows. `max_tokens` bounds an answer,
    `context_tokens` question and answer together, `timeout_s` how long one answer may take. `api_key_env` names the
    environment variable the key is in; without it litellm looks where the provider's own client does.
    """

    name: Annotated[str, msgspec.Meta(pattern=r"^[!-~]+$", max_length=200)]
    weight: Annotated[float, msgspec.Meta(gt=0, le=1_000_000)] = 1.0
    api_base: Annotated[str, msgspec.Meta(pattern=r"^https?://[^@?#\s]+$", max_length=500)] | None = None
    api_key_env: Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$", max_length=200)] | None = None
    price_in: _Price | None = None
    price_out: _Price | None = None
    max_tokens: Annotated[int, msgspec.Meta(ge=16, le=1_000_000)] = 8192
    context_tokens: Annotated[int, msgspec.Meta(ge=512, le=100_000_000)] | None = None
    temperature: Annotated[float, msgspec.Meta(ge=0, le=2)] | None = None
    timeout_s: Annotated[float, msgspec.Meta(gt=0, le=3600)] = 300.0


def mistake(models: Sequence[ModelUse]) -> str | None:
    """Return what is wrong with a list of models, or None."""
    names = [model.name for model in models]
    if len(names) > MAX_MODELS:
        return f"names {len(names)} models; at most {MAX_MODELS}"
    if twice := next((name for name in names if names.count(name) > 1), None):
        return f"names {twice!r} twice; give one of them the weight of both"
    if half := next((model.name for model in models if (model.price_in is None) != (model.price_out is None)), None):
        return f"has one price for {half!r}; set both, price_in and price_out (USD for a million tokens)"
    return None
