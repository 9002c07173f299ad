"""Where lines that a model remembers stand in a text, as they are or nearly so, if there is one such place."""

from __future__ import annotations

import difflib
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from evogit.harmless import visible

_CLOSE = 0.95
"""Share of like text from which lines that are not the same count as meant, if nothing else is nearly as like."""
_RIVAL = 0.85
_LEAST_LINES = 3
_MOST_UNLIKE = 0.2
_COMMON = 8
"""A line that stands in more places than this tells nothing of where others are."""
_MAX_LINE = 500
_MAX_ALIGNED = 1_000_000
_SHOWN_LINES = 12
_SHOWN_WIDTH = 160
_SEARCHED = 4000


@dataclass(frozen=True, slots=True)
class Place:
    """Lines `start` to `end` of a text, and what is to stand there."""

    start: int
    end: int
    lines: Sequence[str]


def fit(text: Sequence[str], old: Sequence[str], new: Sequence[str]) -> Place | str:
    """Return the place of `old` in a text with what `new` makes of it, or a sentence that says why there is none.

    Looked for are the same lines; lines that differ in blanks at their ends; lines indented otherwise; and, if three or
    more, lines that are very much alike. Of lines that are the same in `old` and `new` the text's own stay.
    """
    if not any(line.strip() for line in old):
        return "It has no line to look for; give the lines that are to be replaced, or some beside the new ones."
    trimmed = _without_margins(old, new)
    for wanted, instead in dict.fromkeys(((tuple(old), tuple(new)), trimmed)):
        for seen_as in (str, str.rstrip, _squeezed):
            starts = _occurrences([seen_as(line) for line in text], [seen_as(line) for line in wanted])
            if len(starts) > 1:
                return _ambiguous(starts)
            if starts:
                made = _transferred(text[starts[0] : starts[0] + len(wanted)], wanted, instead)
                if made is not None:
                    return Place(starts[0], starts[0] + len(wanted), made)
    wanted, instead = trimmed
    near = _near(text, wanted)
    if near and near[0][1] >= _CLOSE and len(wanted) >= _LEAST_LINES and (len(near) < 2 or near[1][1] < _RIVAL):
        start = near[0][0]
        made = _transferred(text[start : start + len(wanted)], wanted, instead)
        if made is not None:
            return Place(start, start + len(wanted), made)
    return _diagnosis(text, wanted, near[0][0] if near else None)


def _squeezed(line: str) -> str:
    return " ".join(line.split())


def _without_margins(old: Sequence[str], new: Sequence[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return both without the blank lines that they begin and end with."""
    wanted, instead = list(old), list(new)
    for end in (0, -1):
        while wanted and not wanted[end].strip():
            del wanted[end]
            if instead and not instead[end].strip():
                del instead[end]
    return tuple(wanted), tuple(instead)


def _occurrences(text: Sequence[str], wanted: Sequence[str]) -> list[int]:
    """Return the first lines of the places where `wanted` stands; of many the first ten."""
    # One search in one string is linear, whatever repeats in it; comparing line by line is not.
    hay, needle = "\n" + "\n".join(text) + "\n", "\n" + "\n".join(wanted) + "\n"
    found, at = list[int](), hay.find(needle)
    while at >= 0 and len(found) < 10:
        found.append(hay.count("\n", 0, at))
        at = hay.find(needle, at + 1)
    return found


def _ambiguous(starts: Sequence[int]) -> str:
    where = ", ".join(str(start + 1) for start in starts)
    return f"Its lines stand in {len(starts)} places, from lines {where}; give more lines around, so that one is meant."


def _transferred(here: Sequence[str], old: Sequence[str], new: Sequence[str]) -> list[str] | None:
    """Return the new lines as the text has them: its own where nothing changes, the others indented as they are there.

    None when the indentation does not go over.
    """
    if list(here) == list(old):
        return list(new)
    indents = _indents(here, old)
    if indents is None:
        return None
    made: list[str] = []
    for same, start, end, to in _aligned(old, new):
        if same:
            made += here[start:end]
            continue
        for line in to:
            moved = _moved(line, indents)
            if moved is None:
                return None
            made.append(moved)
    return made


def _aligned(old: Sequence[str], new: Sequence[str]) -> list[tuple[bool, int, int, Sequence[str]]]:
    """Return the parts of `old`, each with whether it stays and what takes its place."""
    if len(old) * len(new) > _MAX_ALIGNED:
        return [(False, 0, len(old), new)]
    found = difflib.SequenceMatcher(None, old, new, autojunk=False).get_opcodes()
    return [(tag == "equal", i1, i2, new[j1:j2]) for tag, i1, i2, j1, j2 in found]


def _indent(line: str) -> str:
    return line[: len(line) - len(line.lstrip())]


def _indents(here: Sequence[str], old: Sequence[str]) -> Mapping[str, str] | None:
    """Return which indentation in the text stands for which of the model's, if each stands for one."""
    found: dict[str, str] = {}
    for line, wanted in zip(here, old, strict=True):
        if line.strip() and wanted.strip() and found.setdefault(_indent(wanted), _indent(line)) != _indent(line):
            return None
    return found


def _moved(line: str, indents: Mapping[str, str]) -> str | None:
    own = _indent(line)
    if not line.strip() or all(one == other for one, other in indents.items()):
        return line
    known = max((one for one in indents if own.startswith(one)), key=len, default=None)
    if known is None:
        return None
    more, before = own[len(known) :], indents[known]
    if more and before and ("\t" in more) != ("\t" in before):
        return None  # a mixture means something else in some languages
    return before + more + line[len(own) :]


def _near(text: Sequence[str], wanted: Sequence[str]) -> list[tuple[int, float]]:
    """Return the most alike places, by their first line and the share of like text, the best first."""
    here, there = [_squeezed(line) for line in text], [_squeezed(line) for line in wanted]
    places: defaultdict[str, list[int]] = defaultdict(list)
    looked_for = set(filter(None, there))
    for number, line in enumerate(here):
        if line in looked_for:
            places[line].append(number)
    votes = Counter(
        at - number
        for number, line in enumerate(there)
        if len(places.get(line, ())) <= _COMMON
        for at in places.get(line, ())
    )
    starts = [start for start, _ in votes.most_common(5) if 0 <= start <= len(here) - len(there)]
    rated = [(start, _likeness(here[start : start + len(there)], there)) for start in starts]
    return sorted(rated, key=lambda place: (-place[1], place[0]))


def _likeness(here: Sequence[str], there: Sequence[str]) -> float:
    """Return the share of like text of lines that stand beside each other; 0 when too many of them differ."""
    unlike = [(one, other) for one, other in zip(here, there, strict=True) if one != other]
    if len(unlike) > max(1, _MOST_UNLIKE * len(there)):
        return 0.0
    size = sum(len(one) + len(other) for one, other in zip(here, there, strict=True)) or 1
    lost = 0.0
    for one, other in unlike:
        like = difflib.SequenceMatcher(None, one[:_MAX_LINE], other[:_MAX_LINE], autojunk=False).ratio()
        lost += (1 - like) * (len(one) + len(other))
    return 1 - lost / size


def _diagnosis(text: Sequence[str], wanted: Sequence[str], start: int | None) -> str:
    """Return a sentence with the lines that come nearest, and the first of those looked for that is not there."""
    if start is None:
        start = _most_like(text, wanted)
    if start is None:
        return f"Its lines are not in the file, nor any like them; it looks for:\n{_quoted(wanted, None)}"
    here = text[start : start + len(wanted)]
    first = next(
        (n for n, (one, other) in enumerate(zip(here, wanted, strict=False)) if _squeezed(one) != _squeezed(other)),
        None,
    )
    told = "Its lines are not in the file."
    if first is not None:
        told += f" Where it has\n{_quoted(wanted[first : first + 1], None)}\nthe file has in line {start + first + 1}\n"
        told += _quoted(here[first : first + 1], None)
    return f"{told}\nThe nearest lines of the file are:\n{_quoted(here, start + 1)}"


def _most_like(text: Sequence[str], wanted: Sequence[str]) -> int | None:
    """Return where the longest of the lines looked for has one that is like it, less the lines before it."""
    number, line = max(enumerate(wanted), key=lambda item: len(item[1].strip()))
    seen_as: Callable[[str], str] = lambda one: one.strip()[:_MAX_LINE]  # noqa: E731
    here = [seen_as(one) for one in text[:_SEARCHED]]
    near = difflib.get_close_matches(seen_as(line), here, n=1, cutoff=0.6)
    return max(0, here.index(near[0]) - number) if near else None


def _quoted(lines: Sequence[str], number: int | None) -> str:
    """Return lines for a sentence: each after its number, or a bar; many are cut in the middle."""
    told = []
    for count, line in enumerate(lines[:_SHOWN_LINES]):
        sign = "    |" if number is None else f"{number + count:5}|"
        told.append(f"{sign}{visible(line[:_SHOWN_WIDTH])}")
    if len(lines) > _SHOWN_LINES:
        told.append(f"      ({len(lines) - _SHOWN_LINES} more)")
    return "\n".join(told)
