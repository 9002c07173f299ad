"""The instances: sizes as in OR3, fewer items, drawn from fixed seeds. Only the scorer sees this file.

`PARTS["held back"]` scores no candidate.
"""

from __future__ import annotations

from random import Random

CAPACITY = 150
PARTS = {"scored": (1, 12), "held back": (2, 40)}
"""The seed and the number of instances of each part."""
ITEMS = 120


def instances(part: str) -> list[list[int]]:
    """Return the sizes of the items of each instance: from 20 to 100, as in OR3."""
    seed, count = PARTS[part]
    draw = Random(seed)
    return [[draw.randint(20, 100) for _ in range(ITEMS)] for _ in range(count)]


def bound(sizes: list[int]) -> int:
    """Return the L1 bound: no packing has fewer bins."""
    return -(-sum(sizes) // CAPACITY)


def excess(used: int, least: int) -> float:
    """Return by how many percent some bins are more than a bound."""
    return 100 * (used / least - 1)
