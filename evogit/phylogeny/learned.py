"""What models learned in a run: which of their lessons are told to others, and how much stands behind each."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain, zip_longest

from evogit.model import CommitId
from evogit.phylogeny.graph import Phylogeny
from evogit.records import Lesson

_OF_ONE = 8
"""Lessons of one agent that are told: nobody's flood washes away what others learned."""


@dataclass(frozen=True, slots=True)
class Learned:
    """A lesson, and its evidence as far as it is known here and belongs to no pruned lineage.

    Where several say the same, it is the newest of them, with the evidence of all.
    """

    lesson: Lesson
    evidence: tuple[CommitId, ...]

    @property
    def text(self) -> str:
        """What was learned, in untrusted words."""
        return self.lesson.text


def lessons(graph: Phylogeny) -> list[Learned]:
    """Return what was learned, the newest first."""
    found: dict[str, Learned] = {}
    for lesson in sorted(graph.snapshot.lessons, key=lambda one: (one.at, one.agent, one.seq), reverse=True):
        same = " ".join(lesson.text.casefold().split())
        if not same:
            continue
        known = found.get(same)
        commits = (*(known.evidence if known else ()), *(CommitId(one) for one in lesson.evidence))
        counted = tuple(dict.fromkeys(one for one in commits if _is_known(graph, one)))
        found[same] = Learned(known.lesson if known else lesson, counted)
    return list(found.values())


def worth_telling(graph: Phylogeny) -> list[Learned]:
    """Return lessons for those who are to learn: in turns the newest, and the one with the most evidence."""
    newest, counts = [], dict[str, int]()
    for one in lessons(graph):
        counts[one.lesson.agent] = counts.get(one.lesson.agent, 0) + 1
        if counts[one.lesson.agent] <= _OF_ONE:
            newest.append(one)
    supported = sorted(newest, key=lambda one: -len(one.evidence))  # stable: of equals the newest
    turns = chain.from_iterable(zip_longest(newest, supported))
    return list({id(one): one for one in turns if one}.values())


def _is_known(graph: Phylogeny, commit: CommitId) -> bool:
    """Return whether it is a candidate one may learn from, if only that it failed."""
    return commit in graph.snapshot.candidates and graph.may_build_on(commit)
