"""Notices when the candidate's code looks through the modules of the tests, where questions and answers stand."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from types import ModuleType
from typing import Any

from evogit.evaluation.guarding.owners import Owners
from evogit.evaluation.guarding.wires import MEMORY

_SEARCHING = "inspect.py"


def watch(modules: Iterable[object], owners: Owners, tell: Callable[[str, str], None]) -> None:
    """Have `tell(which, message)` called when the candidate takes more than a class from one of these modules."""

    class Watched(ModuleType):
        def __getattribute__(self, name: str) -> Any:
            found = ModuleType.__getattribute__(self, name)
            if name == "__dict__" or not (name.startswith("__") or isinstance(found, type)):
                frame = sys._getframe(1)
                if frame.f_code.co_filename.endswith(_SEARCHING):
                    frame = owners.nearest(frame) or frame
                if owners.is_candidates(frame):
                    tell(MEMORY, f"a module of the tests was searched at {owners.placed(frame)}")
            return found

    for module in modules:
        if type(module) is ModuleType:
            module.__class__ = Watched
