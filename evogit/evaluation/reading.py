"""Reading what a candidate's process left: it may be anything but what was asked for."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from evogit.model import Measurement, Status
from evogit.records import MAX_FEEDBACK_BYTES
from evogit.sandbox import Outcome

_UNTESTABLE = 125
_LONGEST_REASON = 600


def read_plain(path: Path, limit: int, *, below: Path | None = None) -> bytes:
    """Return the bytes of a plain file; with `below`, no folder on the way from there is a link.

    Raises:
        FileNotFoundError: it is not there.
        OSError: it cannot be read, or is a link.
        ValueError: it is no plain file, or has more than `limit` bytes.
    """
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC
    start = below or path.parent
    *folders, name = path.relative_to(start).parts
    at = os.open(start, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for folder in folders:
            inner = os.open(folder, flags | os.O_DIRECTORY, dir_fd=at)
            os.close(at)
            at = inner
        descriptor = os.open(name, flags | os.O_NONBLOCK, dir_fd=at)
    finally:
        os.close(at)
    with open(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise ValueError("it is not a plain file")
        content = file.read(limit + 1)
    if len(content) > limit:
        raise ValueError(f"it has more than {limit} bytes")
    return content


def said(outcome: Outcome) -> str:
    """Return the end of what a process wrote, as text."""
    return outcome.output.decode("utf-8", "replace")


def cut(text: str, head: str = "") -> str:
    """Return the head and the end of a text, together at most as long as feedback may be."""
    room = MAX_FEEDBACK_BYTES - len(head.encode("utf-8", "replace"))
    encoded = text.encode("utf-8", "replace")
    if len(encoded) <= room:
        return head + encoded.decode()
    return f"{head}…" + encoded[-max(room - 8, 1) :].decode("utf-8", "ignore")


def bad(status: Status, reason: str, outcome: Outcome) -> Measurement:
    """Return a measurement without a score: why, and what the process wrote."""
    return Measurement(status=status, feedback=under(reason, said(outcome)), seconds=outcome.seconds)


def under(reason: str, text: str) -> str:
    """Return feedback that begins with a reason, whatever has to be cut off the text below it."""
    reason = reason if len(reason) <= _LONGEST_REASON else reason[:_LONGEST_REASON] + "…"
    return cut(text.strip(), f"{reason}\n").strip()


def refusal(outcome: Outcome, timeout_s: float, accepted: tuple[int, ...] = (0,)) -> Measurement | None:
    """Return what the end of a process says against it, whatever it has written; None: it ended well."""
    code = outcome.exit_code
    if outcome.stopped:
        return bad(Status.FAILED, outcome.stopped, outcome)
    if code is None:
        return bad(Status.TIMEOUT, f"longer than {timeout_s:g} s", outcome)
    if code == _UNTESTABLE:
        return bad(Status.ERROR, "exit code 125: the evaluator cannot test this", outcome)
    if code in accepted:
        return None
    how = f"exit code {code}" if code > 0 else f"killed by signal {-code}"
    return bad(Status.FAILED, how, outcome)
