"""`evogit.toml` and agent definitions: their keys, their limits, and what is said when one is wrong."""

from __future__ import annotations

import difflib
import math
import re
import sys
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Annotated, Any, Literal, TypeVar, get_args

import msgspec

from evogit import command_table
from evogit.command_table import COMMAND
from evogit.errors import ConfigError
from evogit.evaluator_table import Evaluator, Judge, Mode, ResultKind, Stage, mistake
from evogit.evaluator_table import digest as evaluator_digest
from evogit.model import Direction
from evogit.model_table import ModelUse
from evogit.model_table import mistake as models_mistake

__all__ = [
    "FILE_NAME", "MEANINGS", "AgentUse", "Config", "Definition", "Evaluator", "ModelUse", "Stop", "evaluator_digest",
    "is_agent_name", "is_path", "parse", "parse_definition",
]  # fmt: skip

FILE_NAME = "evogit.toml"

_Text = Annotated[str, msgspec.Meta(min_length=1)]
_Count = Annotated[int, msgspec.Meta(ge=1)]
_Positive = Annotated[float, msgspec.Meta(gt=0, le=31_536_000)]
_Finite = Annotated[float, msgspec.Meta(ge=-sys.float_info.max, le=sys.float_info.max)]
_Share = Annotated[float, msgspec.Meta(ge=0, le=1)]
_Prompt = Annotated[str, msgspec.Meta(min_length=1, max_length=32_768)]
_AGENT_NAME = r"(?!person$|u$|u-|kept$|kept-)[a-z0-9][a-z0-9-]{0,40}"
_StructT = TypeVar("_StructT", bound=msgspec.Struct)


class Stop(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`stop`: when an invocation ends by itself; None is never. `stagnation` counts evaluations without a new best.

    `budget_usd` holds for all that was ever spent on models and tools in the run, by any agent on any machine.
    """

    evals: _Count | None = None
    minutes: _Positive | None = None
    target: _Finite | None = None
    stagnation: _Count | None = None
    budget_usd: _Positive | None = None


class AgentUse(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[[agents]]`: a definition by its name or by the path of its file, and how many processes of it.

    `person`, `u` and what begins with `u-` stand for people, `kept` and what begins with `kept-` for what was pruned.
    """

    use: Annotated[str, msgspec.Meta(pattern=rf"^(?:{_AGENT_NAME}|[^\x00]+\.toml)$", max_length=4096)]
    count: Annotated[int, msgspec.Meta(ge=1, le=64)] = 1

    @property
    def name(self) -> str:
        """The definition's name; that of a file is the file's."""
        return PurePosixPath(self.use).stem if is_path(self.use) else self.use


class Config(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A whole `evogit.toml`; patterns are those of `.gitignore`."""

    goal: str = ""
    direction: Direction = Direction.MAXIMIZE
    editable: tuple[_Text, ...] = ()
    protected: tuple[_Text, ...] = ()
    stop: Stop = Stop()
    evaluator: Evaluator
    agents: tuple[AgentUse, ...] = ()
    models: tuple[ModelUse, ...] = ()


MODEL = "model"
ProposerName = Literal["command", "model", "surgeon", "tuner"]
Format = Literal["blocks", "function", "file", "diff"]
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


class Definition(command_table.CommandKeys, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An agent definition, `agents/<name>.toml`; `MEANINGS` says what each key means."""

    summary: _Text
    needs: str = ""
    proposer: ProposerName
    selection: Selection = "greedy"
    features: dict[_Text, Annotated[float, msgspec.Meta(gt=0)]] = msgspec.field(default_factory=dict)
    merges: _Share = 0.0
    crosses: _Share = 0.0
    minimizes: _Share = 0.0
    transplants: _Share = 0.0
    reverts: _Share = 0.0
    widens: _Share = 0.0
    step: Annotated[float, msgspec.Meta(gt=0, le=3)] | None = None
    prompt: (
        _Prompt
        | Annotated[tuple[_Text, ...], msgspec.Meta(min_length=1, max_length=16)]
        | Annotated[dict[_Text, _Prompt], msgspec.Meta(min_length=1, max_length=16)]
        | None
    ) = None
    format: Format = "blocks"
    repairs: Annotated[int, msgspec.Meta(ge=0, le=8)] = 2
    fallback: Literal["surgeon", "tuner"] | None = None
    reflects: Annotated[int, msgspec.Meta(ge=0, le=1_000_000)] = 0
    choosing: Literal["bandit", "weights"] = "bandit"
    concurrency: Annotated[int, msgspec.Meta(ge=1, le=32)] = 1

    @property
    def prompts(self) -> Mapping[str, str]:
        """The prompts of a question by name, each another name or a text; one that is a text alone is its own name."""
        if isinstance(self.prompt, dict):
            return self.prompt
        named = (self.prompt or "",) if isinstance(self.prompt, str | None) else self.prompt
        return {name: name for name in named}


MEANINGS: Mapping[str, str] = {
    "summary": "what agents of it do, in a line",
    "needs": "what a repository or a run has to have for them, in a line",
    "proposer": "what makes an edit where nothing else is planned, or nothing came of it",
    "selection": f"which candidate a plan starts from: {', '.join(get_args(Selection))}; README.md has a line on each",
    "features": "for the selection elites: metrics that tell kinds apart, each with the width of a cell",
    "merges": "share of the plans that merge two or more lineages, while any are promising",
    "crosses": "share of the other plans that ask the model to bring two promising lineages together by meaning",
    "minimizes": "share of the other plans that try the best candidate with some hunks left out",
    "transplants": "share of what is left of the plans that take hunks over from another lineage",
    "reverts": "share of the transplants that take back hunks of the parent's own, and take none over",
    "widens": "share of the other plans, at most, that start far from the best while it does not get better",
    "step": "how far the tuner's first step in a lineage goes, relative to a constant's size (0.3)",
    "prompt": "for the proposer model: crossover, explorer, fixer, refiner, or a text, Markdown for Jinja; or several",
    "format": "how a model writes edits: blocks (search and replace), function (whole ones), file (whole ones), diff; "
    "after four in a row that cannot be applied, that model is asked for function instead of blocks or diff",
    "repairs": "how often an answer that cannot be applied goes back to the model with the reason",
    "fallback": "what makes edits while no model answers, surgeon or tuner; without it the agent ends",
    "choosing": "how one of several models or prompts is chosen: bandit (by what each gained for its cost) or weights",
    "concurrency": "how many questions to models an agent has open at a time, 1 to 32; it measures meanwhile",
    "reflects": "after how many scored proposals of its own it asks the model for lessons, 0: never",
    **command_table.MEANINGS,
}
"""What each key of an agent definition means."""


MODEL_KEYS = ("prompt", "format", "repairs", "fallback", "choosing", "concurrency", "crosses", "reflects")
"""The keys that say something of asking a model, and nothing else."""


def is_path(use: str) -> bool:
    """Return whether a `use` is the path of a file, and not a name."""
    return use.endswith(".toml")


def is_agent_name(text: str) -> bool:
    """Return whether agents' definitions may be called so."""
    return re.fullmatch(_AGENT_NAME, text) is not None


_WORDS: Mapping[str, Sequence[str]] = {
    "direction": tuple(Direction),
    "evaluator.result": get_args(ResultKind),
    "evaluator.mode": get_args(Mode),
    "evaluator.judge.by": ("model",),
    "proposer": get_args(ProposerName),
    "prompt_by": get_args(command_table.PromptBy),
    "selection": get_args(Selection),
    "format": get_args(Format),
    "fallback": ("surgeon", "tuner"),
    "choosing": ("bandit", "weights"),
}


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
    if found.evaluator.judge and found.direction is not Direction.MAXIMIZE:
        raise ConfigError(
            f"{where}: direction is {found.direction.value!r}, and what evaluator.judge prefers has the higher rating: "
            "leave it out"
        )
    if wrong_models := models_mistake(found.models):
        raise ConfigError(f"{where}: models {wrong_models}")
    return found


def parse_definition(content: bytes, *, where: str) -> Definition:
    """Return the agent definition in `content`.

    Raises:
        ConfigError: as for `parse`.
    """
    found = _convert(content, Definition, where)
    if found.step is not None and found.proposer != "tuner":
        raise ConfigError(f"{where}: step is the tuner's, and proposer is {found.proposer!r}; leave it out")
    if wrong := _mistake_of_model(found):
        raise ConfigError(f"{where}: {wrong}")
    if found.reverts and not found.transplants:
        raise ConfigError(f"{where}: reverts is a share of the transplants, and transplants is 0; set that, too")
    if wrong := command_table.mistake(found, found.proposer):
        raise ConfigError(f"{where}: {wrong}")
    return found


def _mistake_of_model(found: Definition) -> str | None:
    """Return what is wrong with the keys that are for asking a model, or None."""
    if found.proposer == MODEL:
        if found.prompt is None:
            return f"prompt is missing: proposer = {MODEL!r} asks with it, such as prompt = 'refiner'"
        if not isinstance(found.prompt, str) and (wrong := _mistake_of_prompts(found.prompt)):
            return f"prompt names {wrong}"
        if found.model:
            return (
                f"model is for a tool; which models proposer = {MODEL!r} asks say --model, EVOGIT_MODEL or [[models]]"
            )
        return None
    defaults = {key.name: key.default for key in msgspec.structs.fields(Definition)}
    named = next((key for key in MODEL_KEYS if getattr(found, key) != defaults[key]), None)
    if named is None:
        return None
    hint = (
        "how a tool gets its task says prompt_by" if (named, found.proposer) == ("prompt", COMMAND) else "leave it out"
    )
    return f"{named} is for proposer = {MODEL!r}, and it is {found.proposer!r}; {hint}"


def _mistake_of_prompts(named: Iterable[str]) -> str | None:
    """Return what is wrong with the names of several prompts, or None."""
    names = list(named)
    if odd := next((name for name in names if not re.fullmatch(r"[a-z0-9][a-z0-9-]{0,40}", name)), None):
        return f"{odd!r}; use a-z, 0-9 and '-', and for a text of your own a table: prompt = {{ mine = '''…''' }}"
    twice = next((name for name in names if names.count(name) > 1), None)
    return f"{twice!r} twice" if twice else None


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
        words = _WORDS[path]
        others = ", ".join(repr(str(word)) for word in words[:-1])
        what = f"use {others} or {str(words[-1])!r}" if others else f"use {str(words[-1])!r}"
    elif path.endswith(".function"):
        what = "expected a module and a function in it, such as 'bench:score'"
    elif ".preload[" in path:
        what = "expected the name of a module, such as 'numpy'"
    elif path.endswith(".use"):
        what = "expected the name of an agent definition, such as 'tuner', or the path of a .toml file"
    what = what.replace(" | null", "")
    return f"{path or 'the file'} is {value!r}: {what[:1].lower()}{what[1:]}"


def _join(path: str, key: str) -> str:
    return f"{path}.{key}" if path else key


def _all_keys(kind: type[msgspec.Struct]) -> set[str]:
    structs = (kind, Evaluator, Judge, Stage, Stop, AgentUse, ModelUse) if kind is Config else (kind,)
    return {field.name for struct in structs for field in msgspec.structs.fields(struct)}


def _look_up(table: Any, path: str) -> Any:  # noqa: ANN401 - any TOML value
    for part in re.findall(r"[^.\[\]]+", path):
        try:
            table = table[int(part)] if isinstance(table, list) else table[part]
        except (KeyError, IndexError, TypeError, ValueError):
            return None
    return table
