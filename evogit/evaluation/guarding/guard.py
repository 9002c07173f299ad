"""Runs pytest, and beside the project's tests some of its own that notice when what judges was tampered with.

It shares the process with the code under test: it is a tripwire, not a wall.
"""

from __future__ import annotations

import builtins
import importlib.machinery
import json
import math
import operator
import os
import statistics
import sys
import time
import unittest
from collections.abc import Callable, Iterable, Iterator, Mapping
from operator import is_not
from types import ModuleType

import _pytest.assertion.rewrite
import _pytest.junitxml
import _pytest.reports
import _pytest.runner
import pytest

from evogit.evaluation.guarding.notary import Notary
from evogit.evaluation.guarding.owners import Owners
from evogit.evaluation.guarding.tripwires import Tripwires
from evogit.evaluation.guarding.values import Values, install
from evogit.evaluation.guarding.witness import Witness

_JUDGES: Mapping[str, tuple[object, ...]] = {
    "builtins": (builtins,),
    "json": (json,),
    "math": (math, operator, statistics),
    "time": (time,),
    "unittest": (unittest, unittest.TestCase),
    "pytest": (
        *(pytest, pytest.Item, pytest.Function, pytest.Session, pytest.CallInfo, pytest.TestReport),
        *(_pytest.runner, _pytest.reports, _pytest.junitxml, _pytest.junitxml.LogXML),
    ),
}
_Check = Callable[[], str]


class _OthersFirst:
    """Finds some modules where they are without the project before it is looked among the project's."""

    def __init__(self, names: set[str]) -> None:
        self._names = names
        projects = os.environ.get("PYTHONPATH", "").split(os.pathsep)
        self._places = [place for place in sys.path if place not in projects]

    def find_spec(
        self, name: str, path: object = None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """Return where one of the modules is, or None for any other."""
        if path is not None or name not in self._names:
            return None
        return importlib.machinery.PathFinder.find_spec(name, self._places)


class _Control(pytest.Item):
    """A test that passes when its check has nothing to say."""

    def __init__(self, *, check: _Check, **more: object) -> None:
        super().__init__(**more)  # type: ignore[arg-type]
        self._check = check

    def runtest(self) -> None:
        """Run the check."""
        said = self._check()
        if said:
            raise AssertionError(said)

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], *_: object, **__: object) -> str:
        """Return what is said of it: a line, and no traceback."""
        return str(excinfo.value)


class _Controls:
    """Adds the controls behind all other tests."""

    def __init__(self, group: str, checks: Mapping[str, _Check]) -> None:
        self._group = group
        self._checks = checks

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, session: pytest.Session, items: list[pytest.Item]) -> None:
        """Put them at the end; where nothing was collected, pytest is to say so."""
        if items:
            items += [
                _Control.from_parent(session, name=name, nodeid=self._group + name, check=check)
                for name, check in self._checks.items()
            ]


def _functions(owners: tuple[object, ...]) -> Iterator[tuple[object, str, object, object]]:
    """Yield what can be called of some modules and classes: where it stands, and what it is made of."""
    for owner in owners:
        for name, value in list(vars(owner).items()):
            inner = getattr(value, "__func__", value)
            if callable(inner):
                yield owner, name, value, getattr(inner, "__code__", None)


def _replaced(owners: tuple[object, ...]) -> _Check:
    before = list(_functions(owners))

    def look() -> str:
        return ", ".join(
            f"{getattr(owner, '__name__', owner)}.{name} was replaced"
            for owner, name, value, code in before
            if (now := vars(owner).get(name)) is not value
            or getattr(getattr(now, "__func__", now), "__code__", None) is not code
        )

    return look


def _at_a_glance(owners: tuple[object, ...], look: _Check) -> _Check:
    """Return a check that looks only when something has changed."""
    before: list[list[object]] = []

    def glance() -> str:
        now = [list(vars(owner).values()) for owner in owners]
        if [*map(len, now)] == [*map(len, before)] and not any(any(map(is_not, *pair)) for pair in zip(now, before)):
            return ""
        before[:] = now
        return look()

    return glance


def _watched() -> str:
    monitoring = getattr(sys, "monitoring", None)
    tools = [name for number in range(6) if monitoring and (name := monitoring.get_tool(number))]
    hooks = [*tools, *(str(hook) for hook in (sys.gettrace(), sys.getprofile()) if hook)]
    return f"the tests are traced by {', '.join(hooks)}" if hooks else ""


def _files() -> dict[str, tuple[int, ...]]:
    """Return what changes when a Python file of this folder does; compiled ones should not be there."""
    found: dict[str, tuple[int, ...]] = {}
    for folder, _, names in os.walk("."):
        for name in names:
            if name.endswith((".py", ".pyc")):
                path = os.path.join(folder, name)
                status = os.lstat(path)
                found[path] = (status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
    return found


def _rewritten() -> _Check:
    before = _files()

    def look() -> str:
        now = _files()
        changed = [path for path, sign in before.items() if now.get(path) != sign]
        compiled = [path for path in now if path.endswith(".pyc") and path not in before]
        return ", ".join(f"{path} was written while the tests ran" for path in sorted([*changed, *compiled]))

    return look


def main(group: str, must_fail: str, strangers: str, plan: str, own: Iterable[str], arguments: list[str]) -> None:
    """Run pytest and end the process.

    `group` is what the names of its own tests begin with in a report; `must_fail` of them is to fail, the others are to
    pass. `strangers` are, between commas, names of modules that must not stand in the place of others. `plan` is a file
    with whose each file is, where the report will be, where the seal is to be, and the secret it is made with; it is
    removed. `own` are the names our code was compiled by.
    """
    with open(plan) as file:
        told = json.load(file)
    os.unlink(plan)
    notary = Notary(told.pop("secret"), told["report"], told["seal"])
    owners = Owners(os.getcwd(), told["files"], own)

    def tell(which: str, message: str) -> None:
        notary.tell("wire", which, message)

    install(Values(owners, tell), _pytest.assertion.rewrite)
    checks: dict[str, _Check] = {f"{name} is as it was": _replaced(judges) for name, judges in _JUDGES.items()}
    checks["nothing looks on"], checks["files are as they were"] = _watched, _rewritten()
    checks[must_fail] = lambda: "as it should"
    finders = sys.meta_path
    finders.insert(finders.index(importlib.machinery.PathFinder), _OthersFirst(set(strangers.split(","))))
    Tripwires(owners, tell).set()
    glance = _at_a_glance(_JUDGES["pytest"], checks["pytest is as it was"])
    witness = Witness(owners, notary.tell, group, glance)
    leave, end, code = os._exit, notary.end, pytest.main(arguments, plugins=[_Controls(group, checks), witness])
    sys.stdout.flush()
    sys.stderr.flush()
    end()
    leave(int(code))  # what the code under test wants done at exit is not done: the report is written
