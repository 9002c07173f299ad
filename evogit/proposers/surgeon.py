"""The surgeon: changes code as a syntax tree, where something speaks against it, by what worked before.

Knows the operations only as a table; does not know what a score is.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from random import Random
from typing import NamedTuple

from evogit import marked
from evogit.model import Count, Edit, RepoPath, SourceFile
from evogit.proposers.protocol import EDIT, OPERATION, PLACE, Past, Request
from evogit.proposers.subjects import MAX_SUBJECT, clean, place
from evogit.proposers.surgery import lines
from evogit.proposers.surgery.languages import language_of
from evogit.proposers.surgery.likelihood import share, worths
from evogit.proposers.surgery.operations import FROM_ELSEWHERE, LINES, OPERATIONS, Operation, changes, size
from evogit.proposers.surgery.statements import from_elsewhere
from evogit.proposers.surgery.suspicion import Evidence, callees, evidence, suspicion
from evogit.proposers.surgery.syntax import MAX_BYTES, Change, Region, Unit, compiles, parse

_FILES = 12
"""Files looked at in one call; of more, these are drawn, so that a call costs the same in any code base."""
_TRIES = 12
_REGIONS = 10
_COMPOUND = 0.06
_ANYWHERE = 0.06
"""How often suspicion is not asked: it may be wrong."""
_FLOOR = 0.12
"""The suspicion of a place nothing speaks against."""
_PATIENCE = 2
"""Bytes of a place for each try, beside 20, after which it is half as likely, unless one of them was an improvement."""
_SHARED = 0.8
"""1 would try all changes of an operation with few before any of one with many."""
_PRIOR = 100
"""Failed tries that what is known of an operation beforehand is worth, for one of weight 1."""
_SURE = 4.0
"""How far what is known beforehand decides, while tests fail: the shape of a gamma draw of mean 1."""
_UNSEEN = 0.5
"""The weight of the likeliest change of an operation whose changes are not looked at beforehand."""
_DATA = (
    ".md",
    ".rst",
    ".txt",
    ".json",
    ".toml",
    ".yaml",
    ".yml",
    ".csv",
    ".cfg",
    ".ini",
    ".lock",
    ".svg",
    ".xml",
    ".html",
)
_PASSED_ON = ("step",)


class _Site(NamedTuple):
    region: Region
    weight: float


class _Found(NamedTuple):
    """One change that parses, and what did it."""

    unit: Unit
    region: Region
    operation: Operation
    change: Change


@dataclass(frozen=True, slots=True)
class Surgeon:
    """Proposes structural edits of the files' code.

    A place is drawn by suspicion, an operation by Thompson sampling with Beta counts over what it came to in this run,
    whoever tried it (Chapelle and Li, "An empirical evaluation of Thompson sampling", NIPS 2011), and then one of its
    changes there that was not tried on this parent or its equals: the neighbourhood is gone through without repetition.
    A few edits are two changes. Nothing is kept here but parsed files, in a bounded cache.
    """

    def propose(self, request: Request, rng: Random) -> Edit | None:
        """Return an edit of one file.

        The result depends on the request and the state of `rng` alone.

        Returns:
            The edit, with the params `op`, `place` and, when it is one change, `edit`; None when nothing that is new
            and parses was found.

        Raises:
            Nothing.
        """
        files = [file for file in request.files if len(file.content) <= MAX_BYTES and file.content.strip()]
        code = [file for file in files if not file.path.endswith(_DATA)]
        against = evidence(request.feedback, request.instances)
        chosen = _draw_files(code, against, rng)
        units = [unit for file in chosen if (unit := parse(file)) is not None]
        plain = [file for file in chosen if parse(file) is None] or ([] if code else files)
        if units and not (plain and rng.random() < len(plain) / (8 * len(units) + len(plain))):
            edit = _operate(units, request, against, rng)
            if edit is not None:
                return edit
        return _by_lines(plain, request, rng) if plain else None


def _draw_files(files: Sequence[SourceFile], against: Evidence, rng: Random) -> Sequence[SourceFile]:
    """Return all files, or of many those that messages name and some at random, larger ones more often."""
    if len(files) <= _FILES:
        return files
    named = {path.rpartition("/")[2] for path, _ in against.lines}
    keyed = []
    for file in files:
        weight = math.sqrt(len(file.content)) * (50 if file.path.rpartition("/")[2] in named else 1)
        keyed.append((rng.random() ** (1 / weight), file.path, file))
    return [file for _, _, file in sorted(keyed, key=lambda one: one[:2])[-_FILES:]]


def _operate(units: Sequence[Unit], request: Request, against: Evidence, rng: Random) -> Edit | None:
    sites = _sites(units, request, against, anywhere=rng.random() < _ANYWHERE)
    edit = _attempt(sites, units, request, against, rng, double=True) if rng.random() < _COMPOUND else None
    return edit or _attempt(sites, units, request, against, rng, double=False)


def _attempt(
    sites: list[_Site], units: Sequence[Unit], request: Request, against: Evidence, rng: Random, *, double: bool
) -> Edit | None:
    """Return one change that is new, or two with `double`; one where there is no second."""
    left = _TRIES
    for _ in range(min(_REGIONS, len(sites))):
        site = rng.choices(sites, [one.weight for one in sites])[0]
        first = None
        for found in _draws(site.region, units, request, against, rng, frozenset() if double else request.past.edits):
            if found.unit.still_parses(found.unit.apply([found.change])):
                if not double:
                    return _edit(request, [found])
                if first is not None and _apart(first, found):
                    both = [first, found]
                    if found.unit.still_parses(found.unit.apply([one.change for one in both])):
                        return _edit(request, both)
                first = first or found
            left -= 1
            if left <= 0:
                known = first is None or _key(first.region, first.change) in request.past.edits
                return None if first is None or known else _edit(request, [first])
        sites = [one for one in sites if one.region is not site.region]
    return None


def _sites(units: Sequence[Unit], request: Request, against: Evidence, *, anywhere: bool) -> list[_Site]:
    """Return the regions with their weights; with `anywhere` all are as suspicious."""
    regions = [region for unit in units for region in unit.regions if unit.is_open(region)]
    doubts = [suspicion(region, against) for region in regions]
    blamed: dict[str, float] = {}
    for region, doubt in zip(regions, doubts, strict=True):
        for name in callees(region) if doubt > 0.2 else ():
            blamed[name] = max(blamed.get(name, 0.0), doubt / 2)
    sites = []
    for region, doubt in zip(regions, doubts, strict=True):
        here = _place_of(region)
        doubt = max(doubt, blamed.get(region.name, 0.0)) + 0.2 * (request.params.get(PLACE) == here)
        weight = (
            region.size**0.6
            * (1.0 if anywhere else (_FLOOR + doubt) ** 4)
            * _worth(request.past.places.get(here, Count()), region.size)
        )
        sites.append(_Site(region, weight))
    return sites


def _worth(count: Count, size: int) -> float:
    deaf = 0.3 if count.tried >= 8 and not count.changed else 1.0
    return deaf * (1 + count.improved) / (1 + count.tried / (20 + size / _PATIENCE))


def _draws(
    region: Region, units: Sequence[Unit], request: Request, against: Evidence, rng: Random, tried: object
) -> Iterator[_Found]:
    """Yield changes of a region that were not tried, one of each operation, the most promising operation first."""
    past = tried if isinstance(tried, frozenset | set) else frozenset()
    for operation in _ranked(region, request.past, against, rng):
        elsewhere = operation is FROM_ELSEWHERE
        pool = _from_other_file(region, units, rng) if elsewhere else changes(operation, region)
        keys = [_key(region, change) for change in pool] if elsewhere else _keys(operation, region)
        worth = worths(region, pool, against) if elsewhere else _worths(operation, region, against)
        new = [
            (change, weight)
            for change, key, weight in zip(pool, keys, worth, strict=True)
            if key not in past and region.unit.may_change(change.start, change.end)
        ]
        if new:
            changed = rng.choices([change for change, _ in new], [weight for _, weight in new])[0]
            yield _Found(region.unit, region, operation, changed)


def _ranked(region: Region, past: Past, against: Evidence, rng: Random) -> list[Operation]:
    """Return the operations by what each promises: a draw of its chance to improve, shared by its changes here.

    At first the chance is about the operation's weight in a hundred. While tests fail there is one fault to find: what
    failed says nothing against the rest, and an operation promises what the likeliest change that it has left does.
    Without a failed test everything may improve a little, and operations that seldom do come late.
    """
    drawn = []
    for operation in (*OPERATIONS.values(), FROM_ELSEWHERE):
        count, among = past.operations.get(operation.number, Count()), size(operation, region)
        if not among:
            continue
        if against.tests_fail:
            weight = operation.repairs * (1 + count.improved) * _left(operation, region, past, against)
            promise = weight * rng.gammavariate(_SURE, 1 / _SURE)
        else:
            chance = rng.betavariate(1 + count.improved, _PRIOR / operation.weight + count.tried - count.improved)
            promise = chance / among**_SHARED
        drawn.append((promise, operation.number, operation))
    return [operation for _, _, operation in sorted(drawn, key=lambda one: one[:2], reverse=True)]


def _left(operation: Operation, region: Region, past: Past, against: Evidence) -> float:
    """Return how likely the likeliest change is that an operation has left here, if it is one of this operation."""
    among, keys = size(operation, region), region.keys.get(operation.number, ())
    if operation.many or operation is FROM_ELSEWHERE:
        return share(sum(key in past.edits for key in keys), among) * _UNSEEN
    worth = _worths(operation, region, against)
    left = [one for one, key in zip(worth, keys, strict=True) if key not in past.edits] if keys else worth
    if not left:
        return 0.0
    most = max(left)
    return share((sum(worth) - sum(left)) / most, sum(worth) / most) * most


def _worths(operation: Operation, region: Region, against: Evidence) -> Sequence[float]:
    known, found = region.worths.get(operation.number, (None, ()))
    if known is not against:
        found = worths(region, changes(operation, region), against)
        region.worths[operation.number] = against, found
    return found


def _keys(operation: Operation, region: Region) -> Sequence[float]:
    if operation.number not in region.keys:
        region.keys[operation.number] = [_key(region, change) for change in changes(operation, region)]
    return region.keys[operation.number]


def _from_other_file(region: Region, units: Sequence[Unit], rng: Random) -> Sequence[Change]:
    others = [
        unit for unit in units if unit is not region.unit and unit.language is region.unit.language and unit.regions
    ]
    return list(from_elsewhere(region, rng.choice(rng.choice(others).regions))) if others else ()


def _apart(one: _Found, other: _Found) -> bool:
    first, second = sorted((one.change, other.change))
    return first.end < second.start and one.operation is not other.operation


def _edit(request: Request, found: Sequence[_Found]) -> Edit:
    first = found[0]
    content = first.unit.apply([one.change for one in found])
    params = {OPERATION: first.operation.number, PLACE: _place_of(first.region)}
    if len(found) == 1:
        params[EDIT] = _key(first.region, first.change)
    params |= {name: request.params[name] for name in _PASSED_ON if name in request.params}
    words = " and ".join(
        _words(one.operation.words, one.unit.content, one.change, 44 // len(found)) for one in found[:1]
    )
    more = " and once more" if len(found) > 1 else ""
    return Edit(
        files={first.unit.path: content},
        subject=_subject(words + more, first.region.name, first.unit.path),
        params=params,
    )


def _by_lines(files: Sequence[SourceFile], request: Request, rng: Random) -> Edit | None:
    for _ in range(_TRIES):
        file = rng.choice(files)
        drawn = lines.draw(file, rng, LINES, known=request.past.operations, said=request.feedback)
        if drawn is None:
            continue
        change = drawn.change
        content = file.content[: change.start] + change.text + file.content[change.end :]
        language = language_of(file.path)
        key = _hash(file.path, file.content[change.start : change.end], change.text, change.start)
        if not marked.is_within(marked.places(file.content), change.start, change.end):
            continue
        if key in request.past.edits or (
            language and language.python and compiles(file.content) and not compiles(content)
        ):
            continue
        words = _words(drawn.words, file.content, change, 44)
        params = {OPERATION: drawn.number, PLACE: _hash(file.path), EDIT: key}
        return Edit(files={file.path: content}, subject=_subject(words, "", file.path), params=params)
    return None


def _words(pattern: str, content: bytes, change: Change, room: int) -> str:
    """Return what was done, in words; code is quoted in one line and cut."""
    old, new = content[change.start : change.end], change.text
    if not old.strip() and "{what}" not in pattern:
        pattern = "Insert {new}"
    elif not new.strip() and "{what}" not in pattern:
        pattern = "Leave {old} out"
    share = (room - len(pattern) + 10) // max(1, pattern.count("{"))
    return pattern.format(old=_quoted(old, share), new=_quoted(new, share), what=_quoted(change.what or old, share))


def _quoted(code: bytes, room: int) -> str:
    """Return code as a few plain words: no mark that means something to a forge, no line end."""
    text = " ".join(code.decode("utf-8", "replace").split()).replace("#", "").replace("@", "").replace("\ufffd", "?")
    return clean(text, max(6, room)) or "it"


def _subject(words: str, name: str, path: RepoPath) -> str:
    where = f" in {clean(name, 20)}() of " if name else " in "
    head = clean(words, MAX_SUBJECT - len(where) - 10) + where
    return (head + place(path, MAX_SUBJECT - len(head)))[:MAX_SUBJECT].rstrip()


def _place_of(region: Region) -> float:
    return _hash(region.unit.path, region.name)


def _key(region: Region, change: Change) -> float:
    """Return what a change is, by the lines it is on and their place in the region: the same when others move them."""
    unit = region.unit
    start, end = unit.line_start(change.start), unit.line_end(change.end)
    old = unit.content[start:end]
    new = unit.content[start : change.start] + change.text + unit.content[change.end : end]
    return _hash(unit.path, region.name, old.strip(), new.strip(), unit.content.count(old, region.start, start))


def _hash(*parts: str | bytes | int) -> float:
    found = blake2b(digest_size=6)
    for part in parts:
        found.update(part if isinstance(part, bytes) else str(part).encode("utf-8", "surrogatepass"))
        found.update(b"\0")
    return float(int.from_bytes(found.digest()))
