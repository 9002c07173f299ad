"""Which sandbox is chosen and what is said when there is none; what holds inside: limits, folders, endings."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from cage import PATH, Cage, cage, run_as_nobody, survivors, wait_for, why_not
from conftest import Checkout

from evogit.config import Evaluator
from evogit.errors import UsageError
from evogit.evaluation import CommandMeter
from evogit.model import Status, TreeId
from evogit.sandbox import Job, Launcher, Plain, Wish, choose, ruleset, seccomp
from evogit.sandbox.job import Limits
from evogit.sandbox.probe import probe
from evogit.store import task
from evogit.store.export import Export
from evogit.store.freeze import freeze
from evogit.store.repository import open_repository

needs_one = pytest.mark.skipif(why_not() is not None, reason=str(why_not()))
_SMALL = Limits(memory_mb=200, disk_mb=64, files=3000, tmp_mb=16, shared_memory_mb=16, processes=64, open_files=128)
_WITHOUT = "; or run candidates unconfined: --sandbox none --i-trust-this-code"


@pytest.fixture
def inside(tmp_path: Path, world: dict[str, str], kind: str) -> Iterator[Cage]:
    """A sandbox with little room."""
    with cage(tmp_path / "agent", Path(world["HOME"]), _SMALL, kind) as made:
        yield made


@pytest.fixture
def undecided(toy: Checkout) -> Checkout:
    """The toy repository, and no word of which sandbox."""
    for name in ("EVOGIT_SANDBOX", "EVOGIT_I_TRUST_THIS_CODE"):
        toy.environment.pop(name)
    return toy


# What holds inside


def test_a_hanging_process_that_ignores_sigterm_is_ended_with_all_its_children(inside: Cage) -> None:
    done = inside.run(
        "trap '' TERM INT HUP; sleep 1000 & (setsid sleep 1000 & setsid setsid sleep 1000 &); echo started; sleep 1000",
        timeout_s=0.5,
    )
    assert (done.exit_code, done.stopped, done.output) == (None, None, b"started\n")


def test_a_daemon_neither_delays_the_result_nor_stays(inside: Cage) -> None:
    begun = time.monotonic()
    done = inside.run("(setsid sleep 1000 &) ; (setsid sleep 1000 >/dev/null 2>&1 &); echo done", timeout_s=100)
    assert (done.exit_code, done.output) == (0, b"done\n")
    assert time.monotonic() - begun < 90  # it ended by itself, not by the limit


@pytest.mark.heavy
def test_a_fork_bomb_stays_small_and_others_can_still_fork(inside: Cage) -> None:
    program = """
import os, time
made = 0
while True:
    try:
        if os.fork() == 0:
            time.sleep(1000)
        made += 1
    except OSError as error:
        print(made, error.strerror, flush=True)
        break
time.sleep(1000)
"""
    done = inside.run(("python", "-c", program), timeout_s=3)
    assert done.exit_code is None
    if inside.kind == "landlock":
        assert done.stopped == "processes: it runs more than 64 at once"
    else:
        count, _, reason = done.output.decode().partition(" ")
        assert 10 < int(count) <= _SMALL.processes
        assert reason.startswith("Resource temporarily unavailable")
    bomb = inside.run("bomb() { bomb | bomb & }; bomb; sleep 1000", timeout_s=1)
    assert bomb.exit_code != 0
    assert subprocess.run(["true"]).returncode == 0


def test_memory_is_counted_over_all_processes(inside: Cage) -> None:
    hungry = """
import os, time
for _ in range(6):
    if os.fork() == 0:
        kept = bytearray(60 << 20)
        time.sleep(1000)
os.wait()
"""
    done = inside.run(("python", "-c", hungry))
    assert (done.exit_code, done.stopped) == (None, "memory: its processes use more than 200 MB together")
    wide = inside.run(("python", "-c", hungry), timeout_s=2, memory_mb=2000)
    assert (wide.exit_code, wide.stopped) == (None, None)  # a job's own limit wins


def test_pages_shared_by_forked_processes_are_counted_once(inside: Cage) -> None:
    shared = (
        "import os, time\nx = bytearray(90 << 20)\nfor _ in range(4):\n    if os.fork() == 0:\n"
        "        time.sleep(0.7); os._exit(0)\nfor _ in range(4): os.wait()"
    )
    done = inside.run(("python", "-c", shared))
    assert (done.exit_code, done.stopped) == (0, None)


def test_endless_output_costs_no_memory(inside: Cage) -> None:
    before = psutil.Process().memory_info().rss
    done = inside.run("head -c 300000000 /dev/zero; echo end")
    assert done.output.endswith(b"end\n")
    assert len(done.output) <= 64 * 1024
    assert inside.run("cat /dev/zero >&2", timeout_s=1).exit_code is None
    assert psutil.Process().memory_info().rss - before < 64 << 20


def test_whoever_fills_the_disk_runs_into_a_limit(inside: Cage) -> None:
    free = os.statvfs(inside.tree).f_bavail * os.statvfs(inside.tree).f_frsize
    for folder in ("/tmp", "/dev/shm") if inside.kind == "bwrap" else ():
        done = inside.run(f"head -c 100000000 /dev/zero > {folder}/x; echo $?")
        assert b"No space left" in done.output
    done = inside.run("head -c 100000000 /dev/zero > one; ls -l one")
    assert b"File too large" in done.output or b"File size limit" in done.output
    assert (inside.tree / "one").stat().st_size <= 64 << 20
    many = "i=0; while true; do head -c 8000000 /dev/zero > $HOME/$i; i=$((i + 1)); sleep 0.02; done"
    done = inside.run(many)
    assert (done.exit_code, done.stopped) == (None, "disk: it wrote more than 64 MB")
    assert free - os.statvfs(inside.tree).f_bavail * os.statvfs(inside.tree).f_frsize < 1 << 30


def test_many_small_files_run_into_a_limit_too(inside: Cage) -> None:
    counted = bool(os.statvfs(inside.tree).f_files)  # not every disk does
    for folder in (*(["/tmp", "/dev/shm"] if inside.kind == "bwrap" else []), *(["."] if counted else [])):
        program = f"for number in range(10**7): open('{folder}/%d' % number, 'w').close()"
        done = inside.run(("python", "-c", program))
        assert (done.exit_code, done.stopped) == (None, "disk: it made more than 3000 files")


def test_endings_look_as_they_do_without_a_sandbox(inside: Cage) -> None:
    plain = Launcher()
    try:
        for command in ("exit 0", "exit 3", "exit 125", "kill -9 $$", "kill -SEGV $$", "no-such-program"):
            job = Job(argv=("/bin/sh", "-c", command), cwd=inside.tree, environment={"PATH": PATH}, timeout_s=60)
            without, within = plain.launch(job), inside.run(command)
            assert (within.exit_code, within.output) == (without.exit_code, without.output)
        for argv in (("no-such-program",), ("./no-such-file",), ("/no/such/file",)):
            with pytest.raises(FileNotFoundError):
                inside.run(argv)
        assert inside.run("ulimit -c; ulimit -n").output.split() == [b"0", b"128"]
    finally:
        plain.close()  # from here on orphans are no longer this process's


def test_what_is_not_confined_is_what_the_user_says_is_theirs(inside: Cage, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("seen\n")
    job = Job(
        argv=("cat", str(secret)), cwd=tmp_path, environment={"PATH": PATH}, timeout_s=60, trusted=True, writable=()
    )
    assert inside.launcher.launch(job).output == b"seen\n"


def test_folders_a_job_names_are_read_only(inside: Cage, tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    (data / "table").write_text("1 2 3\n")
    (inside.tree / "data").symlink_to(data)
    job = Job(
        argv=("/bin/sh", "-c", "cat data/table; touch data/new; rm data/table"), cwd=inside.tree,
        environment={"PATH": PATH}, timeout_s=60, read_only=(data,),
    )  # fmt: skip
    said = inside.launcher.launch(job).output.decode()
    assert said.startswith("1 2 3\n")
    assert said.count("Read-only file system" if inside.kind == "bwrap" else "Permission denied") == 2


def test_nothing_that_an_evaluation_changes_reaches_the_next(
    toy: Checkout, tmp_path: Path, world: dict[str, str], kind: str
) -> None:
    repo = open_repository(toy.path)
    unwritten = task.unwritten(repo, freeze(repo).definition)
    with cage(tmp_path / "agent", Path(world["HOME"]), kind=kind) as inside:
        export = Export(repo, unwritten.definition, tmp_path / "agent" / "tree", inside.launcher.owner)
        command = (
            "test ! -e $HOME/../left && touch $HOME/y && rm $HOME/y || exit 9; "
            'test $(ls -A | wc -l) = 3 && test -z "$(ls -A $HOME $TMPDIR | grep -v :)" && python bench.py || exit 9; '
            "echo 'A = 9' > knobs.py; chmod 0 bench.py; rm evogit.toml; mkdir -m 0 -p closed/x; ln -s / root; "
            "touch $HOME/x $HOME/../left; chmod 0 $HOME ."
        )
        meter = CommandMeter(Evaluator(command=command), export, inside.launcher, dict(os.environ))
        found = [meter.measure(TreeId(unwritten.base_tree)) for _ in range(3)]
    assert [(each.status, each.value, each.feedback) for each in found] == [(Status.OK, -22.25, "")] * 3


@pytest.mark.parametrize("made", ["ln -s /etc/passwd", "mkfifo", "mkdir", "head -c 70000 /dev/zero >"])
def test_a_result_that_is_no_file_is_refused(
    toy: Checkout, tmp_path: Path, world: dict[str, str], made: str, kind: str
) -> None:
    repo = open_repository(toy.path)
    unwritten = task.unwritten(repo, freeze(repo).definition)
    with cage(tmp_path / "agent", Path(world["HOME"]), kind=kind) as inside:
        export = Export(repo, unwritten.definition, tmp_path / "agent" / "tree", inside.launcher.owner)
        evaluator = Evaluator(command=f"{made} $EVOGIT_RESULT")
        meter = CommandMeter(evaluator, export, inside.launcher, dict(os.environ))
        assert [meter.measure(TreeId(unwritten.base_tree)).status for _ in range(2)] == [Status.INVALID] * 2


# Which one is chosen


def test_the_probe_notices_every_way_out() -> None:
    found = probe(Plain())
    assert found is not None
    for words in (
        "read a file", "write a file", "connect to a server", "connect to a local socket of", "socket by its path",
        "change the mode", "signal a process", "environment", "see processes",
    ):  # fmt: skip
        assert words in found


@needs_one
def test_the_sandbox_is_on_by_default_and_recorded(undecided: Checkout) -> None:
    done = undecided.evogit("run", "-n", "2", "--evals", "6", "--run", "r")
    assert "sandbox bwrap: " in done.stderr
    records = _scores(undecided)
    assert records
    assert {record["sandbox"] for record in records} == {"bwrap"}
    assert "sandbox bwrap" in undecided.evogit("evaluate").stdout
    assert json.loads(undecided.evogit("evaluate", "--json").stdout)["sandbox"] == "bwrap"
    (finding,) = [line for line in undecided.evogit("doctor").stdout.splitlines() if " sandbox: " in line]
    assert finding.startswith("ok       sandbox: bubblewrap ")


def test_none_takes_two_flags_and_is_recorded(undecided: Checkout) -> None:
    refused = undecided.evogit("run", "--sandbox", "none", expect=2).stderr
    assert refused == (
        "evogit: --sandbox is none: candidates would run as you, with your files, keys and network in reach; "
        "say --i-trust-this-code as well (or EVOGIT_I_TRUST_THIS_CODE=1) if that is what you want\n"
    )
    assert undecided.git("for-each-ref", "refs/evogit") == ""
    done = undecided.evogit("run", "--sandbox", "none", "--i-trust-this-code", "--evals", "3", "--run", "r")
    assert "no sandbox: the score command runs as you" in done.stderr
    assert {record["sandbox"] for record in _scores(undecided)} == {"none"}
    doctor = undecided.evogit("doctor", "--sandbox", "none", "--i-trust-this-code").stdout
    assert "warning  sandbox: none: candidates run as you" in doctor


@pytest.mark.heavy
def test_the_option_wins_over_the_environment_and_that_over_the_configuration(undecided: Checkout) -> None:
    undecided.git("config", "evogit.sandbox", "configured")
    said = undecided.evogit("evaluate", expect=2).stderr
    assert said == "evogit: git config evogit.sandbox is 'configured'; use auto, bwrap, landlock or none\n"
    undecided.environment["EVOGIT_SANDBOX"] = "exported"
    assert "EVOGIT_SANDBOX is 'exported'" in undecided.evogit("evaluate", expect=2).stderr
    assert "--sandbox is 'said'" in undecided.evogit("evaluate", "--sandbox", "said", expect=2).stderr
    undecided.environment["EVOGIT_SANDBOX"] = "none"
    undecided.evogit("evaluate", expect=2)
    undecided.git("config", "evogit.iTrustThisCode", "true")
    assert "sandbox none" in undecided.evogit("evaluate").stdout
    undecided.environment["EVOGIT_I_TRUST_THIS_CODE"] = "no"
    undecided.evogit("evaluate", expect=2)


@needs_one
def test_what_the_user_names_is_seen_too(undecided: Checkout, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "table").write_text("1 2 3")
    text = (undecided.path / "evogit.toml").read_text()
    text = text.replace("python bench.py", f"cat {tmp_path}/data/table; echo x > {tmp_path}/data/x; exit 1")
    (undecided.path / "evogit.toml").write_text(text)
    undecided.commit()
    assert "No such file or directory" in undecided.evogit("evaluate", expect=1).stdout
    undecided.git("config", "evogit.sandboxRead", f"{tmp_path}/data")
    said = undecided.evogit("evaluate", expect=1).stdout
    assert "1 2 3" in said
    assert "Read-only file system" in said
    undecided.environment["EVOGIT_SANDBOX_READ"] = f"{tmp_path}/data:{tmp_path}/none"
    assert undecided.evogit("evaluate", expect=2).stderr == (
        f"evogit: '{tmp_path}/none' is to be seen in the sandbox, and is no absolute path of something there\n"
    )


@needs_one
@pytest.mark.parametrize("place", ["/var/tmp", "/dev/shm", "/tmp"])
def test_exports_may_be_where_the_sandbox_has_folders_of_its_own(undecided: Checkout, place: str) -> None:
    with tempfile.TemporaryDirectory(dir=place) as name:
        undecided.environment["TMPDIR"] = name
        assert "sandbox bwrap" in undecided.evogit("evaluate").stdout


@needs_one
def test_root_of_a_user_namespace_is_an_ordinary_user(undecided: Checkout) -> None:
    words = ["unshare", "--user", "--map-root-user", "--mount", "--pid", "--fork", "--mount-proc", "--"]
    if subprocess.run([*words, "true"], capture_output=True).returncode:
        pytest.skip("this user may not make such a namespace")
    done = subprocess.run(
        [*words, *undecided.command("doctor")], cwd=undecided.path, env=undecided.environment, capture_output=True,
        text=True,
    )  # fmt: skip
    assert "a user namespace, no network" in done.stdout, done.stdout + done.stderr
    assert done.returncode == 0


@pytest.mark.heavy
def test_without_bubblewrap_nothing_is_run(undecided: Checkout, tmp_path: Path) -> None:
    _hide(undecided, tmp_path)
    undecided.environment["EVOGIT_SANDBOX"] = "bwrap"
    for command in (["run", "--run", "r"], ["evaluate"], ["agent", "tuner"]):
        if command[0] == "agent":
            undecided.evogit("run", "--evals", "1", "--run", "r", "--sandbox", "none", "--i-trust-this-code")
        said = undecided.evogit(*command, expect=2).stderr
        assert said == (
            f"evogit: there is no sandbox: bubblewrap is not installed; install it (apt install bubblewrap){_WITHOUT}\n"
        )
    assert "problem  sandbox: there is no sandbox" in undecided.evogit("doctor", expect=1).stdout


@pytest.mark.parametrize(
    ("said", "advice"),
    [
        ("bwrap: Unknown option --disable-userns", "this bubblewrap is too old"),
        (
            "bwrap: No permissions to create a new namespace, likely because ...",
            "does not let programs make",
        ),
        ("bwrap: setting up uid map: Permission denied", "namespaces"),
        ("bwrap: loopback: Failed RTM_NEWADDR: Operation not permitted", "namespaces"),
        ("bwrap: Can't mount proc on /newroot/proc: Operation not permitted", "a container in the way"),
        ("bwrap: pivot_root: Operation not permitted", "a container in the way"),
        ("something nobody has seen before", "bubblewrap does not work here: something nobody has seen before"),
    ],
)
def test_a_bubblewrap_that_does_not_work_is_said_with_advice(
    undecided: Checkout, tmp_path: Path, said: str, advice: str
) -> None:
    _fake(undecided, tmp_path, f'echo "{said}" >&2\nexit 1')
    words = undecided.evogit("evaluate", expect=2).stderr
    assert words.startswith(f"evogit: there is no sandbox: bubblewrap does not work here: {said}")
    assert advice in words
    assert words.count("\n") == 1
    assert words.endswith(_WITHOUT + "\n")


def test_an_old_bubblewrap_is_not_tried(undecided: Checkout, tmp_path: Path) -> None:
    _fake(undecided, tmp_path, "echo bubblewrap 0.6.1")
    words = undecided.evogit("evaluate", expect=2).stderr
    assert f"{tmp_path}/fake/bwrap is version 0.6.1, and 0.7 is needed; install a newer one{_WITHOUT}" in words


def test_a_bubblewrap_that_confines_nothing_is_not_believed(undecided: Checkout, tmp_path: Path) -> None:
    # It does what it is told about reporting, and drops every other word of its orders.
    program = """
import os, sys
orders = os.read(int(sys.argv[2]), 1 << 20).decode().split("\\0")
report, gate = (int(orders[orders.index(name) + 1]) for name in ("--json-status-fd", "--block-fd"))
child = os.fork()
if child == 0:
    os.close(report)
    os.read(gate, 1)
    words = sys.argv[sys.argv.index("--", 4) + 1 :] if "--" in sys.argv[4:] else sys.argv[4:]
    os.execvp(words[0], words)
os.write(report, b'{ "child-pid": %d }\\n' % child)
_, status = os.waitpid(child, 0)
os.write(report, b'{ "exit-code": %d }\\n' % os.waitstatus_to_exitcode(status))
sys.exit(os.waitstatus_to_exitcode(status))
"""
    (tmp_path / "weak.py").write_text(program)
    _fake(undecided, tmp_path, f'exec {sys.executable} {tmp_path}/weak.py "$@"')
    words = undecided.evogit("evaluate", expect=2).stderr
    assert "bubblewrap does not work here: it lets a process" in words


@needs_one
def test_a_killed_agent_takes_its_sandbox_with_it(undecided: Checkout) -> None:
    text = (undecided.path / "evogit.toml").read_text().replace("timeout_s = 20", "timeout_s = 500")
    text = text.replace("python bench.py", "touch started; (setsid sleep 1000 &); sleep 1000")
    (undecided.path / "evogit.toml").write_text(text)
    undecided.commit()
    run = undecided.start("run", "-n", "1", "--run", "hang")
    top = Path(undecided.environment["TMPDIR"])
    tree = wait_for(lambda: next(top.glob("evogit-*/*/hang/*/tree/started"), None)).parent
    result = tree.parent / "scratch" / "result.json"
    assert survivors(result, None)
    agent = next(child for child in psutil.Process(run.pid).children() if "agent" in child.cmdline())
    agent.send_signal(signal.SIGKILL)
    said = run.communicate(timeout=60)[1]
    assert said.splitlines()[-1] == "evogit: agent tuner was killed by signal 9; `evogit run --run hang` goes on"
    wait_for(lambda: None if survivors(result, None) else top)
    (tree / "started").unlink()
    again = undecided.start("run", "-n", "1", "--run", "hang")
    wait_for(lambda: next(top.glob("evogit-*/*/hang/*/tree/started"), None))
    again.send_signal(signal.SIGINT)
    again.communicate(timeout=60)
    assert again.returncode == 130
    assert not survivors(result, None)


def test_machines_whose_numbers_are_unknown_have_no_filter() -> None:
    assert seccomp.program("riscv64") is None
    for machine in ("x86_64", "aarch64"):
        program = seccomp.program(machine)
        assert program is not None
        assert len(program) % 8 == 0


def test_a_kind_that_does_not_exist_is_named() -> None:
    with pytest.raises(UsageError, match="here is 'docker'; use auto, bwrap, landlock or none"):
        choose(Wish(kind="docker", where="here", trusted=True, caller={}))


_OF_THE_SANDBOX = (
    *("test_sandbox.py", "test_escapes.py", "test_landlock.py", "test_secrets.py"),
    *("test_companion.py", "test_function.py"),
    "test_prepare.py::test_in_a_sandbox_what_is_beside_the_tree_is_there_and_read_only",
    "test_prepare.py::test_in_a_sandbox_a_carried_environment_finds_its_interpreter",
)


@needs_one
@pytest.mark.heavy
@pytest.mark.timeout(1100)
@pytest.mark.skipif(os.geteuid() != 0, reason="an ordinary user runs these tests already")
def test_all_of_this_holds_for_an_ordinary_user() -> None:
    done = run_as_nobody(_OF_THE_SANDBOX, timeout=1000)
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr
    # An old kernel's lack of Landlock is nothing to mend here.
    excused = ruleset.version() < ruleset.OLDEST
    missing = [line for line in done.stdout.splitlines() if "there is no sandbox" in line]
    assert not [line for line in missing if not (excused and "Landlock" in line)]


def _scores(checkout: Checkout) -> list[dict[str, object]]:
    refs = checkout.git("for-each-ref", "--format=%(refname)", "refs/notes/evogit").splitlines()
    texts = [checkout.git("log", "--all", f"--notes={ref}", "--format=%N") for ref in refs]
    records = [json.loads(line) for text in texts for line in text.splitlines() if line]
    return [record for record in records if record["kind"] == "score"]


def _hide(checkout: Checkout, tmp_path: Path) -> None:
    """Take bubblewrap off the PATH, and nothing else that is needed."""
    folder = tmp_path / "programs"
    folder.mkdir()
    for name in ("git", "sh", "python", "setpriv"):
        found = next(Path(place) / name for place in PATH.split(os.pathsep) if (Path(place) / name).exists())
        (folder / name).symlink_to(found)
    checkout.environment["PATH"] = str(folder)


def _fake(checkout: Checkout, tmp_path: Path, script: str) -> None:
    """Put something else in the place of bubblewrap, and ask for it."""
    checkout.environment["EVOGIT_SANDBOX"] = "bwrap"
    folder = tmp_path / "fake"
    folder.mkdir()
    (folder / "bwrap").write_text(f"#!/bin/sh\n{script}\n")
    (folder / "bwrap").chmod(0o755)
    checkout.environment["PATH"] = os.pathsep.join((str(folder), checkout.environment["PATH"]))
