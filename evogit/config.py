"""`evogit.toml` and agent definitions: their keys, their limits, and what is said when one is wrong."""

from __future__ import annotations

import difflib
import math
import re
import sys
import tomllib
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, TypeVar, get_args

import msgspec

from evogit.errors import ConfigError
from evogit.evaluator_table import Evaluator, Mode, ResultKind, Stage, mistake
from evogit.evaluator_table import digest as evaluator_digest
from evogit.model import Direction

__all__ = [
    "FILE_NAME", "AgentUse", "Config", "Definition", "Evaluator", "Stop", "evaluator_digest", "parse",
    "parse_definition",
]  # fmt: skip

FILE_NAME = "evogit.toml"

_Text = Annotated[str, msgspec.Meta(min_length=1)]
_Count = Annotated[int, msgspec.Meta(ge=1)]
_Positive = Annotated[float, msgspec.Meta(gt=0, le=31_536_000)]
_Finite = Annotated[float, msgspec.Meta(ge=-sys.float_info.max, le=sys.float_info.max)]
_WORDS: Mapping[str, Sequence[str]] = {
    "evaluator.result": get_args(ResultKind),
    "evaluator.mode": get_args(Mode),
}
_StructT = TypeVar("_StructT", bound=msgspec.Struct)


class Stop(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`stop`: when an invocation ends by itself; None is never. `stagnation` counts evaluations without a new best."""

    evals: _Count | None = None
    minutes: _Positive | None = None
    target: _Finite | None = None
    stagnation: _Count | None = None


class AgentUse(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[[agents]]`: a definition by its name, and how many processes of it.

    `person`, `u` and what begins with `u-` stand for people.
    """

    use: Annotated[str, msgspec.Meta(pattern="^(?!person$|u$|u-)[a-z0-9][a-z0-9-]{0,40}$")]
    count: Annotated[int, msgspec.Meta(ge=1, le=64)] = 1


class Config(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A whole `evogit.toml`; patterns are those of `.gitignore`."""

    goal: str = ""
    direction: Direction = Direction.MAXIMIZE
    editable: tuple[_Text, ...] = ()
    protected: tuple[_Text, ...] = ()
    stop: Stop = Stop()
    evaluator: Evaluator
    agents: tuple[AgentUse, ...] = (AgentUse(use="tuner"),)


Selection = Literal[
    "greedy",
    "origin",
    "tournament",
    "base",
    "clade",
    "rank",
    "sigmoid",
    "pareto",
    "elites",
    "uct",
    "lexicase",
    "distant",
]


class Definition(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An agent definition, `agents/<name>.toml`.

    `selection` is how it chooses what to edit; `features`, for `elites`, are metrics with the width of a cell.
    `merges` is the share of its plans that merge two or more lineages while any are promising; the others edit one.
    """

    summary: _Text
    proposer: Literal["surgeon", "tuner"]
    selection: Selection = "greedy"
    features: dict[_Text, Annotated[float, msgspec.Meta(gt=0)]] = {}
    merges: Annotated[float, msgspec.Meta(ge=0, le=1)] = 0.0


def parse(content: bytes, *, where: str = FILE_NAME) -> Config:
    """Return the configuration in `content`; `where` names it in messages.

    Raises:
        ConfigError: it is not TOML, or a key is unknown, missing or out of range.
    """
    found = _convert(content, Config, where)
    wrong = mistake(found.evaluator)
    if wrong:
        key, what = wrong
        raise ConfigError(f"{where}: {_join('evaluator', key) if key else 'evaluator'} {what}")
    if found.evaluator.is_cost and found.direction is not Direction.MINIMIZE:
        raise ConfigError(
            f"{where}: direction is {found.direction.value!r}, and evaluator.result = {found.evaluator.result!r} "
            "is a cost, of which less is better: direction = 'minimize'"
        )
    return found


def parse_definition(content: bytes, *, where: str) -> Definition:
    """Return the agent definition in `content`.

    Raises:
        ConfigError: as for `parse`.
    """
    return _convert(content, Definition, where)


def _convert(content: bytes, kind: type[_StructT], where: str) -> _StructT:
    try:
        table = tomllib.loads(content.decode())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{where}: not valid TOML: {error}") from error
    try:
        return msgspec.convert(table, kind)
    except msgspec.ValidationError as error:
        raise ConfigError(f"{where}: {_explain(str(error), table, kind)}") from error


def _explain(message: str, table: dict[str, Any], kind: type[msgspec.Struct]) -> str:
    """Turn msgspec's words into ours: the key by its path, its value, and the nearest known key."""
    what, _, at = message.partition(" - at ")
    path = at.strip("`").removeprefix("$").lstrip(".")
    unknown = re.fullmatch(r"Object contains unknown field `(.*)`", what)
    missing = re.fullmatch(r"Object missing required field `(.*)`", what)
    if unknown:
        key = unknown[1]
        near = difflib.get_close_matches(key, sorted(_all_keys(kind)), 1, cutoff=0.5)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        return f"unknown key {_join(path, key)!r}{hint}"
    if missing:
        return f"{_join(path, missing[1])!r} is missing"
    value = _look_up(table, path)
    if isinstance(value, float) and not math.isfinite(value):
        what = "expected a finite number"
    elif what.startswith("Invalid enum value"):
        words = _WORDS.get(path, tuple(Direction))
        what = f"use {', '.join(repr(str(word)) for word in words[:-1])} or {str(words[-1])!r}"
    elif path.endswith(".function"):
        what = "expected a module and a function in it, such as 'bench:score'"
    elif ".preload[" in path:
        what = "expected the name of a module, such as 'numpy'"
    elif path.endswith(".use"):
        what = "expected the name of an agent definition, such as 'tuner'"
    what = what.replace(" | null", "")
    return f"{path or 'the file'} is {value!r}: {what[:1].lower()}{what[1:]}"


def _join(path: str, key: str) -> str:
    return f"{path}.{key}" if path else key


def _all_keys(kind: type[msgspec.Struct]) -> set[str]:
    structs = (kind, Evaluator, Stage, Stop, AgentUse) if kind is Config else (kind,)
    return {field.name for struct in structs for field in msgspec.structs.fields(struct)}


def _look_up(table: Any, path: str) -> Any:  # noqa: ANN401 - any TOML value
    for part in re.findall(r"[^.\[\]]+", path):
        try:
            table = table[int(part)] if isinstance(table, list) else table[part]
        except (KeyError, IndexError, TypeError, ValueError):
            return None
    return table
