"""What agents are measured against: one lineage, one edit after another, kept when it is not worse."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from random import Random

from evogit.model import Count, Direction, Edit, Measurement, RepoPath, SourceFile
from evogit.phylogeny.advances import GAINS, GENERATIONS, OWN
from evogit.proposers.protocol import EDIT, OPERATION, PLACE, Advance, Past, Proposer, Request

_TRIES = 30
Files = Mapping[str, bytes]


@dataclass(slots=True)
class Climber:
    """A sequential (1+1) climber with the agents' own proposers, which never measures the same files twice.

    It knows its parent: what the parent's edit recorded, and what the evaluator said of it. One that `learns` has, as
    agents do, all else that helps without a family tree: what came of earlier edits, and what made its scores better.
    """

    measure: Callable[[Files], Measurement]
    direction: Direction
    proposers: Sequence[Proposer]
    learns: bool = False

    def climb(self, base: Files, evaluations: int, rng: Random) -> list[float | None]:
        """Return the score of every evaluation in turn, the first of them the base's."""
        here, path = self.measure(base), [dict(base)]
        found, seen = [here.value], {_key(base)}
        params: Mapping[str, float] = {}
        counts: dict[str, dict[float, Count]] = {OPERATION: {}, PLACE: {}}
        tried: dict[float | None, set[float]] = {}
        while len(found) < evaluations:
            edit, files = self._edit(path, here, params, seen, counts, tried.get(here.value, set()), rng)
            if edit is None:
                break
            seen.add(_key(files))
            measured = self.measure(files)
            found.append(measured.value)
            better = self._is_better(measured.value, here.value)
            tried.setdefault(here.value, set()).add(edit.params.get(EDIT, -1.0))
            for name, known in counts.items():
                if name in edit.params:
                    old = known.get(edit.params[name], Count())
                    changed = old.changed + (measured.value != here.value)
                    known[edit.params[name]] = Count(old.tried + 1, changed, old.improved + better)
            if better or measured.value == here.value:
                here, params = measured, edit.params
                path.append(files)
        return found

    def _edit(
        self, path: Sequence[Files], here: Measurement, params: Mapping[str, float], seen: set[bytes],
        counts: Mapping[str, Mapping[float, Count]], tried: set[float], rng: Random,
    ) -> tuple[Edit | None, dict[str, bytes]]:  # fmt: skip
        request = Request(files=_sources(path[-1]), params=params, feedback=here.feedback, instances=here.instances)
        if self.learns:
            past = Past(operations=counts[OPERATION], places=counts[PLACE], edits=tried)
            request = replace(request, advance=partial(_advance, path), past=past)
        for _ in range(_TRIES):
            edit = rng.choice(self.proposers).propose(request, rng)
            if not isinstance(edit, Edit):
                continue
            files = dict(path[-1]) | {path: content or b"" for path, content in edit.files.items()}
            if _key(files) not in seen:
                return edit, files
        return None, {}

    def _is_better(self, value: float | None, than: float | None) -> bool:
        if value is None or than is None:
            return than is None and value is not None
        return value > than if self.direction is Direction.MAXIMIZE else value < than


def _advance(path: Sequence[Files], rng: Random) -> Advance | None:
    """Draw what made the score better as agents do, with one lineage for the tree."""
    if len(path) == 1:
        return None
    if rng.random() < OWN:
        return Advance(_sources(path[max(0, len(path) - 1 - rng.choice(GENERATIONS))]), _sources(path[-1]))
    after = rng.randrange(max(1, len(path) - GAINS), len(path))
    return Advance(_sources(path[after - 1]), _sources(path[after]))


def _sources(files: Files) -> list[SourceFile]:
    return [SourceFile(path=RepoPath(path), content=content) for path, content in sorted(files.items())]


def _key(files: Files) -> bytes:
    return b"\0".join(part for path, content in sorted(files.items()) for part in (path.encode(), content))
