"""The ways a score can be said, and what stands before it: gates, stages, repeats, test reports."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from conftest import Checkout

from evogit import assembly
from evogit.config import parse
from evogit.errors import ConfigError
from evogit.evaluation import junit
from evogit.evaluation.meter import CommandMeter
from evogit.evaluator_table import digest
from evogit.model import Measurement, Status, TreeId
from evogit.sandbox import Launcher
from evogit.store import task
from evogit.store.freeze import freeze
from evogit.store.repository import open_repository


@dataclass
class Bench:
    """Measures trees of a repository by the evaluator in its `evogit.toml`, as an agent does."""

    checkout: Checkout
    folder: Path
    launcher: Launcher

    def meter(self, table: str, head: str = "") -> CommandMeter:
        """Write `evogit.toml` anew and return what measures by it."""
        (self.checkout.path / "evogit.toml").write_text(f"{head}\n[evaluator]\n{table}\n")
        repo = open_repository(self.checkout.path)
        unwritten = task.unwritten(repo, freeze(repo).definition)
        return assembly.meter(repo, unwritten, self.folder, self.launcher, dict(os.environ))

    def measure(self, table: str, head: str = "") -> Measurement:
        """Return what the base gets."""
        return self.meter(table, head).measure(self.tree())

    def tree(self, **files: str | None) -> TreeId:
        """Return the tree of HEAD with other files; `__` stands for a dot and `_SLASH_` for a slash."""
        for name, content in files.items():
            path = self.checkout.path / name.replace("_SLASH_", "/").replace("__", ".")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.unlink() if content is None else path.write_text(content)
        self.checkout.git("add", "-A", "--", ":!evogit.toml")
        found = TreeId(self.checkout.git("write-tree"))
        self.checkout.git("reset", "-q", "--hard")
        return found


@pytest.fixture
def new_bench(new_checkout: Callable[..., Checkout], tmp_path: Path) -> Iterator[Callable[..., Bench]]:
    """Make a bench of a repository with these files."""
    launchers: list[Launcher] = []

    def make(files: dict[str, str] | None = None) -> Bench:
        launchers.append(Launcher())
        checkout = new_checkout("shapes", {"evogit.toml": "[evaluator]\ncommand = 'x'", **(files or {"a.txt": "1\n"})})
        return Bench(checkout, tmp_path / "agent", launchers[-1])

    yield make
    for launcher in launchers:
        launcher.close()


@pytest.mark.parametrize(
    ("output", "value", "feedback"),
    [
        ('noise\n{"score": 2.5, "metrics": {"a": 1}}\n\n', 2.5, ""),
        ('{"score": 1}\n{"score": 2}\nwarning: done', 2.0, ""),
        ("nothing", None, "no result: no line of the output is a JSON object\nnothing"),
        ('{"score": NaN}', None, None),
        ('{"score": 1, "score": 2}', None, "the result: a key stands twice in one object"),
        ('{"score": true}', None, None),
        ('{"score": 1}\n{"other": 1}', None, None),
    ],
)
def test_the_last_json_object_of_the_output(
    new_bench: Callable[..., Bench], output: str, value: float | None, feedback: str | None
) -> None:
    bench = new_bench({"out.txt": output})
    found = bench.measure('command = "cat out.txt"\nresult = "stdout-json"')
    assert found.value == value
    if feedback is not None:
        assert found.feedback.startswith(feedback)


@pytest.mark.parametrize(
    ("output", "value", "status"),
    [
        ("score: 1\nscore: 2.5e1 and score: -3.\nend", -3.0, Status.OK),
        ("score: nan", None, Status.INVALID),
        ("score: 1e999", None, Status.INVALID),
        ("score: 1_000", None, Status.INVALID),
        ("score: ٣", None, Status.INVALID),
        ("points: 1", None, Status.FAILED),
    ],
)
def test_the_last_match_of_a_pattern(
    new_bench: Callable[..., Bench], output: str, value: float | None, status: Status
) -> None:
    bench = new_bench({"out.txt": output})
    found = bench.measure("command = 'cat out.txt >&2'\nresult = 'regex'\npattern = 'score: (\\S+)'")
    assert (found.value, found.status) == (value, status)


@pytest.mark.parametrize(
    ("command", "status", "value"),
    [
        ("true", Status.OK, 1.0),
        ("echo no; exit 3", Status.OK, 0.0),
        ("kill -9 $$", Status.FAILED, None),
        ("no-such-program", Status.FAILED, None),
        ("exit 125", Status.ERROR, None),
        ("sleep 60", Status.TIMEOUT, None),
    ],
)
def test_an_exit_code_as_the_score(
    new_bench: Callable[..., Bench], command: str, status: Status, value: float | None
) -> None:
    found = new_bench().measure(f"command = '{command}'\nresult = 'exit-code'\ntimeout_s = 2")
    assert (found.status, found.value) == (status, value)
    assert value != 0.0 or found.feedback == "exit code 3\nno"


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("", "evaluator needs one of 'command', 'pytest', 'function' and 'judge'"),
        ("command = 'x'\npytest = 'tests'", "evaluator needs one of 'command', 'pytest', 'function' and 'judge'"),
        (
            "command = 'x'\nresult = 'xml'",
            "evaluator.result is 'xml': use 'file', 'stdout-json', 'regex', 'exit-code', 'junit', 'cpu-time', 'lines' "
            "or 'instructions'",
        ),
        (
            "command = 'x'\nresult = 'regex'",
            "evaluator.pattern belongs to result = 'regex', and is needed there: pattern = 'score: (\\S+)'",
        ),
        (
            "command = 'x'\nresult = 'regex'\npattern = 'a(b)(c)'",
            "evaluator.pattern is 'a(b)(c)': expected one group, around the number, as in 'score: (\\S+)'",
        ),
        ("command = 'x'\njunit = 'a.xml'", "evaluator.junit is only read with a command and result = 'junit'"),
        (
            "command = 'x'\nresult = 'junit'\njunit = '../a.xml'",
            "evaluator.junit is '../a.xml': expected a path inside the repository",
        ),
        (
            "pytest = 'tests'\nresult = 'regex'\npattern = '(x)'",
            "evaluator.result is 'regex': pytest's result is always read as 'junit'; leave it out",
        ),
        ("command = 'x'\nsetup_inputs = ['a']", "evaluator.setup_inputs is there without 'setup'"),
        (
            "command = 'x'\ncarry = ['/etc']",
            "evaluator.carry names '/etc': expected paths inside the repository, without '..'",
        ),
        ("command = 'x'\nrepeat = 0", "evaluator.repeat is 0: expected `int` >= 1"),
        ("command = 'x'\ngate = ['y']", "unknown key 'evaluator.gate'; did you mean 'gates'?"),
        ("command = 'x'\nstages = [{command = 'y'}]", "'evaluator.stages[0].threshold' is missing"),
    ],
)
def test_keys_that_do_not_fit_together_are_named(table: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse(f"[evaluator]\n{table}".encode())
    assert str(caught.value) == f"evogit.toml: {message}"


_SCORE = 'echo "{\\"score\\": $(cat a.txt)}" > $EVOGIT_RESULT'


@pytest.mark.parametrize(
    "more",
    [
        "result = 'exit-code'",
        "memory_mb = 64",
        "repeat = 2",
        "gates = ['y']",
        "stages = [{ command = 'y', threshold = 1 }]",
        "setup = 'y'",
        "carry = ['y']",
    ],
)
def test_each_key_makes_another_evaluator(more: str) -> None:
    plain = parse(b"[evaluator]\ncommand = 'x'\nrepeat = 1\ngates = []\nresult = 'file'").evaluator
    assert digest(plain, []) == digest(parse(b"[evaluator]\ncommand = 'x'").evaluator, [])
    assert digest(parse(f"[evaluator]\ncommand = 'x'\n{more}".encode()).evaluator, []) != digest(plain, [])


def test_the_digest_of_stages_is_the_published_one() -> None:
    """FORMAT.md gives the bytes."""
    evaluator = parse(b"[evaluator]\ncommand = 'x'\nstages = [{ threshold = 1, command = ['y', 'z'] }]").evaluator
    said = b'{"command":"x","stages":[{"command":["y","z"],"threshold":1.0}]}\n'
    assert digest(evaluator, []) == hashlib.sha256(said).hexdigest()


def test_too_much_memory_is_a_failure(new_bench: Callable[..., Bench]) -> None:
    hungry = "python -c 'import time; x = bytearray(400_000_000); time.sleep(60)'"
    found = new_bench().measure(f'command = "{hungry}"\nmemory_mb = 100')
    assert found.status is Status.FAILED
    assert "memory" in found.feedback


def test_a_gate_that_fails_keeps_the_score_from_being_run(new_bench: Callable[..., Bench], tmp_path: Path) -> None:
    bench = new_bench()
    gates = "gates = ['true', 'grep 1 a.txt || { echo broken; exit 2; }']"
    meter = bench.meter(f"{gates}\ncommand = '''touch {tmp_path}/ran; {_SCORE}'''", "editable = ['a.txt']")
    assert meter.measure(bench.tree()).value == 1.0
    (tmp_path / "ran").unlink()
    found = meter.measure(bench.tree(a__txt="2\n"))
    assert (found.status, found.value) == (Status.FAILED, None)
    assert found.feedback == "gate `grep 1 a.txt || { echo broken; exit 2; }`: exit code 2\nbroken"
    assert not (tmp_path / "ran").exists()


def test_what_a_gate_leaves_does_not_reach_the_score(new_bench: Callable[..., Bench]) -> None:
    table = "gates = ['echo 9 > a.txt; echo 9 > $TMPDIR/left; echo 9 > $HOME/left']\n"
    found = new_bench().measure(f"{table}command = '''test ! -e $TMPDIR/left && test ! -e $HOME/left && {_SCORE}'''")
    assert found.value == 1.0


@pytest.mark.parametrize(
    ("direction", "values", "status", "feedback"),
    [
        ("maximize", "0.2 9", Status.FAILED, "stage 1: 0.2 is below 0.5"),
        ("maximize", "0.5 9", Status.OK, ""),
        ("minimize", "0.7 9", Status.FAILED, "stage 1: 0.7 is above 0.5"),
        ("minimize", "0.5 9", Status.OK, ""),
        ("maximize", "none 9", Status.INVALID, None),
    ],
)
def test_a_stage_below_its_threshold_is_a_failure_without_a_score(
    new_bench: Callable[..., Bench], direction: str, values: str, status: Status, feedback: str | None
) -> None:
    table = """result = "regex"
pattern = '^(\\S+)'
command = "cut -d' ' -f2 a.txt"
stages = [{ command = "cut -d' ' -f1 a.txt", threshold = 0.5 }]
"""
    found = new_bench({"a.txt": values + "\n"}).measure(table, f"direction = '{direction}'")
    assert found.status is status
    assert found.value == (9.0 if status is Status.OK else None)
    if feedback is not None:
        assert found.feedback == feedback
    if status is Status.OK:
        assert dict(found.metrics) == {"stage 1": 0.5}


def test_a_repeated_score_is_the_median_with_its_spread(new_bench: Callable[..., Bench], tmp_path: Path) -> None:
    count = f"n=$(cat {tmp_path}/n 2>/dev/null || echo 0); n=$((n + 1)); echo $n > {tmp_path}/n"
    score = 'echo "{\\"score\\": $((n * n)), \\"metrics\\": {\\"n\\": $n}}" > $EVOGIT_RESULT'
    found = new_bench().measure(f"repeat = 3\ncommand = '''{count}; {score}'''")
    assert found.value == 4.0
    assert dict(found.metrics) == {"score_min": 1.0, "score_max": 9.0, "n": 2.0}
    assert (tmp_path / "n").read_text() == "3\n"


def test_a_repeat_that_fails_fails_it_all(new_bench: Callable[..., Bench], tmp_path: Path) -> None:
    found = new_bench().measure(
        f"repeat = 5\ncommand = '''test -e {tmp_path}/once && exit 4; touch {tmp_path}/once; {_SCORE}'''"
    )
    assert (found.status, found.feedback) == (Status.FAILED, "exit code 4")


_SOURCE = """def half(number):
    return number / 2


def double(number):
    return number + 1
"""
_RIGHT = _SOURCE.replace("number + 1", "number * 2")
_TESTS = """import pytest
from pkg.code import double, half


@pytest.mark.parametrize("number", [1, 2, 4])
def test_double(number):
    assert double(number) == 2 * number


def test_half():
    assert half(4) == 2


@pytest.mark.skip
def test_later():
    pass
"""


def _project(**more: str) -> dict[str, str]:
    return {"src/pkg/__init__.py": "", "src/pkg/code.py": _SOURCE, "tests/test_code.py": _TESTS, **more}


def test_passed_tests_of_real_pytest(new_bench: Callable[..., Bench]) -> None:
    bench = new_bench(_project())
    meter = bench.meter('pytest = "tests/"')
    found = meter.measure(bench.tree())
    assert (found.value, found.status) == (2.0, Status.OK), found.feedback
    assert dict(found.metrics) == {"tests": 5.0, "skipped": 1.0}
    assert dict(found.instances) == {
        "tests.test_code::test_double[1]": 1.0, "tests.test_code::test_double[2]": 0.0,
        "tests.test_code::test_double[4]": 0.0, "tests.test_code::test_half": 1.0,
        "tests.test_code::test_later": 0.0,
    }  # fmt: skip
    assert found.feedback.splitlines() == [
        "tests.test_code::test_double[2]: assert 3 == (2 * 2) + where 3 = double(2) tests/test_code.py:7",
        "tests.test_code::test_double[4]: assert 5 == (2 * 4) + where 5 = double(4) tests/test_code.py:7",
        "lines that failed tests ran, from 1 (only they) down: src/pkg/code.py:6=0.82",
    ]
    better = meter.measure(bench.tree(src_SLASH_pkg_SLASH_code__py=_RIGHT))
    assert (better.value, better.feedback) == (4.0, "")


_HOOK = """
import pytest
@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    report = yield
    report.get_result().outcome = "passed"
"""


@pytest.mark.parametrize(
    "files",
    [
        {"conftest__py": _HOOK},
        {"src_SLASH_conftest__py": _HOOK},
        {"pytest__ini": "[pytest]\naddopts = --co\n"},
        {"__pytest__ini": "[pytest]\npython_functions = none\n"},
        {"json__py": "raise SystemExit(0)\n"},
        {"tests_SLASH_test_more__py": "def test_more(): pass\n"},
        {"test_more__py": "def test_more(): pass\n"},
        {"evil_SLASH___init____py": _HOOK, "evil-1.dist-info_SLASH_entry_points__txt": "[pytest11]\nevil = evil\n"},
        {"sitecustomize__py": "raise SystemExit(0)\n"},
        {"pytest__toml": '[pytest]\naddopts = ["--co"]\n'},
    ],
)
def test_no_candidate_wins_by_files_beside_the_tests(new_bench: Callable[..., Bench], files: dict[str, str]) -> None:
    bench = new_bench(_project())
    meter = bench.meter('pytest = "tests/"')
    found = meter.measure(bench.tree(**files))
    assert found.value == 2.0, found.feedback


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("import os\nos._exit(0)\n", "wrote no JUnit report"),
        ("import sys\nsys.exit(0)\n", "exit code"),
        ("import pytest\npytest.skip('all', allow_module_level=True)\n", "exit code 5"),
        ("def half(number): return\n", "exit code"),
    ],
)
def test_tests_that_do_not_run_are_a_failure(new_bench: Callable[..., Bench], code: str, said: str) -> None:
    bench = new_bench(_project())
    found = bench.meter('pytest = "tests/"').measure(bench.tree(src_SLASH_pkg_SLASH_code__py=code))
    assert found.status is Status.FAILED
    assert said in found.feedback


def test_the_settings_of_the_project_hold(new_bench: Callable[..., Bench]) -> None:
    settings = "[tool.pytest.ini_options]\npython_functions = ['test_half']\n"
    bench = new_bench(_project(**{"pyproject.toml": settings}))
    assert bench.measure('pytest = "tests/"').value == 1.0


def test_settings_that_need_a_plugin_say_how_to_name_it(new_bench: Callable[..., Bench]) -> None:
    settings = "[pytest]\naddopts = --timeout=60\n"
    bench = new_bench(_project(**{"pytest.ini": settings}))
    found = bench.measure('pytest = "tests/"')
    assert found.feedback.splitlines()[:2] == [
        'no plugin is loaded by itself; name those the settings need, as in pytest = "-p pytest_timeout tests/"',
        "exit code 4",
    ]
    assert bench.measure('pytest = "-p pytest_timeout tests/"').value == 2.0


_OF_COLOURS = """import colorsys
from pkg.code import half


def test_half():
    assert half(colorsys.rgb_to_hsv(0, 0, 4)[2]) == 2
"""


@pytest.mark.parametrize("name", ["click", pytest.param("colorsys", marks=pytest.mark.heavy)])
def test_modules_of_others_are_not_the_candidates(name: str, new_bench: Callable[..., Bench]) -> None:
    test = f"import {name}\ndef test_it(): assert not hasattr({name}, 'fake')\n"
    bench = new_bench(_project(**{"tests/test_code.py": test, f"src/pkg/{name}.py": ""}))
    meter = bench.meter('pytest = "tests/"')
    files = {f"{folder}{name}__py": "fake = True\n" for folder in ("", "src_SLASH_")}
    assert meter.measure(bench.tree(**files)).value == 1.0
    assert meter.measure(bench.tree(**{f"{name}_SLASH___init____py": "fake = True\n"})).value == 1.0


def test_too_many_modules_are_the_candidates_failure(new_bench: Callable[..., Bench]) -> None:
    bench = new_bench(_project())
    files = {f"{'long' * 50}{number}__py": "" for number in range(600)}
    found = bench.meter('pytest = "tests/"').measure(bench.tree(**files))
    assert (found.status, found.feedback) == (
        Status.FAILED, "it has 600 Python modules that the base has not; that is too many to test",
    )  # fmt: skip


def test_a_project_may_have_a_module_that_is_named_like_a_standard_one(new_bench: Callable[..., Bench]) -> None:
    own = "def rgb_to_hsv(*given): return given\n"
    bench = new_bench(_project(**{"tests/test_code.py": _OF_COLOURS, "src/colorsys.py": own}))
    meter = bench.meter('pytest = "tests/"')
    assert meter.measure(bench.tree()).value == 1.0
    assert meter.measure(bench.tree(src_SLASH_colorsys__py="def rgb_to_hsv(*given): return 0, 0, 0\n")).value == 0.0


@pytest.mark.heavy
def test_what_the_projects_own_tests_replace_is_not_held_against_candidates(new_bench: Callable[..., Bench]) -> None:
    patches = "import time\ntime.sleep = lambda seconds: None\n"
    bench = new_bench(_project(**{"tests/conftest.py": patches}))
    meter = bench.meter('pytest = "tests/"')
    assert meter.measure(bench.tree()).value == 2.0
    assert meter.measure(bench.tree(src_SLASH_pkg_SLASH_code__py=_RIGHT)).value == 4.0
    found = meter.measure(bench.tree(src_SLASH_pkg_SLASH_code__py=f"import math\nmath.isclose = max\n{_RIGHT}"))
    assert found.status is Status.FAILED
    assert found.feedback.startswith("what judges was tampered with: math is as it was: math.isclose was replaced\n")


def test_a_report_of_any_runner_by_its_path(new_bench: Callable[..., Bench]) -> None:
    report = "<testsuite><testcase name='a'/><testcase name='b'>{}</testcase></testsuite>"
    bench = new_bench({"made.txt": report.format("<failure/>"), "out/kept.txt": ""})
    table = "command = 'cp made.txt out/r.xml; exit 1'\nresult = 'junit'\njunit = 'out/r.xml'"
    meter = bench.meter(table, "editable = ['made.txt']")
    assert meter.measure(bench.tree()).value == 1.0
    assert meter.measure(bench.tree(made__txt=report.format(""))).value == 2.0
    one = meter.measure(bench.tree(made__txt="<testsuite><testcase name='a'/></testsuite>"))
    assert (one.status, one.feedback) == (Status.FAILED, "1 of the base's 2 tests did not run: ::b")
    more = report.format("<failure/>").replace("</testsuite>", "<testcase name='c'/></testsuite>")
    assert meter.measure(bench.tree(made__txt=more)).value == 1.0


def test_a_report_that_came_with_the_candidate_is_not_read(new_bench: Callable[..., Bench]) -> None:
    report = "<testsuite><testcase name='a'/></testsuite>"
    bench = new_bench({"run.sh": "echo \"<testsuite><testcase name='a'><error/></testcase></testsuite>\" > r.xml\n"})
    meter = bench.meter("command = 'test -e crash || sh run.sh; exit 1'\nresult = 'junit'\njunit = 'r.xml'")
    assert meter.measure(bench.tree()).value == 0.0
    found = meter.measure(bench.tree(crash="", r__xml=report))
    assert (found.status, found.value) == (Status.FAILED, None)


def test_the_tests_of_the_base_are_known_before_any_other_is_measured(new_bench: Callable[..., Bench]) -> None:
    bench = new_bench(_project())
    fewer = bench.tree(src_SLASH_pkg_SLASH_code__py="import pytest\npytest.skip('x', allow_module_level=True)\n")
    assert bench.meter('pytest = "tests/"').measure(fewer).status is Status.FAILED
    kept = list((bench.checkout.path / ".git/evogit/tests.d").glob("*.json"))
    assert len(kept) == 1
    kept[0].write_text("[")  # half a file: found out again
    assert bench.meter('pytest = "tests/"').measure(fewer).status is Status.FAILED


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"<testsuite>",
        b"<other/>",
        b'<!DOCTYPE x [<!ENTITY a "aaaa">]><testsuite><testcase name="&a;"/></testsuite>',
        b'<!DOCTYPE testsuite SYSTEM "file:///etc/passwd"><testsuite/>',
        b"<testsuite>\0</testsuite>",
        b"\xff\xfe<",
    ],
)
def test_reports_are_read_strictly(content: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        junit.parse(content)


def test_a_test_that_stands_twice_must_pass_twice() -> None:
    report = junit.parse(
        b"<testsuites><testsuite><testcase classname='a' name='b'><failure/></testcase>"
        b"<testcase classname='a' name='b'/></testsuite></testsuites>"
    )
    assert dict(report.passed) == {"a::b": False}


def test_where_a_failed_test_went_is_said_with_it(new_bench: Callable[..., Bench]) -> None:
    files = {
        "lib.py": "def f(a):\n    return a[0]\n\n\ndef g(a):\n    return f(a)\n",
        "tests/test_lib.py": "import lib\ndef test_g():\n    assert lib.g([]) == 1\ndef test_f(): assert lib.f([1])\n",
    }
    found = new_bench(files).measure('pytest = "tests/"')
    assert found.value == 1.0
    assert " lib.py:2 lib.py:6 tests/test_lib.py:3\n" in found.feedback
    assert found.feedback.endswith("lines that failed tests ran, from 1 (only they) down: lib.py:6=1 lib.py:2=0.71")


def test_lines_are_looked_at_where_more_tests_pass_than_before(new_bench: Callable[..., Bench]) -> None:
    tests = "import pytest, lib\n" + "".join(
        f"def test_{name}(): assert lib.{name}(3) == 3\n" for name in ("one", "two", "three")
    )
    lines = "def {}(a):\n    if a > 2:\n        a = {}\n    else:\n        a = 7\n    return a\n\n\n"

    def code(*right: str) -> str:
        return "".join(lines.format(name, "a" if name in right else "0") for name in ("one", "two", "three"))

    bench = new_bench({"lib.py": code("two"), "tests/test_lib.py": tests})
    meter = bench.meter('pytest = "tests/"')
    said = [
        meter.measure(bench.tree(lib__py=text)).feedback.rpartition("down: ")[2]
        for text in (code("two"), code("three"), code("two", "three"), code("one"))
    ]
    first, same, better, worse = said
    assert first == "lib.py:2-3=0.71 lib.py:6=0.71 lib.py:18-19=0.71 lib.py:22=0.71"
    assert better == "lib.py:2-3=1 lib.py:6=1"
    assert not [one for one in (same, worse) if "=0.71" in one or "=1" in one]


@pytest.mark.parametrize(
    "more",
    [
        "import os, sys\nif sys.gettrace():\n    os._exit(0)\n",  # nothing is written
        "import sys\nsys.settrace(None)\n",
        "import json, os, sys\nif sys.gettrace():\n    told = {'failed': 1, 'lines': [['tests/test_lib.py', 1, 1, 1]]}"
        "\n    json.dump(told, open(os.environ['EVOGIT_JUNIT'][:-9] + 'ran.json', 'w'))\n    os._exit(0)\n",
        "import os, sys\nif sys.gettrace():\n    open(os.environ['EVOGIT_JUNIT'][:-9] + 'ran.json', 'w').write('{')\n"
        "    os._exit(0)\n",
    ],
)
def test_code_that_does_not_want_to_be_looked_at_is_scored_as_ever(new_bench: Callable[..., Bench], more: str) -> None:
    files = {
        "lib.py": f"def f():\n    exec({more!r})\n    return 1\n",
        "tests/test_lib.py": "import lib\ndef test_f(): assert lib.f() == 2\ndef test_g(): assert lib\n",
    }
    found = new_bench(files).measure('pytest = "tests/"')
    assert (found.value, found.status) == (1.0, Status.OK), found.feedback
    assert "tests/test_lib.py:1=" not in found.feedback


def test_frames_are_kept_few_and_short() -> None:
    lines = "\n".join([f"a/b.py:{n}: in f" for n in range(30_000)] + ["x" * 10_000, "/etc/x.py:1: E", "a b.py:1: E"])
    report = junit.parse(
        f"<testsuite><testcase name='t'><failure message='m'>{lines}</failure></testcase></testsuite>".encode()
    )
    assert len(report.frames["::t"]) == 5
    assert all(len(frame) < 200 and frame.startswith("a/b.py:") for frame in report.frames["::t"])


@pytest.mark.heavy
def test_thousands_of_tests_fit_into_a_record(new_bench: Callable[..., Bench]) -> None:
    tests = "import pytest\n@pytest.mark.parametrize('n', range(2000))\ndef test_a_rather_long_name(n): assert n\n"
    found = new_bench({"tests/test_many.py": tests}).measure('pytest = "tests/"')
    assert (found.value, dict(found.instances)) == (1999.0, {"tests.test_many": 1999.0})
