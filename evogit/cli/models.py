"""`--model`: which models the agents of this call ask, what they cost, and whether there is a key for them."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Sequence
from typing import TypeVar

import click
import msgspec
from rich.console import Console

from evogit import assembly
from evogit.cli.output import plain
from evogit.config import ModelUse
from evogit.errors import NotAuthenticated, UsageError
from evogit.llm import Failure, Known, Shared, Trouble, inherited
from evogit.model_table import mistake

_F = TypeVar("_F", bound=Callable[..., object])
_ANSWER_TOKENS = 1500
_AROUND_TOKENS = 1500
"""About what stands in a question beside the files."""


def model_option(function: _F) -> _F:
    """Add `--model`; `chosen` reads it."""
    return click.option(
        "--model", "named", multiple=True, metavar="NAME[=WEIGHT]",
        help="A model by litellm's name for it; repeatable; default: EVOGIT_MODEL, else [[models]] of evogit.toml",
    )(function)  # fmt: skip


def resolved_option(function: _F) -> _F:
    """Add the option by which `evogit run` tells its agents which models to ask, and how; `resolved` reads it."""
    return click.option("--models", "models_json", hidden=True)(function)


def chosen(named: Sequence[str], table: Sequence[ModelUse]) -> list[ModelUse]:
    """Return the models that are named, else those of the table; a named one is asked as the table says.

    Raises:
        UsageError: a name or a weight cannot be one.
    """
    words = list(named) or os.environ.get("EVOGIT_MODEL", "").split()
    known = {use.name: use for use in table}
    found = [_parse(text, known) for text in words] or list(table)
    if wrong := mistake(found):
        raise UsageError(f"--model {wrong}")
    return found


def passed_on(uses: Sequence[ModelUse]) -> list[str]:
    """Return the option that tells an agent of ours the models; there is no key in it."""
    return [f"--models={msgspec.json.encode(list(uses)).decode()}"] if uses else []


def resolved(models_json: str | None, named: Sequence[str], table: Sequence[ModelUse]) -> list[ModelUse]:
    """Return the models that `evogit run` resolved, else as `chosen` does.

    Raises:
        UsageError: as for `chosen`, or what was handed over is no list of models.
    """
    if models_json is None:
        return chosen(named, table)
    try:
        return msgspec.json.decode(models_json, type=list[ModelUse])
    except msgspec.MsgspecError as error:
        raise UsageError(f"--models: {error}") from error


def shared_option(function: _F) -> _F:
    """Add the option by which `evogit run` tells its agents what forks the processes that ask models for them."""
    return click.option("--shared", "shared", type=int, hidden=True)(function)


def share() -> Shared:
    """Begin to import litellm for all agents of this command, with which that ends."""
    shared = Shared(os.environ)
    click.get_current_context().call_on_close(shared.close)
    return shared


def take_up(number: int | None) -> socket.socket | None:
    """Return what an agent of `evogit run` inherited from it; it is closed with this command."""
    end = None if number is None else inherited(number)
    if end:
        click.get_current_context().call_on_close(end.close)
    return end


def greet(
    out: Console, uses: Sequence[ModelUse], file_bytes: int, budget_usd: float | None, shared: Shared | None = None
) -> None:
    """Say what each model costs and about how far a budget reaches, before anything is asked.

    `shared` is what forks the process that knows.

    Raises:
        NotAuthenticated: there is no key for one of them.
        UsageError: there is a budget, and nobody knows what one of them costs; or a name means nothing.
    """
    into = min(file_bytes // 3 + _AROUND_TOKENS, 32_000)
    for use, known in zip(uses, assembly.look_at_models(uses, os.environ, shared), strict=True):
        refuse(use, known, budget_usd)
        line = price_words(use, known)
        if isinstance(known, Known) and known.usd_in is not None and known.usd_out is not None:
            answer = min(use.max_tokens, _ANSWER_TOKENS)
            each = into * known.usd_in + answer * known.usd_out
            reach = f"; {budget_usd:g} USD are enough for about {budget_usd / each:,.0f}" if budget_usd and each else ""
            line += f"; about {each:.2g} USD a proposal of {into:,} tokens in and {answer:,} out{reach}"
        out.print(plain(line))


def price_words(use: ModelUse, known: Known | Failure) -> str:
    """Return what a model costs in words."""
    if isinstance(known, Failure) or known.usd_in is None or known.usd_out is None:
        return f"model {use.name}: what it costs is not known, and is recorded so"
    return f"model {use.name}: {known.usd_in * 1e6:g} USD in, {known.usd_out * 1e6:g} out for a million tokens"


def refuse(use: ModelUse, known: Known | Failure, budget_usd: float | None) -> None:
    """Check that a model can be asked at all.

    Raises:
        NotAuthenticated, UsageError: as for `greet`.
    """
    if isinstance(known, Failure):
        kind = NotAuthenticated if known.trouble is Trouble.AUTH else UsageError
        raise kind(known.words)
    if known.missing:
        raise NotAuthenticated(
            f"model {use.name}: there is no key for it; set {' or '.join(known.missing)}, or name the variable "
            "that has it as api_key_env under [[models]] in evogit.toml"
        )
    if budget_usd is not None and (known.usd_in is None or known.usd_out is None):
        raise UsageError(
            f"model {use.name}: nobody knows what it costs, so no budget can hold; set price_in and price_out (USD for "
            "a million tokens) of it under [[models]] in evogit.toml, or leave the budget out"
        )


def _parse(text: str, known: dict[str, ModelUse]) -> ModelUse:
    name, is_weighted, weight = text.rpartition("=")
    name = name if is_weighted else text
    settings = msgspec.to_builtins(known[name]) if name in known else {"name": name}
    try:
        return msgspec.convert({**settings, **({"weight": float(weight)} if is_weighted else {})}, ModelUse)
    except (msgspec.ValidationError, ValueError):
        raise UsageError(
            f"--model {text!r}: write litellm's name of a model, as in openai/gpt-4o-mini, or NAME=WEIGHT with a "
            "weight above 0"
        ) from None
