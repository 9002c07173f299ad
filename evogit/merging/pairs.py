"""Which lineages to merge: all that got better since they parted and that git can put together, one merge at a time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from random import Random

from evogit.merging.combine import Combined, combine, meeting_point
from evogit.merging.in_flight import InFlight
from evogit.model import CommitId, Direction, TreeId
from evogit.phylogeny import Phylogeny
from evogit.store import merge
from evogit.store.repository import Repository

_POOL = 24
"""Promising candidates that are paired with each other."""
_MAX_PARENTS = 8
_CONFLICTING = 0.25
"""How often a pair that is drawn is merged all the same where chance would have to decide conflicts."""
_BY_MEANING = {"given up": 1.0, "touching": 0.5, "apart": 0.25}
"""What pairs weigh when a model is to bring them together: those first that lines cannot, last those that lines can."""


@dataclass(frozen=True, slots=True)
class Pair:
    """Two candidates that parted at `base`; `promise` is the score of both gains together, did they just add up.

    `complement` says from 0 to 1 how evenly they share the wins on single instances.
    """

    parents: tuple[CommitId, CommitId]
    base: CommitId
    promise: float
    disjoint: bool
    complement: float


class Mates:
    """Finds lineages worth merging in the graph; what it derives from commits it keeps, since they never change."""

    def __init__(self, repo: Repository, graph: Phylogeny) -> None:
        self._repo = repo
        self._graph = graph
        self._related: dict[tuple[CommitId, CommitId], CommitId | None] = {}
        self._above: dict[tuple[CommitId, CommitId], bool] = {}
        self._in_vain: dict[CommitId, list[CommitId]] = {}
        self._touched: dict[CommitId, Mapping[bytes, str]] = {}
        self._found: dict[bool, tuple[tuple[int, int], list[Pair]]] = {}
        self._clean: dict[tuple[CommitId, ...], bool] = {}
        self._in_flight = InFlight(graph)

    def choose(self, rng: Random) -> tuple[CommitId, ...]:
        """Return the parents of a merge, two or all that fit, or none when no merge is promising or one is in flight.

        The greater a pair's promise, the likelier; the same graph and generator give the same choice. What would be
        merged beside a merge that nobody knows the score of would have to be merged with that once more.

        Raises:
            StorageError: a commit or a tree cannot be read.
        """
        pairs = list(self.pairs())
        if not pairs or self._in_flight.is_any():
            return ()
        weights = [(1 + pair.complement) / (1 + number) for number, pair in enumerate(pairs)]
        while pairs:
            drawn = rng.choices(range(len(pairs)), weights)[0]
            pair = pairs.pop(drawn)
            del weights[drawn]
            if pair.disjoint or self._is_clean(pair.parents):
                return self._with_more(pair, rng)
            if rng.random() < _CONFLICTING:
                return pair.parents
        return ()

    def choose_to_ask(self, rng: Random) -> tuple[CommitId, ...]:
        """Return two parents that a model is to bring together, the better one first, or none when no pair is left.

        Likelier are pairs that merging by lines has given up, then those whose changes meet in a file.

        Raises:
            StorageError: a commit or a tree cannot be read.
        """
        pairs = self.pairs(by_meaning=True)
        if not pairs:
            return ()
        weights = [
            _BY_MEANING[self._kind(pair)] * (1 + pair.complement) / (1 + number) for number, pair in enumerate(pairs)
        ]
        return rng.choices(pairs, weights)[0].parents

    def pairs(self, *, by_meaning: bool = False) -> list[Pair]:
        """Return the pairs worth merging, the most promising first.

        Neither is the other's ancestor, both beat their common ancestor, nobody tried them together, and if their gains
        add up, they beat the best there is. What was tried `by_meaning`, by asking a model, and what was tried by lines
        is remembered apart.

        Raises:
            StorageError: a commit or a tree cannot be read.
        """
        when = (self._graph.version, len(self._graph.snapshot.touched))
        known = self._found.get(by_meaning)
        if known is None or known[0] != when:
            tried = self._graph.asked if by_meaning else self._graph.tried
            known = self._found[by_meaning] = (when, self._find(tried))
        return known[1]

    def _kind(self, pair: Pair) -> str:
        one, other = pair.parents
        graph = self._graph
        if frozenset(pair.parents) in graph.tried and not (
            set(graph.ancestry.children(one)) & set(graph.ancestry.children(other))
        ):
            return "given up"
        return "apart" if pair.disjoint else "touching"

    def _find(self, tried: Set[frozenset[CommitId]]) -> list[Pair]:
        pool = self.pool()
        self._in_vain.clear()
        found = [
            pair
            for number, one in enumerate(pool)
            for other in pool[number + 1 :]
            if (pair := self._pair(one, other, tried))
        ]
        sign = -1.0 if self._graph.snapshot.direction is Direction.MAXIMIZE else 1.0
        return sorted(found, key=lambda pair: (sign * pair.promise, pair.parents))

    def pool(self) -> list[CommitId]:
        """Return the promising candidates, the best first: gains that no child of theirs has beaten."""
        graph = self._graph
        gains = graph.gains.top(64)
        promising = [commit for commit in gains if not any(graph.is_gain(child) and graph.may_build_on(child)
                                                           for child in graph.ancestry.children(commit))]  # fmt: skip
        promising.sort(key=lambda commit: not graph.is_preferred(commit))  # stable: promoted lineages first
        return promising[:_POOL]

    def _pair(self, one: CommitId, other: CommitId, tried: Set[frozenset[CommitId]]) -> Pair | None:
        graph = self._graph
        found = self._apart(one, other, tried)
        if found is None:
            return None
        base, promise = found
        if graph.field.best is not None and not graph.snapshot.is_better(promise, graph.field.best):
            return None
        disjoint = not (self._paths(base, one).keys() & self._paths(base, other).keys())
        return Pair((one, other), base, promise, disjoint, self._complement(one, other))

    def _apart(self, one: CommitId, other: CommitId, tried: Set[frozenset[CommitId]]) -> tuple[CommitId, float] | None:
        """Return where two parted that both got better since, and their gains added up; None when they are no such."""
        graph = self._graph
        if frozenset((one, other)) in tried:
            return None
        base = self._base(one, other)
        before = graph.value(base) if base else None
        if base is None or before is None:
            return None
        left, right = graph.value(one), graph.value(other)
        better = graph.snapshot.is_better
        if left is None or right is None or not (better(left, before) and better(right, before)):
            return None
        if self._failed_before(one, other) or self._failed_before(other, one):
            return None
        return base, left + right - before

    def _failed_before(self, one: CommitId, other: CommitId) -> bool:
        """Return whether `one` was merged with an ancestor of `other` in vain: what did not fit then seldom does."""
        if one not in self._in_vain:
            self._in_vain[one] = self._mates_in_vain(one)
        return any(self._is_above(mate, other) for mate in self._in_vain[one])

    def _mates_in_vain(self, one: CommitId) -> list[CommitId]:
        """Return those it was merged with, alone, where no gain came of it; a good candidate has many children."""
        graph = self._graph
        found = []
        for child in graph.ancestry.children(one):
            mates = [parent for parent in graph.ancestry.parents(child) if parent != one]
            if len(mates) == 1 and graph.value(child) is not None and not graph.is_gain(child):
                found += mates
        return found

    def _is_above(self, one: CommitId, other: CommitId) -> bool:
        key = (one, other)
        if key not in self._above:
            self._above[key] = self._graph.ancestry.is_ancestor(one, other)
        return self._above[key]

    def _base(self, one: CommitId, other: CommitId) -> CommitId | None:
        """Return where two candidates parted; None when one is the other's ancestor."""
        key = (min(one, other), max(one, other))
        if key not in self._related:
            base = meeting_point(self._graph, key)
            self._related[key] = None if base in key else base
        return self._related[key]

    def _paths(self, base: CommitId, commit: CommitId) -> dict[bytes, str]:
        """Return what differs between two commits, seen through what each differs from the run's base in."""
        before, after = self._from_base(base), self._from_base(commit)
        return {
            path: after.get(path, "")
            for path in before.keys() | after.keys()
            if before.get(path, "") != after.get(path, "")
        }

    def _from_base(self, commit: CommitId) -> Mapping[bytes, str]:
        if commit not in self._touched:
            start, tree = (TreeId(str(self._repo.commit(one).tree_id)) for one in (self._graph.base, commit))
            self._touched[commit] = merge.changed_paths(self._repo, start, tree)
        return self._touched[commit]

    def _complement(self, one: CommitId, other: CommitId) -> float:
        """Return from 0 to 1 how evenly the two share the wins on single instances."""
        left, right = self._instances(one), self._instances(other)
        common = left.keys() & right.keys()
        if not common:
            return 0.0
        better = self._graph.snapshot.is_better
        wins = sum(better(left[name], right[name]) for name in common)
        losses = sum(better(right[name], left[name]) for name in common)
        return 2 * min(wins, losses) / len(common)

    def _instances(self, commit: CommitId) -> Mapping[str, float]:
        judged = self._graph.judged(commit)
        return judged.instances if judged else {}

    def _with_more(self, pair: Pair, rng: Random) -> tuple[CommitId, ...]:
        """Join all further gains that git can put together with those already chosen: it is one evaluation."""
        chosen: list[CommitId] = list(pair.parents)
        others = [commit for commit in self.pool() if commit not in chosen]
        rng.shuffle(others)
        for commit in others:
            if len(chosen) == _MAX_PARENTS:
                break
            if self._fits(chosen, commit):
                chosen.append(commit)
        return tuple(chosen) if frozenset(chosen) not in self._graph.tried else pair.parents

    def _fits(self, chosen: Sequence[CommitId], commit: CommitId) -> bool:
        # A small gain need not beat the best with each of the others alone: with all of them it adds its own.
        if any(self._apart(one, commit, self._graph.tried) is None for one in chosen):
            return False
        base = meeting_point(self._graph, [*chosen, commit])
        if base is None:
            return False
        taken = {path for one in chosen for path in self._paths(base, one)}
        return not (taken & self._paths(base, commit).keys()) or self._is_clean((*chosen, commit))

    def _is_clean(self, parents: tuple[CommitId, ...]) -> bool:
        """Return whether a merge of these leaves nothing to chance; known of each once, since commits never change."""
        if parents not in self._clean:
            made = combine(self._repo, self._graph, parents, Random(0))
            self._clean[parents] = isinstance(made, Combined) and not made.settled
        return self._clean[parents]
