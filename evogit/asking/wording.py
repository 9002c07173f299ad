"""In which format a model is asked to write its edits: as the definition says, until it cannot be led to do so."""

from __future__ import annotations

from collections import Counter

FUNCTION = "function"
_COPYING = ("blocks", "diff")
"""Formats in which lines have to be copied exactly, which small models seldom do."""
IN_VAIN = 4
"""So many answers in a row that cannot be applied are more than bad luck."""


class Formats:
    """What an agent has seen of each model's answers; whole functions ask for less than what the definition says.

    It is no choice of the plan, and forgotten with the agent: a few answers tell it again.
    """

    def __init__(self, format: str) -> None:
        """Begin with the format of the definition."""
        self._first = format
        self._now: dict[str, str] = {}
        self._in_vain: Counter[str] = Counter()

    def of(self, model: str) -> str:
        """Return the format to ask a model for."""
        return self._now.get(model, self._first)

    def heard(self, model: str, format: str, *, is_applied: bool) -> None:
        """Take note of an answer to a question for this format; after so many in vain it is asked for the other."""
        if format != self.of(model) or self._first not in _COPYING:
            return
        self._in_vain[model] = 0 if is_applied else self._in_vain[model] + 1
        if self._in_vain[model] >= IN_VAIN:
            self._now[model] = self._first if format == FUNCTION else FUNCTION
            self._in_vain[model] = 0
