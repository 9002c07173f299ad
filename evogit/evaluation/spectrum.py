"""Which lines failed tests ran that others seldom run: tests are run once more, looked at, and that is put into words.

It scores nothing: proposers are told where to look.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from itertools import groupby
from pathlib import Path

import msgspec

from evogit.evaluation import pytest_command, ran_lines
from evogit.evaluation.bench import Bench
from evogit.evaluation.reading import read_plain

HEAD = "lines that failed tests ran, from 1 (only they) down: "
_MAX_BYTES = 1_200
"""Of a record's feedback, beside what was said of the failed tests."""
_MAX_REPORT_BYTES = 16 * 1024 * 1024
_PATIENCE = 4
"""How many times longer than an evaluation it may take: to look on makes code slow."""
_PLAN, _REPORT = "look.json", "ran.json"
_Line = tuple[str, int]


class _Ran(msgspec.Struct, frozen=True):
    """How many tests failed; and the lines they ran: of which file, how many of them did, and how many of all tests."""

    failed: int
    lines: list[tuple[str, int, int, int]]


def look(arguments: str, bench: Bench) -> str:
    """Return the words for what pytest with these arguments ran on what was prepared; "" when it could not be seen.

    Raises:
        Cancelled: the caller wants to stop.
        OSError: it cannot be started.
    """
    report = bench.junit.with_name(_REPORT)
    own = [path for path in bench.export.files if path.endswith(b".py") and not bench.export.is_frozen(path)]
    plan = {"files": [os.fsdecode(path) for path in own], "report": str(report)}
    program = (bench.python(), "-c", Path(ran_lines.__file__).read_text())
    told = str(bench.put(_PLAN, json.dumps(plan).encode()))
    job = bench.job((*program, told, *pytest_command.options(arguments, bench)), pytest_command.ENVIRONMENT)
    bench.run_job(replace(job, timeout_s=_PATIENCE * job.timeout_s))
    try:
        ran = msgspec.json.decode(read_plain(report, _MAX_REPORT_BYTES, below=report.parent), type=_Ran)
    except (OSError, ValueError):
        return ""
    return words(_scored(ran, frozenset(plan["files"])))


def words(scores: Mapping[_Line, float]) -> str:
    """Return lines and how suspicious each is as one line of text, the most suspicious first; "" without any.

    Lines next to each other that are as suspicious stand together: `path:3-5=0.71`. What is too much is left out.
    """
    said, room = list[str](), _MAX_BYTES - len(HEAD)
    for text in _ranges(scores):
        room -= len(text.encode("utf-8", "replace")) + 1
        if room < 0:
            break
        said.append(text)
    return HEAD + " ".join(said) if said else ""


def _scored(ran: _Ran, files: Collection[str]) -> dict[_Line, float]:
    """Return the Ochiai coefficient of each line that failed tests ran.

    After Abreu, Zoeteweij and van Gemund, "On the accuracy of spectrum-based fault localization", TAICPART 2007.
    """
    return {
        (path, line): failed / math.sqrt(ran.failed * tests)
        for path, line, failed, tests in ran.lines
        if path in files and " " not in path and 0 < failed <= ran.failed and failed <= tests and line > 0
    }


def _ranges(scores: Mapping[_Line, float]) -> Iterator[str]:
    shown = [(-round(score, 2), path, line) for (path, line), score in scores.items() if round(score, 2) > 0]
    for (score, path), group in groupby(sorted(shown), key=lambda one: one[:2]):
        for _, run in groupby(enumerate(line for _, _, line in group), key=lambda one: one[1] - one[0]):
            lines = [line for _, line in run]
            last = f"-{lines[-1]}" if len(lines) > 1 else ""
            yield f"{path}:{lines[0]}{last}={-score:g}"
