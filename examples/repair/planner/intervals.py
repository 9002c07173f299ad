"""Half-open intervals of minutes: `(start, end)` with `start < end`."""


def merge(intervals):
    """Return the union of the intervals as a sorted list in which none overlaps or touches another."""
    merged = []
    for start, end in sorted(intervals):
        if merged and start <= merged[-1][1]:
            last_start, last_end = merged[-1]
            merged[-1] = (last_start, max(last_end, end))
        else:
            merged.append((start, end))
    return merged


def subtract(interval, taken):
    """Return what is left of an interval when all of `taken` is cut out of it."""
    start, end = interval
    left = []
    for cut_start, cut_end in merge(taken):
        if cut_end <= start or cut_start >= end:
            continue
        if cut_start > start:
            left.append((start, cut_start))
        start = max(start, cut_end)
    if start < end:
        left.append((start, end))
    return left


def total(intervals):
    """Return how many minutes the intervals cover together."""
    return sum(end - start for start, end in merge(intervals))


def first_gap(day, taken, minutes):
    """Return the first free interval of that many minutes in a day, or None."""
    for start, end in subtract(day, taken):
        if end - start >= minutes:
            return (start, start + minutes)
    return None
