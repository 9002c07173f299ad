"""Measuring one tree: export it, launch the user's command on it, and read the result strictly."""

from __future__ import annotations

import errno
import json
import math
import os
import stat
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Protocol

import msgspec

from evogit import config
from evogit.errors import StorageError
from evogit.model import Measurement, Status, TreeId
from evogit.records import MAX_FEEDBACK_BYTES
from evogit.sandbox import Job, Launcher, Outcome
from evogit.store.export import Export, empty_folder

MAX_RESULT_BYTES = 64 * 1024
_UNTESTABLE = 125
_KEPT = (
    *("PATH", "LANG", "TZ", "LD_LIBRARY_PATH", "VIRTUAL_ENV", "CONDA_PREFIX", "PYENV_ROOT", "PYENV_VERSION"),
    *("JAVA_HOME", "GOROOT", "RUSTUP_HOME", "RUSTUP_TOOLCHAIN", "NVM_DIR", "CC", "CXX"),
    *("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE"),
)
"""The only variables of the caller's that a candidate gets: where tools are, nothing that could be a key."""


class Meter(Protocol):
    """Measures trees."""

    def measure(self, tree: TreeId) -> Measurement:
        """Return what one evaluation of this tree says; a bad candidate is a status, never an exception."""
        ...


class _Result(msgspec.Struct, forbid_unknown_fields=True):
    score: float
    metrics: dict[str, float] = {}
    instances: dict[str, float] = {}
    feedback: str = ""


class CommandMeter:
    """Runs the evaluator's command on an export and reads the file named by `EVOGIT_RESULT`."""

    def __init__(
        self, evaluator: config.Evaluator, export: Export, launcher: Launcher, caller: Mapping[str, str]
    ) -> None:
        """Measure in `export`, with what `caller` (an environment) has of the variables that are let through."""
        self._evaluator = evaluator
        self._export = export
        self._launcher = launcher
        self._scratch = export.root.parent / "scratch"
        self._environment = environment(caller, self._scratch)

    def measure(self, tree: TreeId) -> Measurement:
        """Return what one evaluation of this tree says.

        Raises:
            Cancelled: the caller wants to stop.
        """
        try:
            self._export.switch(tree)
            self._prepare()
            outcome = self._launcher.launch(self._job())
        except StorageError as error:
            return Measurement(status=Status.FAILED, feedback=str(error))
        except OSError as error:
            return Measurement(status=Status.ERROR, feedback=_os_reason(error))
        return read_outcome(outcome, Path(self._environment["EVOGIT_RESULT"]), self._evaluator.timeout_s)

    def _job(self) -> Job:
        command = self._evaluator.command
        argv = ("/bin/sh", "-c", command) if isinstance(command, str) else command
        return Job(argv=argv, cwd=self._export.root, environment=self._environment, timeout_s=self._evaluator.timeout_s)

    def _prepare(self) -> None:
        """Give the process an empty home and temporary folder, and no result yet."""
        for folder in (self._scratch / "home", self._scratch / "tmp"):
            empty_folder(folder)
        with suppress(FileNotFoundError):
            os.unlink(self._environment["EVOGIT_RESULT"])


def environment(caller: Mapping[str, str], scratch: Path) -> dict[str, str]:
    """Return the whole environment of a candidate's process."""
    kept = {name: caller[name] for name in _KEPT if name in caller}
    return {
        "PATH": os.defpath,
        "LANG": "C.UTF-8",
        "TZ": "UTC",
        **kept,
        "HOME": str(scratch / "home"),
        "TMPDIR": str(scratch / "tmp"),
        "EVOGIT_RESULT": str(scratch / "result.json"),
        "PYTHONHASHSEED": "0",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONNOUSERSITE": "1",
        "GIT_CEILING_DIRECTORIES": str(scratch.parent.parent),
        "SOURCE_DATE_EPOCH": "0",
    }


def read_outcome(outcome: Outcome, result: Path, timeout_s: float) -> Measurement:
    """Return the measurement an ended process left behind."""
    said = outcome.output.decode("utf-8", "replace")
    if outcome.exit_code is None:
        return _bad(Status.TIMEOUT, f"longer than {timeout_s:g} s", said, outcome)
    if outcome.exit_code == _UNTESTABLE:
        return _bad(Status.ERROR, "exit code 125: the evaluator cannot test this", said, outcome)
    if outcome.exit_code:
        how = f"exit code {outcome.exit_code}" if outcome.exit_code > 0 else f"killed by signal {-outcome.exit_code}"
        return _bad(Status.FAILED, how, said, outcome)
    try:
        content = _read_result(result)
    except FileNotFoundError:
        return _bad(Status.FAILED, "no result: the command wrote nothing to the file in EVOGIT_RESULT", said, outcome)
    except (OSError, ValueError) as error:
        return _bad(Status.INVALID, f"the result file: {error}", said, outcome)
    try:
        parsed = parse_result(content)
    except ValueError as error:
        return _bad(Status.INVALID, f"the result: {error}", said, outcome)
    return Measurement(
        status=Status.OK,
        value=parsed.score,
        metrics=parsed.metrics,
        instances=parsed.instances,
        feedback=cut(parsed.feedback),
        seconds=outcome.seconds,
    )


def parse_result(content: bytes) -> _Result:
    """Return the result in `content`.

    Raises:
        ValueError: it is not one JSON object of the known keys with finite numbers, or a key stands twice.
    """
    try:
        # msgspec refuses NaN, infinity, bools and strings where a number is due, but takes the last of equal keys.
        json.loads(content.decode(), object_pairs_hook=_no_duplicates)
        parsed = msgspec.json.decode(content, type=_Result)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(str(error)) from error
    numbers = (parsed.score, *parsed.metrics.values(), *parsed.instances.values())
    if not all(math.isfinite(number) for number in numbers):
        raise ValueError("a number is not finite")
    return parsed


def cut(text: str) -> str:
    """Return the end of a text, at most as long as feedback may be."""
    encoded = text.encode("utf-8", "replace")
    if len(encoded) <= MAX_FEEDBACK_BYTES:
        return encoded.decode()
    return "…" + encoded[-MAX_FEEDBACK_BYTES + 8 :].decode("utf-8", "ignore")


def _bad(status: Status, reason: str, said: str, outcome: Outcome) -> Measurement:
    feedback = cut(f"{reason}\n{said.strip()}".strip())
    return Measurement(status=status, feedback=feedback, seconds=outcome.seconds)


def _no_duplicates(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key stands twice in one object")
    return found


def _read_result(path: Path) -> bytes:
    """Read the file the candidate's process may have replaced by anything: a link, a pipe, a device, a huge file."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with open(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise ValueError("it is not a plain file")
        content = file.read(MAX_RESULT_BYTES + 1)
    if len(content) > MAX_RESULT_BYTES:
        raise ValueError(f"it has more than {MAX_RESULT_BYTES} bytes")
    return content


def _os_reason(error: OSError) -> str:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"no space left for the export at {error.filename or 'the temporary folder'}; free some or set TMPDIR"
    return f"the evaluator could not be started: {error}"
