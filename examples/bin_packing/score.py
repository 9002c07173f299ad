"""The scorer of `split.toml`: asks the rule which rooms it prefers, in a sandbox it is not in itself, and packs here.

The rule never sees an item's place in line, let alone what comes later, and what packs and counts is out of its reach.
"""

from __future__ import annotations

from bench import HERE, SETS, bound, excess, pack, read

from evogit.evaluator import CandidateFailed, candidate, report


def main() -> None:
    """Score the candidate's rule as `bench.py` does."""
    instances = {kind: read(HERE / "data" / f"{kind}-evolve.txt") for kind in SETS}
    sizes = {kind: sorted({size for items in lists for size in items}) for kind, lists in instances.items()}
    with candidate("bench:orders") as orders:
        answers = orders.map([(kind, sizes[kind]) for kind in SETS])
    used, percent = {}, {}
    for kind, answer in zip(SETS, answers):
        choose = checked(answer, sizes[kind], SETS[kind])
        used[f"{kind} bins"] = sum(pack(items, SETS[kind], choose) for items in instances[kind])
        least = sum(bound(items, SETS[kind]) for items in instances[kind])
        percent[kind] = excess(used[f"{kind} bins"], least)
    report(sum(percent.values()) / len(percent), metrics=used, instances=percent)


def checked(answer: object, sizes: list[int], capacity: int) -> dict[int, list[int]]:
    """Return the preferred rooms for each size.

    Raises:
        CandidateFailed: an item would not fit where it is to go, or nothing is said of an empty bin.
    """
    if not isinstance(answer, list) or len(answer) != len(sizes):
        raise CandidateFailed("there is not one order of rooms for each size")
    for size, rooms in zip(sizes, answer):
        if not isinstance(rooms, list) or not rooms or any(type(room) is not int for room in rooms):
            raise CandidateFailed(f"the order of rooms for size {size} is no list of whole numbers")
        if min(rooms) < size or max(rooms) != capacity or rooms[-1] != capacity:
            raise CandidateFailed(f"the rooms for size {size} are not those it fits in, up to an empty bin")
    return dict(zip(sizes, answer))


if __name__ == "__main__":
    main()
