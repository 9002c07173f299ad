"""What is launched, and how it ended."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

MARK = "EVOGIT_RESULT"
"""The variable by which an agent's processes are known: its value is a path that no other agent uses."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A process to run: its working directory, whole environment, and limit in seconds of wall time.

    `writable` are folders that it may write beside the working directory. `read_only` are files and folders elsewhere
    that it needs, at these paths; a sandbox shows nothing else but the system and the tools on its PATH. `trusted` is
    the user's own command, run on no candidate's code: it is never confined. `memory_mb` is what all its processes may
    use. `talks` makes its input and output pipes to who launched it; else it has no input, and the end of its output is
    kept. `descriptors` are open files that it gets by their numbers.
    """

    argv: Sequence[str]
    cwd: Path
    environment: Mapping[str, str]
    timeout_s: float
    writable: Sequence[Path] = ()
    read_only: Sequence[Path] = ()
    trusted: bool = False
    memory_mb: int | None = None
    talks: bool = False
    descriptors: Sequence[int] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What all processes of one job may use together, in MB of 2^20 bytes; None is no limit.

    `disk_mb` is what it may write in the folders it is given, and how big one file may be; `files` how many it may make
    in any of its folders. `memory_mb` holds where the job does not say. The others hold only in a sandbox.
    """

    memory_mb: int | None = None
    disk_mb: int | None = None
    files: int | None = None
    tmp_mb: int = 1024
    shared_memory_mb: int = 512
    processes: int = 1024
    open_files: int = 4096


CONFINED = Limits(memory_mb=2048, disk_mb=4096, files=500_000)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How it ended: the exit code (negative: a signal; None: the time limit), the last output, wall seconds.

    `stopped` says which limit other than the time it was ended for.
    """

    exit_code: int | None
    output: bytes
    seconds: float
    stopped: str | None = None


class Cancelled(Exception):
    """The caller wants to stop; the process was killed."""
