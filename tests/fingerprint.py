"""What a repository is to its user, as a value: two fingerprints are equal when nothing of the user's was touched."""

from __future__ import annotations

import hashlib
import os
import re
import stat
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

Fingerprint = Mapping[str, object]

_OWN = re.compile(
    rb"(logs/)?refs/((notes/)?evogit(-remote)?|heads/evogit/[a-z0-9][a-z0-9-]*)/.*|objects(/.*)?|evogit(/.*)?",
    re.DOTALL,
)
"""Below `.git`: objects, evogit's private folder, its refs and their reflogs."""
_OWN_PARENTS = re.compile(rb"logs|(logs/)?refs(/notes|(/notes)?/evogit(-remote)?|/heads|/heads/evogit(/[a-z0-9-]*)?)?")
"""Folders that evogit's refs need, so that they may come into being."""
_OWN_REF = re.compile(r"refs/((notes/)?evogit(-remote)?|heads/evogit/[a-z0-9][a-z0-9-]*)/")
_QUIET = {
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_CONFIG_COUNT": "2",
    "GIT_CONFIG_KEY_0": "core.hooksPath",
    "GIT_CONFIG_VALUE_0": os.devnull,
    "GIT_CONFIG_KEY_1": "core.fsmonitor",
    "GIT_CONFIG_VALUE_1": "false",
}
"""So that looking does not change what is looked at."""


def fingerprint(inside: Path, environment: Mapping[str, str]) -> Fingerprint:
    """Return what the repository around `inside` looks like, all its work trees included.

    Left out are the objects, `.git/evogit`, and evogit's refs: in packed-refs only their lines. Files of the work trees
    count with content, mode and time; folders too, since a file made and deleted again moves their time. Files below
    `.git` count with content, mode and (but for packed-refs, which every writer of refs may write again) time: an index
    with only its stat cache refreshed is another one.
    """
    common = _git_dir(inside, environment)
    found: dict[str, object] = dict(_below_git(common))
    for work in _work_trees(inside, environment):
        found |= _below_work_tree(work)
        for name, arguments in _SAID.items():
            found[f"{name} in {work!r}"] = _git(work, environment, *arguments)
    found["worktree list"] = _git(inside, environment, "worktree", "list", "--porcelain", "-z")
    return found


_SAID = {
    "stash list": ("stash", "list"),
    "status": ("status", "--porcelain=v2", "--branch", "-z", "--ignored"),
}


def changed(before: Fingerprint, after: Fingerprint) -> dict[str, tuple[object, object]]:
    """Return what differs, by name, as it was and as it is."""
    names = sorted(before.keys() | after.keys())
    return {name: (before.get(name), after.get(name)) for name in names if before.get(name) != after.get(name)}


def _below_git(common: bytes) -> Iterator[tuple[str, object]]:
    for path, status in _walk(common):
        if _OWN.fullmatch(path) or (stat.S_ISDIR(status.st_mode) and _OWN_PARENTS.fullmatch(path)):
            continue
        name = f".git/{path!r}"
        if path == b"packed-refs":
            yield name, _foreign_lines((Path(os.fsdecode(common)) / "packed-refs").read_text(errors="surrogateescape"))
        elif stat.S_ISDIR(status.st_mode):
            yield name, "folder"
        else:
            yield name, _of_file(os.path.join(common, path), status)


def _below_work_tree(work: bytes) -> dict[str, object]:
    found: dict[str, object] = {}
    for path, status in _walk(work, skip=b".git"):
        full = os.path.join(work, path)
        is_folder = stat.S_ISDIR(status.st_mode)
        found[f"{work!r}: {path!r}"] = (status.st_mode, status.st_mtime_ns) if is_folder else _of_file(full, status)
    return found


def _of_file(full: bytes, status: os.stat_result) -> tuple[int, int, str]:
    if stat.S_ISLNK(status.st_mode):
        return status.st_mode, status.st_mtime_ns, repr(os.readlink(full))
    with open(full, "rb") as file:
        return status.st_mode, status.st_mtime_ns, hashlib.sha256(file.read()).hexdigest()


def _walk(top: bytes, skip: bytes = b"") -> Iterator[tuple[bytes, os.stat_result]]:
    """Yield everything below `top`; with `skip`, a name at the top to leave out, also `top` itself as an empty path."""
    if skip:
        yield b"", os.lstat(top)
    for folder, folders, names in os.walk(top):
        if folder == top:
            folders[:] = [name for name in folders if name != skip]
        for name in (*folders, *names):
            full = os.path.join(folder, name)
            yield os.path.relpath(full, top), os.lstat(full)


def _foreign_lines(content: str) -> list[str]:
    """Return the lines of packed-refs about refs that are not evogit's; a `^` line belongs to the one before it."""
    kept: list[str] = []
    own = False
    for line in content.splitlines():
        own = own if line.startswith("^") else bool(_OWN_REF.match(line.partition(" ")[2]))
        if not own:
            kept.append(line)
    return kept


def _git_dir(inside: Path, environment: Mapping[str, str]) -> bytes:
    said = _git(inside, environment, "rev-parse", "--path-format=absolute", "--git-common-dir")
    return said.removesuffix(b"\n")


def _work_trees(inside: Path, environment: Mapping[str, str]) -> list[bytes]:
    said = _git(inside, environment, "worktree", "list", "--porcelain", "-z")
    blocks = [block.split(b"\0") for block in said.split(b"\0\0") if block]
    found = [block[0].removeprefix(b"worktree ") for block in blocks if b"bare" not in block]
    common = _git_dir(inside, environment)
    # Where the `.git` folder is elsewhere, git names that one instead of the work tree.
    return [
        _git(inside, environment, "rev-parse", "--show-toplevel")[:-1] if work == common else work for work in found
    ]


def _git(where: Path | bytes, environment: Mapping[str, str], *arguments: str) -> bytes:
    done = subprocess.run(
        ["git", *arguments], cwd=where, env={**environment, **_QUIET}, capture_output=True, timeout=60
    )
    assert not done.returncode, done.stderr.decode(errors="replace")
    return done.stdout
