"""Scores that say what a command costs, relative to the base: CPU time, executed lines, instructions."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import cage
import psutil
import pytest
from conftest import Checkout

from evogit.evaluation import CommandMeter, Context
from evogit.evaluation.bench import Supplies
from evogit.evaluator_table import Evaluator, Stage
from evogit.model import Direction, Measurement, Status, TreeId
from evogit.sandbox import Job, Launcher
from evogit.store import task
from evogit.store.export import Export
from evogit.store.freeze import freeze
from evogit.store.known_tests import KnownCosts
from evogit.store.repository import open_repository

_needs_valgrind = pytest.mark.skipif(shutil.which("valgrind") is None, reason="valgrind is not installed")
_needs_gcc = pytest.mark.skipif(shutil.which("gcc") is None, reason="gcc is not installed")
_needs_sandbox = pytest.mark.skipif(cage.why_not() is not None, reason=f"no sandbox: {cage.why_not()}")
_KINDS = ["cpu-time", "lines", pytest.param("instructions", marks=_needs_valgrind)]
_WORK = "def run():\n    total = 0\n    for i in range({0}):\n        total += i * i % 7\n    return total\n"
_BENCH = "import sys\nimport work\nassert work.run() >= 0\n"
_CONFIG = """direction = "minimize"
editable = ["work.py"]

[evaluator]
command = "python bench.py"
result = "{kind}"
gates = ["python -c 'import work; assert work.run() >= 0'"]

[[agents]]
use = "tuner"
"""
_BURN = "total = 0\nfor i in range(4000000): total += i"


class Scales:
    """Weighs trees of a repository against the commit `base`."""

    def __init__(self, checkout: Checkout, folder: Path) -> None:
        self.checkout, self.folder = checkout, folder
        self.launcher = Launcher()
        self.supplies = Supplies()

    def tree(self, files: dict[str, str | bytes]) -> str:
        """Commit these files on top of what is there, and return the id of the tree."""
        for name, content in files.items():
            path = self.checkout.path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content if isinstance(content, bytes) else content.encode())
            path.chmod(0o755)
        self.checkout.commit()
        return self.checkout.git("rev-parse", "HEAD^{tree}")

    def meter(self, base: str, kind: str, command: str = "python bench.py", **more: object) -> CommandMeter:
        """Return a new meter, as a new agent would have it."""
        repo = open_repository(self.checkout.path)
        unwritten = task.unwritten(repo, freeze(repo).definition)
        evaluator = Evaluator(command=command, result=kind, **more)  # type: ignore[arg-type]
        export = Export(repo, unwritten.definition, self.folder / "tree")
        context = Context(
            direction=Direction.MINIMIZE, base=TreeId(base), supplies=lambda: self.supplies,
            known_costs=KnownCosts(repo, unwritten),
        )  # fmt: skip
        return CommandMeter(evaluator, export, self.launcher, dict(os.environ), context)


@pytest.fixture
def scales(new_checkout: Callable[..., Checkout], tmp_path: Path) -> Iterator[Scales]:
    """Scales on a repository with a base of 400,000 turns, which leave no process behind."""
    before = {child.pid for child in psutil.Process().children(recursive=True)}
    files = {"bench.py": _BENCH, "evogit.toml": _CONFIG.format(kind="lines").replace("work.py", "*"), "who": "base"}
    made = Scales(new_checkout("weighed", files), tmp_path / "scratch-of-agent")
    yield made
    made.launcher.close()
    assert [child for child in psutil.Process().children(recursive=True) if child.pid not in before] == []


def _value(found: Measurement) -> float:
    assert found.status is Status.OK, found.feedback
    assert found.value is not None
    return found.value


@pytest.mark.parametrize(
    "kind", [*_KINDS[:2], pytest.param("instructions", marks=[_needs_valgrind, pytest.mark.heavy])]
)
def test_a_faster_function_in_python_scores_below_one_and_a_slower_above(scales: Scales, kind: str) -> None:
    turns = 40_000 if kind == "instructions" else 1_000_000
    base, slow, fast = (scales.tree({"work.py": _WORK.format(n)}) for n in (turns, 4 * turns, turns // 4))
    meter = scales.meter(base, kind)
    dear, cheap = meter.measure(TreeId(slow)), meter.measure(TreeId(fast))
    assert _value(cheap) < 0.95 < 1.5 < _value(dear)
    name = {"cpu-time": "cpu_s"}.get(kind, kind)
    assert cheap.metrics[name] < cheap.metrics[f"base_{name}"] < dear.metrics[name]
    if kind == "lines":  # the loop's head and body, and what is around it
        assert dear.metrics == {"lines": 8 * turns + 7, "base_lines": 2 * turns + 7}


@_needs_gcc
@pytest.mark.parametrize("kind", ["cpu-time", pytest.param("instructions", marks=_needs_valgrind)])
@pytest.mark.heavy
def test_a_faster_program_in_c_scores_below_one_and_a_slower_above(scales: Scales, kind: str, tmp_path: Path) -> None:
    def built(turns: int) -> str:
        source, program = tmp_path / "work.c", tmp_path / "work"
        loop = f"for (long i = 0; i < {turns}; i++) t += i * i % 7;"
        source.write_text(f"int main(void) {{ volatile long t = 0; {loop} return t < 0; }}")
        subprocess.run(["gcc", "-O1", "-o", program, source], check=True)
        return scales.tree({"work": program.read_bytes()})

    turns = 5_000_000 if kind == "instructions" else 30_000_000
    base, slow, fast = built(turns), built(3 * turns), built(turns // 3)
    meter = scales.meter(base, kind, "./work")
    assert _value(meter.measure(TreeId(fast))) < 0.7 < 1.4 < _value(meter.measure(TreeId(slow)))


@pytest.mark.parametrize(
    ("kind", "command"),
    [
        ("lines", "python bench.py"),
        pytest.param("instructions", "grep -c total work.py", marks=[_needs_valgrind, pytest.mark.heavy]),
        pytest.param("instructions", "python bench.py", marks=[_needs_valgrind, pytest.mark.heavy]),
    ],
)
def test_counts_are_the_same_each_time(scales: Scales, kind: str, command: str) -> None:
    base = scales.tree({"work.py": _WORK.format(9000) + "# total\n" * 9000})
    other = scales.tree({"work.py": _WORK.format(8000)})
    found = []
    for meter in (scales.meter(base, kind, command), scales.meter(base, kind, command)):
        assert _value(meter.measure(TreeId(base))) == 1.0
        found.append(meter.measure(TreeId(other)))
    assert found[0].metrics == found[1].metrics
    assert _value(found[0]) == _value(found[1]) < 1


def test_base_and_candidate_are_run_in_turns_and_the_base_each_time(scales: Scales, tmp_path: Path) -> None:
    base = scales.tree({"work.py": _WORK.format(1)})
    other = scales.tree({"who": "other"})
    log = tmp_path / "log"
    meter = scales.meter(base, "cpu-time", f"cat who >> {log}; echo >> {log}; python bench.py", repeat=4)
    found = meter.measure(TreeId(other))
    assert log.read_text().split() == ["base", "other", "other", "base"] * 2
    assert found.metrics["score_min"] <= _value(found) <= found.metrics["score_max"]
    log.unlink()
    scales.meter(base, "cpu-time", f"cat who >> {log}; echo >> {log}").measure(TreeId(other))
    assert log.read_text().split() == ["base", "other", "other", "base", "base", "other"]


def test_what_can_be_counted_is_counted_on_the_base_once_for_all_agents(scales: Scales, tmp_path: Path) -> None:
    base = scales.tree({"work.py": _WORK.format(1)})
    trees = [scales.tree({"who": who}) for who in ("one", "two", "three")]
    log = tmp_path / "log"
    command = f"cat who >> {log}; echo >> {log}; python bench.py"
    meter = scales.meter(base, "lines", command)
    values = [_value(meter.measure(TreeId(tree))) for tree in trees[:2]]
    values.append(_value(scales.meter(base, "lines", command).measure(TreeId(trees[2]))))
    assert (log.read_text().split(), values) == (["base", "one", "two", "three"], [1.0, 1.0, 1.0])


def test_waiting_costs_no_cpu_time(scales: Scales) -> None:
    base = scales.tree({"bench.py": _BURN})
    idle = scales.tree({"bench.py": "import time\ntime.sleep(0.4)"})
    found = scales.meter(base, "cpu-time").measure(TreeId(idle))
    assert _value(found) < 0.5
    assert found.seconds > 3 * 0.4


def _burnt(launch: Callable[[tuple[str, ...]], float]) -> None:
    """Check that the work is seen wherever it is done."""
    alone = launch(("python", "-c", _BURN))
    for wrapped in (
        f"import subprocess, sys; subprocess.run([sys.executable, '-c', {_BURN!r}])",
        f"import os\nif os.fork() == 0:\n    exec({_BURN!r}); os._exit(0)\nos.wait()",
        # nobody waits for the one that works, and another tells when it is done
        "import os\nread, write = os.pipe()\nif os.fork() == 0:\n    if os.fork() == 0:\n        os.setsid()\n"
        f"        exec({_BURN!r})\n    os._exit(0)\nos.wait(); os.close(write); os.read(read, 1)",
        # the kernel forgets what a child used whose end the parent does not want to hear of
        "import os, signal\nsignal.signal(signal.SIGCHLD, signal.SIG_IGN)\nread, write = os.pipe()\n"
        f"if os.fork() == 0:\n    exec({_BURN!r}); exec({_BURN!r}); os._exit(0)\nos.close(write); os.read(read, 1)",
        f"import threading; thread = threading.Thread(target=exec, args=({_BURN!r},)); thread.start(); thread.join()",
    ):
        assert launch(("python", "-c", wrapped)) > alone / 2
    assert launch(("sleep", "0.3")) < alone / 2


@pytest.mark.heavy
def test_cpu_time_is_that_of_all_processes(tmp_path: Path) -> None:
    launcher = Launcher()
    environment = {"PATH": cage.PATH, "EVOGIT_RESULT": str(tmp_path / "result")}

    def launch(argv: tuple[str, ...]) -> float:
        done = launcher.launch(Job(argv=argv, cwd=tmp_path, environment=environment, timeout_s=60))
        assert done.exit_code == 0
        return done.cpu_s

    try:
        _burnt(launch)
    finally:
        launcher.close()


@_needs_sandbox
def test_cpu_time_is_that_of_all_processes_in_a_sandbox(tmp_path: Path, world: dict[str, str]) -> None:
    with cage.cage(tmp_path, Path(world["HOME"])) as made:

        def launch(argv: tuple[str, ...]) -> float:
            done = made.run(argv)
            assert done.exit_code == 0
            return done.cpu_s

        _burnt(launch)


def test_a_command_that_does_not_end_well_has_no_cost(scales: Scales) -> None:
    base = scales.tree({"work.py": _WORK.format(9)})
    broken = scales.tree({"work.py": "raise SystemExit(3)"})
    for kind in ("cpu-time", "lines"):
        found = scales.meter(base, kind).measure(TreeId(broken))
        assert (found.status, found.feedback) == (Status.FAILED, "exit code 3")
        found = scales.meter(broken, kind).measure(TreeId(base))
        assert (found.status, found.feedback) == (Status.ERROR, "the cost of the base: exit code 3")
    found = scales.meter(base, "lines", "sleep 30", timeout_s=0.3).measure(TreeId(base))
    assert found.status is Status.TIMEOUT


def test_lines_of_threads_forks_and_subprocesses_are_counted(scales: Scales) -> None:
    base = scales.tree({"work.py": _WORK.format(1000)})
    alone = scales.meter(base, "lines").measure(TreeId(base)).metrics["lines"]
    for program in (
        "import threading, work\nfor _ in range(3):\n    t = threading.Thread(target=work.run); t.start(); t.join()",
        "import multiprocessing, work\nif __name__ == '__main__':\n    fork = multiprocessing.get_context('fork')\n"
        "    for _ in range(3):\n        p = fork.Process(target=work.run); p.start(); p.join()",
        "import subprocess as s, sys\nfor _ in range(3):\n    s.run([sys.executable, '-c', 'import work; work.run()'])",
        "import os, sys, work\nwork.run(); work.run()\nos.execv(sys.executable, [sys.executable, 'again.py'])",
        "import os, work\nwork.run(); work.run(); work.run()\nos._exit(0)",
        "import work\ncode = open('work.py').read()\nfor _ in range(3):\n    exec(code); run()",
        "import unittest, work\nclass T(unittest.TestCase):\n    def test(self):\n"
        "        for _ in range(3): work.run()\nunittest.main()",
    ):
        tree = scales.tree({"bench.py": program, "again.py": "import work\nwork.run()\n"})
        meter = scales.meter(base, "lines")
        counts = {meter.measure(TreeId(tree)).metrics["lines"] for _ in range(2)}
        assert len(counts) == 1
        assert 2.9 * alone < counts.pop() < 3.1 * alone + 60


@pytest.mark.heavy
def test_pytest_is_counted_as_it_is(scales: Scales) -> None:
    tests = "import work\n\ndef test_work():\n    assert work.run() >= 0\n"
    base = scales.tree({"work.py": _WORK.format(1000), "test_it.py": tests})
    half = scales.tree({"work.py": _WORK.format(500)})
    found = scales.meter(base, "lines", "python -m pytest -p no:cacheprovider -q test_it.py").measure(TreeId(half))
    assert 0.5 < _value(found) < 0.52


@pytest.mark.parametrize(
    ("program", "says"),
    [
        ("import sys, work\nsys.settrace(None)\nwork.run()", "took the tracer"),
        ("import sys, work\nt = sys.gettrace()\nsys.settrace(None)\nwork.run()\nsys.settrace(t)", "took the tracer"),
        (
            "import os, subprocess, sys\nsubprocess.run([sys.executable, '-c', 'import os; os.kill(os.getpid(), 9)'])",
            "1 of 2 Python processes ended without their count",
        ),
        ("import os\nopen(os.environ['PYTHONPATH'] + '/counts', 'w').write('x')", "none of the counter's words"),
    ],
)  # fmt: skip
def test_a_count_that_was_meddled_with_is_invalid(scales: Scales, program: str, says: str) -> None:
    base = scales.tree({"work.py": _WORK.format(9)})
    found = scales.meter(base, "lines").measure(TreeId(scales.tree({"bench.py": program})))
    assert found.status is Status.INVALID
    assert says in found.feedback


@pytest.mark.parametrize("command", ["true", "PYTHONPATH=. python bench.py", "python -S bench.py", "python -c pass"])
def test_a_command_whose_lines_cannot_be_counted_breaks_on_the_base(scales: Scales, command: str) -> None:
    base = scales.tree({"work.py": _WORK.format(9)})
    found = scales.meter(base, "lines", command).measure(TreeId(scales.tree({"who": "other"})))
    assert found.status is Status.ERROR
    assert found.feedback.startswith("the cost of the base: the count of lines: no ")


def test_a_sitecustomize_of_the_users_still_runs(scales: Scales) -> None:
    said = "import os\nos.environ['SAID'] = 'yes'\n"
    base = scales.tree({"work.py": _WORK.format(9), "lib/sitecustomize.py": said})
    scales.supplies = Supplies(imports=("lib",))
    asks = scales.tree(
        {"bench.py": "import os, sitecustomize\nassert os.environ['SAID'] == 'yes' and sitecustomize.os"}
    )
    found = scales.meter(base, "lines").measure(TreeId(asks))
    assert 0 < _value(found) < 1


@_needs_valgrind
def test_a_candidate_cannot_talk_valgrind_into_leaving_processes_out(scales: Scales) -> None:
    base = scales.tree({"work.py": _WORK.format(1000)})
    sly = scales.tree({".valgrindrc": "--trace-children-skip=*\n"})
    # one more file in the folder costs an instruction or two
    meter = scales.meter(base, "instructions", "grep -c total work.py; true")
    assert abs(_value(meter.measure(TreeId(sly))) - 1) < 0.001


@pytest.mark.heavy
def test_a_stage_is_a_cost_as_well(scales: Scales) -> None:
    base = scales.tree({"work.py": _WORK.format(1000)})
    slow = scales.tree({"work.py": _WORK.format(3000)})
    stages = (Stage(command="python bench.py", threshold=1.5),)
    found = scales.meter(base, "lines", stages=stages).measure(TreeId(slow))
    assert (found.status, found.feedback) == (Status.FAILED, "stage 1: 2.99302 is above 1.5")
    found = scales.meter(base, "lines", stages=stages).measure(TreeId(base))
    assert (_value(found), found.metrics["stage 1"]) == (1.0, 1.0)


def _evolving(new_checkout: Callable[..., Checkout], kind: str, turns: int = 2000) -> Checkout:
    files = {"work.py": _WORK.format(turns), "bench.py": _BENCH, "evogit.toml": _CONFIG.format(kind=kind)}
    return new_checkout("evolving", files)


@pytest.mark.heavy
def test_a_run_makes_a_program_cheaper_and_proposes_it(new_checkout: Callable[..., Checkout]) -> None:
    checkout = _evolving(new_checkout, "lines")
    checkout.evogit("run", "-n", "2", "--evals", "30", "--seed", "3")
    value = float(checkout.evogit("show", "base").stdout.split("score")[1].split()[0])
    assert value == 1.0
    best = float(checkout.evogit("best").stdout.split()[1])
    assert best < 1
    said = checkout.evogit("pr").stdout
    assert "Lower the score: 1 to" in said or "(-" in said


@_needs_sandbox
@pytest.mark.parametrize("kind", _KINDS)
def test_costs_are_measured_in_the_sandbox(new_checkout: Callable[..., Checkout], kind: str) -> None:
    checkout = _evolving(new_checkout, kind)
    said = checkout.evogit("evaluate", "--sandbox", "bwrap", "--json").stdout
    assert '"status":"ok"' in said.replace(" ", "")
    assert "base_" in said


def test_doctor_warns_of_a_cost_that_nothing_guards(new_checkout: Callable[..., Checkout]) -> None:
    checkout = _evolving(new_checkout, "lines")
    warning = "nothing checks that candidates still do their work"
    said = checkout.evogit("doctor").stdout
    assert warning not in said
    assert "HEAD scores 1 twice" in said
    assert "it sees the candidate" in said
    config = checkout.path / "evogit.toml"
    config.write_text("\n".join(line for line in config.read_text().splitlines() if not line.startswith("gates")))
    assert warning in checkout.evogit("doctor").stdout


def test_without_valgrind_nothing_is_begun(new_checkout: Callable[..., Checkout], tmp_path: Path) -> None:
    checkout = _evolving(new_checkout, "instructions")
    programs = tmp_path / "programs"
    programs.mkdir()
    for name in ("git", "python", "sh"):
        found = shutil.which(name)
        assert found is not None
        (programs / name).symlink_to(found)
    checkout.environment = {**checkout.environment, "PATH": str(programs)}
    for command in (["run", "-n", "1", "--evals", "3"], ["evaluate"]):
        said = checkout.evogit(*command, expect=2).stderr
        assert "valgrind is not installed; install it (apt install valgrind)" in said
    assert checkout.git("for-each-ref", "refs/evogit") == ""
    assert "install it (apt install valgrind)" in checkout.evogit("doctor", expect=1).stdout


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ('"minimize"', '"maximize"', "direction is 'maximize', and evaluator.result = 'lines' is a cost"),
        ('command = "python bench.py"', 'pytest = "tests"', "for what tests cost: command = 'python -m pytest …'"),
        ('"lines"', '"cpu-time"\nrepeat = 2', "evaluator.repeat is 2: CPU time is measured in 3 pairs or more"),
    ],
)
def test_settings_that_do_not_fit_are_refused(
    new_checkout: Callable[..., Checkout], old: str, new: str, says: str
) -> None:
    checkout = _evolving(new_checkout, "lines")
    config = checkout.path / "evogit.toml"
    config.write_text(config.read_text().replace(old, new))
    assert says in checkout.evogit("evaluate", expect=2).stderr
