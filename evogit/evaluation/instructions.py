"""Cost in machine instructions: the command, with all it starts, in valgrind.

Cachegrind without its caches counts fastest: for the same Python program it took 2.7 s, callgrind 4.3 s, exp-bbv 3.3 s,
lackey far more (valgrind 3.19). What it counts is exact and comes out the same each time.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Mapping
from pathlib import Path

from evogit.errors import UsageError
from evogit.evaluation.bench import Bench
from evogit.evaluation.reading import read_plain
from evogit.evaluator_table import Command
from evogit.sandbox import Outcome

_TOTAL = re.compile(rb"I +refs: +([0-9][0-9,]*)")
_MOST_LOGS = 10_000
_MOST_BYTES = 1 << 20


def program(caller: Mapping[str, str]) -> str:
    """Return the path of valgrind.

    Raises:
        UsageError: it is not installed.
    """
    found = shutil.which("valgrind", path=caller.get("PATH", os.defpath))
    if found is None:
        raise UsageError(
            "evaluator.result is 'instructions', and valgrind is not installed; install it (apt install valgrind), "
            "or choose 'cpu-time' or 'lines'"
        )
    return found


def run(bench: Bench, command: Command, valgrind: str) -> tuple[Outcome, float | str]:
    """Run a command on what was prepared; return how it ended and the instructions of it, or why they are not known.

    Raises:
        Cancelled: the caller wants to stop.
        OSError: it cannot be started.
    """
    folder = bench.empty("instructions")
    logs = str(folder).replace("%", "%%")
    # Without --command-line-only a `.valgrindrc` of the candidate's could leave its processes out.
    around = (
        *(valgrind, "--command-line-only=yes", "--tool=cachegrind", "--cache-sim=no"),
        *("--cachegrind-out-file=/dev/null", "--trace-children=yes", "--vgdb=no", f"--log-file={logs}/%p.log"),
    )
    outcome = bench.run(command, around=around)
    return outcome, _counted(folder)


def _counted(folder: Path) -> float | str:
    """Return the instructions of all processes together, or what is wrong with what valgrind wrote."""
    try:
        with os.scandir(folder) as entries:
            names = [entry.name for entry, _ in zip(entries, range(_MOST_LOGS + 1))]
        if len(names) > _MOST_LOGS:
            return f"the count of instructions: more than {_MOST_LOGS} processes"
        totals = [_TOTAL.findall(read_plain(folder / name, _MOST_BYTES)) for name in names]
    except (OSError, ValueError) as error:
        return f"the count of instructions: what valgrind wrote cannot be read: {error}"
    lost = sum(not found for found in totals)
    if lost:
        return f"the count of instructions: {lost} of {len(totals)} processes ended without their count, by a signal"
    total = sum(int(found[-1].replace(b",", b"")[:18]) for found in totals)
    return float(total) if total else "the count of instructions: valgrind wrote none"
