"""Split evaluators: what the scorer is told, what the candidate cannot reach, and which lines between them count."""

from __future__ import annotations

import ast
import importlib.util
import json
import py_compile
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
from cage import PATH, cage, why_not
from conftest import Checkout

from evogit import assembly, config
from evogit.errors import ConfigError, EvaluatorBroken
from evogit.model import Measurement, Status, TreeId
from evogit.sandbox import Job, Launcher, Wish, choose
from evogit.store import objects, task, trees
from evogit.store.freeze import freeze
from evogit.store.repository import open_repository
from evogit.store.trees import FILE_MODE, Entry

_ROOT = Path(__file__).parent.parent
_needs_one = pytest.mark.skipif(why_not() is not None, reason=str(why_not()))
_CANARY = "the-canary-of-the-answers"
_SCORER = f"""import json
from random import Random

from evogit.evaluator import candidate, report, seed

SECRET = json.load(open("answers/key.json"))["secret"]  # {_CANARY}

def truth(x):
    return x * x + SECRET

draw = Random(seed())
inputs = [2 * draw.randrange(10**8) + odd for odd in (0, 1) for _ in range(50)]
with candidate("rule:answer") as answer:
    right = sum(type(got) is int and got == truth(x) for x, got in zip(inputs, answer.map([(x,) for x in inputs])))
report(right / len(inputs), metrics={{"right": right}})
"""
_HONEST = "def answer(x):\n    return x * x + 7 if x % 2 == 0 else 0\n"
_CONFIG = """direction = "maximize"
editable = ["rule.py", "lib/**"]

[evaluator]
mode = "split"
command = "python score.py"
trusted = ["answers/**"]
timeout_s = 60
"""
_FILES = {
    "rule.py": _HONEST,
    "score.py": _SCORER,
    "answers/key.json": json.dumps({"secret": 7, "canary": _CANARY}),
    "lib/__init__.py": "",
    "evogit.toml": _CONFIG,
}


class Trial:
    """A repository with a split evaluator, in which files can be put in the place of the candidate's."""

    def __init__(self, checkout: Checkout, folder: Path, kind: str) -> None:
        self.checkout, self._folder = checkout, folder
        wish = Wish(kind=kind, where="a test", trusted=True, caller={"PATH": PATH}, probed=True)
        self._launcher = Launcher(sandbox=choose(wish))

    def measure(self, files: Mapping[str, str | bytes] | None = None, **more: str) -> Measurement:
        """Return what an evaluation says of the base with some files replaced; `more` is appended to the table."""
        self.amend(**more)
        repo = open_repository(self.checkout.path)
        unwritten = task.unwritten(repo, freeze(repo).definition)
        self._folder.mkdir(exist_ok=True)
        self._meter = assembly.meter(repo, unwritten, self._folder, self._launcher, {"PATH": PATH})
        entries = {
            name.encode(): Entry(FILE_MODE, objects.write_blob(repo, text.encode() if isinstance(text, str) else text))
            for name, text in (files or {}).items()
        }
        base = repo.commit(unwritten.definition.base).tree_id
        return self._meter.measure(TreeId(str(trees.build(repo, base, entries))))

    def again(self) -> Measurement:
        """Return what the same meter says of the base."""
        repo = open_repository(self.checkout.path)
        return self._meter.measure(task.unwritten(repo, freeze(repo).definition).base_tree)

    def amend(self, **keys: str) -> None:
        """Set keys of the table, each to a TOML value."""
        path = self.checkout.path / "evogit.toml"
        lines = [line for line in path.read_text().splitlines() if line.partition(" ")[0] not in keys]
        path.write_text("\n".join([*lines, *(f"{key} = {value}" for key, value in keys.items())]) + "\n")

    def write(self, **files: str) -> None:
        """Write over files of the base, named without `.py`, and commit."""
        for name, text in files.items():
            (self.checkout.path / f"{name}.py").write_text(text)
        self.checkout.commit()

    def close(self) -> None:
        """End it."""
        self._launcher.close()


@contextmanager
def _trial(checkout: Checkout, folder: Path, kind: str) -> Iterator[Trial]:
    before = {child.pid for child in psutil.Process().children(recursive=True)}
    made = Trial(checkout, folder, kind)
    try:
        yield made
    finally:
        made.close()
    assert [child for child in psutil.Process().children(recursive=True) if child.pid not in before] == []


@pytest.fixture
def split(new_checkout: Callable[..., Checkout], tmp_path: Path) -> Iterator[Trial]:
    """A split evaluator in a sandbox."""
    with _trial(new_checkout("split", _FILES), tmp_path / "agent", "bwrap") as made:
        yield made


@pytest.fixture
def bare(new_checkout: Callable[..., Checkout], tmp_path: Path) -> Iterator[Trial]:
    """A split evaluator without a sandbox."""
    with _trial(new_checkout("split", _FILES), tmp_path / "agent", "none") as made:
        yield made


# What a candidate does to score more than it deserves


_CHEAT = "def answer(x):\n    return 0\n"
_WALK = """
import gc, sys
def find(value, depth=0):
    if getattr(value, "__name__", "") == "truth":
        return value
    if isinstance(value, dict) and depth < 3:
        return next(filter(None, (find(inner, depth + 1) for inner in list(value.values()))), None)
"""
_HACKS = {
    "walks the frames": _WALK
    + """
def answer(x):
    frame = sys._getframe()
    while frame:
        found = find(frame.f_locals) or find(frame.f_globals)
        if found:
            return found(x)
        frame = frame.f_back
    return 0
""",
    "scans the collector": _WALK
    + "def answer(x):\n    return next((found(x) for found in filter(None, map(find, gc.get_objects()))), 0)\n",
    "equals everything": """
class Equal(int):
    __eq__ = lambda self, other: True
    __hash__ = int.__hash__
    __reduce__ = lambda self: (Equal, ())
def answer(x):
    return Equal(0)
""",
    "is not a number": "def answer(x):\n    return float('nan')\n",
    "is true": "def answer(x):\n    return True\n",
    "ends well at once": "import os\nos._exit(0)\n",
    "ends well when asked": "import sys\ndef answer(x):\n    sys.exit(0)\n",
    "writes at its end": """
import atexit, os
def better():
    for path in (os.environ["EVOGIT_RESULT"], "../scorer/scratch/result.json", "result.json"):
        try:
            open(path, "w").write('{"score": 1.0}')
        except OSError:
            pass
    print('{"score": 1.0}', flush=True)
atexit.register(better)
def answer(x):
    better()
    return 0
""",
    "writes everywhere": """
import os, sys
def forge():
    number = "0" * 16
    frame = sys._getframe()
    while frame:
        number = (frame.f_locals.get("request") or {}).get("id", number)
        frame = frame.f_back
    lines = b'{"score": 1.0}\\n{"id": "ID", "results": [1e999, NaN]}\\n{"id": "ID", "ok": true}\\n'
    lines = lines.replace(b"ID", number.encode())
    places = [f"/proc/{pid}/fd" for pid in os.listdir("/proc") if pid.isdigit()]
    for place in places:
        try:
            names = os.listdir(place)
        except OSError:
            continue
        for name in names:
            try:
                target = os.open(f"{place}/{name}", os.O_WRONLY | os.O_NONBLOCK)
                os.write(target, lines)
            except OSError:
                pass
    for number in range(3, 100):
        try:
            os.write(number, lines)
        except OSError:
            pass
def answer(x):
    forge()
    return 0
""",
    "patches what judges": """
import builtins, json, operator, time
builtins.abs = builtins.zip = builtins.sum = lambda *_: 1
json.dumps = json.loads = json.load = lambda *_, **__: {"score": 1.0}
time.time = time.monotonic = time.perf_counter = lambda: 0.0
operator.eq = lambda *_: True
def answer(x):
    return 0
""",
    "remembers the tests it saw": """
from random import Random
draw = Random(1)
TABLE = {x: x * x + 7 for x in (2 * draw.randrange(10**8) + odd for odd in (0, 1) for _ in range(50))}
def answer(x):
    return TABLE.get(x, 0)
""",
    "searches the disk": f"""
import glob, os
def places():
    yield from glob.glob("/proc/[0-9]*/environ") + glob.glob("/proc/[0-9]*/cmdline") + glob.glob("/proc/[0-9]*/fd/*")
    for folder, folders, names in os.walk("/"):
        folders[:] = [name for name in folders if name not in ("proc", "sys", "usr", "dev", "lib", "lib64")]
        yield from (os.path.join(folder, name) for name in names)
def search():
    for path in places():
        try:
            with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK), "rb", buffering=0) as file:
                content = file.read(100_000) or b""
        except OSError:
            continue
        if b"{_CANARY[:12]}" + b"{_CANARY[12:]}" in content or b"EVOGIT" + b"_SEED=" in content:
            return 7
    return 0
KEY = search()
def answer(x):
    return x * x + KEY if KEY else 0
""",
    "leaves a daemon": """
import os, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        time.sleep(1000)
    os._exit(0)
def answer(x):
    return 0
""",
    "kills everybody": "import os\ndef answer(x):\n    os.kill(-1, 9)\n",
    "kills its parent": "import os\ndef answer(x):\n    os.kill(os.getppid(), 9)\n",
    "traces": """
import sys, threading
def trace(frame, event, argument):
    for name in ("right", "score", "results"):
        if name in frame.f_locals:
            frame.f_locals[name] = 100
    return trace
sys.settrace(trace); threading.settrace(trace)
def answer(x):
    return 0
""",
    "is half a character": "def answer(x):\n    return '\\ud800'\n",
    "is deep": "def answer(x):\n    found = []\n    for _ in range(500):\n        found = [found]\n    return found\n",
    "is long": "def answer(x):\n    return 'x' * 1_000_000\n",
}
_SAMPLE = ("walks the frames", "writes at its end", "writes everywhere", "searches the disk", "kills everybody")


@_needs_one
@pytest.mark.parametrize(
    "hack", [pytest.param(name, marks=[] if name in _SAMPLE else [pytest.mark.heavy]) for name in _HACKS]
)
def test_a_hack_scores_no_more_than_the_honest_candidate(hack: str, split: Trial) -> None:
    honest = split.measure()
    found = split.measure({"rule.py": _HACKS[hack]})
    assert honest.value == 0.5
    assert (found.value or 0.0) <= 0.02, found  # a few of a hundred fresh inputs may be met by chance
    assert split.again().value == 0.5


@_needs_one
def test_the_whole_truth_scores_all(split: Trial) -> None:
    assert split.measure({"rule.py": "def answer(x):\n    return x * x + 7\n"}).value == 1.0


@_needs_one
def test_bytecode_and_modules_of_the_candidate_replace_nothing(split: Trial, tmp_path: Path) -> None:
    """The source says less than the bytecode beside it; and files named as the standard library's are there."""
    source = tmp_path / "rule.py"
    source.write_text("def answer(x):\n    return x * x + 7\n")
    compiled = py_compile.compile(
        str(source), cfile=str(tmp_path / "c"), invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH
    )
    assert compiled is not None
    shadow = "raise SystemExit('not the standard library')\n"
    files: dict[str, str | bytes] = {f"{name}.py": shadow for name in ("json", "select", "random", "os", "importlib")}
    files |= {"sitecustomize.py": shadow, "usercustomize.py": shadow, "evogit_worker.py": shadow}
    files[importlib.util.cache_from_source("rule.py")] = Path(compiled).read_bytes()
    assert split.measure(files).value == 0.5


@_needs_one
def test_a_candidate_that_hangs_is_a_timeout(split: Trial) -> None:
    found = split.measure({"rule.py": "def answer(x):\n    while True:\n        pass\n"}, timeout_s="3")
    assert (found.status, found.value) == (Status.TIMEOUT, None)


@_needs_one
def test_each_side_sees_its_own_files_only(split: Trial) -> None:
    split.write(
        rule="import os\ndef seen():\n"
        "    found = [os.path.join(at, name)[2:] for at, _, names in os.walk('.') for name in names]\n"
        "    return found, dict(os.environ)\n",
        score="""import os
from evogit.evaluator import candidate, report
own = [os.path.join(at, name)[2:] for at, _, names in os.walk(".") for name in names]
with candidate("rule:seen") as seen:
    its, environment = seen()
told = sorted(name for name in environment if name.startswith("EVOGIT"))
is_mine = environment["EVOGIT_RESULT"] == os.environ["EVOGIT_RESULT"]
report(0, feedback=f"{sorted(own)}\\n{sorted(its)}\\n{told}\\n{is_mine}")
""",
    )
    found = split.measure()
    assert found.feedback.splitlines() == [
        "['answers/key.json', 'evogit.toml', 'score.py']",
        "['evogit.toml', 'lib/__init__.py', 'rule.py']",
        "['EVOGIT_ARTIFACTS', 'EVOGIT_JUNIT', 'EVOGIT_RESULT']",  # a file of its own, which nobody reads
        "False",
    ]


@_needs_one
def test_gates_stages_and_repeats_go_with_it(split: Trial) -> None:
    split.write(score=_SCORER.replace('"right": right', '"right": right, "seed": seed() % 10**9'))
    good = split.measure(
        repeat="3", gates='["ls | grep -q ^rule && ! ls | grep ^score && ! ls | grep ^answer"]',
        stages='[{ command = "python score.py", threshold = 0.4 }]',
    )  # fmt: skip
    assert (good.status, good.value, good.metrics["stage 1"]) == (Status.OK, 0.5, 0.5)
    assert split.again().metrics["seed"] != good.metrics["seed"]
    bad = split.measure({"rule.py": _CHEAT})
    assert (bad.status, bad.feedback) == (Status.FAILED, "stage 1: 0 is below 0.4")


@_needs_one
@pytest.mark.heavy
def test_what_a_setup_makes_of_trusted_files_is_the_scorers_alone(split: Trial) -> None:
    split.write(
        rule="import os\ndef answer(x):\n    return x * x + (7 if os.path.exists('made/open') else 0)\n",
        score=_SCORER.replace("answers/key.json", "key.bin"),
    )
    found = split.measure(
        setup='"cp answers/key.json key.bin; mkdir made; touch made/open"', trusted='["answers/**", "key.bin"]'
    )
    assert (found.status, found.value) == (Status.OK, 1.0)
    place = next((split.checkout.path / ".git" / "evogit" / "prepared.d").glob("*/tree-*"))
    seeing = f"import glob\ndef answer(x):\n    return x * x + 7 if glob.glob('{place}/key.bin') else 0\n"
    assert (place / "key.bin").exists()
    assert split.measure({"rule.py": seeing}).value == 0.0


def test_what_is_trusted_is_not_brought_in_a_folder_the_candidate_sees(bare: Trial) -> None:
    with pytest.raises(EvaluatorBroken, match=r"evaluator.trusted names made/key.bin, in a folder that `setup`"):
        bare.measure(setup='"mkdir made; touch made/open made/key.bin"', trusted='["made/key.bin"]')


@_needs_one
def test_a_limit_says_which_side_crossed_it(split: Trial) -> None:
    greedy = "def answer(x):\n    held = [b'x' * 10**8 for _ in range(50)]\n    import time; time.sleep(100)\n"
    found = split.measure({"rule.py": greedy}, memory_mb="300")
    assert found.feedback.startswith("memory: the worker's processes use more than 300 MB together")


@pytest.mark.heavy
@_needs_one
def test_the_doctor_searches_from_the_candidates_place(split: Trial) -> None:
    checkout = split.checkout
    for name in ("EVOGIT_SANDBOX", "EVOGIT_I_TRUST_THIS_CODE"):
        checkout.environment.pop(name)
    said = checkout.evogit("doctor").stdout
    found = "what only the scorer is to see is not there, such as answers/key.json, score.py"
    assert f"split: searched all a candidate can read: {found}" in " ".join(said.split())
    assert "when these are broken: lib/__init__.py;" in said  # of what can be broken, only the rule matters
    shutil.copy(checkout.path / "answers" / "key.json", checkout.path / "lib" / "copy.json")
    checkout.commit()
    assert "answers/key.json (at lib/copy.json)" in checkout.evogit("doctor", expect=1).stdout


@_needs_one
def test_agents_evolve_by_it(split: Trial) -> None:
    checkout = split.checkout
    for name in ("EVOGIT_SANDBOX", "EVOGIT_I_TRUST_THIS_CODE"):
        checkout.environment.pop(name)
    checkout.evogit("run", "-n", "2", "--evals", "8", "--run", "r")
    records = checkout.git("log", "--glob=refs/notes/evogit/r/*", "--notes=evogit/*", "--format=%N")
    assert '"sandbox":"bwrap","seconds"' in records
    assert records.count('"kind":"score"') >= 8


def test_it_works_without_a_sandbox(bare: Trial) -> None:
    assert bare.measure().value == 0.5
    failed = bare.measure({"rule.py": "def answer(x):\n    print('I give up')\n    raise ValueError('no idea')\n"})
    assert failed.status is Status.FAILED
    assert "the candidate failed: rule:answer: ValueError: no idea\nthe worker wrote:\nI give up" in failed.feedback
    assert "score.py" not in failed.feedback


def test_a_worker_that_cannot_start_is_explained(bare: Trial) -> None:
    found = bare.measure(worker='"no-such-program"')
    assert found.status is Status.FAILED
    assert "the candidate failed: the worker has ended" in found.feedback
    assert "no-such-program: not found" in found.feedback


@_needs_one
@pytest.mark.heavy
def test_many_sandboxes_are_made_at_the_same_time(tmp_path: Path, world: dict[str, str]) -> None:
    """Each must read the filter of system calls and the small /etc from their beginning."""
    with cage(tmp_path / "agent", Path(world["HOME"])) as made:
        job = Job(
            argv=("/bin/sh", "-c", "grep Seccomp: /proc/self/status; cat /etc/hosts"), cwd=made.tree,
            environment={"PATH": PATH}, timeout_s=60, talks=True,
        )  # fmt: skip
        companions = [made.launcher.open(job) for _ in range(8)]
        said = []
        for companion in companions:
            with open(companion.output, "rb", closefd=False) as file:
                said.append(file.read())
            companion.close()
    assert said == [said[0]] * 8
    assert b"localhost" in said[0]


# Another language


def _worker_of_the_format() -> str:
    text = (_ROOT / "FORMAT.md").read_text()
    (found,) = re.findall(r"```perl\n(.*?)```", text, re.DOTALL)
    return str(found)


@pytest.mark.skipif(
    subprocess.run(["perl", "-MJSON::PP", "-e", "1"], capture_output=True).returncode != 0
    if shutil.which("perl")
    else True,
    reason="there is no perl with JSON::PP",
)
def test_the_worker_shown_in_the_format_works(bare: Trial) -> None:
    (bare.checkout.path / "worker.pl").write_text(_worker_of_the_format())
    (bare.checkout.path / "rule.pl").write_text("sub answer { my $x = shift; $x % 2 ? 0 : $x * $x + 7 } 1;\n")
    bare.write(score=_SCORER.replace("rule:answer", "rule.pl:answer"))
    assert bare.measure(worker='"perl worker.pl"').value == 0.5
    failed = bare.measure({"rule.pl": 'sub answer { die "no idea\\n" } 1;\n'})
    assert "rule.pl:answer: no idea" in failed.feedback


# The helper, with workers that say anything


_ANSWERS = """import re, sys
for line in sys.stdin:
    number = re.search('"id":"([0-9a-f]+)"', line)[1]
    said = '{"id":"%s","ok":true}' % number if '"call"' not in line else sys.argv[1].replace("ID", number)
    sys.stdout.write(said + "\\n")
    sys.stdout.flush()
"""


def _told(program: str, worker: list[str], environment: Mapping[str, str]) -> str:
    """Return what a scorer prints that talks to a worker."""
    with subprocess.Popen(worker, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as running:
        assert running.stdin is not None
        assert running.stdout is not None
        ends = (running.stdin.fileno(), running.stdout.fileno())
        done = subprocess.run(
            [sys.executable, "-c", "from evogit.evaluator import *\n" + program], pass_fds=ends, capture_output=True,
            env={**environment, "EVOGIT_WORKER_IN": str(ends[0]), "EVOGIT_WORKER_OUT": str(ends[1])}, text=True,
        )  # fmt: skip
        running.kill()
    return done.stdout + done.stderr


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ('{"id":"ID","results":[1.5]}', "1.5"),
        ('{"id":"ID","results":[{"a":[null,true,"\\u00e9"]}]}', "{'a': [None, True, 'é']}"),
        ('{"id":"ID","results":[NaN]}', "the answer is not valid: NaN is no number"),
        ('{"id":"ID","results":[-Infinity]}', "the answer is not valid: -Infinity is no number"),
        ('{"id":"ID","results":[1e999]}', "the answer is not valid: 1e999 is too large"),
        ('{"id":"ID","results":[' + "9" * 5000 + "]}", "the answer is not valid: Exceeds the limit"),
        ('{"id":"ID","results":[{"a":1,"a":2}]}', "a key stands twice in one object"),
        ('{"id":"ID","results":[' + "[" * 200 + "]" * 200 + "]}", "nested more than 100 deep"),
        ('{"id":"ID","results":[' + "[" * 50_000 + "]" * 50_000 + "]}", "the answer is not valid"),
        ('{"id":"ID","results":["\\ud800"]}', "the answer is not valid: 'utf-8' codec can't encode"),
        ('{"id":"ID","results":[1,2]}', "the answer is not one result for each call"),
        ('{"id":"ID","results":1}', "the answer is not one result for each call"),
        ('{"id":"ID","results":[1],"score":9}', "the answer is not one result for each call"),
        ('{"id":"0123456789abcdef","results":[1]}', "the worker wrote something nobody asked for"),
        ('{"id":"ID","results":[1]}\n{"id":"ID","results":[2]}', "the worker wrote something nobody asked for"),
        ('{"results":[1]}', "the worker wrote something nobody asked for"),
        ('{"id":"ID","error":7}', "the worker's error is not valid"),
        ('{"id":"ID","error":"no idea"}', "a:f: no idea"),
        ("[]", "the answer is not a JSON object"),
        ("hello", "the answer is not valid"),
        ("", "the answer is not valid"),
    ],
)
def test_only_a_strict_answer_counts(answer: str, said: str, world: dict[str, str]) -> None:
    program = "with candidate('a:f') as f:\n    print(f(1))\n"
    assert said in _told(program, [sys.executable, "-c", _ANSWERS, answer], world)


def _own_worker(folder: Path) -> list[str]:
    """Return the command line of evogit's own worker, for a candidate in this folder."""
    return [sys.executable, "-c", "from evogit import worker; worker.main()", str(folder)]


def test_a_block_is_a_process_and_so_is_a_fresh_call(tmp_path: Path, world: dict[str, str]) -> None:
    (tmp_path / "rule.py").write_text(
        "calls = []\ndef count(x):\n    calls.append(x)\n    return len(calls)\ndef f():\n    pass\n"
    )
    program = """
with candidate("rule:count") as count:
    print(count(1), count.map([(2,), (3,)]), end=" ")
with candidate("rule:count", "rule:f") as (count, f):
    print(count(1), f(), end=" ")
with candidate("rule:count", fresh=True) as count:
    print(count(1), count.map([(2,), (3,)]), end=" ")
try:
    count(1)
except RuntimeError as error:
    print(error)
"""
    said = _told(program, _own_worker(tmp_path), world)
    assert said == "1 [2, 3] 1 None 1 [1, 1] rule:count is called outside of its `with` block\n"


def test_a_call_that_hangs_or_dies_leaves_the_next_block_alone(tmp_path: Path, world: dict[str, str]) -> None:
    (tmp_path / "rule.py").write_text(
        "import os, time\ndef f(x):\n    if x == 1: time.sleep(1000)\n    if x == 2: os._exit(3)\n"
        "    return b'x' if x == 3 else x\n"
    )
    program = """
for x in range(6):
    try:
        with candidate("rule:f", timeout=0.3 if x == 1 else 60) as f:
            try:
                print(f(x) if x < 4 else f.map([(8,), (x,), (3,)]))
            except CandidateFailed:
                if x == 1:
                    try:
                        f(x)
                    except CandidateFailed as error:
                        print(error)
                raise
    except CandidateFailed as error:
        print(error)
"""
    said = _told(program, _own_worker(tmp_path), world).splitlines()
    assert said[:2] == ["0", "rule:f: there was no answer before; begin another `with` block"]
    assert said[2:4] == ["no answer within 0.3 s", "rule:f: its process ended with exit code 3"]
    assert "returned a value of type bytes, which is no plain JSON value" in said[4]
    assert said[5].startswith("rule:f: call 2: it returned a value of type bytes")
    assert len(said) == 7


def test_large_batches_go_both_ways(tmp_path: Path, world: dict[str, str]) -> None:
    (tmp_path / "rule.py").write_text("def f(text, x):\n    return text + str(x)\n")
    program = "with candidate('rule:f') as f:\n    print(sum(map(len, f.map([('x' * 100, 7)] * 20_000))))\n"
    assert _told(program, _own_worker(tmp_path), world) == "2020000\n"


def test_what_a_scorer_does_wrong_is_said(world: dict[str, str]) -> None:
    worker = [sys.executable, "-c", _ANSWERS, '{"id":"ID","results":[1]}']
    for program, said in {
        "candidate('f')": "'f' is no function of a module; write 'module:function'",
        "candidate()": "name a function of the candidate",
        "report(float('nan'))": "ValueError: Out of range float values",
        "with candidate('a:f') as f:\n    f.map([1])": "map() takes lists of arguments",
        "with candidate('a:f') as f:\n    f(float('inf'))": "ValueError: Out of range float values",
        "with candidate('a:f') as f, candidate('a:g') as g:\n    pass": "another block is open",
    }.items():
        assert said in _told(program, worker, world)
    alone = subprocess.run(
        [sys.executable, "-c", "from evogit.evaluator import *; candidate('a:f')"],
        env=world,
        capture_output=True,
        text=True,
    )
    assert "which `evogit evaluate` starts" in alone.stderr


@pytest.mark.parametrize("name", ["evaluator.py", "worker.py"])
def test_what_runs_in_a_users_python_needs_nothing_but_it(name: str, tmp_path: Path) -> None:
    text = (_ROOT / "evogit" / name).read_text()
    ast.parse(text, feature_version=(3, 8))
    shutil.copy(_ROOT / "evogit" / name, tmp_path / f"copied_{name}")
    program = f"import sys; sys.path = [{str(tmp_path)!r}, *sys.path]; import copied_{name.removesuffix('.py')}"
    assert subprocess.run([sys.executable, "-I", "-S", "-c", program], capture_output=True).stderr == b""


# The table


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ('mode = "splat"\ncommand = "x"', "evaluator.mode is 'splat': use 'command' or 'split'"),
        ('command = "x"\nworker = "y"', "evaluator.worker belongs to mode = 'split'"),
        ('command = "x"\ntrusted = ["y"]', "evaluator.trusted belongs to mode = 'split'"),
        ('mode = "split"\npytest = "tests/"', "evaluator.mode is 'split', which cannot go with pytest"),
        (
            'mode = "split"\ncommand = "x"\nresult = "junit"',
            "evaluator.mode is 'split', which cannot go with result = 'junit'",
        ),
    ],
)
def test_keys_that_do_not_go_together_are_refused(table: str, said: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(said)):
        config.parse(f"[evaluator]\n{table}\n".encode())


def test_a_pattern_that_trusts_no_file_is_refused(bare: Trial) -> None:
    with pytest.raises(ConfigError, match=r"evaluator.trusted names 'secret/\*\*', which matches no file"):
        bare.measure(trusted='["secret/**"]')
