"""Which of the files in a folder that somebody worked in are taken for their change."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence

import pathspec

from evogit import edits
from evogit.store import disposable
from evogit.store.leavings import Taking
from evogit.store.repository import Repository
from evogit.store.task import Definition
from evogit.store.trees import SUBMODULE_MODE, Entry

_CACHES = (
    *("__pycache__/", "*.py[cod]", ".pytest_cache/", ".mypy_cache/", ".ruff_cache/", ".hypothesis/", "node_modules/"),
    *(".venv/", "*.orig", "*.rej", ".DS_Store", "*~", ".*.swp"),
)
"""What anybody may leave by running what they changed; only what is new is taken for such."""


def taking(
    repo: Repository, definition: Definition, before: Mapping[bytes, Entry], droppings: Sequence[str] = ()
) -> Taking:
    """Return what is taken: editable texts, without new files that Git would ignore, caches and `droppings`.

    `before` are the files that stood there at first, `droppings` patterns as in `.gitignore`.

    Raises:
        StorageError: a `.gitignore` among them cannot be read.
    """
    dropped = pathspec.GitIgnoreSpec.from_lines(droppings)
    caches = pathspec.GitIgnoreSpec.from_lines(_CACHES)
    is_ignored = _ignored({
        folder: pathspec.GitIgnoreSpec.from_lines(text.splitlines())
        for folder, text in disposable.ignore_files(repo, before).items()
    })  # fmt: skip

    submodules = {path for path, entry in before.items() if entry.mode == SUBMODULE_MODE}

    def is_wanted(path: bytes) -> bool:
        return definition.is_editable(path) and not dropped.match_file(os.fsdecode(path))

    def is_passed_over(path: bytes) -> bool:
        name = os.fsdecode(path)
        is_other = dropped.match_file(name) or caches.match_file(name) or path.rstrip(b"/") in submodules
        return is_other or is_ignored(path)

    return Taking(
        is_wanted=is_wanted, is_passed_over=is_passed_over, is_text=edits.is_text, max_file_bytes=edits.MAX_FILE_BYTES
    )


def _ignored(specs: Mapping[bytes, pathspec.GitIgnoreSpec]) -> Callable[[bytes], bool]:
    """Return what says whether Git would ignore a path; the nearest `.gitignore` that says anything decides."""

    def is_ignored(path: bytes) -> bool:
        folder = os.path.dirname(path.rstrip(b"/"))
        while True:
            if folder in specs:
                below = path[len(folder) + 1 :] if folder else path
                said = specs[folder].check_file(os.fsdecode(below)).include
                if said is not None:
                    return said
            if not folder:
                return False
            folder = os.path.dirname(folder)

    return is_ignored
