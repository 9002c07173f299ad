"""The scorer of `first_fit.toml`: packs by the rule in `place.py`. `python first_fit.py` says how far from the bound.

The rule sees one bin at a time, an empty one that would be the next among them, and no item but the one in hand.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from bench import HERE, SETS, bound, excess, read
from place import priority

PARTS = {"evolve": 5, "held-out": 20}
"""How many of the instances like OR3 of each part are packed."""


def bins(rule: Callable[[int, int, int], float], items: list[int], capacity: int) -> int:
    """Return how many bins a rule fills; of two as good the one that was opened first is taken.

    Raises:
        ValueError: the rule says something that is no finite number.
    """
    rooms: list[int] = []
    for size in items:
        fitting = [(number, room) for number, room in enumerate(rooms) if room >= size]
        fitting.append((len(rooms), capacity))
        values = [rule(size, room, number) for number, room in fitting]
        if any(type(value) not in (int, float) or not math.isfinite(value) for value in values):
            raise ValueError("a priority is no finite number")
        chosen = fitting[values.index(max(values))][0]
        if chosen == len(rooms):
            rooms.append(capacity)
        rooms[chosen] -= size
    return len(rooms)


def measured(part: str) -> float:
    """Return the excess over the L1 bound in percent on the instances of a part."""
    instances = read(HERE / "data" / f"uniform-{part}.txt")[: PARTS[part]]
    capacity = SETS["uniform"]
    return excess(sum(bins(priority, i, capacity) for i in instances), sum(bound(i, capacity) for i in instances))


def score() -> float:
    """Return the excess on the instances the rule is evolved on."""
    return measured("evolve")


if __name__ == "__main__":
    for part in PARTS:
        print(f"{part}: {measured(part):.3f} %")
