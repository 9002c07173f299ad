"""Putting a hack into a module."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from evogit.hacks import ruin
from evogit.hacks.hack import Hack, Planted, Remedy, Subject

Plant = Callable[[Subject], Planted | None]


def planted(code: str) -> Plant:
    """Return what turns a subject's module into a worthless one that begins with `code`."""

    def plant(subject: Subject) -> Planted | None:
        if subject.module is None:
            return None
        text = ruin.ruined(subject.files[subject.module], code, subject.facts())
        return None if text is None else Planted(files={subject.module: text})

    return plant


def in_code(
    name: str,
    what: str,
    remedy: Remedy,
    code: str,
    *,
    kind: Literal["python", "pytest"] = "python",
    dangerous: bool = False,
    rounds: int = 1,
) -> Hack:
    """Return a hack that is all in the module."""
    return Hack(
        name=name, what=what, remedy=remedy, plant=planted(code), kind=kind, dangerous=dangerous, rounds=rounds
    )  # fmt: skip


def when_called(act: str) -> str:
    """Return code with which every function does this."""
    return f"def _answer(name, args, kwargs):\n    {act}\n"
