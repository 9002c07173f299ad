"""Sees each test end, and says so at once: what a report says later must not be better."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest

from evogit.evaluation.guarding.modules import watch
from evogit.evaluation.guarding.owners import CANDIDATE, LIBRARY, Owners
from evogit.evaluation.guarding.wires import HOOKS, ITEMS, JUDGES


class Witness:
    """A plugin that is nearest to the tests of all."""

    def __init__(
        self, owners: Owners, tell: Callable[[str, str, str], None], group: str, judges: Callable[[], str]
    ) -> None:
        """Say what happens by `tell`; of tests whose names begin with `group` nothing is said.

        `judges` says how pytest itself is not as it was.
        """
        self._owners, self._tell, self._group, self._judges = owners, tell, group, judges
        self._codes: dict[str, Any] = {}
        self._known: dict[int, object] = {}

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Remember what each test is made of, and guard the modules they stand in."""
        for item in items:
            self._codes[item.nodeid] = _code(item)
        modules = {id(module): module for item in items if (module := getattr(item, "module", None)) is not None}
        watch(modules.values(), self._owners, lambda which, said: self._tell("wire", which, said))

    @pytest.hookimpl(hookwrapper=True, trylast=True)
    def pytest_runtest_makereport(self, item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
        """Say how a test, or what is around it, ended, before anybody else can."""
        if not item.nodeid.startswith(self._group):
            if call.excinfo is not None:
                self._tell("raised", item.nodeid, "")
            elif call.when == "call":
                self._tell("run", item.nodeid, "")
            if call.when == "call":
                self._look(item)
        yield

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        """Look before the test, too."""
        self._item(item)

    @pytest.hookimpl(tryfirst=True)
    def pytest_plugin_registered(self, plugin: object, manager: Any) -> None:
        """Look at what a plugin brings when it comes: it may leave again."""
        for caller in manager.get_hookcallers(plugin) or ():
            self._hooks(caller)

    def _look(self, item: pytest.Item) -> None:
        self._item(item)
        for caller in list(vars(item.config.hook).values()):
            self._hooks(caller)
        said = self._judges()
        if said:
            self._tell("wire", JUDGES, said)

    def _item(self, item: pytest.Item) -> None:
        code = _code(item)
        is_other = code is not None and code is not self._codes.get(item.nodeid)
        if "runtest" in vars(item) or (is_other and self._owners.of(code.co_filename) != LIBRARY):
            self._tell("wire", ITEMS, f"{item.nodeid} was replaced")

    def _hooks(self, caller: Any) -> None:
        for hook in caller.get_hookimpls() if hasattr(caller, "get_hookimpls") else ():
            if id(hook) in self._known:
                continue
            self._known[id(hook)] = hook
            function = hook.function
            while isinstance(function, partial):
                function = function.func
            code = getattr(getattr(function, "__func__", function), "__code__", None)
            if code is None or self._owners.of(code.co_filename) == CANDIDATE:
                name = getattr(caller, "name", "a hook")
                self._tell("wire", HOOKS, f"{name} has a function of the candidate's")


def _code(item: pytest.Item) -> Any:
    function = vars(item).get("_obj")  # the attribute without the underscore may make an instance
    return getattr(getattr(function, "__func__", function), "__code__", None)
