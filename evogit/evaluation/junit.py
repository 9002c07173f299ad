"""Scores from a test runner's JUnit report: how many of the base's tests passed."""

from __future__ import annotations

import re
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from xml.parsers import expat

from evogit.evaluation.reading import bad, cut, read_plain, refusal
from evogit.model import Measurement, Status
from evogit.sandbox import Outcome

MAX_REPORT_BYTES = 16 * 1024 * 1024
_MAX_TESTS = 200_000
_MOST_INSTANCES_BYTES = 32 * 1024
"""A record holds 64 KiB; beside the instances there must be room for all else."""
_NAMED = 5
CONTROLS = "evogit-control::"
"""What the names of tests of evogit's own begin with: they do not count, but have to end as they did on the base."""
_COMPLAINTS = 15
_LONGEST_LINE = 200
_FRAMES = 5
_MOST_LINES = 20_000
"""Lines of one failure's text that are looked at for frames."""
_FRAME = re.compile(r"([A-Za-z0-9_][\w./+-]{0,150}\.\w{1,8}):(\d{1,7}):(?: |$)")


@dataclass(frozen=True, slots=True)
class Report:
    """The tests of a report by name, and whether each passed; a skipped one did not.

    `complaints` is what was said against those that failed. `held` are tests of evogit's own that ended as they have
    to; they are not among the others.
    """

    passed: Mapping[str, bool]
    skipped: int
    complaints: Mapping[str, str]
    frames: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """Where those that failed went, as `file:line`, the innermost first; what any file of the tree may be."""
    held: frozenset[str] = frozenset()

    @property
    def known(self) -> frozenset[str]:
        """What is to be found again when other code is tested: all tests there are, and what held."""
        return self.held.union(self.passed)


def read(outcome: Outcome, path: Path, root: Path, timeout_s: float) -> Report | Measurement:
    """Return the report an ended test runner left in `path`, or what is to be said instead.

    A runner ends with 0 when all tests passed, and with 1 when some did not. `root` is a folder above `path`.
    """
    refused = refusal(outcome, timeout_s, accepted=(0, 1))
    if refused:
        return refused
    try:
        report = parse(read_plain(path, MAX_REPORT_BYTES, below=root))
    except FileNotFoundError:
        return bad(Status.FAILED, f"no result: the command wrote no JUnit report to {path.relative_to(root)}", outcome)
    except (OSError, ValueError) as error:
        return bad(Status.INVALID, f"the JUnit report: {error}", outcome)
    if not report.passed:
        return bad(Status.FAILED, "no result: the JUnit report holds no test", outcome)
    return report


def parse(content: bytes) -> Report:
    """Return the report in `content`.

    Raises:
        ValueError: it is not well-formed XML, declares a document type or entities, or holds no report.
    """
    reading = _Reading()
    try:
        reading.parser.Parse(content, True)
    except (expat.ExpatError, UnicodeError) as error:
        raise ValueError(str(error)) from error
    frames = {name: _innermost(found) for name, found in reading.frames.items()}
    return Report(reading.passed, reading.skipped, reading.complaints, frames)


def measure(report: Report, expected: frozenset[str], outcome: Outcome) -> Measurement:
    """Return how many of the expected tests passed; tests beside them do not count, a missing one fails it all.

    `expected` is what was `known` of the base.
    """
    missing = sorted(expected - report.known)
    lost = [name for name in missing if not name.startswith(CONTROLS)]
    if lost:
        count = sum(not name.startswith(CONTROLS) for name in expected)
        return bad(Status.FAILED, f"{len(lost)} of the base's {count} tests did not run: {_few(lost)}", outcome)
    if missing:
        said = [
            f"{name.removeprefix(CONTROLS)}: {report.complaints.get(name, 'it did not')}"[:_LONGEST_LINE]
            for name in missing
        ]
        return bad(Status.FAILED, f"what judges was tampered with: {_few(said)}", outcome)
    counted = sorted(expected & report.passed.keys())
    instances = {name: float(report.passed[name]) for name in counted}
    return Measurement(
        status=Status.OK,
        value=sum(instances.values()),
        metrics={"tests": float(len(instances)), "skipped": float(report.skipped)},
        instances=_fitting(instances),
        feedback=cut("\n".join(_failures(report, expected))),
        seconds=outcome.seconds,
    )


def _failures(report: Report, expected: frozenset[str]) -> list[str]:
    failed = [name for name in report.complaints if name in expected and name in report.passed]
    lines = [
        " ".join([f"{name}: {report.complaints[name]}"[:_LONGEST_LINE], *report.frames.get(name, ())])
        for name in failed[:_COMPLAINTS]
    ]
    return [*lines, *([f"{len(failed) - len(lines)} more failed"] if len(failed) > len(lines) else [])]


def _few(names: Sequence[str]) -> str:
    return ", ".join(names[:_NAMED]) + (", …" if len(names) > _NAMED else "")


def _fitting(instances: Mapping[str, float]) -> Mapping[str, float]:
    """Return the tests, or how many passed by file or class where the tests would not fit into a record."""
    if _size(instances) <= _MOST_INSTANCES_BYTES:
        return instances
    groups: Counter[str] = Counter()
    for name, passed in instances.items():
        groups[name.partition("::")[0]] += int(passed)
    grouped = {name: float(count) for name, count in groups.items()}
    return grouped if _size(grouped) <= _MOST_INSTANCES_BYTES else {}


def _size(instances: Mapping[str, float]) -> int:
    return sum(len(name.encode("utf-8", "replace")) * 2 + 8 for name in instances)


class _Reading:
    """Follows the elements: which test we are in, and whether something was said against it."""

    def __init__(self) -> None:
        self.passed: dict[str, bool] = {}
        self.skipped = 0
        self.complaints: dict[str, str] = {}
        self.frames: dict[str, deque[str]] = {}
        self._inside = self._rest = ""
        self._lines = -1
        self._depth = 0
        self.parser = expat.ParserCreate("utf-8")  # whatever it declares: codecs fail in ways of their own
        self.parser.StartElementHandler = self._start
        self.parser.EndElementHandler = self._end
        self.parser.CharacterDataHandler = self._text
        self.parser.StartDoctypeDeclHandler = _refuse_doctype

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        if self._depth == 0 and name not in ("testsuites", "testsuite"):
            raise ValueError(f"it begins with <{name[:100]}>, not with <testsuites> or <testsuite>")
        self._depth += 1
        if name == "testcase":
            place = attributes.get("classname") or attributes.get("file") or ""
            self._inside = f"{place}::{attributes.get('name', '')}"
            self.passed.setdefault(self._inside, True)  # a test that stands twice must pass twice
            if len(self.passed) > _MAX_TESTS:
                raise ValueError(f"it has more than {_MAX_TESTS} tests")
        elif self._inside and name in ("failure", "error", "skipped"):
            self.passed[self._inside] = False
            self.skipped += name == "skipped"
            if name != "skipped":
                self.complaints.setdefault(self._inside, " ".join(attributes.get("message", "").split()))
                self._rest, self._lines = "", _MOST_LINES

    def _end(self, name: str) -> None:
        self._depth -= 1
        if name in ("failure", "error") and self._lines >= 0:
            self._text("\n")
            self._lines = -1
        if name == "testcase":
            self._inside = ""

    def _text(self, text: str) -> None:
        """Keep the frames that the text of a failure names: pytest writes `file:line: ` at the end of each."""
        if self._lines < 0 or not self._inside:
            return
        *whole, self._rest = (self._rest + text).split("\n")
        self._rest = self._rest[:_LONGEST_LINE]
        for line in whole[: self._lines]:
            if found := _FRAME.match(line):
                kept = self.frames.setdefault(self._inside, deque[str](maxlen=4 * _FRAMES))
                kept.append(f"{found[1]}:{found[2]}")
        self._lines -= min(len(whole), self._lines)


def _innermost(frames: deque[str]) -> Sequence[str]:
    return list(dict.fromkeys(reversed(frames)))[:_FRAMES]


def _refuse_doctype(*_: object) -> None:
    raise ValueError("it declares a document type")
