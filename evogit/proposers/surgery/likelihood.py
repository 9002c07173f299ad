"""Which of an operation's changes comes first: the simple ones, and those on lines that a message names.

The order stands for a probability that falls with the rank, so that the likeliest changes of all operations come before
the rest of any (candidates by a model of what is correct: Long and Rinard, "Automatic patch generation by learning
correct code", POPL 2016; the smallest first: Mechtaev, Yi and Roychoudhury, "DirectFix", ICSE 2015).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from random import Random

from evogit.proposers.surgery.syntax import Change, Region, Unit

_FIRST = 10
"""Changes at the head of an operation's order which are about as likely as each other."""
_NAMED = 4.0
"""How much likelier a change is on a line that a message names."""
_NEW = 3.0
"""How much likelier a statement is missing where it does not stand in the same function already."""
_SIMPLE = 40
"""Bytes put in at which a change is half as likely as the smallest."""
_LINES = 0.3
"""What a change of several lines is worth beside one of one."""


def share(rank: int, among: int) -> float:
    """Return the probability that of so many changes, in their order, the one at this rank (from 0) is the right one.

    Zipf's law with an offset, over all ranks: 1 together.
    """
    return 1 / ((rank + _FIRST) * math.log(1 + among / _FIRST))


def likeliest(region: Region, changes: Sequence[Change], suspects: Mapping[int, float], rng: Random) -> Change:
    """Return one of the changes, the likely ones more often; `suspects` are lines that messages name."""
    weights = [_weight(region.unit, region.start, region.end, change, suspects) for change in changes]
    return rng.choices(changes, weights)[0]


def _weight(unit: Unit, first: int, last: int, change: Change, suspects: Mapping[int, float]) -> float:
    weight = 1 / (1 + len(change.text) / _SIMPLE)
    if b"\n" in change.text.strip():
        weight *= _LINES
    if change.what and change.start == change.end and change.what not in unit.content[first:last]:
        weight *= _NEW
    if suspects:
        weight *= 1 + _NAMED * suspects.get(unit.line(change.start), 0.0)
    return weight
