"""Where the next item goes: the rule of online bin packing that is evolved.

Free room in a bin is worth something, and not every unit of it the same: the last few units of a bin are hard to use,
a lot of room takes any item. An item goes where it takes away the least worth; among equals, into the fullest bin. With
all worths equal every bin loses the same, so the fullest one is taken: that is exactly best fit.
"""

from collections.abc import Sequence

# What a unit of room is worth, band by band: the first two units of a bin's free room, then those up to 4, 8, 16, 32
# and 64 units, and all above.
WORTH = {
    "uniform": (1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0),
    "weibull": (1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0),
}


def priority(before: Sequence[int], after: Sequence[int], kind: str) -> float:
    """Return how good it is to place an item, given a bin's free room before and after as units in each band."""
    return worth(after, WORTH[kind]) - worth(before, WORTH[kind])


def worth(room: Sequence[int], weights: Sequence[float]) -> float:
    """Return what some free room is worth."""
    return sum(weight * units for weight, units in zip(weights, room))
