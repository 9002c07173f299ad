"""What a sandbox shows of the disk: as arguments of bubblewrap, and as paths for Landlock."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path

from evogit.sandbox.job import Job, Limits
from evogit.sandbox.tools import SYSTEM

_ETC = ("alternatives", "ssl/certs", "fonts", "java*", "R", "ImageMagick*")
_ETC_FILES = ("ld.so.cache", "ssl/openssl.cnf", "mime.types")
"""What programs look up in /etc that says nothing of this machine's people or secrets."""
_NAMES = ("resolv.conf", "hosts")
_REAL = (
    *("passwd", "group", "hosts", "nsswitch.conf", "host.conf", "services", "protocols", "localtime", "timezone"),
    *("ld.so.preload", "ld.so.conf", "ld.so.conf.d", "os-release", "*-release", "debian_version", "perl", "python3*"),
    *("magic", "inputrc", "pki/tls/certs", "pki/ca-trust/extracted", "crypto-policies"),
)
"""What is read of the machine's own where nothing can be made up in its place, and programs take it ill that something
is there and closed: names of users and versions of the system, but no settings in which a password may stand."""
_NOBODY = 65534


def system() -> list[str]:
    """Return the arguments that show the system's programs and a small /etc."""
    found: list[str] = []
    made: set[Path] = set()
    for name in SYSTEM:
        path = Path("/") / name
        if path.is_symlink():
            found += ["--symlink", os.readlink(path), str(path)]
        elif path.is_dir():
            found += ["--ro-bind", str(path), str(path)]
    for pattern in _ETC:
        for path in sorted(Path("/etc").glob(pattern)):
            if path.exists() and _is_public(path):
                found += [*_ancestors(path, made), "--ro-bind", str(path), str(path)]
    if os.path.isdir("/sys/devices/system"):  # how many processors there are
        path = Path("/sys/devices/system")
        found += [*_ancestors(path, made), "--ro-bind", str(path), str(path)]
    for folder in ("/etc", "/etc/ssl", "/run", "/var"):
        found += ["--perms", "0755", "--dir", folder]
    # Relative: bubblewrap follows it while the root is still another one.
    return [*found, "--symlink", "../tmp", "/var/tmp"]


def readable() -> list[Path]:
    """Return the paths of the system that may be read where nothing can be hidden or made up."""
    found = [Path("/", name) for name in (*SYSTEM, "proc", "sys/devices/system")]
    found += [path for pattern in (*_ETC, *_ETC_FILES, *_REAL) for path in sorted(Path("/etc").glob(pattern))]
    return [path for path in found if path.exists() and _is_public(path)]


def names() -> list[Path]:
    """Return the files by which a program with network finds other machines."""
    found = [Path("/etc", name) for name in _NAMES]
    return [path for path in found if path.is_file() and _is_public(path)]


def files(uid: int, gid: int, *, has_network: bool = False) -> dict[str, bytes]:
    """Return the files of /etc that are copied or made up, for a job of this user."""
    nobody = "" if uid == _NOBODY else f"nobody:x:{_NOBODY}:{_NOBODY}::/:/bin/sh\n"
    me = "" if uid == 0 else f"evogit:x:{uid}:{gid}::/tmp:/bin/sh\n"
    made = {
        "passwd": f"root:x:0:0::/:/bin/sh\n{nobody}{me}",
        "group": f"root:x:0:\nevogit:x:{gid}:\n",
        "hosts": "127.0.0.1 localhost evogit\n::1 localhost\n",
        "nsswitch.conf": "passwd: files\ngroup: files\nhosts: files\n",
    }
    copied = {name: Path("/etc", name) for name in _ETC_FILES}
    if has_network:
        copied |= {path.name: path for path in names()}
        made["nsswitch.conf"] = made["nsswitch.conf"].replace("hosts: files", "hosts: files dns")
    return {
        **{name: text.encode() for name, text in made.items()},  # hosts is the machine's own where there is network
        **{name: path.read_bytes() for name, path in copied.items() if path.is_file() and _is_public(path)},
    }


def devices(limits: Limits) -> list[str]:
    """Return the arguments that make /proc, /dev and the folders for temporary files, of limited size."""
    return [
        *("--proc", "/proc", "--dev", "/dev"),
        *(
            "--perms",
            "1777",
            "--size",
            str(limits.shared_memory_mb << 20),
            "--tmpfs",
            "/dev/shm",
            "--remount-ro",
            "/dev",
        ),
        *("--perms", "1777", "--size", str(limits.tmp_mb << 20), "--tmpfs", "/tmp"),
    ]


def folders(job: Job, tools: Iterable[Path]) -> Iterator[str]:
    """Yield the arguments that show tools, and what is the job's own; everything else stays out of sight."""
    shown = [
        *(("--ro-bind", path) for path in tools),
        *(("--bind", path) for path in (job.cwd, *job.writable)),
        *(("--ro-bind", path) for path in job.read_only),
    ]
    made: set[Path] = set()
    for how, path in shown:
        yield from _ancestors(path, made)
        yield from (how, str(path), str(path))
    yield from ("--remount-ro", "/", "--chdir", str(job.cwd))


def _ancestors(path: Path, made: set[Path]) -> Iterator[str]:
    """Yield the folders above one, open to whoever the job runs as: bubblewrap would make them for itself alone."""
    for parent in reversed(path.parents[:-1]):
        if parent not in made:
            made.add(parent)
            yield from ("--perms", "0755", "--dir", str(parent))


def _is_public(path: Path) -> bool:
    return bool(path.stat().st_mode & stat.S_IROTH)
