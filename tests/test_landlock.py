"""What holds under Landlock, which hides less than bubblewrap: files, network, processes, and that all of it ends.

Root is refused it; as root these tests are run by the heavy one that runs all of the sandbox's as another user.
"""

from __future__ import annotations

import ctypes
import json
import os
import platform
import resource
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import psutil
import pytest
from cage import PATH, Cage, cage, survivors, wait_for, why_not
from conftest import Checkout

from evogit.errors import UsageError
from evogit.sandbox import Job, Wish, choose
from evogit.sandbox.seccomp import asked, program

needs_it = pytest.mark.skipif(why_not("landlock") is not None, reason=str(why_not("landlock")))
_ROOT = "Landlock does not confine root, whose processes read each other's environments"
_TRY = """
import ctypes, errno, json, os, signal, socket, sys
def attempt(act):
    try:
        act()
    except OSError as error:
        return errno.errorcode.get(error.errno, str(error.errno))
    return "done"
libc = ctypes.CDLL(None, use_errno=True)
def call(*words):
    ctypes.set_errno(0)
    return errno.errorcode[ctypes.get_errno()] if libc.syscall(*map(ctypes.c_long, words)) < 0 else "done"
"""


@pytest.fixture
def inside(tmp_path: Path, world: dict[str, str]) -> Iterator[Cage]:
    """A sandbox to try to get out of."""
    with cage(tmp_path / "agent", Path(world["HOME"]), kind="landlock") as made:
        yield made


# Files


@needs_it
def test_files_outside_are_neither_read_nor_written_nor_listed(
    inside: Cage, tmp_path: Path, world: dict[str, str]
) -> None:
    outside, key = tmp_path / "outside", Path(world["HOME"]) / "key"
    beside = tmp_path / "agent" / "another"
    for path in (outside, beside, key):
        path.write_text("mine")
    places = ["/", "/etc", "/usr", "/dev", "/proc", "/sys", "/tmp", "/var/tmp", "/dev/shm", "/run", "/home"]
    places += [str(tmp_path), str(tmp_path / "agent"), world["HOME"]]
    files = [str(outside), str(beside), str(key)]
    said = inside.python(
        _TRY
        + f"""
for path in {[*files, "/etc/shadow", "/etc/fstab", "/dev/tty", "/dev/ptmx"]!r}:
    print(attempt(lambda: open(path).read()))
for path in {files!r}:
    for act in (
        lambda: open(path, "w"), lambda: open(path, "a"), lambda: os.truncate(path, 0), lambda: os.unlink(path),
        lambda: os.rename(path, "here"), lambda: os.link(path, "here"), lambda: os.rename("/proc/self/exe", path),
    ):
        print(attempt(act))
for folder in {places!r}:
    print(attempt(lambda: open(os.path.join(folder, "evogit-was-here"), "w")))
    print(attempt(lambda: os.mkdir(os.path.join(folder, "evogit-was-here"))))
for folder in {[place for place in places if place not in ("/usr", "/proc")]!r}:
    print(attempt(lambda: os.listdir(folder)))
"""
    ).splitlines()
    assert "done" not in said
    assert set(said) <= {"EACCES", "ENOENT", "EXDEV", "EROFS", "EPERM"}
    assert [path.read_text() for path in (outside, beside, key)] == ["mine"] * 3
    assert not [place for place in places if os.path.lexists(f"{place}/evogit-was-here")]


@needs_it
def test_its_own_folders_are_good_for_everything(inside: Cage, tmp_path: Path) -> None:
    said = inside.run(
        "set -e; mkdir -p a/b; echo one > a/b/c; mv a/b/c d; ln d a/e; ln -s d f; mkfifo g; chmod 751 d; "
        "touch -d 2001-02-03 d; stat -c '%a %h %y' d; cp -p d h; stat -c '%a %Y' d h; mv d $HOME/d; mv $HOME/d d; "
        "echo x >> d; truncate -s 1 d; rm -r a f g h; cat d > /dev/null; head -c 3 /dev/zero | wc -c; "
        "mktemp > k; cat /dev/urandom | head -c 1 > l; cp -r . $TMPDIR/copy; tar cf t.tar d; tar xpf t.tar; "
        "printf '#!/bin/sh\\necho ran\\n' > m; chmod +x m; ./m; python -c "
        '\'import shutil; shutil.copytree(".", "$HOME/all"); open("n", "w"); shutil.copy2("d", "n")\''
    )
    assert done_well(said) == [
        "751 2 2001-02-03 00:00:00.000000000 +0000", *["751 981158400"] * 2, "3", "ran",
    ], said  # fmt: skip
    assert (inside.tree / "n").stat().st_mode & 0o777 == 0o751


def done_well(outcome: object) -> list[str]:
    """Return the lines of a command that ended well."""
    assert getattr(outcome, "exit_code", None) == 0, outcome
    return [line for line in getattr(outcome, "output", b"").decode().splitlines() if line]


@needs_it
def test_modes_times_owners_and_attributes_outside_stay_as_they_are(
    inside: Cage, tmp_path: Path, world: dict[str, str]
) -> None:
    mine, home = tmp_path / "mine", Path(world["HOME"])
    mine.write_text("x")
    os.chmod(mine, 0o640)
    (inside.tree / "link").symlink_to(mine)
    (inside.tree / "up").symlink_to(tmp_path)
    before = [_facts(path) for path in (mine, home, tmp_path)]
    said = inside.python(
        _TRY
        + f"""
mine = {str(mine)!r}
tools = os.open(sys.prefix, os.O_RDONLY)  # what may be read, and belongs to the user
for path in (mine, {str(home)!r}, {str(tmp_path)!r}, "link", "up/mine", "../../mine", "/proc/self/cwd/link"):
    for act in (
        lambda: os.chmod(path, 0o777), lambda: os.utime(path), lambda: os.utime(path, (1, 1)),
        lambda: os.chown(path, os.getuid(), os.getgid()), lambda: os.setxattr(path, "user.x", b"x"),
        lambda: os.removexattr(path, "user.x"), lambda: os.utime(path, (1, 1), follow_symlinks=False),
    ):
        found = attempt(act)
        if path in ("link", "/proc/self/cwd/link") and found == "done":
            found = "its own link"
        print(found)
for act in (lambda: os.fchmod(tools, 0o777), lambda: os.utime(tools, (1, 1)), lambda: os.chmod(sys.prefix, 0)):
    print(attempt(act))
place = os.open(mine, os.O_PATH)
print(attempt(lambda: os.chmod(f"/proc/self/fd/{{place}}", 0o777)))
print(attempt(lambda: os.utime(f"/proc/self/fd/{{place}}", (1, 1))))
print(libc.fchmodat(-100, ctypes.c_char_p(8), 0, 0), errno.errorcode[ctypes.get_errno()])
open("set", "w")
os.chmod("set", 0o6755)
print(oct(os.stat("set").st_mode & 0o7777))
"""
    ).splitlines()
    assert said[-2:] == ["-1 EFAULT", "0o755"]
    assert "done" not in said
    assert said.count("its own link") == 2  # the times of the links themselves
    assert [_facts(path) for path in (mine, home, tmp_path)] == before


@needs_it
def test_a_path_that_changes_under_way_leads_nowhere(inside: Cage, tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    mine.write_text("x")
    os.chmod(mine, 0o640)
    program_ = f"""
import os, threading, time
os.mkdir("a"); open("a/x", "w"); os.symlink({str(tmp_path)!r}, "b"); open({str(inside.tree)!r} + "/mine", "w")
os.mkdir("c"); open("c/mine", "w")
until = time.monotonic() + 2
def swap():
    while time.monotonic() < until:
        os.rename("c", "d"); os.rename("b", "c"); os.rename("c", "b"); os.rename("d", "c")
thread = threading.Thread(target=swap)
thread.start()
tried = 0
while thread.is_alive():
    try: os.chmod("c/mine", 0o777); tried += 1
    except OSError: pass
print(tried)
"""
    assert int(inside.python(program_)) > 0
    assert mine.stat().st_mode & 0o777 == 0o640


# The network


@needs_it
def test_no_socket_of_any_kind_reaches_anything(inside: Cage, tmp_path: Path) -> None:
    name = f"evogit-{os.getpid()}"
    with ExitStack() as stack:
        tcp = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        udp, local, stream, datagrams = (
            stack.enter_context(socket.socket(family, kind))
            for family, kind in (
                (socket.AF_INET, socket.SOCK_DGRAM), *[(socket.AF_UNIX, socket.SOCK_STREAM)] * 2,
                (socket.AF_UNIX, socket.SOCK_DGRAM),
            )
        )  # fmt: skip
        udp.bind(("127.0.0.1", 0))
        local.bind(f"\0{name}")
        os.chdir(tmp_path)  # a long path has no room in an address
        try:
            stream.bind("s")
            datagrams.bind("d")
        finally:
            os.chdir("/")
        for server in (tcp, local, stream):
            server.listen()
        os.chmod(tmp_path / "s", 0o777)
        said = inside.python(
            _TRY
            + f"""
tcp, udp = {tcp.getsockname()!r}, {udp.getsockname()!r}
for family in range(46):
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM, socket.SOCK_RAW, socket.SOCK_SEQPACKET):
        print(attempt(lambda: socket.socket(family, kind)))
print(attempt(lambda: socket.create_connection(tcp, 3)), attempt(lambda: socket.socketpair(type=socket.SOCK_DGRAM)))
one, other = socket.socketpair()
for address in ("\\0{name}", "../../s", "../../d", "/run/docker.sock"):
    print(attempt(lambda: one.connect(address)), attempt(lambda: one.sendto(b"x", address)))
ordered = socket.socketpair(type=socket.SOCK_SEQPACKET)[0]
print(attempt(lambda: ordered.connect("../../d")), attempt(lambda: ordered.sendmsg([b"x"], [], 0, "../../d")))
one.sendall(b"works")
print(other.recv(5).decode())
"""
        ).splitlines()
        assert said.pop() == "works"
        assert set(said[: 46 * 4]) == {"EACCES"}
        assert "done" not in " ".join(said).split()[:-3], said
        for server in (tcp, local, stream, udp, datagrams):
            server.setblocking(False)
            with pytest.raises(BlockingIOError):
                server.accept() if server in (tcp, local, stream) else server.recv(1)


@needs_it
def test_shared_memory_and_queues_of_the_user_are_out_of_reach(inside: Cage) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    segment = libc.shmget(0, 4096, 0o1600)
    assert segment >= 0
    try:
        said = inside.python(
            _TRY
            + f"""
libc.shmat.restype = ctypes.c_void_p
print(libc.shmat({segment}, None, 0) == ctypes.c_void_p(-1).value)
print(libc.shmget(0, 4096, 0o1600), libc.semget(0, 1, 0o1600), libc.msgget(0, 0o1600))
print(attempt(lambda: os.listdir("/dev/shm")), attempt(lambda: open("/dev/mqueue/x", "w")))
"""
        )
    finally:
        libc.shmctl(segment, 0, None)
    assert said.split()[:4] == ["True", "-1", "-1", "-1"]
    assert "done" not in said


# Other processes


@pytest.fixture
def neighbour() -> Iterator[psutil.Process]:
    """A process of the user's with a key in its environment and in its memory."""
    words = 'import time; key = "canary-" + str(6 * 7); print("ready", flush=True); time.sleep(1000)'
    # Not a child of this process: a launcher ends those.
    command = f"exec 2>&-; {sys.executable} -c '{words}' & echo $!"
    started = subprocess.Popen(
        ["/bin/sh", "-c", command], env={"PATH": PATH, "KEY": "canary-in-the-environment"}, stdout=subprocess.PIPE
    )
    assert started.stdout is not None
    pid = int(started.stdout.readline())
    assert started.stdout.readline() == b"ready\n"
    started.wait()
    found = psutil.Process(pid)
    yield found
    assert found.is_running(), "it was to survive"
    found.kill()
    started.stdout.close()


@needs_it
def test_other_processes_are_neither_read_nor_changed_nor_ended(neighbour: psutil.Process, inside: Cage) -> None:
    pid = neighbour.pid
    before = (
        resource.prlimit(pid, resource.RLIMIT_FSIZE),
        os.getpriority(os.PRIO_PROCESS, pid),
        os.sched_getaffinity(pid),
    )
    said = inside.python(
        _TRY
        + f"""
import resource
folders, files = ("fdinfo", "cwd/", "root/"), ("environ", "mem", "maps", "smaps", "auxv", "stack", "syscall", "exe")
for pid in ({pid}, {os.getpid()}, os.getppid()):
    for name in (*folders, *files):
        path = f"/proc/{{pid}}/{{name}}"
        found = attempt(lambda: os.listdir(path) if name in folders else open(path, "rb").read(1))
        print(found if found != "done" else path)
    for number in range(8):  # how many there are is seen, and not what they are
        print(attempt(lambda: os.readlink(f"/proc/{{pid}}/fd/{{number}}")), end=" ")
        print(attempt(lambda: os.open(f"/proc/{{pid}}/fd/{{number}}", os.O_RDONLY)))
    for number in (0, signal.SIGTERM, signal.SIGSTOP, signal.SIGKILL):
        print(attempt(lambda: os.kill(pid, number)))
        print(attempt(lambda: signal.pidfd_send_signal(os.pidfd_open(pid), number)))
    print(attempt(lambda: resource.prlimit(pid, resource.RLIMIT_FSIZE, (0, 0))))
    print(attempt(lambda: os.setpriority(os.PRIO_PROCESS, pid, 19)))
    print(attempt(lambda: os.sched_setaffinity(pid, [0])))
    print(attempt(lambda: os.sched_setscheduler(pid, os.SCHED_IDLE, os.sched_param(0))))
print(attempt(lambda: os.setpriority(os.PRIO_USER, 0, 19)))
print(attempt(lambda: os.setpriority(os.PRIO_PGRP, os.getpgid({pid}), 19)))
print(attempt(lambda: os.killpg(os.getpgid({pid}), signal.SIGKILL)))
signal.signal(signal.SIGTERM, signal.SIG_IGN)
attempt(lambda: os.kill(-1, signal.SIGTERM))
os.setpriority(os.PRIO_PROCESS, 0, 5)
os.sched_setaffinity(0, os.sched_getaffinity(0))
resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
print(open("/proc/{pid}/cmdline").read().count("canary-in"), "alive")
"""
    ).splitlines()
    assert said.pop() == "0 alive"
    assert set(" ".join(said).split()) <= {"EACCES", "EPERM", "ENOENT"}, said
    assert before == (
        resource.prlimit(pid, resource.RLIMIT_FSIZE), os.getpriority(os.PRIO_PROCESS, pid), os.sched_getaffinity(pid)
    )  # fmt: skip
    assert psutil.Process(pid).status() == psutil.STATUS_SLEEPING


@needs_it
@pytest.mark.skipif(platform.machine() != "x86_64", reason="numbers of system calls")
def test_dangerous_system_calls_are_refused(neighbour: psutil.Process, inside: Cage) -> None:
    pid = neighbour.pid
    calls = {
        "unshare": (272, 0x10000000), "clone of a user namespace": (56, 0x10000000 | 17, 0, 0, 0, 0),
        "setns": (308, 0, 0), "mount": (165, 0, 0, 0, 0, 0), "attach": (101, 16, pid, 0, 0), "bpf": (321, 0, 0, 0),
        "keyctl": (250, 0, 0), "io_uring": (425, 8, 0), "userfaultfd": (323, 0),
        "move_pages": (279, pid, 0, 0, 0, 0, 0),
        "process_vm_readv": (310, pid, 0, 0, 0, 0, 0), "process_vm_writev": (311, pid, 0, 0, 0, 0, 0),
        "pidfd_getfd": (438, 0, 0, 0), "connect": (42, 0, 0, 0), "a lease": (72, 0, 1024, 1), "chown": (92, 0, 0, 0),
        "flags": (16, 0, 0x40086602, 0), "ioprio of a user": (251, 3, 0, 0), "typing": (16, 0, 0x5412, 0),
    }  # fmt: skip
    absent = {"clone3": (435, 0, 0), "memfd": (319, 0, 0), "x32": (0x40000000 | 39,), "inotify": (294, 0)}
    said = json.loads(
        inside.python(
            f"{_TRY}\nprint(json.dumps({{name: call(*words) for name, words in {calls | absent!r}.items()}}))"
        )
    )
    assert said == {**dict.fromkeys(calls, "EPERM"), **dict.fromkeys(absent, "ENOSYS")}


@needs_it
def test_programs_get_along_with_what_is_closed(inside: Cage) -> None:
    name = "-c user.name=a -c user.email=b@c"
    done = inside.run(
        f"set -e; git init -q x; cd x; git {name} commit -q --allow-empty -m x; git log --oneline | wc -l; "
        "perl -MFile::Temp -e 'print 2, $/'; cat /etc/os-release | wc -l"
    )
    assert done_well(done)[:2] == ["1", "2"]


@needs_it
def test_ordinary_programs_work(inside: Cage) -> None:
    said = inside.python(
        """
import subprocess, threading, os, pwd
threads = [threading.Thread(target=print, args=("thread",)) for _ in range(2)]
for thread in threads: thread.start()
for thread in threads: thread.join()
print(subprocess.run(["sh", "-c", "echo child | cat"], capture_output=True).stdout)
print(os.cpu_count() > 0, open("/proc/self/stat").read().split()[0] == str(os.getpid()), pwd.getpwuid(0).pw_name)
import asyncio
asyncio.run(asyncio.sleep(0))
print(open("/proc/meminfo").read()[:8], bool(open("/proc/cpuinfo").read()))
print(int(open("/proc/sys/kernel/pid_max").read()) > 0)
"""
    )
    assert said.splitlines()[2:] == ["b'child\\n'", "True True root", "MemTotal True", "True"]


# Endings

# What it leaves behind has its own session, an empty environment and a name like any other's, and ends no sooner than
# it must.
_LEAVE = """
import os, signal, sys, time
for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT): signal.signal(number, signal.SIG_IGN)
for _ in range(3):
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            os.execve("/bin/sleep", ["sleep", sys.argv[1]], {})
        os._exit(0)
for _ in range(3): os.wait()
open("left", "w").close()
"""
# It hops from process to process, so that by the time one is found it is another.
_HOP = """
while True:
    if os.fork(): os._exit(0)
"""


@needs_it
@pytest.mark.parametrize("how", ["", "time.sleep(1000)", _HOP])
def test_what_hides_from_its_mark_ends_with_the_job(inside: Cage, how: str) -> None:
    name = f"1000.{os.getpid()}{len(how)}"
    done = inside.run(("python", "-c", _LEAVE + how, name), timeout_s=2)
    assert done.exit_code == (None if how == "time.sleep(1000)" else 0)
    assert (inside.tree / "left").exists()
    assert not _with_word(name)


@needs_it
@pytest.mark.parametrize("how", ["time.sleep(1000)", _HOP.replace("while", "if os.fork(): time.sleep(1000)\nwhile")])
def test_what_hides_from_its_mark_ends_with_a_killed_agent(toy: Checkout, how: str) -> None:
    toy.environment |= {"EVOGIT_SANDBOX": "landlock", "EVOGIT_I_TRUST_THIS_CODE": ""}
    name = f"1000.{os.getpid()}7{len(how)}"
    (toy.path / "bench.py").write_text(_LEAVE.replace("sys.argv[1]", repr(name)) + how)
    text = (toy.path / "evogit.toml").read_text().replace("timeout_s = 20", "timeout_s = 900")
    (toy.path / "evogit.toml").write_text(text)
    toy.commit()
    run = toy.start("run", "-n", "1", "--run", "hang")
    top = Path(toy.environment["TMPDIR"])
    left = wait_for(lambda: next(top.glob("evogit-*/*/hang/*/tree/left"), None))
    result = left.parent.parent / "scratch" / "result.json"
    wait_for(lambda: top if len(_with_word(name)) == 3 else None)
    agent = next(child for child in psutil.Process(run.pid).children() if "agent" in child.cmdline())
    assert agent.num_threads() == 1  # what is done between fork and exec relies on it
    below = [child for child in agent.children(recursive=True) if child.is_running()]
    agent.send_signal(signal.SIGKILL)
    run.communicate(timeout=60)
    assert run.returncode == 1
    wait_for(lambda: None if _with_word(name) or survivors(result, None) else top)
    wait_for(lambda: None if any(child.is_running() for child in below) else top)


@needs_it
def test_the_process_that_keeps_a_job_is_out_of_its_reach(inside: Cage) -> None:
    said = inside.python(
        _TRY
        + """
keeper = os.getppid()
print([attempt(lambda: os.kill(keeper, number)) for number in (0, signal.SIGKILL, signal.SIGSTOP)])
print([attempt(lambda: open(f"/proc/{keeper}/{name}", how)) for name, how in (("mem", "r+b"), ("environ", "rb"))])
print(os.getsid(0) == os.getpid(), os.getpgid(keeper) != os.getpgid(0), len(os.listdir("/proc/self/fd")))
"""
    ).splitlines()
    assert said == ["['EPERM', 'EPERM', 'EPERM']", "['EACCES', 'EACCES']", "True True 4"]


@needs_it
def test_a_job_that_talks_does_so_and_ends(inside: Cage) -> None:
    reader, writer = os.pipe()
    words = f"import os, sys\nfor line in sys.stdin: print(line.upper(), end='', flush=True); os.write({writer}, b'x')"
    job = Job(
        argv=("python", "-c", words), cwd=inside.tree, environment={"PATH": PATH, "EVOGIT_RESULT": str(inside.result)},
        timeout_s=60, talks=True, descriptors=(writer,),
    )  # fmt: skip
    companion = inside.launcher.open(job)
    os.close(writer)
    os.write(companion.input, b"hello\n")
    assert os.read(companion.output, 100) == b"HELLO\n"
    assert os.read(reader, 1) == b"x"
    beside = Job(argv=("true",), cwd=inside.tree, environment={"PATH": PATH}, timeout_s=60)
    assert inside.launcher.launch(beside, [companion]).exit_code == 0
    assert companion.is_alive
    assert companion.close() is None
    assert os.read(reader, 1) == b""
    os.close(reader)
    assert survivors(inside.result, None) == []


# Which one is chosen


@pytest.fixture
def without_bubblewrap(toy: Checkout, tmp_path: Path) -> Checkout:
    """The toy repository where bubblewrap is there, and not allowed to work."""
    for name in ("EVOGIT_SANDBOX", "EVOGIT_I_TRUST_THIS_CODE"):
        toy.environment.pop(name)
    (tmp_path / "fake").mkdir()
    (tmp_path / "fake" / "bwrap").write_text("#!/bin/sh\necho 'bwrap: setting up uid map: Permission denied'\nexit 1\n")
    (tmp_path / "fake" / "bwrap").chmod(0o755)
    toy.environment["PATH"] = os.pathsep.join((str(tmp_path / "fake"), toy.environment["PATH"]))
    return toy


@needs_it
def test_it_takes_the_place_of_a_bubblewrap_that_does_not_work_and_says_so(without_bubblewrap: Checkout) -> None:
    toy = without_bubblewrap
    done = toy.evogit("run", "-n", "2", "--evals", "6", "--run", "r")
    (said,) = [line for line in done.stderr.splitlines() if line.startswith("sandbox ")]
    assert said.startswith("sandbox landlock: Landlock ")
    assert "bubblewrap hides more, but bubblewrap does not work here: bwrap: setting up uid map" in said
    texts = toy.git("log", "--all", "--notes=evogit/r/*", "--format=%N").splitlines()
    records = [json.loads(line) for line in texts if line]
    scores = [record for record in records if record["kind"] == "score"]
    assert len(scores) >= 6
    assert {record["sandbox"] for record in scores} == {"landlock"}
    assert "sandbox landlock" in toy.evogit("evaluate").stdout
    (finding,) = [line for line in toy.evogit("doctor").stdout.splitlines() if " sandbox: " in line]
    assert finding.startswith("ok       sandbox: Landlock ")
    assert "bubblewrap hides more" in finding
    alone = toy.evogit("evaluate", "--sandbox", "landlock", "--json").stdout
    assert json.loads(alone)["sandbox"] == "landlock"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root is refused")
def test_root_is_refused_it_with_both_reasons(without_bubblewrap: Checkout) -> None:
    said = without_bubblewrap.evogit("evaluate", expect=2).stderr
    assert said.startswith("evogit: there is no sandbox: bubblewrap does not work here: bwrap: setting up uid map")
    assert f"; and in its place, {_ROOT}; use bubblewrap, or an ordinary user; or run candidates unconfined" in said
    assert said.count("\n") == 1
    with pytest.raises(UsageError, match=f"^there is no sandbox: {_ROOT}"):
        choose(Wish(kind="landlock", where="a test", trusted=False, caller={}))


def test_the_filter_is_known_for_two_machines() -> None:
    for machine, calls in (("x86_64", 8), ("aarch64", 4)):
        found = program(machine, is_shared=True)
        assert found is not None
        assert len(found) % 8 == 0
        assert len(asked(machine)) == calls
    assert program("riscv64", is_shared=True) is None


def _facts(path: Path) -> tuple[object, ...]:
    found = path.stat()
    return found.st_mode, found.st_mtime_ns, found.st_atime_ns, found.st_uid, found.st_gid, os.listxattr(path)


def _with_word(word: str) -> list[int]:
    found = []
    for process in psutil.process_iter():
        try:
            if word in process.cmdline() and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process.pid)
        except psutil.Error:
            continue
    return found
