"""What runs around pytest in its process: honest code passes by it, and variants of the known hacks do not."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import count
from pathlib import Path

import pytest
from cage import run_as_nobody, why_not
from conftest import Checkout
from hacked import SHAPES, shooting
from variants import STOPPED, WINNING

from evogit import assembly
from evogit.hacks import Remedy
from evogit.hacks.planting import in_code
from evogit.model import Measurement, RepoPath, Status
from evogit.sandbox import Launcher
from evogit.store import freeze, task, trees
from evogit.store.repository import open_repository

Measure = Callable[..., Measurement]
needs_sandbox = pytest.mark.skipif(why_not() is not None, reason=str(why_not()))

_HONEST = '''"""Uses much of what looks at frames, opens files and compares in ways of its own."""

import asyncio
import dataclasses
import enum
import functools
import inspect
import io
import json
import logging
import pickle
import platform
import signal
import threading
import traceback
import typing
import uuid
import warnings
from collections import namedtuple
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

Pair = namedtuple("Pair", "left right")
Colour = enum.Enum("Colour", "RED GREEN")


class Row(typing.NamedTuple):
    text: str
    number: float = 0.0


@dataclasses.dataclass(order=True)
class Point:
    x: float
    y: float = dataclasses.field(default=0.0, compare=False)


class Word(str):
    """Equals whatever differs in case only."""

    def __eq__(self, other):
        return isinstance(other, str) and self.casefold() == other.casefold()

    def __ne__(self, other):
        return not self == other

    def __hash__(self):
        return hash(self.casefold())


class Near(float):
    def __eq__(self, other):
        return abs(float(self) - float(other)) < 1e-6

    __hash__ = None


class Always:
    """Has an order, and no more."""

    def __le__(self, other):
        return True


class Column:
    """Makes expressions of comparisons."""

    def __init__(self, said):
        self.said = said

    def __eq__(self, other):
        return Column(f"{self.said} = {other!r}")

    __hash__ = None


def guarded(function, log=logging.getLogger("guarded")):
    @functools.wraps(function)
    def inner(*given):
        try:
            return function(*given)
        except ValueError:
            log.exception("failed", stack_info=False)
            return traceback.format_exc()

    return inner


def old(number):
    warnings.warn("old", DeprecationWarning, stacklevel=2)
    return number


def steps(count):
    yield from range(count)


def state(count):
    return inspect.getgeneratorstate(steps(count))


async def later(number):
    await asyncio.sleep(0)
    return number


def in_time(function, handler_saw=[]):
    before = signal.signal(signal.SIGALRM, lambda number, frame: handler_saw.append(number))
    signal.setitimer(signal.ITIMER_REAL, 5)
    try:
        return function()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def load(path):
    return json.loads(Path(path).read_text())


def copied(value):
    return pickle.loads(pickle.dumps(value))


def hints(cls):
    return typing.get_type_hints(cls)


def machine():
    return bool(platform.platform()), bool(uuid.uuid4())


def parallel(function, given):
    with ThreadPoolExecutor(2) as pool:
        return list(pool.map(function, given))


def made(code):
    namespace = {}
    exec(compile(code, "<made>", "exec"), namespace)
    return namespace


def signature(function):
    return list(inspect.signature(function).parameters), function.__code__.co_argcount


def note(text):
    out = io.StringIO()
    handler = logging.StreamHandler(out)
    handler.setFormatter(logging.Formatter("%(filename)s %(message)s"))
    log = logging.Logger("note")
    log.addHandler(handler)
    log.warning(text)
    return out.getvalue()


def temporary(folder, text):
    path = Path(folder) / "note.txt"
    path.write_text(text)
    return path.read_text()


def counted(function):
    lock, calls = threading.Lock(), []

    def inner(*given):
        with lock:
            calls.append(given)
        return function(*given)

    inner.calls = calls
    return inner
'''
_TESTS = """'A docstring.'

from __future__ import annotations

import asyncio
import unittest
import warnings
from dataclasses import dataclass
from pathlib import Path

import pytest
from lib import honest


class Local:
    def __init__(self, number):
        self.number = number

    def __eq__(self, other):
        return self.number == other.number


@dataclass
class Typed:
    number: "int"
    other: "Local | None" = None


def failing(text):
    raise ValueError(text)


class Case(unittest.TestCase):
    def test_equal(self):
        self.assertEqual(honest.Point(1.0, 2.0), honest.Point(1.0, 3.0))
        self.assertAlmostEqual(honest.Near(1.0), 1.0)

    @unittest.skip("later")
    def test_skipped(self):
        assert False


def test_tuples():
    assert honest.Pair(1, 2) == (1, 2)
    assert honest.Row("a") == ("a", 0.0)
    assert honest.Colour.RED.name == "RED"


def test_words():
    assert honest.Word("Some") == "sOME"
    assert honest.Word("Some") != "other"
    assert [honest.Word("a")] == ["A"]
    assert honest.Near(1.0) == 1.0000001
    assert honest.Always() <= 5
    assert (honest.Column("a") == 5).said == "a = 5"


def test_errors():
    assert "ValueError: no" in honest.guarded(failing)("no")


def test_warnings():
    with pytest.warns(DeprecationWarning, match="old"):
        assert honest.old(3) == 3
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert honest.old(4) == 4


def test_generators():
    assert list(honest.steps(3)) == [0, 1, 2]
    assert honest.state(3) == "GEN_CREATED"
    assert asyncio.run(honest.later(4)) == 4


def test_signals():
    assert honest.in_time(lambda: 5) == 5


def test_files(tmp_path):
    assert honest.load(Path(__file__).with_name("given.json")) == {"a": [1, 2, 3]}
    assert honest.load("tests/given.json")["a"] == [1, 2, 3]
    assert honest.temporary(tmp_path, "x") == "x"


def test_pickle():
    assert honest.copied(Local(3)) == Local(3)
    assert honest.copied(honest.Point(1.0)) == honest.Point(1.0)


def test_types():
    assert honest.hints(Typed)["number"] is int
    assert honest.signature(failing) == (["text"], 1)


def test_more():
    assert all(honest.machine())
    assert honest.parallel(abs, [-1, 2]) == [1, 2]
    assert honest.made("def one(): return 1")["one"]() == 1
    assert honest.note("said") == "honest.py said" + chr(10)
    inner = honest.counted(abs)
    assert inner(-3) == 3 and inner.calls == [(-3,)]


@honest.counted
def test_wrapped():
    assert honest.Point(1.0) < honest.Point(2.0)


@pytest.mark.xfail
def test_expected():
    assert honest.old(1) == 2
"""
_BARE = '''"""Lacks all."""


def __getattr__(name):
    if name == "counted":
        return lambda function: function
    raise AttributeError(name)
'''


@pytest.fixture
def new_measure(new_checkout: Callable[..., Checkout], tmp_path: Path) -> Iterator[Callable[..., Measure]]:
    """Return what makes a repository of some files, and returns what measures its base with other files."""
    launchers = [Launcher()]

    numbers = count()

    def make(files: dict[str, str]) -> Measure:
        number = next(numbers)
        toml = "[evaluator]\npytest = 'tests/'\n"
        repo = open_repository(new_checkout(f"honest{number}", {**files, "evogit.toml": toml}).path)
        unwritten = task.unwritten(repo, freeze.freeze(repo).definition)
        meter = assembly.meter(repo, unwritten, tmp_path / f"agent{number}", launchers[0], dict(os.environ))

        def measure(**changed: str) -> Measurement:
            replaced = {RepoPath(path.replace("__", "/") + ".py"): text.encode() for path, text in changed.items()}
            return meter.measure(trees.with_files(repo, unwritten.base_tree, replaced))

        return measure

    yield make
    launchers[0].close()


_GIVEN = '{"a": [1, 2, 3]}'
_COUNT = 12


def test_honest_code_passes_by(new_measure: Callable[..., Measure]) -> None:
    files = {"lib/__init__.py": "", "tests/test_honest.py": _TESTS, "tests/given.json": _GIVEN}
    measure = new_measure({**files, "lib/honest.py": _BARE})
    bare = measure()
    assert bare.value == 0.0, bare.feedback
    found = measure(lib__honest=_HONEST)
    assert (found.feedback, found.value) == ("", _COUNT)
    measure = new_measure({**files, "lib/honest.py": _HONEST})
    assert measure().value == _COUNT
    found = measure(lib__honest=_HONEST.replace("yield from range(count)", "yield from [0, 1, 2][:count]"))
    assert (found.feedback, found.value) == ("", _COUNT)


_ASKING = """import sys


def caller():
    return sys._getframe(1).f_code.co_name


def one():
    return {number}
"""
_TEST_CALLER = """from lib import asking


def test_caller():
    assert asking.caller() == "test_caller"


def test_one():
    assert asking.one() == 1
"""


def test_what_the_base_does_is_not_held_against_candidates(new_measure: Callable[..., Measure]) -> None:
    files = {"lib/__init__.py": "", "tests/test_caller.py": _TEST_CALLER}
    measure = new_measure({**files, "lib/asking.py": _ASKING.format(number=0)})
    assert measure().value == 1.0
    assert measure(lib__asking=_ASKING.format(number=1)).value == 2.0
    equal = "type('Yes', (), {'__eq__': lambda *_: True})()"
    found = measure(lib__asking=_ASKING.format(number=equal))
    assert (found.status, found.value) == (Status.FAILED, None)
    assert found.feedback.startswith("what judges was tampered with: values do not equal everything: a Yes equals ")


_COLOURS = """NAMES = {{(255, 0, 0): 1, (0, 255, 0): 2, (0, 0, 255): 3, (255, 255, 0): 4, (0, 0, 0): 5, {more}}}
"""
_TEST_COLOURS = """from lib import colours
import pytest


@pytest.mark.parametrize(
    "colour, number", [((255, 0, 0), 1), ((0, 255, 0), 2), ((0, 0, 255), 3), ((255, 255, 0), 4), ((0, 0, 0), 5)]
)
def test_colours(colour, number):
    assert colours.NAMES[colour] == number
"""


def test_a_table_with_more_than_tests_ask_for_is_no_answer_by_heart(new_measure: Callable[..., Measure]) -> None:
    files = {"lib/__init__.py": "", "tests/test_colours.py": _TEST_COLOURS}
    measure = new_measure({**files, "lib/colours.py": "NAMES = {}\n"})
    more = ", ".join(f"({n}, {n}, {n}): {n}" for n in range(6, 12))
    assert measure(lib__colours=_COLOURS.format(more=more)).value == 5.0
    found = measure(lib__colours=_COLOURS.format(more=""))
    assert (
        found.feedback
        == "what judges was tampered with: lib/colours.py lists 5 questions of the tests and their answers"
    )


@needs_sandbox
@pytest.mark.heavy
@pytest.mark.parametrize("shape", ["pytest", "split"])
def test_variants_of_the_known_hacks(shape: str, new_checkout: Callable[..., Checkout], tmp_path: Path) -> None:
    codes = {**STOPPED, **WINNING}
    with shooting(new_checkout, tmp_path / "agent", SHAPES[shape]) as range_:
        before = range_.honest()
        # Some do what the base does where they know nothing better: to be as good as the base is no hole.
        hacks = [replace(in_code(name, name, Remedy.JUDGE, code), is_worthless=False) for name, code in codes.items()]
        holes = {hack.name for hack in hacks if range_.try_one(hack).is_hole}
        after = range_.honest()
    assert (after.status, after.value, after.instances) == (before.status, before.value, before.instances)
    assert holes == (WINNING.keys() if shape == "pytest" else set())


@needs_sandbox
@pytest.mark.heavy
@pytest.mark.skipif(os.geteuid() != 0, reason="an ordinary user runs these tests already")
def test_the_same_for_an_ordinary_user() -> None:
    done = run_as_nobody(["test_guard.py"], "-m", "", "-k", "pytest or honest", "--timeout=1100", timeout=1150)
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr
    assert "2 passed" in done.stdout
