"""Designs a solver by asking a model: what evolves. It has no network; `yield` hands a prompt to the scorer.

`design` is a generator: what it yields is asked of the model, what it returns is the solver. The scorer wants the
solver to be a piece of one of the answers, as it stands there, and answers only so many prompts.
"""

from __future__ import annotations

import re
from collections.abc import Generator

from trying import Task, complaint

PROMPT = """Write a Python function `solve(sizes, capacity)` that packs items into bins of equal capacity.
`sizes` is a list of whole numbers. Return a list of the same length with the number of each item's bin, from 0 on.
Give the function in one fence, with nothing but the standard library.
"""


def design(task: Task) -> Generator[str, str, str]:
    """Ask once, and return what stands in the first fence of the answer."""
    answer = yield PROMPT
    source = fenced(answer)
    if complaint(source, task):
        return ""
    return source


def fenced(answer: str) -> str:
    """Return the text of the first fence, or nothing."""
    found = re.search(r"```\w*\n(.*?)```", answer, re.DOTALL)
    return found[1] if found else ""
