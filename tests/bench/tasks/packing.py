"""The example `bin_packing` in small: the worth of free room, on a few short lists of items, all of even sizes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from random import Random

CAPACITY = 60
BANDS = (0, 2, 4, 8, 16, 32)
DIRECTION = "minimize"
BASE = {
    "rule.py": '''\
"""Where the next item goes; all worths equal is best fit."""

# What a unit of room is worth, band by band: the first two units of a bin's free room, up to 4, 8, 16, 32, and above.
FEW = (1.0, 1.0, 1.0, 1.0, 1.0, 1.0)


# The same once there are many items.
MANY = (1.0, 1.0, 1.0, 1.0, 1.0, 1.0)


def priority(before, after, many):
    weights = MANY if many else FEW
    return worth(after, weights) - worth(before, weights)


def worth(room, weights):
    return sum(weight * units for weight, units in zip(weights, room))
'''
}


def _items(kind: int, number: int) -> list[int]:
    rng = Random(f"{kind}/{number}")
    return [2 * min(CAPACITY // 2 - 1, max(3, round(rng.weibullvariate(11 + 2 * kind, 2.5)))) for _ in range(150)]


INSTANCES = [[_items(kind, number) for number in range(3)] for kind in range(2)]
LEAST = sum(-(-sum(items) // CAPACITY) for lists in INSTANCES for items in lists)


def of(texts: Mapping[str, str]) -> float:
    """Return by how many percent more bins are used than the room of all items needs."""
    rule: dict[str, Callable[..., float]] = {}
    exec(compile(texts["rule.py"], "rule.py", "exec"), rule)
    used = 0
    for kind, lists in enumerate(INSTANCES):
        sizes = {size for items in lists for size in items}
        choose = {size: _order(rule["priority"], size, kind) for size in sizes}
        used += sum(_pack(items, choose) for items in lists)
    return 100 * (used / LEAST - 1)


def _order(priority: Callable[..., float], size: int, kind: int) -> list[int]:
    ranked = sorted(
        (-round(float(priority(_ROOM[room], _ROOM[room - size], kind)), 9), room)
        for room in range(size, CAPACITY + 1, 2)
    )
    order = [room for _, room in ranked]
    return order[: order.index(CAPACITY) + 1]


_ROOM = [
    tuple(max(0, min(room, end) - start) for start, end in zip(BANDS, (*BANDS[1:], CAPACITY)))
    for room in range(CAPACITY + 1)
]


def _pack(items: list[int], choose: Mapping[int, list[int]]) -> int:
    bins = [0] * (CAPACITY + 1)
    used = 0
    for size in items:
        for room in choose[size]:
            if bins[room]:
                bins[room] -= 1
                break
            if room == CAPACITY:
                used += 1
                break
        bins[room - size] += 1
    return used


def score() -> float:
    """Return the score of the rule in the present folder."""
    return of({name: Path(name).read_text() for name in BASE})
