"""Where a child imports from, and what the base's files import from elsewhere, found without running them."""

from __future__ import annotations

import ast
import importlib.machinery
import os
import pkgutil
import re
import sys
import tokenize
from typing import Any


class SearchPath:
    """Where a child imports from: the standard library, the candidate's folders, and then what is installed.

    So no file of a candidate's is taken for a module of the standard library, and no installed copy for a candidate's.
    """

    def __init__(self, plan: dict[str, Any]) -> None:
        standard = os.path.dirname(os.path.realpath(os.__file__))
        real = [os.path.realpath(folder) for folder in sys.path]
        count = next((at for at, folder in enumerate(real) if not _is_standard(folder, standard)), len(real))
        self.own: list[str] = plan["folders"]
        self.folders: list[str] = [*sys.path[:count], *self.own, *sys.path[count:]]
        self._found: dict[str, bool] = {}

    def is_own(self, module: str) -> bool:
        """Return whether a module, or the package it is in, is the candidate's."""
        top = module.partition(".")[0]
        if top not in self._found:
            self._found[top] = top not in sys.builtin_module_names and self._finds(top) in self.own
        return self._found[top]

    def file(self, module: str) -> tuple[str, bool] | None:
        """Return the source of one of the candidate's modules, and whether it is a package."""
        folders: list[str] | None = self.own
        parts = module.split(".")
        for count in range(1, len(parts) + 1):
            spec = importlib.machinery.PathFinder.find_spec(".".join(parts[:count]), folders)
            if spec is None:
                return None
            folders = list(spec.submodule_search_locations or ())
        if spec is None or not (spec.origin or "").endswith(".py"):
            return None
        return str(spec.origin), bool(folders)

    def forget(self) -> None:
        """Forget which files there are: every candidate has others."""
        for folder in list(sys.path_importer_cache):
            if any(folder == own or folder.startswith(own + os.sep) for own in self.own):
                del sys.path_importer_cache[folder]
        for own in filter(os.path.isdir, self.own):
            pkgutil.get_importer(own)  # one that has not looked yet, or every child tries whether it is a zip file

    def _finds(self, top: str) -> str | None:
        namespace: str | None = None
        for folder in self.folders:
            spec = importlib.machinery.PathFinder.find_spec(top, [folder])
            if spec is not None and spec.origin is not None:
                return folder
            if spec is not None and namespace is None:
                namespace = folder
        return namespace


def _is_standard(folder: str, standard: str) -> bool:
    below = folder == standard or folder.startswith(standard + os.sep)
    is_named = folder.endswith((".zip", "lib-dynload"))
    return (below or is_named) and not {"site-packages", "dist-packages"} & set(folder.split(os.sep))


def scan(module: str, function: str, path: SearchPath) -> dict[str, tuple[str, ...]]:
    """Return what importing the scorer imports that is not the candidate's, with the names taken from each."""
    outside: dict[str, dict[str, None]] = {}
    waiting, seen = [module], set()
    while waiting:
        name = waiting.pop()
        if name in seen:
            continue
        seen.add(name)
        if "." in name:
            waiting.append(name.rpartition(".")[0])
        found = path.file(name)
        if found is None:
            continue
        source, is_package = found
        package = name if is_package else name.rpartition(".")[0]
        for wanted, part in _imported(source, package, function if name == module else None):
            if path.is_own(wanted):
                waiting += [wanted, f"{wanted}.{part}"] if part else [wanted]
            else:
                outside.setdefault(wanted, {}).update({part: None} if part and part != "*" else {})
    return {name: tuple(parts) for name, parts in outside.items() if name != "__future__"}


def _imported(source: str, package: str, function: str | None) -> list[tuple[str, str]]:
    """Return the modules a file imports when it is imported, and the names it takes from them."""
    try:
        with tokenize.open(source) as file:
            tree = ast.parse(file.read())
    except (OSError, SyntaxError, ValueError, RecursionError):
        return []
    found: list[tuple[str, str]] = []
    for node in _executed(tree.body, function):
        if isinstance(node, ast.Import):
            found += [(alias.name, "") for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            wanted = ".".join([*above, *([node.module] if node.module else [])])
            found += [(wanted, alias.name) for alias in node.names if wanted.strip(".") == wanted != ""]
    return found


def _executed(body: list[ast.stmt], function: str | None) -> list[ast.AST]:
    """Return the statements that are run on import, and those of one function."""
    found: list[ast.AST] = []
    for node in body:
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            found += ast.walk(node) if node.name == function else ()
        elif isinstance(node, ast.If) and re.search("TYPE_CHECKING|__name__", ast.dump(node.test)):
            found += _executed(node.orelse, None)
        else:
            found.append(node)
            for name in ("body", "orelse", "finalbody", "handlers"):
                inner = getattr(node, name, ())
                for each in inner if isinstance(inner, list) else ():
                    found += _executed(each.body if isinstance(each, ast.ExceptHandler) else [each], None)
    return found
