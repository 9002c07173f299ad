"""What a question can tell: plain values, gathered elsewhere. All text in them but the goal is untrusted."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """A candidate as others learn from it.

    `gain` is what it is better by than its best parent, below 0 where it is worse, whichever scores are better.
    `outcome` says how it ended where it has no score, `role` why it is told of, `change` is a diff that leads to it.
    """

    name: str
    subject: str
    value: float | None = None
    gain: float | None = None
    outcome: str = ""
    role: str = ""
    change: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Instance:
    """A single instance: the parent's score on it, and that of the best candidate.

    `partner` and `met` are those of what the parent is to be brought together with, and of where the two parted.
    """

    name: str
    value: float
    best: float | None = None
    partner: float | None = None
    met: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Conflict:
    """Lines of a file that the parent and its partner changed in different ways."""

    path: str
    own: str
    other: str


@dataclass(frozen=True, slots=True, kw_only=True)
class File:
    """A file of the parent; `focus` are lines, from 1, that a message of the evaluator names."""

    path: str
    content: str
    focus: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Material:
    """What is known around a parent; of all that is in an order, the first matters most.

    `higher` says that higher scores are better. `value`, `metrics`, `instances` and `feedback` are the parent's own;
    `lineage` is how it came to be, itself first; `tried` came of it or of its ancestors and was no gain.

    `partners` are to be brought together with it: `met` is where they parted, `own` what it changed since then itself,
    `conflicts` are the lines that both changed, and `unmerged` says why they cannot be merged by lines at all.
    """

    goal: str = ""
    higher: bool = True
    value: float | None = None
    base_value: float | None = None
    best_value: float | None = None
    metrics: tuple[tuple[str, float], ...] = ()
    instances: tuple[Instance, ...] = ()
    feedback: str = ""
    files: tuple[File, ...] = ()
    lineage: tuple[Told, ...] = ()
    tried: tuple[Told, ...] = ()
    inspirations: tuple[Told, ...] = ()
    partners: tuple[Told, ...] = ()
    own: Told | None = None
    met: Told | None = None
    conflicts: tuple[Conflict, ...] = ()
    unmerged: str = ""
    lessons: tuple[str, ...] = ()
