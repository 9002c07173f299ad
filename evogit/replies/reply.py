"""What comes of reading a reply."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from evogit.model import RepoPath

MAX_SUBJECT = 72
MAX_BODY = 2000
MAX_REPLY = 512 * 1024
"""Characters of a reply that is read at all."""
MAX_PROBLEMS = 8
MAX_STEPS = 300
"""Blocks, hunks, functions or files in one reply; looking for the place of each takes its time."""
MAX_WORDS = 1000
"""Characters of a line that may be a path or a command."""


@dataclass(frozen=True, slots=True)
class Reply:
    """A hypothesis, and the edit that tests it.

    `subject` and `body` are the model's words, cut in length only. `edit` maps a path to its whole new content, or to
    None where the file goes; it is None itself unless all of the reply could be applied. `problems` are sentences that
    tell the model why it could not; they are empty exactly when there is an edit.
    """

    subject: str
    body: str
    edit: Mapping[RepoPath, bytes | None] | None
    problems: Sequence[str] = ()
