"""Start from the best of a kind: a map of kinds by declared features, on several islands."""

from __future__ import annotations

import math
from collections.abc import Mapping
from random import Random

from evogit.model import CommitId
from evogit.selection.protocol import Field
from evogit.selection.standing import Standing

_ISLANDS = 4
_MIGRATION = 0.1
"""How often the islands are not told apart, so that each learns of the others."""
_Cell = tuple[int, ...]


class Elites:
    """Keeps the best candidate of each cell, and takes one of an island's, each cell as likely as another.

    MAP-Elites (Mouret and Clune, arXiv 1504.04909) with islands as in AlphaEvolve and OpenEvolve. A cell is what the
    metrics named by `features` are when divided by their widths and rounded down; without features there is one. An
    island is a child of the base with all that came of it, by its id; of a merge, that of the first parent. Of equals,
    the first by id is the elite.
    """

    def __init__(self, features: Mapping[str, float] | None = None) -> None:
        """Tell kinds apart by these metrics, each with the width of a cell."""
        self._features = sorted((features or {}).items())
        self._standing = Standing()
        self._island: dict[CommitId, int] = {}
        self._maps: list[dict[_Cell, tuple[float, CommitId]]] = []

    def parents(self, field: Field, rng: Random) -> tuple[CommitId, ...]:
        """Return one parent, or none when nothing is scored."""
        self._refresh(field)
        islands = [island for island in self._maps if island]
        if not islands:
            return ()
        if rng.random() < _MIGRATION:
            every: dict[_Cell, tuple[float, CommitId]] = {}
            for cell, elite in (item for island in islands for item in island.items()):
                every[cell] = min(elite, every.get(cell, elite))
            islands = [every]
        cells = rng.choice(islands)
        return (cells[rng.choice(sorted(cells))][1],)

    def _refresh(self, field: Field) -> None:
        self._standing.refresh(field)
        if self._standing.is_fresh:
            self._maps = [{} for _ in range(_ISLANDS)]
            self._island.clear()
        for entry in self._standing.new:
            if (cell := self._cell(field, entry[1])) is not None:
                here = self._maps[self._island_of(field, entry[1])]
                here[cell] = min(entry, here.get(cell, entry))

    def _cell(self, field: Field, commit: CommitId) -> _Cell | None:
        """Return where it belongs; None when it has not all the features."""
        judged = field.graph.judged(commit)
        values = [(judged.metrics.get(name), width) for name, width in self._features] if judged else []
        if judged is None or any(value is None for value, _ in values):
            return None
        return tuple(math.floor(value / width) for value, width in values if value is not None)

    def _island_of(self, field: Field, commit: CommitId) -> int:
        """Return the island of a commit, by the ancestor next to the base along first parents."""
        way = [commit]
        while way[-1] not in self._island:
            parents = field.graph.ancestry.parents(way[-1])
            if not parents or parents[0] == field.graph.base or way[-1] == field.graph.base:
                self._island[way[-1]] = int(way[-1][:8], 16) % _ISLANDS
            else:
                way.append(parents[0])
        for one in way:
            self._island[one] = self._island[way[-1]]
        return self._island[commit]
