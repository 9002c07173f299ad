"""The bare graph of commits: ids as whole numbers, parents and children in arrays; knows nothing of scores.

A commit's number is greater than those of its parents, which every walk here relies on. Numbers depend on the order in
which commits became known, so nothing that is shown or chosen may depend on them.
"""

from __future__ import annotations

import heapq
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence

from evogit.model import CommitId

_LEFT, _RIGHT, _STALE = 1, 2, 4
_NONE = -1


class Ancestry:
    """A growing directed graph without cycles, 28 bytes a node and an edge beside the ids."""

    def __init__(self) -> None:
        self._ids: list[CommitId] = []
        self._numbers: dict[CommitId, int] = {}
        self._generation = array("i")
        self._first = array("i")
        self._second = array("i")
        self._more: dict[int, tuple[int, ...]] = {}
        self._last_edge = array("i")
        self._edge_child = array("i")
        self._edge_before = array("i")

    def __len__(self) -> int:
        return len(self._ids)

    def __contains__(self, commit: CommitId) -> bool:
        return commit in self._numbers

    def __iter__(self) -> Iterator[CommitId]:
        return iter(self._ids)

    def add(self, commit: CommitId, parents: Sequence[CommitId]) -> None:
        """Take in a commit whose parents are all known."""
        number = len(self._ids)
        known = [self._numbers[parent] for parent in dict.fromkeys(parents)]
        self._ids.append(commit)
        self._numbers[commit] = number
        self._first.append(known[0] if known else _NONE)
        self._second.append(known[1] if len(known) > 1 else _NONE)
        if len(known) > 2:
            self._more[number] = tuple(known[2:])
        self._generation.append(1 + max((self._generation[parent] for parent in known), default=-1))
        self._last_edge.append(_NONE)
        for parent in known:
            self._edge_child.append(number)
            self._edge_before.append(self._last_edge[parent])
            self._last_edge[parent] = len(self._edge_child) - 1

    def parents(self, commit: CommitId) -> list[CommitId]:
        """Return its parents, in the order Git has them."""
        number = self._numbers[commit]
        first, second = self._first[number], self._second[number]
        if second != _NONE:
            return [self._ids[parent] for parent in self._parents(number)]
        return [self._ids[first]] if first != _NONE else []

    def children(self, commit: CommitId) -> list[CommitId]:
        """Return its children, by id."""
        return sorted(self._ids[child] for child in self._children(self._numbers[commit]))

    def generation(self, commit: CommitId) -> int:
        """Return the length of the longest way down to a root."""
        return self._generation[self._numbers[commit]]

    def ancestors(self, commit: CommitId) -> set[CommitId]:
        """Return all its ancestors, itself left out."""
        found = self._reach(self._numbers[commit], self._parents)
        return {self._ids[number] for number in found} - {commit}

    def clade(self, commit: CommitId) -> set[CommitId]:
        """Return the commit and all its descendants, each once however many ways lead to it."""
        return {self._ids[number] for number in self._reach(self._numbers[commit], self._children)}

    def number(self, commit: CommitId) -> int:
        """Return a commit's number: an index for arrays beside this graph."""
        return self._numbers[commit]

    def upwards(self, commit: CommitId) -> set[int]:
        """Return the numbers of a commit and all its ancestors."""
        return self._reach(self._numbers[commit], self._parents)

    def clade_counts(self, marked: Iterable[CommitId]) -> array[int]:
        """Return by number how many of the marked commits are in each commit's clade, each counted once.

        Clades are sets of bits, put together from the newest commit to the oldest: 100,000 take about a second, where
        walking up from every commit would take a minute.
        """
        chosen = {self._numbers[commit] for commit in marked}
        counts = array("i", bytes(4 * len(self)))
        below: dict[int, int] = {}
        for number in range(len(self) - 1, -1, -1):
            bits = below.pop(number, 0) | (1 << number if number in chosen else 0)
            counts[number] = bits.bit_count()
            for parent in self._parents(number) if bits else ():
                below[parent] = below.get(parent, 0) | bits
        return counts

    def is_ancestor(self, older: CommitId, newer: CommitId) -> bool:
        """Return whether one is reached from the other by parents; a commit is no ancestor of itself."""
        goal, start = self._numbers[older], self._numbers[newer]
        todo, seen = [start], {start}
        while todo:
            for parent in self._parents(todo.pop()):
                if parent == goal:
                    return True
                if parent > goal and parent not in seen:
                    seen.add(parent)
                    todo.append(parent)
        return False

    def common_ancestors(self, one: CommitId, other: CommitId) -> list[CommitId]:
        """Return the best common ancestors by id: those that are no ancestor of another; there may be several.

        A commit counts as its own ancestor here, as for `git merge-base --all`, whose painting of the two histories
        this follows; numbers that respect ancestry make one pass exact.
        """
        flags = {self._numbers[one]: _LEFT}
        flags[self._numbers[other]] = flags.get(self._numbers[other], 0) | _RIGHT
        todo = [-number for number in flags]
        heapq.heapify(todo)
        fresh = len(todo)
        found = []
        while fresh:
            number = -heapq.heappop(todo)
            flag = flags.pop(number)
            if not flag & _STALE:
                fresh -= 1
                if flag == _LEFT | _RIGHT:
                    found.append(self._ids[number])
                    flag |= _STALE
            for parent in self._parents(number):
                before = flags.get(parent)
                if before is None:
                    heapq.heappush(todo, -parent)
                    fresh += not flag & _STALE
                elif flag & _STALE and not before & _STALE:
                    fresh -= 1
                flags[parent] = (before or 0) | flag
        return sorted(found)

    def distance(self, one: CommitId, other: CommitId) -> int | None:
        """Return the fewest steps from one to the other by way of a common ancestor; None when they have none."""
        left, right = self._steps_down(self._numbers[one]), self._steps_down(self._numbers[other])
        return min((steps + right[number] for number, steps in left.items() if number in right), default=None)

    def _steps_down(self, start: int) -> dict[int, int]:
        steps = {start: 0}
        level = [start]
        while level:
            following = []
            for number in level:
                for parent in self._parents(number):
                    if parent not in steps:
                        steps[parent] = steps[number] + 1
                        following.append(parent)
            level = following
        return steps

    def _parents(self, number: int) -> Iterator[int]:
        first, second = self._first[number], self._second[number]
        if first != _NONE:
            yield first
        if second != _NONE:
            yield second
            yield from self._more.get(number, ())

    def _children(self, number: int) -> Iterator[int]:
        edge = self._last_edge[number]
        while edge != _NONE:
            yield self._edge_child[edge]
            edge = self._edge_before[edge]

    def _reach(self, start: int, step: Callable[[int], Iterator[int]]) -> set[int]:
        seen, todo = {start}, [start]
        while todo:
            fresh = [number for number in step(todo.pop()) if number not in seen]
            seen.update(fresh)
            todo.extend(fresh)
        return seen
