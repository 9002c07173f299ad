"""A process that stays while others are launched: what is said to it, its limits, and that it ends with all its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from cage import PATH, Cage, cage, survivors, why_not

from evogit.sandbox import Job, Launcher
from evogit.sandbox.companion import Companion
from evogit.sandbox.job import Limits

needs_one = pytest.mark.skipif(why_not() is not None, reason=str(why_not()))
_SMALL = Limits(memory_mb=200, disk_mb=32, files=3000, tmp_mb=16, shared_memory_mb=16, processes=64, open_files=128)
_ECHO = """
import os, sys
if "daemon" in sys.argv:
    if os.fork() == 0:
        os.setsid()
        if os.fork():
            os._exit(0)
        os.execvp("sleep", ["sleep", "900"])
    os.wait()
print("begun", os.getpid(), file=sys.stderr, flush=True)
for line in sys.stdin:
    if line.startswith("!"):
        exec(line[1:])
    print(line.strip()[::-1], flush=True)
"""


@pytest.fixture
def inside(tmp_path: Path, world: dict[str, str]) -> Iterator[Cage]:
    """A sandbox with little room."""
    with cage(tmp_path / "agent", Path(world["HOME"]), _SMALL) as made:
        yield made


def _job(tree: Path, scratch: Path, *more: str, first: bool = False) -> Job:
    for folder in (tree, scratch):
        folder.mkdir(parents=True, exist_ok=True)
    environment = {"PATH": PATH, "HOME": str(scratch), "EVOGIT_RESULT": str(scratch / "result.json")}
    return Job(
        argv=("python", "-c", _ECHO, *more), cwd=tree, environment=environment, timeout_s=60, writable=(scratch,),
        talks=True, first=first,
    )  # fmt: skip


def _say(companion: Companion, line: str) -> str:
    os.write(companion.input, line.encode() + b"\n")
    return os.read(companion.output, 1000).decode().strip()


def _until(ask: Callable[[], object]) -> None:
    for _ in range(600):
        if ask():
            return
        time.sleep(0.05)
    raise AssertionError("waited 30 s in vain")


def _crossed(companion: Companion) -> str:
    for _ in range(600):
        if reason := companion.look():
            return reason
        time.sleep(0.05)
    raise AssertionError("waited 30 s in vain")


def test_it_is_talked_to_while_others_come_and_go(tmp_path: Path) -> None:
    launcher = Launcher()
    tree, scratch = tmp_path / "tree", tmp_path / "scratch"
    companion = launcher.open(_job(tree, scratch, "daemon"))
    assert _say(companion, "abc") == "cba"
    job = Job(argv=("sh", "-c", "(setsid sleep 900 &); echo done"), cwd=tree, environment={"PATH": PATH}, timeout_s=60)
    for beside in ([], [companion]):
        done = launcher.launch(job, beside=beside)
        assert (done.exit_code, done.output) == (0, b"done\n")
        assert _say(companion, "abc") == "cba"
    assert companion.is_alive
    companion.look()
    assert companion.said == b""  # what it wrote before the last job began was read then
    _say(companion, "!print('more', file=sys.stderr, flush=True)")
    _until(lambda: companion.look() or companion.said == b"more\n")
    assert companion.close() is None
    assert (companion.is_alive, companion.close(), companion.look()) == (False, None, None)
    assert survivors(scratch / "result.json", None) == []
    other = launcher.open(_job(tree, scratch))
    assert _say(other, "!sys.exit(7)") == ""
    _until(lambda: not other.is_alive)
    assert other.close() == 7
    launcher.close()


@needs_one
@pytest.mark.parametrize("first", [False, True])
def test_a_closed_launcher_ends_it_with_all_it_started(tmp_path: Path, world: dict[str, str], first: bool) -> None:
    with cage(tmp_path / "agent", Path(world["HOME"]), _SMALL) as inside:
        job = _job(inside.tree, inside.scratch, "daemon", first=first)
        companions = [inside.launcher.open(job) for _ in range(2)]
        for companion in companions:
            assert _say(companion, "abc") == "cba"
            companion.look()
        assert [companion.said.split()[-1] == b"1" for companion in companions] == [first, first]
        assert survivors(inside.result, inside.launcher.owner)
        companions[0].close()
        assert _say(companions[1], "abc") == "cba"
    assert not companions[1].is_alive


@needs_one
def test_memory_and_disk_are_watched_by_whoever_looks(inside: Cage) -> None:
    hungry = inside.launcher.open(_job(inside.tree, inside.scratch))
    assert _say(hungry, "abc") == "cba"
    assert hungry.look() is None
    os.write(hungry.input, b"!import time; kept = bytearray(300 << 20); time.sleep(900)\n")
    assert _crossed(hungry) == "memory: its processes use more than 200 MB together"
    beside = Job(argv=("sleep", "900"), cwd=inside.tree, environment={"PATH": PATH}, timeout_s=60)
    stopped = inside.launcher.launch(beside, beside=[hungry]).stopped
    assert stopped == "memory: its processes use more than 200 MB together"
    hungry.close()
    writer = inside.launcher.open(_job(inside.tree, inside.scratch))
    fill = "!open(os.environ['HOME'] + '/%s', 'wb').write(bytes(20 << 20))"
    _say(writer, fill % "a")
    assert writer.look() is None
    time.sleep(0.2)
    writer.begin()  # what was written for the work before does not count for the next
    _say(writer, fill % "b")
    for _ in range(5):
        assert writer.look() is None
        time.sleep(0.1)
    for name in "cdefghij":  # others may give room back meanwhile
        _say(writer, fill % name)
    assert _crossed(writer) == "disk: it wrote more than 32 MB"
    writer.close()


_AGENT = """
import os, sys, time
from pathlib import Path
sys.path.insert(0, {tests!r})
from cage import Cage
from test_companion import _job, _say
from evogit.sandbox import Launcher
top = Path({top!r})
launcher = Launcher() if {kind!r} == "none" else Cage(top, top / "home").launcher
companion = launcher.open(_job(top / "tree", top / "scratch", "daemon", first={kind!r} == "first"))
assert _say(companion, "abc") == "cba"
print(launcher.owner, flush=True)
time.sleep(900)
"""


@pytest.mark.parametrize(
    "kind", ["none", pytest.param("bwrap", marks=needs_one), pytest.param("first", marks=needs_one)]
)
def test_it_does_not_outlive_a_killed_agent(tmp_path: Path, kind: str) -> None:
    program = _AGENT.format(tests=str(Path(__file__).parent), top=str(tmp_path / "agent"), kind=kind)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, env=environment) as agent:
        assert agent.stdout
        said = agent.stdout.readline().decode().strip()
        owner = int(said) if said.isdigit() else None
        result = tmp_path / "agent" / "scratch" / "result.json"
        assert survivors(result, owner)
        agent.send_signal(signal.SIGKILL)
    _until(lambda: not survivors(result, owner))


@needs_one
def test_one_out_of_the_reach_of_others_is_watched_all_the_same(inside: Cage) -> None:
    companion = inside.launcher.open(_job(inside.tree, inside.scratch, first=True))
    _say(companion, "!import ctypes; ctypes.CDLL(None).prctl(4, 0, 0, 0, 0)")
    assert companion.look() is None
    _say(companion, "!for number in range(4000): open(f'/tmp/{number}', 'w').close()")
    assert _crossed(companion) == "disk: it made more than 3000 files"
    companion.close()
