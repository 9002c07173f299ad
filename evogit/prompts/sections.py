"""The parts of a question, each a list of entries of which the first matters most."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from evogit.harmless import harmless
from evogit.prompts import sources
from evogit.prompts.fencing import clean, fenced, label, shortened
from evogit.prompts.material import File, Instance, Material, Told

_MOST_FILES = 60
"""Files that may be shown with their content, if they fit."""
_MOST_MAPPED = 200
_MOST_INSTANCES = 200
_MOST_METRICS = 30
_SUBJECT = 120
_NAME = 80


@dataclass(frozen=True, slots=True)
class Entry:
    """A piece of text that is shown whole, in part (`shorter` returns about so many characters of it), or not at all.

    One with a `key` is left out where an entry of the same key is shown whole in a section before.
    """

    text: str
    shorter: Callable[[int], str] | None = None
    key: str = ""


@dataclass(frozen=True, slots=True)
class Section:
    """Entries, the share of the room they have a right to, and how those that are shown become text.

    Where `in_order`, none is shown after one that is not.
    """

    name: str
    share: float
    entries: Sequence[Entry]
    whole: Callable[[Sequence[str]], str]
    in_order: bool = False


def sections(material: Material) -> list[Section]:
    """Return the sections of a question, the most important first."""
    mapped = [Entry(sources.symbols(file), key=file.path) for file in material.files[:_MOST_MAPPED]]
    return [
        Section("scores", 0.05, [Entry(text) for text in _scores(material)], _listed, in_order=True),
        Section("goal", 0.10, _texts(material.goal), "".join),
        Section("files", 0.40, [_file(file) for file in material.files[:_MOST_FILES]], _apart),
        Section("feedback", 0.10, _texts(material.feedback), _listed),
        Section("partners", 0.25, [_changed(told) for told in _sides(material)], _apart),
        Section("conflicts", 0.10, list(_conflicts(material)), _apart),
        Section("tried", 0.05, [Entry(_line(told)) for told in material.tried], _listed, in_order=True),
        Section("lineage", 0.05, [Entry(_line(told)) for told in material.lineage], _listed, in_order=True),
        Section("inspirations", 0.05, [_changed(told) for told in material.inspirations], _apart),
        Section("instances", 0.03, [Entry(text) for text in _instances(material.instances)], _listed, in_order=True),
        Section("lessons", 0.03, [Entry(harmless(text, 400)) for text in material.lessons], _listed, in_order=True),
        Section("map", 0.02, mapped, _listed),
    ]


def _listed(texts: Sequence[str]) -> str:
    return fenced("\n".join(texts)) if texts else ""


def _apart(texts: Sequence[str]) -> str:
    return "\n\n".join(texts)


def _texts(text: str) -> list[Entry]:
    """Return a text as one entry."""
    safe = clean(text).strip()
    return [Entry(safe, partial(shortened, safe))] if safe else []


def _number(value: float | None) -> str:
    return "none" if value is None else f"{value:.6g}"


def _scores(material: Material) -> Iterator[str]:
    better = "higher" if material.higher else "lower"
    yield (
        f"score {_number(material.value)} ({better} is better); at the start {_number(material.base_value)}, "
        f"the best so far {_number(material.best_value)}"
    )
    for name, value in material.metrics[:_MOST_METRICS]:
        yield f"{label(name, _NAME)} {_number(value)}"


def _sides(material: Material) -> list[Told]:
    """Return what is to come together, the others first: of the parent itself the files are shown."""
    return [*material.partners, *(told for told in (material.own, material.met) if told)]


def _conflicts(material: Material) -> Iterator[Entry]:
    if material.unmerged:
        yield Entry(f"A merge by lines is not possible:\n{fenced(material.unmerged)}")
    for one in material.conflicts:
        yield Entry(
            f"### `{label(one.path, 400)}`\n\nThis version has\n\n{fenced(one.own)}\n\n"
            f"and the other\n\n{fenced(one.other)}"
        )


def _instances(found: Sequence[Instance]) -> Iterator[str]:
    for one in found[:_MOST_INSTANCES]:
        than = f" (the best candidate {_number(one.best)})" if one.best is not None else ""
        if one.partner is not None:
            than = f" (the other version {_number(one.partner)}, where they parted {_number(one.met)})"
        yield f"{label(one.name, _NAME)}: {_number(one.value)}{than}"


def _file(file: File) -> Entry:
    path = label(file.path, 400)
    suffix = file.path.rpartition("/")[2].rpartition(".")[2]
    return Entry(
        f"### `{path}`\n\n{fenced(file.content, suffix)}",
        lambda size: f"### `{path}` (in part)\n\n{fenced(sources.excerpt(file, size - len(path) - 40), suffix)}",
        key=file.path,
    )


def _line(told: Told) -> str:
    """Return one line on a candidate: its gain and score, or how it ended, and its hypothesis."""
    if told.value is None:
        result = harmless(told.outcome, _SUBJECT) or "no score"
    elif told.gain is None or not math.isfinite(told.gain):
        result = f"score {_number(told.value)}"
    elif told.gain == 0:
        result = f"no change, score {_number(told.value)}"
    else:
        word = "better" if told.gain > 0 else "worse"
        result = f"{word} by {_number(abs(told.gain))}, score {_number(told.value)}"
    return f"{label(told.name, 12)}  {harmless(told.subject, _SUBJECT)} ({result})"


def _changed(told: Told) -> Entry:
    head = f"{harmless(told.role, _NAME)}:\n" if told.role else ""
    line = fenced(_line(told))

    def of(change: str) -> str:
        return f"{head}{line}\n\n{fenced(change, 'diff')}" if change.strip() else f"{head}{line}"

    return Entry(of(told.change), lambda size: of(shortened(told.change, size - len(line) - 40)))
