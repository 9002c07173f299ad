"""The example `repair` with three of its faults at once; the score is how many of its tests pass."""

from __future__ import annotations

import re
import sys
import traceback
import types
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from pathlib import Path

import pytest  # noqa: F401 - the tests import it, a fifth of a second that is no candidate's: once, and not in each

EXAMPLE = Path(__file__).parents[3] / "examples" / "repair"
FAULTS = ("touching", "order", "comments")
DIRECTION = "maximize"
IS_CODE = True
_MODULES = ("cache", "dates", "intervals", "rooms", "settings")


def _faulty() -> Iterator[tuple[str, str]]:
    patches = "".join((EXAMPLE / "faults" / f"{fault}.patch").read_text() for fault in FAULTS)
    for path in sorted(EXAMPLE.glob("planner/*.py")):
        name, text = f"planner/{path.name}", path.read_text()
        for patch in re.findall(rf"^\+\+\+ b/{name}\n(.*?)(?=^---|\Z)", patches, re.DOTALL | re.MULTILINE):
            (old,), (new,) = (re.findall(rf"^[{mark}](.*\n)", patch, re.MULTILINE) for mark in "-+")
            text = text.replace(old, new)
        yield name, text


BASE = dict(_faulty())
_TESTS = compile((EXAMPLE / "tests" / "test_planner.py").read_text(), "tests/test_planner.py", "exec")


def of(texts: Mapping[str, str]) -> tuple[float, Mapping[str, float], str]:
    """Return how many tests pass, which ones, and what was said of the others.

    Candidates run in this process; whoever calls has to see to it that they end.
    """
    package = types.ModuleType("planner")
    package.__path__ = []
    loaded = {"planner": package}
    passed, said = {}, []
    before = {name: module for name, module in sys.modules.items() if name.partition(".")[0] == "planner"}
    for name in before:
        del sys.modules[name]
    try:
        sys.modules["planner"] = package
        for name in _MODULES:
            module = types.ModuleType(f"planner.{name}")
            sys.modules[module.__name__] = loaded[module.__name__] = module
            setattr(package, name, module)
            exec(_compiled(name, texts[f"planner/{name}.py"]), module.__dict__)
        space: dict[str, Callable[[], None]] = {}
        exec(_TESTS, space)
        for name, test in list(space.items()):
            if name.startswith("test_"):
                wrong = _complaint(test)
                passed[f"tests.test_planner::{name}"] = float(not wrong)
                said += [f"{name}: {wrong}"] if wrong else []
    finally:
        for name in loaded:
            sys.modules.pop(name, None)
        sys.modules.update(before)
    return sum(passed.values()), passed, "\n".join(said[:5])


@lru_cache(maxsize=256)
def _compiled(name: str, text: str) -> types.CodeType:
    return compile(text, f"planner/{name}.py", "exec")


def _complaint(test: Callable[[], None]) -> str:
    try:
        test()
    except BaseException as error:  # noqa: BLE001 - a candidate's own, SystemExit and pytest's Failed among them
        frames = traceback.extract_tb(error.__traceback__)
        places = [f"{frame.filename}:{frame.lineno}" for frame in frames if frame.filename.startswith("planner/")]
        return f"{type(error).__name__} {error} {' '.join(places[-1:])}".strip()
    return ""
