"""Files with marks: what may be changed there, and that proposers keep to it."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evogit import marked
from evogit.model import Edit, RepoPath, SourceFile
from evogit.proposers.protocol import Proposer, Request
from evogit.proposers.surgeon import Surgeon
from evogit.proposers.tuner import Tuner

_START, _END = b"# EVOLVE-BLOCK-START\n", b"# EVOLVE-BLOCK-END\n"
_TAIL = b"def g(x):\n    if x > 4:\n        return x * 3\n    return x - 7\n\n\n"
_BLOCK = b"def f(x):\n    y = x + 1\n    if y > 2:\n        return y * 5\n    return y\n"
_CONTENT = b"import os\nLIMIT = 10\n\n\n" + _TAIL + _START + _BLOCK + _END + _TAIL.replace(b"g", b"h")
_CONTENT += _START + b"RATE = 0.25\n" + _END + b"print(f(1), 8)\n"


@pytest.mark.parametrize("path", ["a.py", "a.rb", "a.txt"])
@pytest.mark.parametrize("proposer", [Tuner(), Surgeon()], ids=["tuner", "surgeon"])
def test_proposers_look_for_changes_between_the_marks(proposer: Proposer, path: str) -> None:
    request = Request(files=[SourceFile(path=RepoPath(path), content=_CONTENT)])
    edits = [edit for seed in range(60) if isinstance(edit := proposer.propose(request, Random(seed)), Edit)]
    refused = [edit for edit in edits if marked.refusal(_CONTENT, edit.files[RepoPath(path)])]
    assert len(edits) > 40
    assert len(refused) < 6  # a line that is taken out beside a mark may take the mark's own line end
    assert len({edit.files[RepoPath(path)] for edit in edits}) > 10


@pytest.mark.parametrize(
    "marks",
    [
        ("<!-- EVOLVE-BLOCK-START -->\n", "<!-- EVOLVE-BLOCK-END -->\n"),
        ("    // EVOLVE-BLOCK-START some words\r\n", "/* EVOLVE-BLOCK-END */\r\n"),
        ("EVOLVE-BLOCK-START\n", "EVOLVE-BLOCK-END"),
        ("-- EVOLVE-BLOCK-START\n", ""),
    ],
)
def test_marks_are_comments_of_any_language(marks: tuple[str, str]) -> None:
    before = f"a\n{marks[0]}b\n{marks[1]}".encode()
    assert marked.refusal(before, before.replace(b"b\n", b"c\nd\n")) is None
    assert marked.refusal(before, before.replace(b"b\n", b"")) is None
    assert marked.refusal(before, before.replace(b"a\n", b"A\n"))
    assert marked.refusal(before, None)


def test_words_that_only_speak_of_marks_are_none() -> None:
    for text in (b"a = 'EVOLVE-BLOCK-START'\n", b"# see EVOLVE-BLOCK-START\nx\n", b"# EVOLVE-BLOCK-END\nx\n"):
        assert marked.places(text) is None
        assert marked.refusal(text, None) is None


_LINES = st.sampled_from([_START, _END, b"x\n", b"y\n", b"# EVOLVE-BLOCK-STARTED\n", b"\n"])


@given(st.lists(_LINES, max_size=12).map(b"".join), st.lists(_LINES, max_size=4).map(b"".join), st.data())
@settings(max_examples=150, deadline=None, derandomize=True)
def test_no_change_makes_more_room_for_the_next_one(before: bytes, new: bytes, data: st.DataObject) -> None:
    allowed = marked.places(before)
    if allowed is None:
        return
    start, end = data.draw(st.sampled_from(allowed))
    after = before[:start] + new + before[end:]
    if marked.refusal(before, after) is None:
        # what is fixed stays, whatever is put between the marks
        fixed = [before[a:b] for a, b in _between(allowed, len(before))]
        assert [after[a:b] for a, b in _between(marked.places(after) or [], len(after))] == fixed


def _between(allowed: list[tuple[int, int]], size: int) -> list[tuple[int, int]]:
    edges = [0, *(edge for place in allowed for edge in place), size]
    return list(zip(edges[::2], edges[1::2], strict=True))
