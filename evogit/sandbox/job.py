"""What is launched, and how it ended."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

MARK = "EVOGIT_RESULT"
"""The variable by which an agent's processes are known: its value is a path that no other agent uses."""
KEPT_OUTPUT = 64 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A process to run: its working directory, whole environment, and limit in seconds of wall time.

    `writable` are folders that it may write beside the working directory. `read_only` are files and folders elsewhere
    that it needs, at these paths; a sandbox shows nothing else but the system and the tools on its PATH. `trusted` is
    the user's own command, run on no candidate's code: it is never confined. `memory_mb` is what all its processes may
    use. `talks` makes its input and output pipes to who launched it; else it has no input, and the end of its output is
    kept. `descriptors` are open files that it gets by their numbers. `who` is what it is called where it is said which
    limit it crossed. `network` leaves it the machine's network, though no socket of the local kind; `tool` is a program
    whose own folders it sees, too. `input` is a file it reads as its standard input, `kept` how many bytes of its last
    output are kept. `first` makes it the first process of its sandbox, which nothing inside can end or outlive, and to
    which orphans come: for a program of ours, never for a candidate's.
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
    who: str = "it"
    first: bool = False
    network: bool = False
    tool: Path | None = None
    input: Path | None = None
    kept: int = KEPT_OUTPUT


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What all processes of one job may use together, in MB of 2^20 bytes; None is no limit.

    `disk_mb` is what it may write in the folders it is given, and how big one file may be; `files` how many it may make
    in any of its folders. `memory_mb` holds where the job does not say. The others hold only in a sandbox.
    `is_counted` says that the kernel cannot count the processes of one job, and they have to be looked at; the first of
    them is then the one that keeps the job, and no part of it.
    """

    memory_mb: int | None = None
    disk_mb: int | None = None
    files: int | None = None
    tmp_mb: int = 1024
    shared_memory_mb: int = 512
    processes: int = 1024
    open_files: int = 4096
    is_counted: bool = False


CONFINED = Limits(memory_mb=2048, disk_mb=4096, files=500_000)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How it ended: the exit code (negative: a signal; None: the time limit), the last output, wall seconds.

    `stopped` says which limit other than the time it was ended for. `cpu_s` are seconds of CPU, user and system, of the
    process with all it started; those that make the sandbox, some milliseconds, are among them.
    """

    exit_code: int | None
    output: bytes
    seconds: float
    stopped: str | None = None
    cpu_s: float = 0.0


class Cancelled(Exception):
    """The caller wants to stop; the process was killed."""
