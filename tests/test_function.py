"""Scores by a Python function: what it may return, what is imported once, and that no candidate meets another."""

from __future__ import annotations

import ast
import json
import os
import signal
import venv
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest
from cage import cage, survivors, wait_for, why_not
from conftest import Checkout

from evogit import assembly
from evogit.config import parse
from evogit.errors import ConfigError
from evogit.evaluation import CommandMeter
from evogit.evaluation import serving as texts
from evogit.evaluator_table import digest
from evogit.model import Measurement, Status, TreeId
from evogit.sandbox import Cancelled, Launcher
from evogit.sandbox.job import CONFINED, Limits
from evogit.store import task
from evogit.store.freeze import freeze
from evogit.store.repository import open_repository

needs_one = pytest.mark.skipif(why_not() is not None, reason=str(why_not()))
both = pytest.mark.parametrize("kind", ["none", pytest.param("bwrap", marks=needs_one)])
_BENCH = "import knobs\n\n\ndef score():\n    return knobs.act()\n"
_FINE = "def act():\n    return 1\n"


@dataclass
class Scorer:
    """Measures versions of `knobs.py` by the function of a repository, as an agent does."""

    checkout: Checkout
    folder: Path
    launcher: Launcher
    found: CommandMeter | None = None

    @property
    def meter(self) -> CommandMeter:
        """What measures, with one server for all."""
        if self.found is None:
            repo = open_repository(self.checkout.path)
            unwritten = task.unwritten(repo, freeze(repo).definition)
            self.found = assembly.meter(repo, unwritten, self.folder, self.launcher, dict(os.environ))
        return self.found

    def measure(self, knobs: str, **more: str) -> Measurement:
        """Return what the function says of this `knobs.py`; `__` stands for a dot and `_SLASH_` for a slash."""
        return self.meter.measure(self.tree(knobs, **more))

    def tree(self, knobs: str, **more: str) -> TreeId:
        """Write a tree of HEAD with other files."""
        for name, content in {"knobs__py": knobs, **more}.items():
            path = self.checkout.path / name.replace("_SLASH_", "/").replace("__", ".")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content)
        self.checkout.git("add", "-A")
        found = TreeId(self.checkout.git("write-tree"))
        self.checkout.git("reset", "-q", "--hard")
        return found

    def servers(self) -> list[int]:
        """Return the processes that were started and run, the guard aside."""
        guard = self.launcher._guard.pid
        return [child.pid for child in psutil.Process().children() if child.pid != guard]


@pytest.fixture
def new_scorer(
    new_checkout: Callable[..., Checkout], tmp_path: Path, world: dict[str, str]
) -> Iterator[Callable[..., Scorer]]:
    """Make a scorer: `new_scorer(kind, files, table)`."""
    with ExitStack() as stack:

        def make(
            kind: str = "none",
            files: dict[str, str] | None = None,
            table: str = "timeout_s = 60",
            limits: Limits = CONFINED,
            cancelled: Callable[[], bool] = lambda: False,
        ) -> Scorer:
            toml = f'editable = ["knobs.py", "more/**"]\n[evaluator]\nfunction = "bench:score"\n{table}\n'
            checkout = new_checkout(
                "scored", {"evogit.toml": toml, "bench.py": _BENCH, "knobs.py": _FINE, **(files or {})}
            )
            if kind == "none":
                launcher = Launcher(cancelled)
                stack.callback(launcher.close)
            else:
                launcher = stack.enter_context(cage(tmp_path / "agent", Path(world["HOME"]), limits)).launcher
            return Scorer(checkout, tmp_path / "agent", launcher)

        yield make


def _act(body: str) -> str:
    return "import os, sys, time\n\n\ndef act():\n    " + body.replace("\n", "\n    ") + "\n"


def test_what_a_function_may_return(new_scorer: Callable[..., Scorer]) -> None:
    scorer = new_scorer(table="timeout_s = 5")
    assert scorer.measure(_act("return 2")).value == 2.0
    servers = scorer.servers()
    found = scorer.measure(_act('return {"score": -0.5, "metrics": {"m": 1}, "instances": {"i": 2}, "feedback": "f"}'))
    assert (found.value, found.metrics, found.instances, found.feedback) == (-0.5, {"m": 1.0}, {"i": 2.0}, "f")
    for body, status, said in (
        ("return True", Status.INVALID, "the result: "),
        ("return float('nan')", Status.INVALID, "the result: "),
        ("return float('inf')", Status.INVALID, "the result: "),
        ("return 10 ** 400", Status.INVALID, "the result: "),
        ("return {'score': '1'}", Status.INVALID, "the result: "),
        ("return {'score': 1, 'other': 2}", Status.INVALID, "the result: "),
        ("return {'score': 1, 'metrics': {'m': float('nan')}}", Status.INVALID, "the result: "),
        ("return {'score': {1, 2}}", Status.INVALID, "the function returned what JSON has no word for: "),
        ("print('hello')", Status.INVALID, "the function returned nothing; expected a number or a mapping\nhello"),
        ("return '1'", Status.INVALID, "the function returned a str; expected a number or a mapping"),
        ("return {'score': 1, 'feedback': 'x' * 70000}", Status.INVALID, "the result: it has more than 65536 bytes"),
        ("return {'score': 1, 'feedback': 'x' * 900000}", Status.INVALID, "the result: it has more than 65536 bytes"),
        (
            "print('hello')\nraise ValueError('no\\nreally')",
            Status.FAILED,
            "the function raised ValueError: no\nhello\n",
        ),
        ("sys.exit('enough')", Status.FAILED, "exit code 1\nenough"),
        ("sys.exit(125)", Status.ERROR, "exit code 125: the evaluator cannot test this"),
        ("print('x' * 9); sys.exit(0)", Status.FAILED, "no result: the process ended before the function returned\nx"),
        ("os.write(1, b'out'); os._exit(0)", Status.FAILED, "no result: the process ended before the function ret"),
        ("os.abort()", Status.FAILED, "killed by signal 6"),
        ("print('begun', flush=True)\ntime.sleep(900)", Status.TIMEOUT, "longer than 5 s\nbegun"),
    ):
        found = scorer.measure(_act(body))
        assert (found.status, found.value) == (status, None), body
        assert found.feedback.startswith(said), body
    assert scorer.measure("def act(:\n").feedback.startswith("the function raised SyntaxError: ")
    raised = scorer.measure(_act("raise ValueError('no')")).feedback
    frames = [line.split(",")[0].rpartition("/")[2] for line in raised.splitlines() if line.startswith("  File ")]
    assert frames == ['bench.py"', 'knobs.py"']
    assert raised.endswith("\nValueError: no")
    assert scorer.servers() == servers  # none of this cost a new one


def test_gates_stages_repeats_and_what_else_there_is(new_scorer: Callable[..., Scorer], tmp_path: Path) -> None:
    scorer = new_scorer(
        table='gates = ["test -f knobs.py"]\nrepeat = 3\n'
        'stages = [{ command = \'echo "{\\"score\\": 7}" > $EVOGIT_RESULT\', threshold = 5 }]',
    )
    count = tmp_path / "count"
    body = f"open({str(count)!r}, 'a').write('x')\nreturn len(open({str(count)!r}).read())"
    found = scorer.measure(_act(body))
    assert (found.value, found.metrics) == (2.0, {"score_min": 1.0, "score_max": 3.0, "stage 1": 7.0})
    drawn = [scorer.measure("import random\n\n\ndef act():\n    return random.random()\n").value for _ in range(2)]
    assert drawn[0] != drawn[1]


_LOOK = """
import sys
SEEN = set(sys.modules)
from typing import TYPE_CHECKING
import fractions
from more import helper
from xml import sax
if TYPE_CHECKING:
    import wave
try:
    import no_such_module
except ImportError:
    import colorsys


def other():
    import cgitb_is_not_there, plistlib


def score():
    import statistics, json, knobs
    names = ("fractions", "mailbox", "xml.sax", "wave", "colorsys", "plistlib", "statistics", "more", "knobs", "bisect")
    return {"score": knobs.act(), "metrics": {name: int(name in SEEN) for name in names},
            "feedback": f"{json.__file__} {sys.path}"}
"""


@both
def test_what_the_base_imports_is_imported_once_and_nothing_of_a_candidates(
    new_scorer: Callable[..., Scorer], kind: str
) -> None:
    files = {"bench.py": _LOOK, "more/helper.py": "import mailbox\n", "sitecustomize.py": "raise SystemExit(9)\n"}
    scorer = new_scorer(kind, files, 'preload = ["bisect", "wave"]')
    for act in (_FINE, _act("return 2")):
        found = scorer.measure(act, json__py="raise ValueError", fractions__py="raise ValueError")
        assert found.value == (1 if act == _FINE else 2), found.feedback
        assert found.metrics == {
            "fractions": 1, "mailbox": 1, "xml.sax": 1, "wave": 1, "colorsys": 1, "statistics": 1, "bisect": 1,
            "plistlib": 0, "more": 0, "knobs": 0,
        }  # fmt: skip
        assert str(scorer.folder) not in found.feedback.split()[0]


@pytest.mark.heavy
def test_the_environment_beside_the_tree_is_used_and_what_cannot_be_shared_is_not(
    new_scorer: Callable[..., Scorer],
) -> None:
    bench = (
        "import sys\nSEEN = set(sys.modules)\nimport fine, threads, files, takes_knobs, knobs\n\n\ndef score():\n"
        "    assert takes_knobs.knobs is knobs and threads.is_alive()\n"
        "    return {'score': knobs.act(), 'metrics': {n: n in SEEN and 1 or 0 for n in "
        "('fine', 'threads', 'files', 'takes_knobs')}, 'feedback': sys.prefix}\n"
    )
    scorer = new_scorer(files={"bench.py": bench, ".gitignore": ".venv\n"}, table='carry = [".venv"]')
    environment = scorer.checkout.path / ".venv"
    venv.create(environment, with_pip=False, symlinks=True)
    packages = next(environment.glob("lib/python*/site-packages"))
    for name, content in {
        "fine": "", "takes_knobs": "import knobs", "files": "kept = open(__file__)", "knobs": "raise ValueError",
        "threads": "import threading, time\nthread = threading.Thread(target=time.sleep, args=(900,), daemon=True)\n"
        "thread.start()\nis_alive = thread.is_alive",
    }.items():  # fmt: skip
        (packages / f"{name}.py").write_text(content)
    for value in (1, 2):
        found = scorer.measure(_act(f"return {value}"))
        assert found.value == value, found.feedback
        assert found.metrics == {"fine": 1, "threads": 0, "files": 0, "takes_knobs": 0}
        assert found.feedback == str(scorer.folder / "tree" / ".venv")


def test_a_module_that_cannot_be_imported_is_named(new_scorer: Callable[..., Scorer]) -> None:
    found = new_scorer(table='preload = ["no_such_module"]').measure(_FINE)
    assert found.status is Status.ERROR
    assert found.feedback.startswith("evaluator.preload names 'no_such_module', which cannot be imported: ModuleNotFo")


_SPOIL = """
import builtins, ctypes, json, os, random, resource, signal, socket, subprocess, sys, threading, time

def act():
    json.dumps = json.marked = random.random = None
    sys.path.insert(0, "/elsewhere"); sys.setrecursionlimit(5000); sys.settrace(lambda *_: None)
    os.environ["MARK"] = "x"
    signal.signal(signal.SIGTERM, signal.SIG_IGN); signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])
    resource.setrlimit(resource.RLIMIT_NOFILE, (50, 50))
    threading.Thread(target=time.sleep, args=(900,)).start()
    subprocess.Popen(["/bin/sh", "-c", "trap '' TERM HUP; (setsid sleep 900 &) ; sleep 900"], start_new_session=True)
    home, scratch = os.environ["HOME"], os.path.dirname(os.environ["EVOGIT_RESULT"])
    places = [home, os.environ["TMPDIR"], scratch, os.getcwd()]
    if CONFINED:
        places += ["/tmp", "/dev/shm"]
        libc = ctypes.CDLL(None)
        assert libc.shmget(4711, 4096, 0o1600) >= 0
        assert libc.mq_open(b"/mark", 0o102, 0o600, None) < 0
        server = socket.create_server(("127.0.0.1", 4711))
        client = socket.create_connection(server.getsockname())
        server.accept()[0].close()
        client.close()
    for place in places:
        os.makedirs(os.path.join(place, "mark/inside"))
        open(os.path.join(place, "mark.txt"), "w").close()
    os.chmod(home, 0)
    for act in (lambda: os.nice(0) or os.setpriority(os.PRIO_PROCESS, os.getppid(), 15),
                lambda: resource.prlimit(os.getppid(), resource.RLIMIT_CORE, (0, 0)),
                lambda: os.sched_setaffinity(os.getppid(), {0})):
        act()
    os.chdir("/")
    os.umask(0o777)
    builtins.sorted = None
    return 1
"""
_SEE = """
import builtins, glob, json, os, random, resource, signal, socket, sys, threading

def act():
    mark = ("EVOGIT_RESULT=" + os.environ["EVOGIT_RESULT"]).encode()
    fellows = 0
    for name in filter(str.isdecimal, os.listdir("/proc")):
        try:
            fellows += mark in open(f"/proc/{name}/environ", "rb").read().split(bytes(1))
        except OSError:
            fellows += CONFINED
    places = [os.environ["HOME"], os.environ["TMPDIR"], os.path.dirname(os.environ["EVOGIT_RESULT"]), os.getcwd()]
    places += ["/tmp", "/dev/shm"] if CONFINED else []
    if CONFINED:
        socket.create_server(("127.0.0.1", 4711), reuse_port=False).close()
    open(os.path.join(os.environ["HOME"], "mine"), "w").close()
    return {"score": 1, "feedback": repr([
        fellows, hasattr(json, "marked"), random.random is None, len(sorted([1])), sys.path, sys.getrecursionlimit(),
        sys.gettrace(), sorted(os.environ), os.getcwd(), os.umask(0), signal.getsignal(signal.SIGTERM),
        signal.getsignal(signal.SIGINT), signal.pthread_sigmask(signal.SIG_BLOCK, []), threading.active_count(),
        resource.getrlimit(resource.RLIMIT_NOFILE), resource.getrlimit(resource.RLIMIT_CORE),
        os.getpriority(os.PRIO_PROCESS, 0), os.sched_getaffinity(0), sorted(os.listdir("/proc/self/fd")),
        [glob.glob(os.path.join(place, "mark*")) for place in places], CONFINED and open("/proc/sysvipc/shm").read(),
        [oct(os.stat(place).st_mode) for place in places], sys.argv, sorted(vars(sys.modules["__main__"])),
        "evogit" in sys.modules,
    ])}
"""


@both
def test_nothing_of_one_candidate_is_there_for_the_next(new_scorer: Callable[..., Scorer], kind: str) -> None:
    scorer = new_scorer(kind)
    head = f"CONFINED = {kind != 'none'}\n"
    before = scorer.measure(head + _SEE)
    assert before.status is Status.OK, before.feedback
    for _ in range(2):
        spoilt = scorer.measure(head + _SPOIL)
        assert spoilt.status is Status.OK, spoilt.feedback
        assert scorer.measure(head + _SEE).feedback == before.feedback
    assert "Handlers.SIG_DFL" in before.feedback
    assert len(scorer.servers()) == 1


@needs_one
def test_files_in_memory_are_removed_without_a_new_server(new_scorer: Callable[..., Scorer]) -> None:
    scorer = new_scorer("bwrap")
    leave = (
        "for top in ('/tmp', '/dev/shm'):\n    assert not os.path.exists(top + '/a')\n    os.makedirs(top + '/a/b/c')\n"
    )
    leave += "    open(top + '/a/b/file', 'w').close()\n    os.symlink('/', top + '/a/link')\nreturn 1"
    assert scorer.measure(_act(leave)).value == 1, "first"
    server = scorer.servers()
    for _ in range(3):
        found = scorer.measure(_act(leave))
        assert found.value == 1, found.feedback
    assert scorer.servers() == server


_REACH = """
import ctypes, os, signal, json

def act():
    done = []
    for name in ("mem", "fd", "environ", "maps"):
        try:
            path = f"/proc/{os.getppid()}/{name}"
            os.listdir(path) if name == "fd" else open(path, "r+b" if name == "mem" else "rb").read(1)
            done.append(name)
        except OSError:
            pass
    for number in range(1, 65):
        if number not in (32, 33):
            os.kill(os.getppid(), number)
    return {"score": os.getppid(), "feedback": json.dumps(done)}
"""


@needs_one
def test_the_server_is_out_of_the_reach_of_candidates(new_scorer: Callable[..., Scorer]) -> None:
    scorer = new_scorer("bwrap")
    for _ in range(2):
        found = scorer.measure(_REACH)
        assert (found.value, found.feedback) == (1.0, "[]"), found.feedback
    server = scorer.servers()
    assert scorer.measure(_FINE).value == 1
    assert scorer.servers() == server


def test_who_ends_an_unconfined_server_fails_and_the_next_does_not(new_scorer: Callable[..., Scorer]) -> None:
    scorer = new_scorer()
    for _ in range(2):
        killed = scorer.measure(_act("print('take that', flush=True)\nos.kill(os.getppid(), 9)\ntime.sleep(900)"))
        assert killed.status is Status.FAILED
        assert killed.feedback.startswith("the server of the function was lost: it ended")
        assert scorer.measure(_FINE).value == 1
    assert len(scorer.servers()) == 1


@both
def test_limits_are_those_of_a_command(new_scorer: Callable[..., Scorer], kind: str) -> None:
    limits = Limits(memory_mb=4000, disk_mb=20)
    scorer = new_scorer(kind, table="memory_mb = 150\ntimeout_s = 50", limits=limits)
    hungry = scorer.measure(_act("print('eating', flush=True)\nkept = bytearray(400 << 20)\ntime.sleep(900)"))
    assert (hungry.status, hungry.feedback) == (
        Status.FAILED, "memory: its processes use more than 150 MB together\neating",
    )  # fmt: skip
    assert scorer.measure(_FINE).value == 1
    flood = scorer.measure(_act("for _ in range(3000):\n    os.write(2, b'x' * 65536)\nreturn 1"))
    assert flood.value == 1
    if kind == "bwrap":
        write = "for n in range(40):\n    open(f'f{n}', 'wb').write(bytes(1 << 20))\ntime.sleep(900)"
        assert scorer.measure(_act(write)).feedback.startswith("disk: it wrote more than 20 MB")
        assert scorer.measure(_FINE).value == 1


def test_a_tree_that_cannot_be_exported_harms_only_itself(new_scorer: Callable[..., Scorer]) -> None:
    scorer = new_scorer()
    assert scorer.measure(_FINE).value == 1
    blob = scorer.checkout.git("hash-object", "-w", "--stdin", stdin=b"x")
    tree = scorer.checkout.git("mktree", stdin=f"100644 blob {blob}\tbench.py\n100644 blob {blob}\ta\\b\n".encode())
    assert scorer.meter.measure(TreeId(tree)).status is Status.FAILED
    assert scorer.measure(_FINE).value == 1


def test_no_candidate_takes_the_place_of_the_function(new_scorer: Callable[..., Scorer]) -> None:
    fake = "def score():\n    return 1000\n"
    found = new_scorer().measure(_FINE, bench__py=fake, bench_SLASH___init____py=fake, src_SLASH_bench__py=fake)
    assert found.value == 1


def test_a_wish_to_stop_ends_the_server_at_once(new_scorer: Callable[..., Scorer]) -> None:
    wish: list[bool] = []
    scorer = new_scorer(cancelled=lambda: bool(wish))
    assert scorer.measure(_FINE).value == 1
    tree = scorer.tree(_act("time.sleep(900)"))
    wish.append(True)
    with pytest.raises(Cancelled):
        scorer.meter.measure(tree)
    assert scorer.servers() == []


@both
def test_a_killed_agent_leaves_no_server(toy: Checkout, kind: str) -> None:
    if kind == "bwrap":
        for name in ("EVOGIT_SANDBOX", "EVOGIT_I_TRUST_THIS_CODE"):
            toy.environment.pop(name)
    text = (toy.path / "evogit.toml").read_text().replace('command = "python bench.py"', 'function = "bench:score"')
    (toy.path / "evogit.toml").write_text(text.replace("timeout_s = 20", "timeout_s = 500"))
    (toy.path / "bench.py").write_text(
        "import os, time\n\n\ndef score():\n    if os.fork() == 0:\n        os.setsid()\n        time.sleep(900)\n"
        "    open('begun', 'w').close()\n    time.sleep(900)\n"
    )
    toy.commit()
    run = toy.start("run", "-n", "1", "--run", "hang")
    top = Path(toy.environment["TMPDIR"])
    begun = wait_for(lambda: next(top.glob("evogit-*/*/hang/*/tree/begun"), None))
    result = begun.parent.parent / "scratch" / "result.json"
    assert survivors(result, None)
    agent = next(child for child in psutil.Process(run.pid).children() if "agent" in child.cmdline())
    agent.send_signal(signal.SIGKILL)
    run.communicate(timeout=60)
    wait_for(lambda: None if survivors(result, None) else top)


@both
def test_commands_work_with_a_function(toy: Checkout, kind: str) -> None:
    if kind == "bwrap":
        for name in ("EVOGIT_SANDBOX", "EVOGIT_I_TRUST_THIS_CODE"):
            toy.environment.pop(name)
    text = (toy.path / "evogit.toml").read_text()
    (toy.path / "evogit.toml").write_text(text.replace('command = "python bench.py"', 'function = "bench:score"'))
    (toy.path / "bench.py").write_text("import knobs\n\n\ndef score():\n    return knobs.value()\n")
    toy.commit()
    assert "it sees the candidate" in toy.evogit("doctor").stdout
    toy.evogit("run", "-n", "2", "--evals", "6", "--run", "quick")
    best = json.loads(toy.evogit("status", "--run", "quick", "--json").stdout)
    assert best["evaluations"] >= 6, best
    tree = toy.git("ls-tree", "-r", "--name-only", "refs/evogit/quick/task")
    assert "protected/bench.py" in tree.splitlines()


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("function = 'bench'", "evaluator.function is 'bench': expected a module and a function in it, such as "),
        ("function = 'a-b:c'", "evaluator.function is 'a-b:c': expected a module and a function in it, such as "),
        ("function = 'a:b'\npytest = 'x'", "evaluator needs one of 'command', 'pytest', 'function' and 'judge'"),
        ("function = 'a:b'\nresult = 'junit'", "evaluator.result is 'junit': a function's result is what it returns"),
        ("command = 'a'\npreload = ['numpy']", "evaluator.preload is there without 'function'"),
        ("function = 'a:b'\npreload = ['os; x']", "evaluator.preload[0] is 'os; x': expected the name of a module"),
    ],
)
def test_keys_that_do_not_fit_together_are_named(table: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse(f"[evaluator]\n{table}".encode())
    assert str(caught.value).startswith(f"evogit.toml: {message}")


def test_a_module_that_is_not_there_is_named_before_anything_runs(new_checkout: Callable[..., Checkout]) -> None:
    checkout = new_checkout("none", {"evogit.toml": "[evaluator]\nfunction = 'a.b:c'\n", "x.py": "A = 1\n"})
    said = checkout.evogit("evaluate", expect=2).stderr
    assert said.strip().endswith(
        "evaluator.function is 'a.b:c', and there is none of these files: "
        "a/b.py, a/b/__init__.py, src/a/b.py, src/a/b/__init__.py"
    )


def test_each_key_makes_another_evaluator() -> None:
    tables = ("function = 'a:b'", "function = 'a:c'", "function = 'a:b'\npreload = ['x']", "command = 'a:b'")
    assert len({digest(parse(f"[evaluator]\n{table}".encode()).evaluator, []) for table in tables}) == len(tables)
    same = parse(b"[evaluator]\nfunction = 'a:b'\npreload = []").evaluator
    assert digest(same, []) == digest(parse(b"[evaluator]\nfunction = 'a:b'").evaluator, [])


def test_the_server_is_written_for_old_interpreters_too() -> None:
    for path in Path(str(texts.__file__)).parent.glob("*.py"):
        ast.parse(path.read_text(), feature_version=(3, 8))
