"""Which of an operation's changes comes first: the simple ones, and those on lines that a message names.

The order stands for a probability that falls with the rank, so that the likeliest changes of all operations come before
the rest of any (candidates by a model of what is correct: Long and Rinard, "Automatic patch generation by learning
correct code", POPL 2016; the smallest first: Mechtaev, Yi and Roychoudhury, "DirectFix", ICSE 2015).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from evogit.proposers.surgery.suspicion import Evidence
from evogit.proposers.surgery.syntax import Change, Region, Unit

_FIRST = 10
"""Changes at the head of an operation's order which are about as likely as each other."""
_NAMED = 1.5
"""How much likelier a change is on a line that a message names."""
_RUN, _NOT_RUN = 0.4, 0.1
"""How likely a change is on a line that many passed tests ran, too, and on one that no failed test ran."""
_SIMPLE = 40
"""Bytes put in at which a change is half as likely as the smallest."""
_LINES = 0.3
"""What a change of several lines is worth beside one of one."""


def share(rank: float, among: float) -> float:
    """Return the probability that of so many changes, in their order, the one at this rank (from 0) is the right one.

    Zipf's law with an offset, over all ranks: 1 together.
    """
    return 1 / ((rank + _FIRST) * math.log(1 + among / _FIRST))


def worths(region: Region, changes: Sequence[Change], against: Evidence) -> Sequence[float]:
    """Return how likely each change is, beside one of weight 1 that is short and on the most suspicious line."""
    suspects, ran = against.places(region.unit), against.ran_in(region.unit)
    suspects = {line: weight for line, weight in suspects.items() if not _refuses(region.unit, line)}
    weights = [_weight(region.unit, change, suspects) for change in changes]
    if not ran:
        return weights
    return [weight * one for weight, one in zip(weights, _by_lines(region, changes, ran), strict=True)]


def _refuses(unit: Unit, line: int) -> bool:
    """Return whether a line raises an exception on purpose: then what is wrong came before."""
    return unit.text_of(line).startswith((b"raise ", b"throw ", b"assert "))


def _by_lines(region: Region, changes: Sequence[Change], ran: Mapping[int, float]) -> Sequence[float]:
    """Return for each change how likely the lines it is on make it, 1 for the most suspicious lines of the region."""
    unit = region.unit
    first, last = unit.line(region.start), unit.line(region.end)
    here = {line: score for line, score in ran.items() if first <= line <= last}
    most = max(here.values(), default=0.0)
    if not most:
        return [1.0] * len(changes)
    known: dict[tuple[int, int], float] = {}
    found = []
    for change in changes:
        place = change.start, change.end
        if place not in known:
            start = unit.line(change.start)
            end = start + unit.content.count(b"\n", change.start, change.end)
            score = max((here.get(line, 0.0) for line in range(start, end + 1)), default=0.0) / most
            known[place] = _RUN + (1 - _RUN) * score**2 if score else _NOT_RUN
        found.append(known[place])
    return found


def _weight(unit: Unit, change: Change, suspects: Mapping[int, float]) -> float:
    weight = change.weight / (1 + len(change.text) / _SIMPLE)
    if b"\n" in change.text.strip():
        weight *= _LINES
    if suspects:
        weight *= 1 + _NAMED * suspects.get(unit.line(change.start), 0.0)
    return weight
