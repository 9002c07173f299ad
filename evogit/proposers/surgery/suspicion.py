"""Where a fault may be: from what the evaluator said, and from the names of the tests that failed and passed."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from evogit.proposers.surgery.syntax import Region, Unit

_MAX_TESTS = 200
_STEM = 4
_CALLER = 0.3
_BY_NAME, _OUTSIDE = 0.3, 0.5
_PLACES = (
    re.compile(r"File \"([^\"\n]{1,200})\", line (\d{1,7})"),
    re.compile(r"(?<![\w./-])([\w./+-]{1,200}\.\w{1,8})[:(](\d{1,7})"),
)
_RAN = "lines that failed tests ran"
_RANGE = re.compile(r"(?<!\S)([^\s:]{1,200}):(\d{1,7})(?:-(\d{1,7}))?=([01](?:\.\d{1,6})?)(?!\S)")
_LONGEST = 10_000
"""Lines of one range that are looked at."""
_PARTS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")
_WORD = re.compile(r"[A-Za-z_]\w{2,60}")
_IDLE = frozenset({
    "test", "tests", "self", "the", "and", "for", "with", "that", "are", "from", "not", "none", "true", "false", "case",
    "cases", "get", "set", "new", "one", "two", "value", "values", "assert", "error", "errors", "raises", "raised",
    "init", "main", "run", "when", "does", "returns",
})  # fmt: skip


@dataclass(frozen=True, slots=True)
class Evidence:
    """What is known against the code: words of failed and passed tests, words of the messages, lines named in them."""

    failed: Sequence[frozenset[str]]
    passed: Sequence[frozenset[str]]
    said: frozenset[str]
    lines: Mapping[tuple[str, int], float]
    """Lines that messages name, each with how strongly: 1 for one that a message names first, less for its callers."""
    ran: Mapping[tuple[str, int], float]
    """Lines that failed tests ran, where that is known: 1 for those that passed ones ran least, less for the others."""

    @property
    def tests_fail(self) -> bool:
        """Whether there are tests that fail, as far as is known."""
        return bool(self.failed or self.ran)

    def places(self, unit: Unit) -> Mapping[int, float]:
        """Return the lines of a file that a message names, with how strongly."""
        return _of_file(self.lines, unit)

    def ran_in(self, unit: Unit) -> Mapping[int, float]:
        """Return the lines of a file that failed tests ran, with how suspicious that makes each."""
        return _of_file(self.ran, unit)


def _of_file(lines: Mapping[tuple[str, int], float], unit: Unit) -> Mapping[int, float]:
    name = "/" + unit.path
    return {
        line: weight
        for (path, line), weight in lines.items()
        if ("/" + path).endswith(name) or name.endswith("/" + path)
    }


def evidence(feedback: str, instances: Mapping[str, float]) -> Evidence:
    """Return what the evaluator's words and its results on single instances say.

    Instances count as tests where each is 0 or 1; the names of failed ones stand before a colon in the feedback, too.
    """
    return _evidence(feedback, tuple(instances.items()))


@lru_cache(maxsize=8)
def _evidence(feedback: str, instances: tuple[tuple[str, float], ...]) -> Evidence:
    verdicts = instances if {value for _, value in instances} <= {0.0, 1.0} else ()
    failed = [_words(name) for name, value in verdicts if value == 0][:_MAX_TESTS]
    passed = [_words(name) for name, value in verdicts if value == 1][:_MAX_TESTS]
    lines: dict[tuple[str, int], float] = {}
    ran: dict[tuple[str, int], float] = {}
    for message in feedback.splitlines():
        if message.startswith(_RAN):
            ran = _ran(message)
            continue
        weight = 1.0
        for path, line in (place for pattern in _PLACES for place in pattern.findall(message)):
            lines[path, int(line)] = max(weight, lines.get((path, int(line)), 0.0))
            weight = _CALLER
    return Evidence(failed, passed, frozenset(_WORD.findall(feedback)), lines, ran)


def _ran(message: str) -> dict[tuple[str, int], float]:
    """Return the lines a message names as run by failed tests; the most suspicious ones have 1."""
    found: dict[tuple[str, int], float] = {}
    for path, first, last, score in _RANGE.findall(message):
        for line in range(int(first), min(int(last or first), int(first) + _LONGEST) + 1):
            found[path, line] = float(score)
    most = max(found.values(), default=0.0) or 1.0
    return {place: score / most for place, score in found.items()}


def suspicion(region: Region, found: Evidence) -> float:
    """Return how much speaks against a region, from 0 to about 3.

    A test whose name shares words with a function's counts as one that runs it, which stands in for coverage, and with
    less weight one that shares words with its class or file; of these the Ochiai coefficient is taken (Abreu, Zoeteweij
    and van Gemund, "On the accuracy of spectrum-based fault localization", TAICPART 2007). A function named in a
    message, and one with a line named there, count more.
    """
    unit = region.unit
    against = 0.0
    if found.lines:
        first, last = unit.line(region.start), unit.line(region.end)
        named = found.places(unit)
        against += 1.5 * max((weight for line, weight in named.items() if first <= line <= last), default=0.0)
    if region.name.strip("_") and region.name in found.said:
        against += 0.7
    around = _words(f"{unit.path.rpartition('/')[2].partition('.')[0]} {region.within}")
    named_so = max(_ochiai(_words(region.name), found), 0.6 * _ochiai(around, found))
    if not found.ran:
        return against + named_so
    return against * 0.3 + _BY_NAME * named_so + _run(region, found)


def _run(region: Region, found: Evidence) -> float:
    """Return how suspicious it makes a region what failed tests ran of it; what is outside of functions ran before."""
    ran = found.ran_in(region.unit)
    if not region.name:
        return _OUTSIDE * max(ran.values(), default=0.0)
    first, last = region.unit.line(region.start), region.unit.line(region.end)
    return max((weight for line, weight in ran.items() if first <= line <= last), default=0.0)


def _ochiai(words: frozenset[str], found: Evidence) -> float:
    if not words or not found.failed:
        return 0.0
    failed = sum(_overlap(words, test) for test in found.failed)
    passed = sum(_overlap(words, test) for test in found.passed)
    return failed / math.sqrt(len(found.failed) * (failed + passed)) if failed else 0.0


def callees(region: Region) -> frozenset[str]:
    """Return the functions of the file that a region calls, by name."""
    known = set(region.unit.functions)
    words = set(re.findall(rb"[A-Za-z_]\w*", region.unit.content[region.start : region.end]))
    return frozenset(name.decode("utf-8", "replace") for name in known & words) - {region.name}


def _overlap(words: frozenset[str], test: frozenset[str]) -> float:
    return len(words & test) / len(words)


@lru_cache(maxsize=8192)
def _words(name: str) -> frozenset[str]:
    """Return the words a name is made of, by their first letters: `merge_intervals` and `MergedInterval` share two."""
    found = (part.lower() for part in _PARTS.findall(name))
    return frozenset(part[:_STEM] for part in found if len(part) > 1 and part not in _IDLE)
