"""The score command: packs the instances by the rule beside it, and writes how far from the bound it ends up."""

from __future__ import annotations

import json
import math
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

HERE = Path(__file__).parent
SETS = {"uniform": 150, "weibull": 100}
"""The sets of instances, and the capacity of their bins."""

BANDS = (0, 2, 4, 8, 16, 32, 64)
"""Where the bands begin by which the rule looks at free room; the last one has no end."""

Priority = Callable[[Sequence[int], Sequence[int], str], float]


def read(path: Path) -> list[list[int]]:
    """Return the instances in a file: one a line, the items' sizes in the order they arrive."""
    return [[int(size) for size in line.split()] for line in path.read_text().splitlines() if line.strip()]


def bound(items: list[int], capacity: int) -> int:
    """Return the L1 bound: no packing has fewer bins."""
    return -(-sum(items) // capacity)


def pack(items: list[int], capacity: int, choose: dict[int, list[int]]) -> int:
    """Return how many bins the rule fills; `choose[size]` is the order in which it prefers rooms for that size."""
    bins = [0] * (capacity + 1)
    used = 0
    for size in items:
        for room in choose[size]:
            if bins[room]:
                bins[room] -= 1
                break
            if room == capacity:  # an empty bin is always there
                used += 1
                break
        bins[room - size] += 1
    return used


def bands(room: int) -> tuple[int, ...]:
    """Return how many units of some free room lie in each band."""
    ends = (*BANDS[1:], room)
    return tuple(max(0, min(room, end) - start) for start, end in zip(BANDS, ends))


def preferences(priority: Priority, kind: str, sizes: set[int]) -> dict[int, list[int]]:
    """Return for each size the rooms it fits in, the preferred first, fuller bins among equals, up to an empty bin.

    Raises:
        ValueError: the rule says something that is no finite number.
    """
    capacity = SETS[kind]
    rooms = [bands(room) for room in range(capacity + 1)]
    found = {}
    for size in sizes:
        ranked = []
        for room in range(size, capacity + 1):
            value = priority(rooms[room], rooms[room - size], kind)
            if type(value) not in (int, float) or not math.isfinite(value):
                raise ValueError(f"the priority of {size} into a bin with {room} left is {value!r}, no finite number")
            ranked.append((-round(value, 9), room))
        ranked.sort()
        order = [room for _, room in ranked]
        found[size] = order[: order.index(capacity) + 1]
    return found


def measure(priority: Priority, instances: list[list[int]], kind: str) -> tuple[int, int]:
    """Return the bins used and the L1 bound, summed over the instances."""
    capacity = SETS[kind]
    choose = preferences(priority, kind, {size for items in instances for size in items})
    return sum(pack(items, capacity, choose) for items in instances), sum(bound(i, capacity) for i in instances)


def orders(kind: str, sizes: list[int]) -> list[list[int]]:
    """Return for each size the rooms that `rule.py` prefers: what the worker of a split evaluator is asked."""
    from rule import priority

    found = preferences(priority, kind, set(sizes))
    return [found[size] for size in sizes]


def excess(used: int, least: int) -> float:
    """Return how many bins too many, in percent of the bound."""
    return 100 * (used / least - 1)


def main() -> None:
    """Measure `rule.py` beside this file on the sets it is evolved on."""
    sys.path.insert(0, str(HERE))
    from rule import priority

    found = {kind: measure(priority, read(HERE / "data" / f"{kind}-evolve.txt"), kind) for kind in SETS}
    percent = {kind: excess(*pair) for kind, pair in found.items()}
    result = {
        "score": sum(percent.values()) / len(percent),
        "metrics": {f"{kind} bins": used for kind, (used, _) in found.items()},
        "instances": percent,
    }
    target = os.environ.get("EVOGIT_RESULT")
    text = json.dumps(result)
    if target:
        Path(target).write_text(text)
    else:
        print(text)


if __name__ == "__main__":
    main()
