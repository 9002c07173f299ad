"""Cost in executed lines of Python: a counter that evogit brings into the command's processes, and what it told."""

from __future__ import annotations

import fcntl
import os
import re
from contextlib import suppress
from pathlib import Path

from evogit.evaluation import line_counter
from evogit.evaluation.bench import Bench
from evogit.evaluator_table import Command
from evogit.sandbox import Outcome
from evogit.store.export import empty_folder

_ROOM = 1 << 20
"""What the pipe holds until the command has ended: some ten thousand processes."""
_TOLD = re.compile(rb"([0-9]+-[0-9a-f]{16}) (begins|touched|[0-9]{1,18})")


class Lines:
    """Runs commands with the counter in them; its folder stays beside the export, where no candidate can write."""

    def __init__(self, bench: Bench) -> None:
        """Put the counter where the commands of `bench` find it.

        Raises:
            OSError: the disk says no.
        """
        self._bench = bench
        folder = bench.tools
        empty_folder(folder)
        _write(folder / "sitecustomize.py", Path(line_counter.__file__).read_bytes())
        _write(folder / "root", os.fsencode(os.path.realpath(bench.export.root)))
        folder.chmod(0o755)
        pipe = folder / "counts"
        os.mkfifo(pipe, 0o600)
        # Opened for both, so that it never ends and nobody waits for it.
        self._pipe = os.open(pipe, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        os.fchmod(self._pipe, 0o200)
        if bench.owner is not None:
            os.fchown(self._pipe, bench.owner, -1)
        with suppress(OSError):
            fcntl.fcntl(self._pipe, fcntl.F_SETPIPE_SZ, _ROOM)

    def run(self, command: Command) -> tuple[Outcome, float | str]:
        """Run a command on what was prepared; return how it ended and the lines it executed, or why they are not known.

        Raises:
            Cancelled: the caller wants to stop.
            OSError: it cannot be started.
        """
        self._read()
        path = os.pathsep.join(filter(None, (str(self._bench.tools), self._bench.environment.get("PYTHONPATH"))))
        outcome = self._bench.run(command, {"PYTHONPATH": path})
        return outcome, _counted(self._read())

    def _read(self) -> bytes:
        found = b""
        with suppress(BlockingIOError):
            while len(found) <= _ROOM:
                found += os.read(self._pipe, _ROOM)
        return found


def _counted(told: bytes) -> float | str:
    """Return the lines of all processes together, or what is wrong with what they told."""
    counts: dict[bytes, int | None] = {}
    for line in told.splitlines():
        match = _TOLD.fullmatch(line)
        if match is None:
            return f"the count of lines: {line[:100]!r} is none of the counter's words"
        process, word = match[1], match[2]
        if word == b"touched":
            return "the count of lines: a debugger, a coverage tool or the candidate took the tracer (sys.settrace)"
        if word == b"begins":
            if process in counts:
                return "the count of lines: a process began twice"
            counts[process] = None
        elif process not in counts:
            return "the count of lines: a process ended that never began"
        else:
            counts[process] = max(counts[process] or 0, int(word))
    if not counts:
        return (
            "the count of lines: no Python process (3.8 or newer) was counted; does the command set PYTHONPATH without "
            "what is in it, or run Python with -I, -E or -S?"
        )
    lost = sum(count is None for count in counts.values())
    if lost:
        return f"the count of lines: {lost} of {len(counts)} Python processes ended without their count, by a signal"
    total = sum(count or 0 for count in counts.values())
    return float(total) if total else "the count of lines: no line of the candidate's files was executed"


def _write(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    path.chmod(0o644)
