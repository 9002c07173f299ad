"""Running the git program, for maintenance and for what people read; never on the way of a candidate."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence

from evogit.errors import StorageError
from evogit.store.repository import Repository

_SETTINGS = {
    "core.hooksPath": os.devnull,
    "core.fsmonitor": "false",
    "core.protectHFS": "true",
    "core.protectNTFS": "true",
    "gc.auto": "0",
    "maintenance.auto": "false",
    "protocol.allow": "never",
    "submodule.recurse": "false",
}
"""Sent by the environment, so that the user's configuration is neither changed nor trusted with commands."""


def environment() -> dict[str, str]:
    """Return a child environment for git: no inherited `GIT_*` (a hook has `GIT_DIR` set), no prompt, our settings."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    kept |= {
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_NO_REPLACE_OBJECTS": "1",
        "GIT_OPTIONAL_LOCKS": "0",
        "GIT_FLUSH": "0",  # or rev-list and log write every line by itself into a pipe
        "GIT_PAGER": "cat",
        "LC_ALL": "C",
        "GIT_CONFIG_COUNT": str(len(_SETTINGS)),
    }
    for number, (key, value) in enumerate(_SETTINGS.items()):
        kept |= {f"GIT_CONFIG_KEY_{number}": key, f"GIT_CONFIG_VALUE_{number}": value}
    return kept


def command(repo: Repository, arguments: Sequence[str], *, in_work_tree: bool = False) -> list[str]:
    """Return the words that start `git <arguments>` on the repository; to be run with `environment()`.

    Raises:
        StorageError: git is missing.
    """
    program = shutil.which("git")
    if program is None:
        raise StorageError("the git program is not on PATH; install git 2.34 or newer")
    if in_work_tree and repo.work:
        # Both are named: GIT_DIR and GIT_WORK_TREE may have said what a search from the folder would not find.
        return [program, f"--git-dir={repo.raw.path}", f"--work-tree={repo.work}", *arguments]
    return [program, f"--git-dir={repo.common}", *arguments]


def run(
    repo: Repository, arguments: Sequence[str], *, stdin: bytes = b"", timeout: float = 600, in_work_tree: bool = False
) -> bytes:
    """Run `git <arguments>` on the repository and return its output; `timeout` in seconds.

    Raises:
        StorageError: git is missing, failed, or took longer.
    """
    called = command(repo, arguments, in_work_tree=in_work_tree)
    folder = repo.work if in_work_tree else None
    try:
        done = subprocess.run(called, input=stdin, capture_output=True, timeout=timeout, env=environment(), cwd=folder)
    except subprocess.TimeoutExpired as error:
        raise StorageError(f"git {arguments[0]} took longer than {timeout:g} s in {repo.common}") from error
    if done.returncode:
        said = done.stderr.decode("utf-8", "replace").strip().splitlines()
        reason = [line for line in said if line.startswith(("fatal:", "error:"))] or said[-3:]
        raise StorageError(f"git {arguments[0]} failed in {repo.common}: {'; '.join(reason[:3])}")
    return done.stdout
