"""Importing once what all candidates use, and nothing that could not be shared by forked processes.

Here and in the server's other modules, what is not needed is not imported: `threading` and `random` do something after
each fork, which takes a child longer than all else before the candidate's own files.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import sys
from typing import Any

from evogit.evaluation.serving.scanning import SearchPath, scan


class _Refusal:
    """Keeps the candidate's modules from being imported by this process, and remembers that one was to be."""

    def __init__(self, path: SearchPath) -> None:
        self.path = path
        self.was_needed = False

    def find_spec(self, name: str, path: object = None, target: object = None) -> None:
        if path is None and self.path.is_own(name):
            self.was_needed = True
            raise ModuleNotFoundError(f"{name} is the candidate's")


def preload(plan: dict[str, Any], path: SearchPath) -> dict[str, Any]:
    """Import what is named and what the base's files import, and return what is to be said of it."""
    without: list[str] = plan["without"]
    named: list[str] = plan["preload"]
    scanned = scan(plan["module"], plan["name"], path) if plan["scan"] else {}
    found = {**dict.fromkeys(named, ()), **scanned}
    refusal = _Refusal(path)
    sys.meta_path.insert(0, refusal)
    held = _held()
    try:
        for name, parts in found.items():
            if any(name == one or name.startswith(one + ".") for one in without) or path.is_own(name):
                continue
            trouble = _import(name, parts)
            if refusal.was_needed or _held() != held:
                return {"says": "unfit", "module": name}
            if trouble and name in named:
                return {"says": "missing", "module": name, "why": trouble[:400]}
    finally:
        sys.meta_path.remove(refusal)
        path.forget()
    return {"says": "ready", "number": 0}


def _import(name: str, parts: tuple[str, ...]) -> str:
    try:
        module = importlib.import_module(name)
        for part in parts:
            if not hasattr(module, part):
                importlib.import_module(f"{name}.{part}")
    except BaseException as error:  # noqa: BLE001 - what is installed may do anything; a child will meet it again
        return f"{type(error).__name__}: {error}"
    return ""


def _held() -> object:
    """Return what forked children would share or miss: threads, open files, writable shared memory."""
    shared = []
    with contextlib.suppress(OSError), open("/proc/self/maps") as lines:
        shared = [line.split()[0] for line in lines if line.split()[1].endswith("s") and "w" in line.split()[1]]
    threads = sys.modules["threading"].active_count() if "threading" in sys.modules else 1
    with contextlib.suppress(OSError):
        return threads, sorted(os.listdir("/proc/self/fd")), shared
    return threads
