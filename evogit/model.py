"""The values every other module speaks in: names, candidates' edits, measurements, plans.

Knows nothing of Git, files, processes or the command line.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple, NewType

import msgspec

from evogit.errors import UsageError

CommitId = NewType("CommitId", str)
"""A commit's full object id: 40 lower-case hexadecimal digits."""
TreeId = NewType("TreeId", str)
"""A tree's full object id."""
RunName = NewType("RunName", str)
"""The name of a run, as `parse_run_name` accepts it."""
AgentName = NewType("AgentName", str)
"""The name of an agent, as `parse_agent_name` accepts it."""
PEOPLE = "u-"
"""How the names of people's journals begin; no agent's does."""
RepoPath = NewType("RepoPath", str)
"""A path inside a tree, `/` between its parts; bytes that are not UTF-8 are surrogate-escaped."""

_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
_RESERVED = frozenset({"task", "best", "pr"})


class Direction(StrEnum):
    """Which scores are better."""

    MAXIMIZE = "maximize"
    MINIMIZE = "minimize"


class Status(StrEnum):
    """How a measurement ended; everything but `ok` has no value."""

    OK = "ok"
    FAILED = "failed"
    """The evaluator ran and said no: a non-zero exit or a missing result."""
    TIMEOUT = "timeout"
    INVALID = "invalid"
    """A result was written that is not a valid one."""
    ERROR = "error"
    """The evaluator itself broke: not the candidate's fault, and tried again."""


class Operator(StrEnum):
    """How a candidate came to be; the value of its `Evogit-Operator` trailer."""

    SEED = "seed"
    MUTATE = "mutate"
    MERGE = "merge"
    HUMAN = "human"


class Craft(StrEnum):
    """How a mutation or a merge is made."""

    EDIT = "edit"
    """By the agent's proposer; a merge by lines."""
    TRANSPLANT = "transplant"
    """By hunks of another candidate, the plan's inspiration."""
    REVERT = "revert"
    """By taking back hunks of the parent's own difference from the base."""
    MINIMIZE = "minimize"
    """By leaving out hunks of it that may not matter."""
    CROSS = "cross"
    """A merge of two by meaning: by the proposer, which is told what both changed."""


def parse_run_name(text: str) -> RunName:
    """Return `text` as a run name.

    Raises:
        UsageError: it is not one path component of `[a-z0-9][a-z0-9-]{0,62}`.
    """
    if not _NAME.fullmatch(text):
        raise UsageError(f"run name {text!r}: use 1 to 63 of a-z, 0-9 and '-', not starting with '-'")
    return RunName(text)


def parse_agent_name(text: str) -> AgentName:
    """Return `text` as an agent name.

    Raises:
        UsageError: it is malformed, or one of the names evogit keeps for itself.
    """
    if not _NAME.fullmatch(text) or text in _RESERVED or text.startswith("pr-"):
        raise UsageError(
            f"agent name {text!r}: use 1 to 63 of a-z, 0-9 and '-', not starting with '-'; "
            "'task', 'best', 'pr' and 'pr-…' are reserved"
        )
    return AgentName(text)


class Artifact(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """Something an evaluation left for people to look at: its size in bytes, and its text, which may have been cut.

    What is no text has a digest, if it is small, and nothing else.
    """

    bytes: int
    text: str = ""
    sha256: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """What one evaluation of one tree said.

    `seconds` is wall time. `value` is set exactly when `status` is `ok`, but where a judge compares candidates there is
    none: `ok` then says that all gates and stages were passed. `artifacts_left_out` counts those that were
    there and are not among `artifacts`.
    """

    status: Status
    value: float | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)
    instances: Mapping[str, float] = field(default_factory=dict)
    feedback: str = ""
    seconds: float = 0.0
    artifacts: Mapping[str, Artifact] = field(default_factory=dict)
    artifacts_left_out: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Edit:
    """What a proposer wants changed in its first parent.

    `files` maps a path to its whole new content, or to None for a deleted file. `subject` is one line that says what
    was tried and why, `body` more words on it. `params` are the operator's own numbers, recorded so that later agents
    can learn from them. `executable` are files that can be executed from now on; the others keep what they have.
    """

    files: Mapping[RepoPath, bytes | None]
    subject: str
    params: Mapping[str, float] = field(default_factory=dict)
    body: str = ""
    executable: frozenset[RepoPath] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What an agent does next: the operator, the candidates it starts from, and the seed of its random choices.

    `craft` says how it is carried out; `inspirations` are candidates a change is taken from.
    """

    operator: Operator
    parents: tuple[CommitId, ...]
    seed: int
    inspirations: tuple[CommitId, ...] = ()
    craft: Craft = Craft.EDIT


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceFile:
    """One editable file of a parent, as a proposer sees it."""

    path: RepoPath
    content: bytes


class Count(NamedTuple):
    """How often something was tried, how often the score was another then, and how often it was better."""

    tried: int = 0
    changed: int = 0
    improved: int = 0
