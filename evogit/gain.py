"""Whether one of two measured trees is really better: the rule by which a result may be proposed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import comb
from statistics import median

from evogit.model import Direction, Measurement

RULE = (
    "The median must be better, and luck alone must rank the measurements as well in at most 5 % of cases (one-sided "
    "rank-sum test); where no score varies at all, any difference counts"
)
"""For help and for the text of a proposal."""
MOST_LUCK = Fraction(1, 20)
"""In what part of cases luck may do as well as a gain that is proposed."""


@dataclass(frozen=True, slots=True)
class Trial:
    """Measurements of what is there and of what is proposed, taken in turns; the same number of each."""

    reference: tuple[Measurement, ...]
    proposed: tuple[Measurement, ...]
    direction: Direction

    @property
    def before(self) -> float:
        """The median of what is there."""
        return median(values(self.reference))

    @property
    def after(self) -> float:
        """The median of what is proposed."""
        return median(values(self.proposed))

    @property
    def is_better(self) -> bool:
        """Whether the median is better."""
        return self.after > self.before if self.direction is Direction.MAXIMIZE else self.after < self.before

    @property
    def is_steady(self) -> bool:
        """Whether no score varied."""
        return len(set(values(self.reference))) == len(set(values(self.proposed))) == 1

    @property
    def luck(self) -> Fraction:
        """In what part of cases luck alone ranks the measurements at least as well."""
        sign = 1 if self.direction is Direction.MAXIMIZE else -1
        proposed = [sign * value for value in values(self.proposed)]
        return _luck([sign * value for value in values(self.reference)], proposed)

    @property
    def is_real(self) -> bool:
        """Whether the gain stands up to `RULE`."""
        return self.is_better and (self.is_steady or self.luck <= MOST_LUCK)


def by_instance(trial: Trial) -> tuple[int, int, int]:
    """Return on how many instances the median got better, worse, and stayed the same."""
    every = (*trial.reference, *trial.proposed)
    names = set.intersection(*(set(one.instances) for one in every))
    sign = 1 if trial.direction is Direction.MAXIMIZE else -1
    gains = [
        sign * (median(one.instances[name] for one in trial.proposed)
                - median(one.instances[name] for one in trial.reference))
        for name in names
    ]  # fmt: skip
    better, worse = sum(gain > 0 for gain in gains), sum(gain < 0 for gain in gains)
    return better, worse, len(gains) - better - worse


def values(measured: Sequence[Measurement]) -> list[float]:
    """Return the scores of measurements that have one."""
    return [one.value for one in measured if one.value is not None]


def _luck(low: Sequence[float], high: Sequence[float]) -> Fraction:
    """Return in what part of all deals of the values `high` gets at least its sum of ranks; ties share ranks."""
    pool = sorted((*low, *high))
    rank = {value: pool.index(value) * 2 + pool.count(value) + 1 for value in pool}
    ways: list[Counter[int]] = [Counter({0: 1}), *(Counter() for _ in high)]
    for value in pool:
        for size in range(len(high), 0, -1):
            for total, count in ways[size - 1].items():
                ways[size][total + rank[value]] += count
    reached = sum(rank[value] for value in high)
    as_good = sum(count for total, count in ways[-1].items() if total >= reached)
    return Fraction(as_good, comb(len(pool), len(high)))
