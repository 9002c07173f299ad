"""Where the next item goes, with nothing clever in it: first fit. What `first_fit.toml` begins with."""


def priority(size: int, room: int, number: int) -> float:
    """Return how good it is to put an item of that size into bin `number` with so much room; the highest is taken."""
    return -number
