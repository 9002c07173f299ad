"""Whether a judge really prefers what is proposed to what is there: the rule by which it may be proposed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from math import comb
from random import Random

from evogit.errors import EvaluatorBroken
from evogit.gain import MOST_LUCK
from evogit.judging.judge import Exhibit, Heard, Judge, in_both_orders
from evogit.records import Call, points

RULE = (
    "Where a judge compares candidates, it must prefer what is proposed more often than what is there, and a coin must "
    "do as well in at most 5 % of cases (one-sided sign test; what it finds equal, or prefers in one place only, is "
    "left out)"
)
"""For help and for the text of a proposal."""
LEAST = 5
"""By fewer comparisons no preference is beyond luck: four of four are one case in sixteen."""


@dataclass(frozen=True, slots=True)
class Contest:
    """What a judge said, each time in both orders, of what is proposed (the one) and what is there (the other)."""

    heard: tuple[Heard, ...]

    @property
    def wins(self) -> int:
        """How often what is proposed was preferred."""
        return self._count(1.0)

    @property
    def losses(self) -> int:
        """How often what is there was preferred."""
        return self._count(0.0)

    @property
    def ties(self) -> int:
        """How often neither was."""
        return len(self.heard) - self.wins - self.losses

    @property
    def luck(self) -> Fraction:
        """In what part of cases a coin does at least as well."""
        decided = self.wins + self.losses
        return Fraction(sum(comb(decided, count) for count in range(self.wins, decided + 1)), 2**decided)

    @property
    def is_better(self) -> bool:
        """Whether what is proposed was preferred more often."""
        return self.wins > self.losses

    @property
    def is_real(self) -> bool:
        """Whether the preference stands up to `RULE`."""
        return self.is_better and self.luck <= MOST_LUCK

    @property
    def calls(self) -> list[Call]:
        """All calls of models it took."""
        return [call for heard in self.heard for call in heard.calls]

    def _count(self, wanted: float) -> int:
        return sum(points(heard.verdicts) == wanted for heard in self.heard)


def hold(
    judge: Judge, proposed: Exhibit, there: Exhibit, goal: str, repeat: int, tell: Callable[[Heard], None], rng: Random
) -> Contest:
    """Have a judge compare two candidates so often; `tell` hears of each comparison. No budget limits it.

    Raises:
        EvaluatorBroken: it has no answer.
        Cancelled: the caller wants to stop.
    """
    found = []
    for _ in range(repeat):
        heard = in_both_orders(judge, proposed, there, goal, lambda: float("inf"), rng)
        if heard.last.word == "none":
            raise heard.last.fatal or EvaluatorBroken(f"nothing can be compared: {heard.last.why}")
        tell(heard)
        found.append(heard)
    return Contest(tuple(found))
