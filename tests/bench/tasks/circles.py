"""Circles in the unit square: their centres are the constants, their radii follow; the score is the radii's sum."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path

COUNT = 26
DIRECTION = "maximize"


def _begin() -> str:
    rows = [[round((column + 0.5) / 6, 3), round((row + 0.5) / 5, 3)] for row in range(5) for column in range(6)][
        :COUNT
    ]
    return "[\n" + ",\n".join(json.dumps(row) for row in rows) + "\n]\n"


BASE = {"centres.json": _begin()}


def of(texts: Mapping[str, str]) -> float:
    """Return the sum of the radii that the centres allow: each as far as the border, two that overlap shrunk alike."""
    centres = [(float(x), float(y)) for x, y in json.loads(texts["centres.json"])]
    if len(centres) != COUNT or not all(0 <= value <= 1 for centre in centres for value in centre):
        raise ValueError(f"there must be {COUNT} centres in the unit square")
    radii = [min(x, y, 1 - x, 1 - y) for x, y in centres]
    for one, (x, y) in enumerate(centres):
        for other in range(one):
            apart = math.hypot(x - centres[other][0], y - centres[other][1])
            both = radii[one] + radii[other]
            if both > apart:
                radii[one] *= apart / both
                radii[other] *= apart / both
    return sum(radii)


def score() -> float:
    """Return the score of the centres in the present folder."""
    return of({name: Path(name).read_text() for name in BASE})
