"""What an ended command says of a candidate: one function for each place a score can stand in."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path

import msgspec

from evogit.evaluation.artifacts import of_texts
from evogit.evaluation.reading import bad, cut, read_plain, refusal, said, under
from evogit.evaluator_table import Evaluator
from evogit.model import Measurement, Status
from evogit.sandbox import Outcome

MAX_RESULT_BYTES = 64 * 1024
_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_LONGEST_LINE = 4096
"""A pattern may take long on a long line, and a candidate chooses what it prints."""
_NO_ANSWER = 126
"""From here on an exit code is the shell's word for: not found, not executable, killed by a signal."""


class _Result(msgspec.Struct, forbid_unknown_fields=True):
    score: float
    metrics: dict[str, float] = {}
    instances: dict[str, float] = {}
    feedback: str = ""
    artifacts: dict[str, str] = {}


def read(evaluator: Evaluator, outcome: Outcome, result: Path) -> Measurement:
    """Return the measurement an ended process left behind, other than a test runner's report."""
    if evaluator.result == "exit-code":
        return _read_exit_code(outcome, evaluator.timeout_s)
    refused = refusal(outcome, evaluator.timeout_s)
    if refused:
        return refused
    if evaluator.result == "stdout-json":
        return _read_last_line(outcome)
    if evaluator.result == "regex":
        return _read_match(outcome, evaluator.pattern or "")
    return _read_file(outcome, result)


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


def _read_file(outcome: Outcome, result: Path) -> Measurement:
    try:
        content = read_plain(result, MAX_RESULT_BYTES)
    except FileNotFoundError:
        return bad(Status.FAILED, "no result: the command wrote nothing to the file in EVOGIT_RESULT", outcome)
    except (OSError, ValueError) as error:
        return bad(Status.INVALID, f"the result file: {error}", outcome)
    return measurement(content, outcome)


def _read_last_line(outcome: Outcome) -> Measurement:
    lines = [line.strip() for line in outcome.output.splitlines()]
    objects = [line for line in lines if line.startswith(b"{") and line.endswith(b"}")]
    if not objects:
        return bad(Status.FAILED, "no result: no line of the output is a JSON object", outcome)
    return measurement(objects[-1], outcome)


def _read_match(outcome: Outcome, pattern: str) -> Measurement:
    """Take the last match on one line; what is between its brackets must be a plain number."""
    wanted = re.compile(pattern)
    for line in reversed(said(outcome).splitlines()):
        matches = list(wanted.finditer(line[:_LONGEST_LINE]))
        if matches:
            return _matched(matches[-1][1] or "", outcome)
    return bad(Status.FAILED, f"no result: no line of the output matches {pattern!r}", outcome)


def _matched(text: str, outcome: Outcome) -> Measurement:
    if not _NUMBER.fullmatch(text) or not math.isfinite(float(text)):
        return bad(Status.INVALID, f"the result: {text[:100]!r} is not a finite number", outcome)
    return Measurement(status=Status.OK, value=float(text), seconds=outcome.seconds)


def _read_exit_code(outcome: Outcome, timeout_s: float) -> Measurement:
    refused = refusal(outcome, timeout_s, tuple(range(_NO_ANSWER)))
    if refused:
        return refused
    if outcome.exit_code == 0:
        return Measurement(status=Status.OK, value=1.0, seconds=outcome.seconds)
    feedback = under(f"exit code {outcome.exit_code}", said(outcome))
    return Measurement(status=Status.OK, value=0.0, feedback=feedback, seconds=outcome.seconds)


def measurement(content: bytes, outcome: Outcome) -> Measurement:
    """Return the measurement a result in JSON stands for."""
    try:
        parsed = parse_result(content)
    except ValueError as error:
        return bad(Status.INVALID, f"the result: {error}", outcome)
    return Measurement(
        status=Status.OK,
        value=parsed.score,
        metrics=parsed.metrics,
        instances=parsed.instances,
        feedback=cut(parsed.feedback),
        artifacts=of_texts(parsed.artifacts),
        seconds=outcome.seconds,
    )


def _no_duplicates(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key stands twice in one object")
    return found
