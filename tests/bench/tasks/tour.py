"""A round trip through thirty places, one a line of a text without any number; the score is its length."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from random import Random

NAMES = [
    first + second for first in ("ald", "bre", "cor", "dun", "esk", "fal") for second in ("a", "by", "en", "or", "um")
]
_RNG = Random("tour")
PLACES = {name: (_RNG.random(), _RNG.random()) for name in NAMES}
DIRECTION = "minimize"
BASE = {"tour.txt": "".join(f"{name}\n" for name in NAMES)}


def of(texts: Mapping[str, str]) -> float:
    """Return the length of the trip; places that are missing or named twice are no candidate."""
    named = texts["tour.txt"].split()
    if sorted(named) != sorted(PLACES):
        raise ValueError("every place must be named once")
    stops = [PLACES[name] for name in named]
    return sum(math.dist(one, other) for one, other in zip(stops, [*stops[1:], stops[0]]))


def score() -> float:
    """Return the score of the trip in the present folder."""
    return of({name: Path(name).read_text() for name in BASE})
