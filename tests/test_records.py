"""The lines of a note: what is written, and what a reader makes of lines from anybody."""

from __future__ import annotations

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evogit.model import Operator, Status
from evogit.records import MAX_LINE_BYTES, AnyRecord, Lease, Lesson, Proposal, Score, decode, decode_note, encode

_HEAD = {"v": 1, "agent": "a-1-abcdef", "run": "r", "seq": 3, "at": "2026-11-22T11:04:05.120Z", "session": "abc123"}
_numbers = st.floats(allow_nan=False, allow_infinity=False)
_scores = st.builds(
    Score,
    v=st.just(1),
    agent=st.text(max_size=60),
    run=st.text(max_size=60),
    seq=st.integers(0, 2**53),
    at=st.text(max_size=30),
    status=st.just(Status.OK),
    value=_numbers,
    metrics=st.dictionaries(st.text(max_size=9), _numbers, max_size=4),
    evaluator=st.text("0123456789abcdef", min_size=64, max_size=64),
    tree=st.text("0123456789abcdef", min_size=40, max_size=40),
    seconds=_numbers,
    sandbox=st.just("none"),
    host=st.text(max_size=9),
    feedback=st.text(max_size=99),
)


def score(**changed: object) -> Score:
    """Return a valid score record with some fields changed."""
    fields = {
        **_HEAD, "status": Status.OK, "value": 1.5, "evaluator": "e" * 64, "tree": "1" * 40, "seconds": 0.25,
        "sandbox": "none", "host": "h",
    } | changed  # fmt: skip
    return Score(**fields)  # type: ignore[arg-type]


def test_a_line_is_sorted_json_without_spaces() -> None:
    assert encode(score(metrics={"b": 2.0, "a": 1.0})) == (
        b'{"agent":"a-1-abcdef","at":"2026-11-22T11:04:05.120Z","evaluator":"' + b"e" * 64 + b'","host":"h",'
        b'"kind":"score","metrics":{"a":1.0,"b":2.0},"run":"r","sandbox":"none","seconds":0.25,"seq":3,'
        b'"session":"abc123","status":"ok","tree":"' + b"1" * 40 + b'","v":1,"value":1.5}\n'
    )


@pytest.mark.parametrize(
    "record",
    [
        score(),
        score(status=Status.TIMEOUT, value=None, feedback="longer than 3 s\n\x1b[31m"),
        Proposal(**_HEAD, operator=Operator.MUTATE, use="tuner", seed=7, outcome="candidate", params={"step": 0.3}),  # type: ignore[arg-type]
        Lesson(**_HEAD, text="Sort first", evidence=["1" * 40], model="m", seed=7),  # type: ignore[arg-type]
        Lease(**_HEAD, until="2026-11-22T11:05:05.120Z"),  # type: ignore[arg-type]
    ],
)
def test_every_kind_comes_back_as_it_was(record: AnyRecord) -> None:
    line = encode(record)
    assert decode(line) == record
    assert line.count(b"\n") == 1
    assert list(json.loads(line)) == sorted(json.loads(line))


@given(_scores)
def test_any_text_and_number_survives(record: Score) -> None:
    assert decode(encode(record)) == record


@pytest.mark.parametrize(
    "line", [b"", b"  \t", b"good!", b"\xff", b"[1]", b'{"v":2,"kind":"score","new":1}', b'{"v":1,"kind":"dream"}']
)
def test_lines_of_others_are_skipped(line: bytes) -> None:
    assert decode(line) is None


@pytest.mark.parametrize(
    "line",
    [
        b"{",
        b'{"v":1,"kind":"score","metrics":' + b"[" * 60_000,
        b'{"\xff\xfe":1}',
        b'{"kind":"score","v":1}',
        b'{"kind":"score"}',
        encode(score()).replace(b'"value":1.5', b'"value":NaN'),
        encode(score()).replace(b'"value":1.5', b'"value":1e999'),
        encode(score()).replace(b'"value":1.5', b'"value":true'),
        encode(score()).replace(b'"status":"ok"', b'"status":"failed"'),
        encode(score()).replace(b"e" * 64, b"e" * 63),
        encode(score()).replace(b'"seq":3', b'"seq":-1'),
        b'{"v":1,"kind":"' + b"x" * MAX_LINE_BYTES + b'"}',
    ],
)
def test_broken_lines_are_told_apart_and_harm_no_other(line: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        decode(line.strip())
    good = encode(score())
    found = list(decode_note(good + b"\n" + line.strip() + b"\n" + good))
    assert [isinstance(record, Score) for record in found] == [True, False, True]


def test_ok_without_a_value_says_that_the_gates_were_passed() -> None:
    passed = decode(encode(score()).replace(b',"value":1.5', b""))
    assert isinstance(passed, Score)
    assert passed.is_passed
    assert not score().is_passed
    assert decode(encode(passed)) == passed


def test_keys_of_later_versions_are_ignored() -> None:
    line = encode(score()).replace(b'"agent"', b'"a_key_of_2030":[1],"agent"')
    assert decode(line) == score()


def test_what_could_not_be_read_back_is_not_written() -> None:
    with pytest.raises(ValueError, match="not a valid record"):
        encode(score(value=float("nan")))
    with pytest.raises(ValueError, match="at most 65536"):
        encode(score(feedback="x" * MAX_LINE_BYTES))
    with pytest.raises(ValueError, match="status failed with value"):
        msgspec.structs.replace(score(), status=Status.FAILED)
