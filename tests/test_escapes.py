"""What a process in the sandbox tries in vain: files, keys, the network, rights, other processes, living on."""

from __future__ import annotations

import json
import os
import platform
import signal
import socket
import venv
from collections.abc import Iterator
from pathlib import Path

import pexpect
import psutil
import pytest
from cage import Cage, cage, survivors, wait_for, why_not
from conftest import Checkout

needs_bubblewrap = pytest.mark.skipif(why_not() is not None, reason=str(why_not()))
_AS_ROOT = os.geteuid() == 0
_TRY = """
import ctypes, errno, json, os, socket, sys
def attempt(act):
    try:
        return act()
    except OSError as error:
        return errno.errorcode.get(error.errno, str(error.errno))
libc = ctypes.CDLL(None, use_errno=True)
def call(*words):
    ctypes.set_errno(0)
    return errno.errorcode[ctypes.get_errno()] if libc.syscall(*map(ctypes.c_long, words)) < 0 else "done"
"""


@pytest.fixture
def inside(tmp_path: Path, world: dict[str, str]) -> Iterator[Cage]:
    """A sandbox of bubblewrap's to run things in."""
    with cage(tmp_path / "agent", Path(world["HOME"])) as made:
        yield made


@pytest.fixture
def any_inside(tmp_path: Path, world: dict[str, str], kind: str) -> Iterator[Cage]:
    """A sandbox of each kind."""
    with cage(tmp_path / "agent", Path(world["HOME"]), kind=kind) as made:
        yield made


@pytest.fixture
def toy_in_a_sandbox(toy: Checkout) -> Checkout:
    """The toy repository, whose commands use the sandbox."""
    for name in ("EVOGIT_SANDBOX", "EVOGIT_I_TRUST_THIS_CODE"):
        toy.environment.pop(name)
    return toy


@pytest.fixture
def toy_in_any(toy_in_a_sandbox: Checkout, kind: str) -> Checkout:
    """The same with a sandbox of each kind."""
    toy_in_a_sandbox.environment["EVOGIT_SANDBOX"] = kind
    return toy_in_a_sandbox


def _with_command(toy: Checkout, command: str, timeout_s: float = 60) -> None:
    text = (toy.path / "evogit.toml").read_text().replace("timeout_s = 20", f"timeout_s = {timeout_s:g}")
    (toy.path / "evogit.toml").write_text(text.replace('"python bench.py"', json.dumps(command)))
    toy.commit()


@needs_bubblewrap
def test_files_outside_are_neither_seen_nor_written(inside: Cage, tmp_path: Path, world: dict[str, str]) -> None:
    outside = tmp_path / "outside"
    outside.write_text("mine")
    beside = tmp_path / "agent" / "another"
    beside.write_text("mine")
    key = Path(world["HOME"]) / "key"
    key.write_text("mine")
    said = inside.python(
        _TRY
        + f"""
for path in {[str(outside), str(beside), str(key), "/etc/shadow", "/root/.bashrc"]!r}:
    print(attempt(lambda: open(path).read()))
for folder in {["/", "/usr", "/usr/bin", "/etc", "/dev", "/proc", "/sys", "/root", "/home"]!r}:
    print(attempt(lambda: bool(open(os.path.join(folder, "evogit-was-here"), "w"))))
for folder in {[str(tmp_path), world["HOME"]]!r}:
    attempt(lambda: open(os.path.join(folder, "evogit-was-here"), "w"))  # what it makes there is not there outside
print(os.listdir({str(tmp_path / "agent")!r}))
open("in the tree", "w")
open(os.environ["HOME"] + "/x", "w"), open("/tmp/{tmp_path.name}", "w"), open("/dev/shm/x", "w")
"""
    )
    read, written, listed = said.splitlines()[:5], said.splitlines()[5:-1], said.splitlines()[-1]
    assert set(read) <= {"ENOENT", "EACCES"}
    assert set(written) <= {"EROFS", "EACCES", "ENOENT", "EPERM"}
    assert sorted(eval(listed)) == ["scratch", "tree"]
    assert (outside.read_text(), beside.read_text(), key.read_text()) == ("mine", "mine", "mine")
    assert not [folder for folder in (tmp_path, Path(world["HOME"])) if (folder / "evogit-was-here").exists()]
    assert (inside.tree / "in the tree").exists()
    assert not Path("/tmp", tmp_path.name).exists()


@needs_bubblewrap
def test_the_repository_and_other_agents_are_out_of_sight(toy_in_a_sandbox: Checkout) -> None:
    toy = toy_in_a_sandbox
    _with_command(toy, f"ls -a . .. ../.. ../../..; ls {toy.path}; git log; ls {toy.path}/.git; exit 1")
    said = toy.evogit("evaluate", expect=1).stdout
    assert "not a git repository" in said
    assert said.count("No such file or directory") == 2
    names = {line.strip("| ") for line in said.splitlines() if line.startswith("  | ")}
    assert {"bench.py", "knobs.py", "tree", "scratch"} <= names
    assert ".git" not in names


@pytest.mark.skipif(not _AS_ROOT, reason="only root has rights to give up")
@needs_bubblewrap
def test_rights_of_root_are_gone(inside: Cage) -> None:
    said = inside.python(
        _TRY
        + """
print(os.getuid(), os.getgid(), os.getgroups())
status = dict(line.split(":", 1) for line in open("/proc/self/status"))
print([int(status[name], 16) for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")])
for act in (
    lambda: os.setuid(0), lambda: os.setgroups([0]), lambda: os.chroot("/tmp"), lambda: os.chown(".", 0, 0),
    lambda: os.mknod("/tmp/device", 0o60666, os.makedev(8, 0)), lambda: os.sched_setscheduler(0, 1, os.sched_param(9)),
):
    print(attempt(act))
for flags in (32 | 4096, 4096, 0):  # remount, bind
    print(libc.mount(b"none", b"/", None, flags, None), errno.errorcode[ctypes.get_errno()])
"""
    ).splitlines()
    owner = inside.launcher.owner
    assert said[0] == f"{owner} {owner} []"
    assert said[1] == "[0, 0, 0, 0, 0]"
    assert set(said[2:8]) == {"EPERM"}
    assert set(said[8:]) == {"-1 EPERM"}


def test_a_program_that_becomes_root_does_not(any_inside: Cage) -> None:
    said = any_inside.run(
        "su -c id 2>&1; mount -o remount,rw / 2>&1; unshare -r id 2>&1; ls -l /usr/bin/su"
    ).output.decode()
    assert "uid=0" not in said
    assert said.count("peration not permitted") + said.count("ermission denied") + said.count("must be") >= 2


def test_keys_of_the_one_who_runs_evogit_are_out_of_reach(toy_in_any: Checkout) -> None:
    toy = toy_in_any
    toy.environment |= {"OPENAI_API_KEY": "sk-canary-1", "GH_TOKEN": "canary-2", "SSH_AUTH_SOCK": "/canary-3"}
    (Path(toy.environment["HOME"]) / ".netrc").write_text("password canary-4")
    program = """
import os
print(len(os.listdir("/proc/self/fd")), "open files", sorted(os.environ))
found = []
for folder, _, files in os.walk("/proc"):
    if folder.count("/") > 3: continue
    for name in ("environ", "cmdline", "mounts"):
        try: found.append(open(os.path.join(folder, name), "rb").read())
        except OSError: pass
for pid in filter(str.isdecimal, os.listdir("/proc")):
    for descriptor in (os.listdir(f"/proc/{pid}/fd") if os.access(f"/proc/{pid}/fd", os.R_OK) else ()):
        try: found.append(os.readlink(f"/proc/{pid}/fd/{descriptor}").encode())
        except OSError: pass
    try:
        regions = [line.split() for line in open(f"/proc/{pid}/maps")]
        memory = open(f"/proc/{pid}/mem", "rb", 0)
    except OSError: continue
    for first, rights, *_ in regions:
        start, end = (int(x, 16) for x in first.split("-"))
        try:
            memory.seek(start); found.append(memory.read(end - start))
        except (OSError, ValueError, OverflowError): pass
needle = bytes(b - 1 for b in b"dbobsz")
print("looked at", len(found), "found", sum(needle in text for text in found))
raise SystemExit(1)
"""
    (toy.path / "bench.py").write_text(program)
    toy.commit()
    said = toy.evogit("evaluate", expect=1).stdout
    assert "found 0" in said
    assert int(said.partition("looked at ")[2].split()[0]) > 10
    assert "4 open files" in said  # the three of every process, and the one that lists them
    assert "KEY" not in said
    assert "canary" not in said


@needs_bubblewrap
def test_the_network_is_not_there_but_an_own_loopback_is(inside: Cage) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, socket.socket(socket.AF_UNIX) as local:
        name = f"evogit-test-{os.getpid()}"
        local.bind(f"\0{name}")
        local.listen()
        said = inside.python(
            _TRY
            + f"""
for address in (("127.0.0.1", {server.getsockname()[1]}), ("192.0.2.1", 80)):
    print(attempt(lambda: socket.create_connection(address, 3)))
udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
print(attempt(lambda: udp.sendto(b"x", ("192.0.2.1", 53))))
print(attempt(lambda: socket.getaddrinfo("example.com", 80)))
print(attempt(lambda: socket.socket(socket.AF_UNIX).connect("\\0{name}")))
print(attempt(lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, 1)))
print(attempt(lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW)))
print(attempt(lambda: socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM)))
print(os.path.exists("/run/docker.sock"), os.path.exists("/var/run"), socket.gethostname())
server = socket.create_server(("127.0.0.1", 0))
client = socket.create_connection(server.getsockname(), 3)
client.sendall(b"works")
print(server.accept()[0].recv(5))
"""
        ).splitlines()
    assert said[:3] == ["ECONNREFUSED", "ENETUNREACH", "ENETUNREACH"]
    assert said[3].lstrip("-").isdigit()  # one of the resolver's own codes
    assert said[4:8] == ["ECONNREFUSED", "EPERM", "EAFNOSUPPORT", "EAFNOSUPPORT"]
    assert said[8:] == ["False False evogit", "b'works'"]


@pytest.mark.skipif(platform.machine() != "x86_64", reason="numbers of system calls")
@needs_bubblewrap
def test_dangerous_system_calls_are_refused_and_ordinary_ones_are_not(inside: Cage) -> None:
    calls = {
        "unshare": (272, 0x10000000), "clone of a user namespace": (56, 0x10000000 | 17, 0, 0, 0, 0),
        "setns": (308, 0, 0), "mount": (165, 0, 0, 0, 0, 0), "ptrace": (101, 0, 0, 0, 0), "bpf": (321, 0, 0, 0),
        "keyctl": (250, 0, 0), "add_key": (248, 0, 0, 0, 0), "io_uring": (425, 8, 0), "perf": (298, 0, 0, 0, 0, 0),
        "userfaultfd": (323, 0), "kexec": (246, 0, 0, 0, 0), "process_vm_readv": (310, 1, 0, 0, 0, 0, 0),
        "open_tree": (428, 0, 0, 0), "typing into a terminal": (16, 0, 0x5412, 0),
    }  # fmt: skip
    said = inside.python(
        _TRY
        + f"""
import subprocess, threading, multiprocessing
print(json.dumps({{name: call(*words) for name, words in {calls!r}.items()}}))
print(call(435, 0, 0), call(319, 0, 0), call(0x40000000 | 39))
threads = [threading.Thread(target=print, args=("thread",)) for _ in range(3)]
for thread in threads: thread.start()
for thread in threads: thread.join()
with multiprocessing.get_context("fork").Pool(2) as pool: print(pool.map(abs, [-1, -2]))
print(subprocess.run(["echo", "child"], capture_output=True).stdout)
"""
    ).splitlines()
    assert json.loads(said[0]) == dict.fromkeys(calls, "EPERM")
    assert said[1:] == ["ENOSYS ENOSYS ENOSYS", "thread", "thread", "thread", "[1, 2]", "b'child\\n'"]


@needs_bubblewrap
def test_only_its_own_processes_are_seen_and_signalled(inside: Cage) -> None:
    said = inside.python(
        _TRY
        + f"""
import signal
pids = sorted(map(int, filter(str.isdecimal, os.listdir("/proc"))))
print(len(pids), pids[0], attempt(lambda: os.kill({os.getpid()}, 0)))
print(open("/proc/self/uid_map").read().split())
signal.signal(signal.SIGTERM, signal.SIG_IGN)
attempt(lambda: os.kill(-1, signal.SIGTERM))
attempt(lambda: os.kill(1, signal.SIGKILL))
print("alive")
"""
    ).splitlines()
    assert int(said[0].split()[0]) < 10
    assert said[0].split()[1:] == ["1", "ESRCH"]
    if not _AS_ROOT:
        inside_id, _, count = eval(said[1])
        assert (int(inside_id), int(count)) == (os.getuid(), 1)  # nobody else is there, root neither
    assert said[-1] == "alive"


# Puts a loop into the place where the first process inside waits, after a call that takes back its wish to die with
# its parent; then lets it come back from waiting.
_TAKE_OVER_THE_FIRST = """
import os, signal, sys, time
try:
    where = int(open("/proc/1/syscall").read().split()[-1], 16)
    code = bytes.fromhex("b89d000000" "bf01000000" "31f6" "0f05" "b822000000" "0f05" "ebf7")
    with open("/proc/1/mem", "r+b", 0) as memory:
        memory.seek(where)
        memory.write(code)
    if os.fork() == 0:
        if os.fork() == 0:
            os._exit(0)  # an orphan that ends is what the first process waits for
        os._exit(0)
    os.wait()
    print("taken", flush=True)
except OSError as error:
    print("refused", flush=True)
signal.signal(signal.SIGTERM, signal.SIG_IGN)
if os.fork() == 0:
    os.setsid()
    while True: time.sleep(1000)
"""


@pytest.mark.skipif(platform.machine() != "x86_64", reason="machine code")
@needs_bubblewrap
def test_the_first_process_inside_can_be_taken_over_and_still_dies(inside: Cage) -> None:
    done = inside.run(("python", "-c", _TAKE_OVER_THE_FIRST + "time.sleep(1000)"), timeout_s=2)
    assert done.exit_code is None
    assert done.output.decode().strip() == ("refused" if _AS_ROOT else "taken")


@pytest.mark.skipif(platform.machine() != "x86_64", reason="machine code")
@needs_bubblewrap
def test_nothing_outlives_a_killed_agent_whatever_was_taken_over(toy_in_a_sandbox: Checkout) -> None:
    toy = toy_in_a_sandbox
    (toy.path / "bench.py").write_text(_TAKE_OVER_THE_FIRST + "open('taken', 'w')\ntime.sleep(1000)")
    _with_command(toy, "python bench.py", timeout_s=900)
    run = toy.start("run", "-n", "1", "--run", "hang")
    top = Path(toy.environment["TMPDIR"])
    taken = wait_for(lambda: next(top.glob("evogit-*/*/hang/*/tree/taken"), None))
    result = taken.parent.parent / "scratch" / "result.json"
    assert survivors(result, None)
    agent = next(child for child in psutil.Process(run.pid).children() if "agent" in child.cmdline())
    agent.send_signal(signal.SIGKILL)
    run.communicate(timeout=60)
    assert run.returncode == 1
    wait_for(lambda: None if survivors(result, None) else top)


def test_the_terminal_is_out_of_reach(toy_in_any: Checkout, kind: str) -> None:
    toy = toy_in_any
    (toy.path / "bench.py").write_text("""
import fcntl, os, sys
try:
    fcntl.ioctl(os.open("/dev/tty", os.O_RDWR), 0x5412, b"x")
except OSError as error:
    print("no terminal:", error.strerror, os.isatty(0), os.isatty(1), os.isatty(2))
sys.exit(1)
""")
    toy.commit()
    words = toy.command("evaluate")
    environment = {**toy.environment, "TERM": "dumb"}
    terminal = pexpect.spawn(words[0], words[1:], cwd=str(toy.path), env=environment, encoding="utf-8", timeout=60)
    terminal.expect(pexpect.EOF)
    terminal.close()
    why = "No such device or address" if kind == "bwrap" else "Permission denied"
    assert f"no terminal: {why} False False False" in str(terminal.before)


def test_tools_of_a_home_folder_are_seen_and_its_secrets_are_not(
    tmp_path: Path, world: dict[str, str], kind: str
) -> None:
    real = Path(world["HOME"])
    home = tmp_path / "linked-home"
    home.symlink_to(real)
    for secret in (".ssh/id_ed25519", ".cargo/credentials.toml", ".local/share/keyrings/login", ".pyenv-not/x"):
        (real / secret).parent.mkdir(parents=True, exist_ok=True)
        (real / secret).write_text("secret")
    for tool in (
        ".cargo/bin/tool",
        ".local/bin/user-tool",
        "miniconda3/bin/conda-tool",
        ".nvm/versions/node/v20/bin/js",
    ):
        (real / tool).parent.mkdir(parents=True, exist_ok=True)
        (real / tool).write_text('#!/bin/sh\ncat "$(dirname "$0")/../lib/text"\n')
        (real / tool).chmod(0o755)
        (real / tool).parent.parent.joinpath("lib").mkdir()
        (real / tool).parent.parent.joinpath("lib/text").write_text(f"{tool}\n")
    (real / "miniconda3/conda-meta").mkdir()
    for name, linked in (("venv", True), ("copied", False)):
        venv.create(home / name, symlinks=linked, with_pip=False)
    tools = ("venv/bin", ".cargo/bin", ".local/bin", "miniconda3/bin", ".nvm/versions/node/v20/bin", "copied/bin")
    path = os.pathsep.join(map(str, [*(home / name for name in tools), "/usr/bin", "/bin"]))
    with cage(tmp_path / "agent", home, kind=kind) as inside:
        said = inside.run(
            f"for name in venv copied; do {home}/$name/bin/python -c 'import sys, json; print(sys.prefix)'; done; "
            f"tool; user-tool; conda-tool; js; ls -A {home} {home}/.cargo {home}/.local; exit 0",
            path=path,
        ).output.decode()
    assert said.splitlines()[:2] == [str(home / "venv"), str(home / "copied")]
    assert "miniconda3/bin/conda-tool" in said
    assert ".nvm/versions/node/v20/bin/js" in said
    missing = "No such file or directory" if kind == "bwrap" else "/lib/text: Permission denied"
    assert said.count(missing) == 2  # the libraries of tools whose folders hold other things, too
    assert not {"id_ed25519", ".ssh", "credentials.toml", "share", ".pyenv-not"} & set(said.split())


def test_two_agents_do_not_reach_each_other(tmp_path: Path, world: dict[str, str], kind: str) -> None:
    home = Path(world["HOME"])
    with cage(tmp_path / "a", home, kind=kind) as one, cage(tmp_path / "b", home, kind=kind) as other:
        assert one.run("echo a > $EVOGIT_RESULT; echo a > mine").exit_code == 0
        done = other.run(f"ls {tmp_path} {tmp_path}/a; cat {one.result} {one.tree}/mine; kill -0 {os.getpid()}")
        assert done.output.decode().split()[:2] != ["a", "b"]
        said = done.output.decode()
        missing = said.count("No such file or directory")
        assert (missing, said.count("Permission denied")) == ((3, 0) if kind == "bwrap" else (0, 4))
        if _AS_ROOT:
            assert one.launcher.owner != other.launcher.owner
            assert one.result.stat().st_uid == one.launcher.owner
    if _AS_ROOT:
        with cage(tmp_path / "c", home) as third:  # what was given back is used again
            assert third.launcher.owner in (one.launcher.owner, other.launcher.owner)
