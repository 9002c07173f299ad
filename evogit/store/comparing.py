"""Which comparisons of a run count, what each weighs, and how strong they make the candidates."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping

from evogit.model import PEOPLE, CommitId
from evogit.rating import Result, rate
from evogit.records import Comparison
from evogit.store.candidate import Candidate

_PERSON_WEIGHT = 3.0
"""How many of a judge's comparisons one of a person's is worth."""


def ratings(candidates: Mapping[CommitId, Candidate], base: CommitId, evaluator: str) -> dict[CommitId, float]:
    """Return the strength of each candidate that comparisons lead to from the base, which has 0.

    Nothing counts that was said of a candidate which has not passed the evaluator's gates.
    """
    passed = {commit for commit, one in candidates.items() if one.passed(evaluator)}
    if base not in passed:
        return {}
    counted = [
        (commit, said)
        for commit in passed
        for said in candidates[commit].comparisons
        if said.evaluator == evaluator and said.than in passed and said.points is not None
    ]
    found = rate(base, [*_by_judges(counted), *_by_people(counted)])
    return {CommitId(commit): value for commit, value in found.items()}


def rerate(candidates: Mapping[CommitId, Candidate], base: CommitId, evaluator: str) -> list[CommitId]:
    """Make the ratings by an evaluator anew; return the candidates whose rating is another now."""
    found, changed = ratings(candidates, base, evaluator), []
    for commit, candidate in candidates.items():
        value = found.get(commit)
        if value == candidate.ratings.get(evaluator):
            continue
        if value is None:
            del candidate.ratings[evaluator]
        else:
            candidate.ratings[evaluator] = value
        changed.append(commit)
    return changed


def goal_digest(goal: str) -> str:
    """Return what a comparison says of the goal it was made by."""
    return hashlib.sha256(goal.encode("utf-8", "surrogatepass")).hexdigest()


def by_person(said: Comparison) -> bool:
    """Return whether a comparison counts as a person's: it says so, and stands in a person's journal."""
    return said.by == "person" and said.agent.startswith(PEOPLE)


def _by_judges(counted: Iterable[tuple[CommitId, Comparison]]) -> Iterator[Result]:
    for commit, said in counted:
        if said.by != "person" and said.points is not None:
            yield Result(commit, said.than, said.points)


def _by_people(counted: Iterable[tuple[CommitId, Comparison]]) -> Iterator[Result]:
    """Yield the last word of each person on each two."""
    last: dict[tuple[str, str, str], tuple[int, Result]] = {}
    for commit, said in counted:
        if by_person(said) and said.points is not None:
            key = (said.agent, min(commit, said.than), max(commit, said.than))
            result = Result(commit, said.than, said.points, _PERSON_WEIGHT)
            last[key] = max(last.get(key, (-1, result)), (said.seq, result), key=lambda one: one[0])
    yield from (result for _, result in last.values())
