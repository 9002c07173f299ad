"""What a model says it learned: a line each, and the candidates it names for it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

from evogit.harmless import harmless
from evogit.model import CommitId

MAX_LESSONS = 3
MAX_TEXT = 240
_MAX_EVIDENCE = 8
_LESSON = re.compile(r"[\s#*_>\-\d.]*lesson[\s*_\d]*:[\s*_]*(?P<words>.*)", re.IGNORECASE)
_EVIDENCE = re.compile(r"[\s#*_>\-\d.]*evidence[\s*_]*:(?P<names>.*)", re.IGNORECASE)
_NAME = re.compile(r"\b[0-9a-f]{9,40}\b")


class Said(NamedTuple):
    """A lesson in words that mean nothing to git or a forge, and its evidence."""

    text: str
    evidence: tuple[CommitId, ...]


def lessons(answer: str, known: Mapping[str, CommitId]) -> list[Said]:
    """Return the lessons in an answer that name a candidate it was told of; `known` has these by nine digits.

    Each is a line `Lesson: …`, followed by a line `Evidence: …`.
    """
    found: list[Said] = []
    words = ""
    for line in answer.splitlines():
        if match := _LESSON.match(line):
            words = harmless(match["words"].strip(" *_"), MAX_TEXT)
        elif words and (match := _EVIDENCE.match(line)):
            names = (known.get(name[:9]) for name in _NAME.findall(match["names"].lower()))
            evidence = tuple(dict.fromkeys(commit for commit in names if commit))[:_MAX_EVIDENCE]
            if evidence:
                found.append(Said(words, evidence))
            words = ""
    return found[:MAX_LESSONS]
