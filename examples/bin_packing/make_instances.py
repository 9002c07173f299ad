"""Writes the instances: the published distributions, drawn with fixed seeds, the same on every Python."""

from __future__ import annotations

import math
import sys
from pathlib import Path
from random import Random

COUNTS = {"evolve": (20, 5), "held-out": (60, 15)}
SEEDS = {"evolve": 1, "held-out": 1001}


def uniform(random: Random, count: int) -> list[list[int]]:
    """Return instances like OR-Library's binpack3: 500 items, sizes uniform from 20 to 100, bins of 150."""
    return [[20 + int(81 * random.random()) for _ in range(500)] for _ in range(count)]


def weibull(random: Random, count: int) -> list[list[int]]:
    """Return instances like FunSearch's Weibull 5k: 5,000 items, shape 3, scale 45, rounded, at most 100."""

    def size() -> int:
        drawn: float = 45 * (-math.log(1 - random.random())) ** (1 / 3)
        return min(100, max(1, round(drawn)))

    return [[size() for _ in range(5000)] for _ in range(count)]


def texts() -> dict[str, str]:
    """Return the content of each file by its name."""
    found = {}
    for part, (uniforms, weibulls) in COUNTS.items():
        for name, instances in (
            ("uniform", uniform(Random(SEEDS[part]), uniforms)),
            ("weibull", weibull(Random(SEEDS[part] + 1), weibulls)),
        ):
            found[f"{name}-{part}.txt"] = "".join(" ".join(map(str, items)) + "\n" for items in instances)
    return found


if __name__ == "__main__":
    for name, text in texts().items():
        (Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parent / "data") / name).write_text(text)
