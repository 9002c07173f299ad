"""Which room takes which meeting."""

from planner.intervals import merge


def pack(sizes, capacity):
    """Return groups of sizes that each fit into the capacity: first fit, the greatest first.

    Raises ValueError for a size that fits nowhere.
    """
    groups = []
    for size in sorted(sizes, reverse=True):
        if size > capacity:
            raise ValueError(f"{size} is more than {capacity}")
        for group in groups:
            if sum(group) + size <= capacity:
                group.append(size)
                break
        else:
            groups.append([size])
    return groups


def most_at_once(meetings):
    """Return how many meetings are held at the same time at most."""
    changes = []
    for start, end in meetings:
        changes.append((start, 1))
        changes.append((end, -1))
    most = now = 0
    for _, change in sorted(changes):
        now += change
        most = max(most, now)
    return most


def assign(meetings, rooms):
    """Return `{meeting: room}` so that no room has two meetings at once, or None when the rooms are too few.

    A meeting is `(start, end)`; rooms are tried in their order.
    """
    busy = {room: [] for room in rooms}
    assigned = {}
    for meeting in sorted(meetings):
        start, end = meeting
        for room in rooms:
            if all(end <= other_start or start >= other_end for other_start, other_end in busy[room]):
                busy[room].append(meeting)
                assigned[meeting] = room
                break
        else:
            return None
    return assigned


def usage(assigned, day):
    """Return for each room what share of the day it is in use, from 0 to 1."""
    start, end = day
    by_room = {}
    for meeting, room in assigned.items():
        by_room.setdefault(room, []).append(meeting)
    shares = {}
    for room, meetings in by_room.items():
        minutes = sum(last - first for first, last in merge(meetings))
        shares[room] = minutes / (end - start)
    return shares
