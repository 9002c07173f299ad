"""What the tuner proposes: sound edits, learned steps, readable subjects, and that it climbs."""

from __future__ import annotations

import ast
import json
import math
import os
import subprocess
import sys
import tomllib
import warnings
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from random import Random
from statistics import median

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evogit.model import Count, Edit, RepoPath, SourceFile
from evogit.proposers.numbers import LIMIT, find_constants
from evogit.proposers.protocol import Advance, Past, Request, Turn
from evogit.proposers.tuner import Tuner
from evogit.proposers.values import Move

KNOBS = """\
ALPHA = 0.5
BETA = 1.0
GAMMA = -2.0
SNUG = 0
DEPTH = 3
WIDTH = 100
"""
BEST = {"ALPHA": 0.125, "BETA": 7.5, "GAMMA": 3.3, "SNUG": 40, "DEPTH": 12, "WIDTH": 64}

NASTY = {
    "deep/glued.py": "x = 5-2\ny = 1if x else.5\nz = -2**-3 - -(4) + 2.5.real\nw = 0o17 + 0b11 + 1_0.5e1_0\n",
    "ends.py": "# coding: utf-8\r\nif 1:\r\n\tx = 'é'; y = 0 \\\r\n  + 3\x0c\r\n\tz = f'{y:3}' '\\d' is 4\r\n",
    "match.py": "match x:\n    case {1: a, 2: b} | 3: pass\n    case 1 + 2j | -4: pass\n    case [0, 1]: pass\n",
    "await.py": "x = await f(2, *[1.5], **{'a': 3})\n",
    "dense.c": "#define N 10\nint f(int x){return x-1-2+a[0]*1.5f-0x1F;}/* 3 */\n",
    "dense.js": "let a=b-1,c=- 2,d=.5,e=1.,f=5..toFixed(2);if(a<-3)a=-4-d/2/e\n",
    "a.ini": "[a]\nb=0\nc = -1.5 ; 2\n",
    "a.yaml": "a: {b: [1, -2.5], c: 0}\nd:\n- 1e-5\n- 3 # 4\n",
    "a.toml": "a = [1, 2.5]\nb = 1979-05-27\n[c.1]\nd = -0.0\ne = 1e6\n",
    "a.json": '{"a": [0, -1.5, 1E5, {"b": 2}], "3": "4"}',
    "a.css": "a{margin:0 -1px .5em;width:calc(100% - 2px)}\n",
    "Makefile": "N=3\nR ?= 0.5\na:\n\techo -n 5\n",
    "a.csv": "1,-2,.5\n3;4\t-5\n",
}


def request(files: dict[str, str], params: dict[str, float] | None = None) -> Request:
    sources = [SourceFile(path=RepoPath(path), content=content.encode()) for path, content in files.items()]
    return Request(files=sources, params=params or {})


def propose(files: dict[str, str], seed: int, params: dict[str, float] | None = None) -> Edit:
    edit = Tuner().propose(request(files, params), Random(seed))
    assert edit is not None
    return edit


def values(path: str, content: bytes) -> list[int | float]:
    return [c.value for c in find_constants(SourceFile(path=RepoPath(path), content=content))]


def parse(path: str, content: bytes) -> None:
    if path.endswith(".json"):
        json.loads(content)
    elif path.endswith(".toml"):
        tomllib.loads(content.decode())
    elif path.endswith(".py"):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            ast.parse(content)


def test_two_thousand_proposals_on_nasty_files_parse() -> None:
    files, rng, edited = dict(NASTY), Random(1), set()
    for _ in range(2000):
        some = {path: files[path] for path in rng.sample(sorted(files), 3)}
        edit = Tuner().propose(request(some), rng)
        assert edit is not None
        assert edit.files
        for path, content in edit.files.items():
            before = files[path].encode()
            assert content is not None
            assert content != before
            parse(path, content)
            assert len(values(path, content)) == len(values(path, before))
            kinds = [(type(a), type(b)) for a, b in zip(values(path, content), values(path, before), strict=True)]
            assert all(a is b for a, b in kinds)
            assert all(abs(value) <= LIMIT for value in values(path, content))
            edited.add(path)
            # A lineage, that goes back to its beginning now and then.
            files[path] = content.decode() if rng.random() < 0.8 else NASTY[path]
    assert edited == set(NASTY)


def test_equal_seeds_give_equal_edits_whatever_was_proposed_before() -> None:
    first = [propose(NASTY, seed, {"step": 0.1}) for seed in range(30)]
    assert [propose(NASTY, seed, {"step": 0.1}) for seed in reversed(range(30))] == first[::-1]
    assert len({edit.subject for edit in first}) > 20


def test_edits_do_not_depend_on_the_order_of_hashes() -> None:
    program = (
        "import sys; from random import Random; from evogit.model import SourceFile\n"
        "from evogit.proposers.protocol import Request; from evogit.proposers.tuner import Tuner\n"
        "files = [SourceFile(path=p, content=b'A = 1\\nB = 0.5\\nC = 0\\n') for p in ('a.py', 'b.py')]\n"
        "print([Tuner().propose(Request(files=files), Random(i)) for i in range(20)])\n"
    )
    outputs = {
        subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": os.pathsep.join(sys.path)},
            capture_output=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(outputs) == 1


@pytest.mark.parametrize(
    "files", [{}, {"a.py": "x = 'y'\n"}, {"a.py": "x = (3\n"}, {"a.bin": "3\0"}, {"a.py": "__version__ = 3\n"}]
)
def test_nothing_to_tune_is_no_edit(files: dict[str, str]) -> None:
    assert Tuner().propose(request(files), Random(0)) is None


def test_the_step_is_the_parents_times_a_log_normal_factor() -> None:
    steps = [propose({"a.py": KNOBS}, seed, {"step": 0.01}).params["step"] for seed in range(400)]
    factors = sorted(math.log(step / 0.01) for step in steps)
    assert abs(factors[200]) < 0.15, "the median child keeps its parent's step"
    assert -0.6 < factors[40] < -0.3, "the spread is 1 / sqrt(6)"
    assert 0.3 < factors[340] < 0.6
    assert sum(step > 0.1 for step in steps) in range(8, 40), "some start anew"


@pytest.mark.parametrize("step", [math.nan, math.inf, -1.0, 0.0, 1e300, 1e-300])
def test_a_senseless_step_is_bounded_or_replaced(step: float) -> None:
    for seed in range(50):
        edit = propose({"a.py": KNOBS}, seed, {"step": step})
        assert 1e-6 <= edit.params["step"] <= 3.0


@pytest.mark.parametrize(("step", "least", "most"), [(0.001, 1e-6, 0.01), (0.3, 0.01, 3.0)])
def test_a_move_is_as_long_as_its_step(step: float, least: float, most: float) -> None:
    lengths = []
    for seed in range(200):
        edit = propose({"a.py": "A = 0.5\nB = 100.0\nC = -3.0\n"}, seed, {"step": step})
        if edit.params["op"] in (100 + Move.SOME, 100 + Move.ALL) and edit.params["step"] < 5 * step:
            after = values("a.py", edit.files[RepoPath("a.py")] or b"")
            lengths.append(math.dist([a / b for a, b in zip(after, (0.5, 100.0, -3.0), strict=True)], (1, 1, 1)))
    assert least < min(lengths)
    assert max(lengths) < most
    assert step / 2 < sorted(lengths)[len(lengths) // 2] < step * 2


def test_every_move_is_made_and_recorded() -> None:
    changed: dict[float, set[int]] = {}
    for seed in range(300):
        edit = propose({"a.py": "A = 0.5\nB = 7.0\nC = 3.0\nD = 2.0\nE = 9.0\n"}, seed)
        after = values("a.py", edit.files[RepoPath("a.py")] or b"")
        moved = sum(a != b for a, b in zip(after, (0.5, 7.0, 3.0, 2.0, 9.0), strict=True))
        changed.setdefault(edit.params["op"] - 100, set()).add(moved)
    assert changed == {Move.ONE: {1}, Move.SOME: {2, 3}, Move.ALL: {5}, Move.BOLD: {1, 2}}


def _advance(before: str, after: str) -> Callable[[Random], Advance]:
    sides = [[SourceFile(path=RepoPath("a.py"), content=text.encode())] for text in (before, after)]
    return lambda _: Advance(*sides)


def test_what_made_the_score_better_is_gone_on_with() -> None:
    """All constants it changed move by the same multiple of their changes, wherever they are now."""
    here = SourceFile(path=RepoPath("a.py"), content=b"A = 10.0\nB = 20.0\nC = 3\nD = 0.5\n")
    made = _advance("A = 1.0\nB = 4.0\nC = 3\nD = 0.5\n", "A = 2.0\nB = 2.0\nC = 3\nD = 0.5\n")
    factors = []
    for seed in range(400):
        edit = Tuner().propose(Request(files=[here], params={"step": 0.07}, advance=made), Random(seed))
        if edit and edit.params["op"] == 100 + Move.ALONG:
            a, b, c, d = values("a.py", edit.files[RepoPath("a.py")] or b"")
            assert (b - 20) == pytest.approx(-2 * (a - 10), rel=1e-3, abs=1e-3)
            assert (c, d) == (3, 0.5)
            assert edit.params["step"] == 0.07, "nothing was learned of how far to step"
            factors.append(a - 10)
    assert len(factors) > 30
    assert sum(factor < 0 for factor in factors) in range(1, len(factors) // 4)
    assert 0.6 < median(map(abs, factors)) < 1.6


@pytest.mark.parametrize("before", ["A = 1.0\n", "A = 1.0\nX = 4.0\n", "A = 1\nB = 4.0\n", "A = 2.0\nB = 2.0\n"])
def test_what_had_other_constants_is_not_gone_on_with(before: str) -> None:
    here = SourceFile(path=RepoPath("a.py"), content=b"A = 10.0\nB = 20.0\n")
    made = _advance(before, "A = 2.0\nB = 2.0\n")
    found = [Tuner().propose(Request(files=[here], advance=made), Random(seed)) for seed in range(200)]
    assert all(edit and edit.params["op"] != 100 + Move.ALONG for edit in found)


def test_moves_that_yield_are_made_more_often() -> None:
    here = SourceFile(path=RepoPath("a.py"), content=KNOBS.encode())
    counts = {100.0 + move: Count(100, 100, 30 if move is Move.SOME else 0) for move in Move}
    request = Request(files=[here], past=Past(operations=counts))
    ops = Counter(edit.params["op"] for seed in range(400) if (edit := Tuner().propose(request, Random(seed))))
    assert ops[100 + Move.SOME] > 240
    assert min(ops[100 + move] for move in (Move.ONE, Move.ALL, Move.BOLD)) > 0, "none is given up for good"


def test_files_are_mostly_changed_by_those_whose_turn_it_is() -> None:
    files = {f"part{number}.conf": "a = 1.5\nb = 2.5\n" for number in range(4)}
    drawn: dict[int, Counter[str]] = {}
    for number in range(8):
        asked = replace(request(files), turn=Turn(number, 8))
        edits = [Tuner().propose(asked, Random(seed)) for seed in range(200)]
        drawn[number] = Counter(path for edit in edits if edit for path in edit.files)
    for number, paths in drawn.items():
        own, rest = paths.pop(f"part{number % 4}.conf"), paths
        assert own > 4 * max(rest.values())  # eight agents with four files: two of them take each
        assert len(rest) == 3  # constants of different files may belong together
    alone = [Tuner().propose(request(files), Random(seed)) for seed in range(200)]
    assert {path for edit in alone if edit for path in edit.files} == set(files)


def test_a_whole_number_leaves_zero_for_every_order_of_size() -> None:
    after = []
    for seed in range(300):
        after += values("a.py", propose({"a.py": "SNUG = 0\n"}, seed).files[RepoPath("a.py")] or b"")
    assert {1, 2, 3, 5} <= set(after)
    assert sum(30 <= value <= 60 for value in after) > 10
    assert sum(value < 0 for value in after) < 100


def test_bold_moves_find_other_constants_values() -> None:
    contents = {propose({"a.py": "A = 3.75\nB = 0.125\n"}, seed).files[RepoPath("a.py")] for seed in range(800)}
    assert {b"A = 0.125\nB = 0.125\n", b"A = 0.125\nB = 3.75\n", b"A = -3.75\nB = 0.125\n"} <= contents
    assert {b"A = 7.5\nB = 0.125\n", b"A = 0.0\nB = 0.125\n", b"A = 3.75\nB = 0.0125\n"} <= contents


@pytest.mark.parametrize(("step", "digits"), [(0.3, 4), (2e-4, 7)])
def test_floats_keep_as_many_digits_as_the_step_can_use(step: float, digits: int) -> None:
    for seed in range(100):
        edit = propose({"a.py": "A = 0.5123\n"}, seed, {"step": step})
        if edit.params["op"] == 100 + Move.ONE and edit.params["step"] > step / 1.5:
            (value,) = values("a.py", edit.files[RepoPath("a.py")] or b"")
            assert value == float(f"{value:.{digits}g}")


def find_subject(files: dict[str, str], wanted: Callable[[str], bool]) -> str:
    return next(subject for seed in range(2000) if wanted(subject := propose(files, seed).subject))


def test_subjects_say_what_changed() -> None:
    assert find_subject({"src/rule.py": "SNUG = 0\n"}, lambda s: " 3 " in s) == "Set SNUG from 0 to 3 in src/rule.py"
    text = "x = f(\n  12)\n"
    assert find_subject({"rule.py": text}, lambda s: " 13 " in s) == "Change 12 to 13 on line 2 of rule.py"
    swap = find_subject({"rule.py": "A = 1\nB = 2000\n"}, lambda s: "1 to 2000" in s and "Move" in s)
    assert swap == "Move 2 constants in rule.py (A 1 to 2000, …)"
    both = find_subject({"a.py": "A = 0.5\n", "b.py": "B = 0.5\n"}, lambda s: "files" in s)
    assert both.startswith("Move 2 constants in 2 files (")
    tiny = Tuner(step=1e-6).propose(request({"a.py": "A = 0.123456789\n"}), Random(1))
    assert tiny is not None
    before, after = tiny.subject.removeprefix("Set A from ").removesuffix(" in a.py").split(" to ")
    assert before != after


@settings(max_examples=150, deadline=None)
@given(
    path=st.text(min_size=1, max_size=90),
    name=st.text(min_size=1, max_size=60),
    seed=st.integers(0, 99),
    two=st.booleans(),
)
def test_a_subject_is_one_clean_short_line(path: str, name: str, seed: int, two: bool) -> None:
    content = json.dumps({name: 3, "y": 4} if two else {name: 3}, ensure_ascii=False)
    edit = propose({path + "\n\u202e\x1b[31m.json": content, "\udcff/.py": f"X = {{{name!r}: 3, 'a\u202eb': 4}}"}, seed)
    subject = edit.subject
    assert 10 < len(subject) <= 72
    assert subject == subject.strip()
    assert subject.isprintable()
    subject.encode("utf-8")


def climb(seed: int, evaluations: int) -> float:
    """Run (1+1) selection on a quadratic of six constants and return what is left of the distance."""
    content, params, rng = KNOBS.encode(), dict[str, float](), Random(seed)
    left = distance(content)
    for _ in range(evaluations):
        file = SourceFile(path=RepoPath("knobs.py"), content=content)
        edit = Tuner().propose(Request(files=[file], params=params), rng)
        assert edit is not None
        proposed = edit.files[RepoPath("knobs.py")] or b""
        if distance(proposed) <= left:
            content, params, left = proposed, dict(edit.params), distance(proposed)
    return left


def distance(content: bytes) -> float:
    now = {name: float(value) for name, _, value in (line.split() for line in content.decode().splitlines())}
    return sum(((now[name] - best) / best) ** 2 for name, best in BEST.items())


def test_a_simple_climber_reaches_the_optimum() -> None:
    assert distance(KNOBS.encode()) > 14
    left = sorted(climb(seed, 600) for seed in range(10))
    assert left[4] < 0.01
    assert left[8] < 0.2
