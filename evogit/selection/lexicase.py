"""Start from a candidate that is among the best on instances taken one after another by chance."""

from __future__ import annotations

from random import Random
from statistics import median

from evogit.model import CommitId
from evogit.selection.protocol import Field

_POOL = 128


class Lexicase:
    """Keeps, instance after instance in a random order, those that are as good as the best of those still there.

    Epsilon-lexicase selection (La Cava and others, arXiv 1709.05394, "semi-dynamic"): as good means within the
    median absolute deviation that the pool shows on the instance. The pool is the best candidate and up to 127 others
    drawn anew each time, so that a plan costs the same in a long run. Where the evaluator tells no instances, the score
    is the only one.
    """

    def parents(self, field: Field, rng: Random) -> tuple[CommitId, ...]:
        """Return one parent, or none when nothing is scored."""
        ids = field.candidates.ids
        if not ids:
            return ()
        pool = sorted({*field.candidates.top(1), *rng.sample(ids, min(_POOL - 1, len(ids)))})
        results = {commit: self._results(field, commit) for commit in pool}
        names = sorted({name for result in results.values() for name in result})
        rng.shuffle(names)
        width = {name: _deviation([result[name] for result in results.values() if name in result]) for name in names}
        for name in names:
            known = [commit for commit in pool if name in results[commit]]
            if not known or len(pool) == 1:
                continue
            best = _best(field, [results[commit][name] for commit in known])
            pool = [commit for commit in known if abs(results[commit][name] - best) <= width[name]]
        return (rng.choice(pool),)

    def _results(self, field: Field, commit: CommitId) -> dict[str, float]:
        judged = field.graph.judged(commit)
        if judged is not None and judged.instances:
            return dict(judged.instances)
        value = field.graph.value(commit)
        return {} if value is None else {"": value}


def _best(field: Field, values: list[float]) -> float:
    best = values[0]
    for value in values[1:]:
        best = value if field.graph.snapshot.is_better(value, best) else best
    return best


def _deviation(values: list[float]) -> float:
    middle = median(values)
    return median(abs(value - middle) for value in values)
