"""What a proposer may change: every edit is checked here before it becomes a tree."""

from __future__ import annotations

from collections.abc import Mapping

from evogit import marked
from evogit.model import Edit, RepoPath
from evogit.store import paths
from evogit.store.task import Definition

MAX_FILE_BYTES = 1024 * 1024
"""Proposers neither see nor write larger files."""
_LFS_POINTER = b"version https://git-lfs.github.com/spec/"


def refusal(edit: Edit, definition: Definition, known: Mapping[RepoPath, bytes] | None = None) -> str | None:
    """Return why this edit may not become a candidate, or None when it may; `known` are the files of its parent."""
    known = known or {}
    if not edit.files:
        return "it changes nothing"
    for path, content in edit.files.items():
        name = path.encode("utf-8", "surrogateescape")
        reason = paths.refusal(name)
        if not reason and path not in known and paths.has_control(name):
            reason = "it holds control characters"
        if reason:
            return f"{path!r}: {reason}"
        if definition.is_protected(name):
            return f"{path!r} is protected"
        if not definition.is_editable(name):
            return f"{path!r} is not among the editable files"
        if content is not None and len(content) > MAX_FILE_BYTES:
            return f"{path!r} would have {len(content)} bytes; at most {MAX_FILE_BYTES} are allowed"
        if path in known and (reason := marked.refusal(known[path], content)):
            return f"{path!r}: {reason}"
    return None


def may_move(path: bytes, definition: Definition) -> bool:
    """Return whether agents may move what another candidate has at this path."""
    return not paths.refusal(path) and not paths.has_control(path) and definition.is_editable(path)


def is_text(content: bytes) -> bool:
    """Return whether this is a text file a proposer may see: no NUL byte, not too large, no pointer of Git LFS."""
    return len(content) <= MAX_FILE_BYTES and b"\0" not in content[:8000] and not content.startswith(_LFS_POINTER)
