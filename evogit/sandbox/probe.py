"""Finding out whether a sandbox holds, by trying to get out of it."""

from __future__ import annotations

import hashlib
import json
import os
import re
import secrets
import socket
import sys
import tempfile
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

from evogit.sandbox import intruder, processes
from evogit.sandbox.job import MARK, Job
from evogit.sandbox.launcher import Launcher
from evogit.sandbox.plain import Sandbox

_LIMIT_S = 30.0
_APPARMOR = Path("/proc/sys/kernel/apparmor_restrict_unprivileged_userns")
_PROFILE_ADVICE = (
    "AppArmor keeps programs from making user namespaces; give bubblewrap the profile it needs "
    "(apt install apparmor-profiles; ln -s /usr/share/apparmor/extra-profiles/bwrap-userns-restrict /etc/apparmor.d/; "
    "apparmor_parser -r /etc/apparmor.d/bwrap-userns-restrict), or allow them: "
    "sysctl kernel.apparmor_restrict_unprivileged_userns=0"
)
_CONTAINERS = ("/.dockerenv", "/run/.containerenv")
_CONTAINER_ADVICE = (
    "a container in the way does not let programs make one; start it with the right to (docker run --privileged, or "
    "--cap-add SYS_ADMIN with seccomp=unconfined, apparmor=unconfined and systempaths=unconfined as --security-opt)"
)
_ADVICE = (
    (r"[Uu]nknown option|unrecognized option", "this bubblewrap is too old"),
    (r"mount proc|mounting proc|Can't mount|Failed to (mount|make / slave)|pivot_root", _CONTAINER_ADVICE),
    (
        r"No permissions to create|[Nn]amespace|uid map|RTM_NEWADDR",
        "the system does not let programs make namespaces (sysctl user.max_user_namespaces, "
        "kernel.unprivileged_userns_clone; a container's own restrictions)",
    ),
    (r"setpriv", "setpriv of util-linux does not do its part"),
)


def probe(sandbox: Sandbox) -> str | None:
    """Return why the sandbox is none, or None where it holds; the sandbox stays open."""
    with tempfile.TemporaryDirectory(prefix="evogit-probe-", ignore_cleanup_errors=True) as name:
        return _try(sandbox, Path(name))


def _try(sandbox: Sandbox, top: Path) -> str | None:
    inside, outside = top / "inside", top / "outside"
    inside.mkdir()
    outside.mkdir()
    if sandbox.owner is not None:
        os.chown(inside, sandbox.owner, sandbox.owner)
    folders = (outside, Path(tempfile.gettempdir()), Path(os.path.expanduser("~")))
    secret = outside / "secret"
    secret.write_text("secret")
    mark = secrets.token_hex(16)
    with ExitStack() as stack:
        server = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        local = stack.enter_context(socket.socket(socket.AF_UNIX))
        local.bind("\0" + mark)
        local.listen()
        by_path = stack.enter_context(socket.socket(socket.AF_UNIX))
        with suppress(OSError):  # a long name has no room in an address
            by_path.bind(str(outside / "socket"))
            by_path.listen()
        plan = {
            "secret": str(secret), "folders": [str(folder) for folder in folders],
            "port": server.getsockname()[1], "name": mark,
            "environment": hashlib.sha256(processes.environment(os.getpid())).hexdigest(),
            "socket": str(outside / "socket"), "process": os.getpid(), "begun": processes.begun(os.getpid()),
            "is_shared": sandbox.is_shared,
        }  # fmt: skip
        found = _run(sandbox, _job(inside, mark, plan))
    written = [folder for folder in (*folders, *map(Path, ("/", "/usr", "/etc", "/dev"))) if _took_away(folder / mark)]
    if written:
        return "it lets a process write a file outside" + (f"; {found}" if found else "")
    if found is None and _survivors(mark):
        return "it does not end what it started"
    return found


def _job(folder: Path, mark: str, plan: dict[str, Any]) -> Job:
    program = Path(intruder.__file__).read_text()
    return Job(
        argv=(os.path.realpath(sys.executable), "-I", "-S", "-c", program, json.dumps(plan)),
        cwd=folder,
        environment={"PATH": os.defpath, MARK: mark},
        timeout_s=_LIMIT_S,
        read_only=interpreter(),
    )


def interpreter() -> list[Path]:
    """Return the folders of the Python that runs this, where they are not the system's."""
    places = {Path(os.path.realpath(sys.base_prefix)), Path(os.path.realpath(sys.base_exec_prefix))}
    return [place for place in places if not place.is_relative_to("/usr") and len(place.parts) > 1]


def _run(sandbox: Sandbox, job: Job) -> str | None:
    launcher = Launcher(sandbox=sandbox)
    try:
        done = launcher.launch(job)
    except OSError as error:
        return _explained(str(error))
    finally:
        launcher.end_guard()
    said = done.output.decode("utf-8", "replace").strip()
    if done.stopped:
        return f"a small program runs into a limit there ({done.stopped})"
    if done.exit_code is None:
        return f"it did not answer within {_LIMIT_S:g} s"
    if done.exit_code:
        return _explained(said or f"exit code {done.exit_code}")
    try:
        managed = json.loads(said)
    except ValueError:
        return _explained(said)
    return f"it lets a process {', '.join(managed)}" if managed else None


def _explained(said: str) -> str:
    """Return what was said in one line, with what can be done about it."""
    line = (said.splitlines() or ["it says nothing"])[-1][:200]
    if re.search(r"uid map|RTM_NEWADDR|[Pp]ermission", said) and _is_restricted():
        return f"{line}: {_PROFILE_ADVICE}"
    if "amespace" in said and any(os.path.exists(mark) for mark in _CONTAINERS):
        return f"{line}: {_CONTAINER_ADVICE}"
    advice = next((words for pattern, words in _ADVICE if re.search(pattern, said)), None)
    return f"{line}: {advice}" if advice else line


def _is_restricted() -> bool:
    try:
        return _APPARMOR.read_text().strip() == "1"
    except OSError:
        return False


def _took_away(path: Path) -> bool:
    """Remove a file and return whether it was there."""
    try:
        path.unlink()
    except OSError:
        return False
    return True


def _survivors(mark: str) -> bool:
    wanted = f"{MARK}={mark}".encode()
    return any(wanted in processes.environment(pid).split(b"\0") for pid in processes.pids())
