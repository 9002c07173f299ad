"""Which entries are shown within a number of tokens, and which of them in part."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from evogit.prompts.sections import Entry, Section

_LEAST = 160
"""Characters below which a part of an entry tells nothing."""
_TRIES = 8
_MOST_CHARACTERS = 40
"""Characters of a token, at most, in any text worth showing: what is longer than so many a token is not counted."""


class Costs:
    """What texts cost, each counted once."""

    def __init__(self, count: Callable[[str], int], limit: int) -> None:
        self._count, self._limit = count, limit
        self._known: dict[str, int] = {}

    def of(self, text: str) -> int:
        """Return the tokens of a text; of one that cannot fit, more than there are."""
        if len(text) > self._limit * _MOST_CHARACTERS:
            return self._limit + 1
        if text not in self._known:
            self._known[text] = max(0, self._count(text))
        return self._known[text]


class _Filling:
    """One section as far as it is filled: the text shown of each entry, and what it costs."""

    def __init__(self, section: Section) -> None:
        self.section = section
        self.shown: dict[int, tuple[str, int]] = {}

    @property
    def whole_keys(self) -> set[str]:
        """The keys of the entries that are shown whole."""
        entries = self.section.entries
        return {entries[at].key for at, (text, _) in self.shown.items() if text == entries[at].text} - {""}

    @property
    def text(self) -> str:
        """What is shown, in order."""
        return self.section.whole([text for _, (text, _) in sorted(self.shown.items())])


def fill(sections: Sequence[Section], room: int, costs: Costs) -> Mapping[str, str]:
    """Return the text of each section, all together of about `room` tokens; empty where nothing of it is shown.

    First each gets its share, in whole entries, but the first one at least in part. What is left over goes to the most
    important sections first: whole entries, and then one in part.
    """
    fillings = [_Filling(section) for section in sections]
    left = room
    for filling in fillings:
        share = min(left, int(room * filling.section.share))
        left -= _take_whole(filling, share, costs, set())
        if not filling.shown:
            left -= _take_part(filling, share, costs)
    known: set[str] = set()
    for filling in fillings:
        left -= _take_whole(filling, left, costs, known)
        left -= _take_part(filling, left, costs)
        known |= filling.whole_keys
    for filling in fillings:
        _drop_known(filling, known)
    return {filling.section.name: filling.text for filling in fillings}


def _take_whole(filling: _Filling, room: int, costs: Costs, known: set[str]) -> int:
    """Show entries that fit, and whole the one that was shown in part if it fits; return what that cost."""
    spent = 0
    for at, entry in enumerate(filling.section.entries):
        part, held = filling.shown.get(at, ("", 0))
        if part == entry.text or entry.key in known:
            continue
        cost = costs.of(entry.text) + 1 - held
        if spent + cost <= room:
            filling.shown[at] = (entry.text, cost + held)
            spent += cost
        elif filling.section.in_order or part:
            break
    return spent


def _take_part(filling: _Filling, room: int, costs: Costs) -> int:
    """Show more of the first entry that is not shown whole, as much as fits; return what that cost."""
    for at, entry in enumerate(filling.section.entries):
        part, held = filling.shown.get(at, ("", 0))
        if part == entry.text:
            continue
        text = _shrunk(entry, room + held, costs)
        if text is None or len(text) <= len(part):
            return 0
        cost = costs.of(text) + 1
        filling.shown[at] = (text, cost)
        return cost - held
    return 0


def _shrunk(entry: Entry, room: int, costs: Costs) -> str | None:
    if entry.shorter is None or room <= 0:
        return None
    # As many characters to a token as in all of it, but what is too long to be counted has perhaps four.
    whole = costs.of(entry.text)
    size = min(room * 4 * 2, int(len(entry.text) * room / max(1, whole)), len(entry.text) - 1)
    for _ in range(_TRIES):
        if size < _LEAST:
            return None
        text = entry.shorter(size)
        if costs.of(text) + 1 <= room:
            return text
        size = size * 3 // 4
    return None


def _drop_known(filling: _Filling, known: set[str]) -> None:
    if filling.whole_keys and filling.section.name == "map":
        filling.shown = {
            at: found for at, found in filling.shown.items() if filling.section.entries[at].key not in known
        }
