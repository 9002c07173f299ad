"""A sandbox made by bubblewrap: no network, no other process, nothing of the disk but what the job needs.

An ordinary user gets it by a user namespace. Root needs none, and drops instead every right and its user id.
"""

from __future__ import annotations

import os
import resource
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from evogit.sandbox import layout, rlimits, seccomp, slots
from evogit.sandbox.job import CONFINED, Job, Limits
from evogit.sandbox.plain import Started, refuse_missing, spawn
from evogit.sandbox.tools import folders

_NAMESPACES = ("ipc", "pid", "net", "uts", "cgroup-try")
# --as-pid-1 is for programs of ours only: the job itself carries the signal then that ends it with its parent, and can
# put it off.
_COMMON = ("--die-with-parent", "--new-session", "--hostname", "evogit", "--cap-drop", "ALL")
_TO_BECOME_A_USER = ("CAP_SETUID", "CAP_SETGID", "CAP_SETPCAP")
_DISABLES = (0, 8)
"""From here on bubblewrap can keep namespaces from being made inside; the filter of system calls does, too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Programs:
    """The programs it is made with, and the version of the first; `setpriv` is only needed by root."""

    bwrap: str
    setpriv: str | None
    version: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sight:
    """What jobs see, beside the system, their tools and what is their own: `read_only`.

    `homes` and `secret` stay out of sight also where a tool's folder holds them.
    """

    homes: Sequence[Path] = ()
    secret: Sequence[Path] = ()
    read_only: Sequence[Path] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Held:
    """Descriptors of files of /etc by their names, and of the filter of system calls."""

    files: Mapping[str, int]
    filter: int | None


class Bubblewrap:
    """Starts each job in a new sandbox."""

    kind = "bwrap"
    is_shared = False

    def __init__(self, programs: Programs, sight: Sight, limits: Limits = CONFINED) -> None:
        """Prepare what all jobs share.

        Raises:
            UsageError: no user id can be taken.
        """
        self.limits = limits
        self._programs = programs
        self._sight = sight
        self._slot = slots.take() if slots.are_there() else None
        self.owner: int | None = self._slot.uid if self._slot else None
        self._system = [*layout.system(), *layout.devices(limits)]
        self._shown: dict[tuple[Path | None, ...], list[str]] = {}
        self._held: dict[bool, _Held] = {}
        self._is_filtered = seccomp.program() is not None

    def start(self, job: Job) -> Started:
        """Start the job.

        Raises:
            OSError: bubblewrap cannot be started, or cannot make a sandbox.
        """
        refuse_missing(job)
        if self.owner is not None:
            _hand_over(job.writable, self.owner)
        report, report_end = os.pipe()
        gate_end, gate = os.pipe()
        held = self._hold(job.network)
        files = {name: _reader(descriptor) for name, descriptor in held.files.items()}
        filter_ = None if held.filter is None else _reader(held.filter)
        read = [*files.values(), *([] if filter_ is None else [filter_])]
        # Not on the command line, where everybody would read them, the job as well.
        words = self._options(job, report_end, gate_end, files, filter_)
        options = _in_memory("\0".join(words).encode("utf-8", "surrogateescape"))
        os.lseek(options, 0, os.SEEK_SET)
        become = [] if self.owner is None else _become(self._programs.setpriv or "setpriv", self.owner)
        argv = [self._programs.bwrap, "--args", str(options), "--", *become, *job.argv]
        try:
            process = spawn(argv, job, (report_end, gate_end, options, *read))
        except BaseException:
            os.close(report)
            os.close(gate)
            raise
        finally:
            for descriptor in (report_end, gate_end, options, *read):
                os.close(descriptor)
        return _let_go(process, report, gate, self.limits)

    def described(self) -> str:
        """Return what it is, in words."""
        user = "a user namespace" if self.owner is None else f"user id {self.owner}"
        calls = "system calls filtered" if self._is_filtered else "system calls not filtered on this machine"
        version = ".".join(map(str, self._programs.version))
        return f"bubblewrap {version}, {user}, no network, {calls}"

    def close(self) -> None:
        """Give back the user id and the descriptors."""
        for held in self._held.values():
            for descriptor in (*held.files.values(), *([] if held.filter is None else [held.filter])):
                os.close(descriptor)
        self._held = {}
        if self._slot:
            self._slot.release()
            self._slot = None

    def _hold(self, has_network: bool) -> _Held:
        """Return what jobs with or without network have in common, made for the first of them."""
        if has_network not in self._held:
            me = (self.owner, self.owner) if self.owner is not None else _outside_of_root()
            found = layout.files(*me, has_network=has_network)
            filter_ = seccomp.program(has_network=has_network)
            self._held[has_network] = _Held(
                files={name: _in_memory(content) for name, content in found.items()},
                filter=None if filter_ is None else _in_memory(filter_),
            )
        return self._held[has_network]

    def _options(self, job: Job, report: int, gate: int, held: Mapping[str, int], filter_: int | None) -> list[str]:
        namespaces = [f"--unshare-{name}" for name in _NAMESPACES if name != "net" or not job.network]
        if self.owner is None:
            uid, gid = _outside_of_root()
            namespaces += ["--unshare-user", "--uid", str(uid), "--gid", str(gid)]
            namespaces += ["--disable-userns"] if self._programs.version >= _DISABLES else []
        else:
            namespaces += [word for right in _TO_BECOME_A_USER for word in ("--cap-add", right)]
        files = [word for name, descriptor in held.items() for word in _file(name, descriptor)]
        calls = [] if filter_ is None else ["--seccomp", str(filter_)]
        return [
            *(*_COMMON, *namespaces, *self._system, *files),
            *self._shown_to(job),
            *("--json-status-fd", str(report), "--block-fd", str(gate), *calls),
            *(["--as-pid-1"] if job.first else []),
        ]

    def _shown_to(self, job: Job) -> list[str]:
        """Return what shows the job its folders and tools; jobs of one working directory have one environment."""
        key = (job.cwd, *job.writable, None, job.tool, *job.read_only)
        if key not in self._shown:
            tools = folders(job.environment, self._sight.homes, self._sight.secret, job.tool)
            tools = [*tools, *self._sight.read_only]
            self._shown[key] = list(layout.folders(job, tools))
        return self._shown[key]


def _outside_of_root() -> tuple[int, int]:
    """Return the user and the group an ordinary user's job shows; root of a user namespace is an ordinary user."""
    return os.geteuid() or slots.FIRST, os.getegid() or slots.FIRST


def _let_go(process: subprocess.Popen[bytes], report: int, gate: int, limits: Limits) -> Started:
    """Set the limits on the first process inside, which waits at the gate for it, and let it go on."""
    inner = _inner(report)
    if inner is None:
        os.close(gate)
        os.close(report)
        said = b"".join(part or b"" for part in process.communicate())
        raise OSError(said.decode("utf-8", "replace").strip() or f"bwrap ended with exit code {process.returncode}")
    started = Started(process, inner, report)
    try:
        with suppress(ProcessLookupError):  # it may have ended
            # Inside its user namespace, or as its own user: outside, that of processes would count all the user has.
            for kind, value in rlimits.of(limits, limits.processes).items():
                hard = resource.prlimit(inner, kind)[1]
                most = value if hard == resource.RLIM_INFINITY else min(value, hard)
                resource.prlimit(inner, kind, (most, most))
    except BaseException:
        started.kill()
        started.close()
        raise
    else:
        with suppress(OSError), open(f"/proc/{inner}/oom_score_adj", "w") as file:
            file.write("1000")  # when the machine's memory ends, this is what has to go
    finally:
        os.close(gate)
    return started


def _inner(report: int) -> int | None:
    """Return the number of the first process inside, which bubblewrap says on its first line."""
    said = b""
    while b"\n" not in said:
        chunk = os.read(report, 4096)
        if not chunk:
            return None
        said += chunk
    digits = said.partition(b'"child-pid"')[2].partition(b":")[2].partition(b",")[0].strip(b" }\n")
    return int(digits) if digits.isdigit() else None


def _become(setpriv: str, uid: int) -> list[str]:
    return [
        *(setpriv, f"--reuid={uid}", f"--regid={uid}", "--clear-groups", "--no-new-privs"),
        *("--bounding-set=-all", "--inh-caps=-all", "--ambient-caps=-all", "--"),
    ]


def _file(name: str, descriptor: int) -> list[str]:
    return ["--perms", "0444", "--file", str(descriptor), f"/etc/{name}"]


def _in_memory(content: bytes) -> int:
    descriptor = os.memfd_create("evogit", os.MFD_CLOEXEC)
    os.write(descriptor, content)
    return descriptor


def _reader(held: int) -> int:
    """Return a descriptor with a position of its own: the sandbox before may still be reading."""
    return os.open(f"/proc/self/fd/{held}", os.O_RDONLY | os.O_CLOEXEC)


def _hand_over(paths: Sequence[Path], uid: int) -> None:
    """Give the folders, and those in them, to the job's user."""
    for folder in paths:
        os.chown(folder, uid, uid)
        with os.scandir(folder) as entries:
            for entry in entries:
                os.chown(entry.path, uid, uid, follow_symlinks=False)
