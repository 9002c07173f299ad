"""A sandbox to try to get out of: the folders of one agent, its launcher, and a look at what is left afterwards."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import psutil
import pytest

from evogit.errors import UsageError
from evogit.sandbox import Job, Launcher, Outcome, Sandbox, Wish, choose
from evogit.sandbox.bubblewrap import Bubblewrap, Programs, Sight
from evogit.sandbox.job import CONFINED, Limits
from evogit.sandbox.landlock import Landlock

PATH = os.pathsep.join((str(Path(sys.executable).parent), os.defpath, "/usr/bin", "/bin"))


KINDS = ("bwrap", "landlock")


@cache
def why_not(kind: str = "bwrap") -> str | None:
    """Return why this machine has no such sandbox, or None."""
    try:
        choose(Wish(kind=kind, where="a test", trusted=False, caller={"PATH": PATH})).close()
    except UsageError as error:
        return str(error)
    return None


class Cage:
    """Runs commands in a sandbox, in folders of its own."""

    def __init__(
        self, folder: Path, home: Path, limits: Limits = CONFINED, cancelled: Callable[[], bool] = lambda: False,
        kind: str = "bwrap",
    ) -> None:  # fmt: skip
        self.tree, self.scratch = folder / "tree", folder / "scratch"
        for made in (self.tree, self.scratch, self.scratch / "home", self.scratch / "tmp"):
            made.mkdir(parents=True)
        self.kind = kind
        self.launcher = Launcher(cancelled, _sandbox(kind, Sight(homes=[home]), limits))
        self.result = self.scratch / "result.json"
        if self.launcher.owner is not None:
            os.chown(self.tree, self.launcher.owner, self.launcher.owner)

    def run(
        self, command: str | tuple[str, ...], timeout_s: float = 60, memory_mb: int | None = None,
        environment: Mapping[str, str] | None = None, path: str = PATH,
    ) -> Outcome:  # fmt: skip
        """Run a command to its end, and check that nothing is left of it."""
        job = Job(
            argv=("/bin/sh", "-c", command) if isinstance(command, str) else command,
            cwd=self.tree,
            environment={
                "PATH": path, "HOME": str(self.scratch / "home"), "TMPDIR": str(self.scratch / "tmp"),
                "EVOGIT_RESULT": str(self.result), **(environment or {}),
            },
            timeout_s=timeout_s,
            writable=(self.scratch,),
            memory_mb=memory_mb,
        )  # fmt: skip
        try:
            return self.launcher.launch(job)
        finally:
            assert survivors(self.result, self.launcher.owner) == []

    def python(self, program: str, timeout_s: float = 60) -> str:
        """Run a Python program that is to end well, and return what it prints."""
        done = self.run(("python", "-c", program), timeout_s)
        said = done.output.decode()
        assert done.exit_code == 0, said
        return said.strip()


def _sandbox(kind: str, sight: Sight, limits: Limits) -> Sandbox:
    if kind == "landlock":
        return Landlock(sight, limits)
    bwrap, setpriv = (shutil.which(name, path=PATH) for name in ("bwrap", "setpriv"))
    programs = Programs(bwrap=bwrap or "bwrap", setpriv=setpriv, version=(0, 8))
    return Bubblewrap(programs, sight, limits)


@contextmanager
def cage(folder: Path, home: Path, limits: Limits = CONFINED, kind: str = "bwrap") -> Iterator[Cage]:
    """Make a cage and check at the end that nothing is left of it."""
    before = {child.pid for child in psutil.Process().children(recursive=True)}
    made = Cage(folder, home, limits, kind=kind)
    owner = made.launcher.owner
    try:
        yield made
    finally:
        made.launcher.close()
    left = [child for child in psutil.Process().children(recursive=True) if child.pid not in before]
    assert left == []
    assert survivors(made.result, owner) == []


def survivors(result: Path, owner: int | None) -> list[int]:
    """Return the processes that have this result file in their environment, or belong to this user."""
    mark = f"EVOGIT_RESULT={result}".encode()
    found = []
    for name in filter(str.isdecimal, os.listdir("/proc")):
        try:
            entries = Path(f"/proc/{name}/environ").read_bytes().split(b"\0")
            is_owners = owner is not None and os.stat(f"/proc/{name}").st_uid == owner
        except OSError:
            continue
        if mark in entries or is_owners:
            found.append(int(name))
    return found


# The folders a path leads through that others may not enter are hidden by new ones, which they may.
_AS_NOBODY = """
mount --make-rprivate /
top=$1 closed=$2 kept=$3
if [ -n "$closed" ]; then
    mkdir -p "$kept" && mount --bind "$top" "$kept" && mount -t tmpfs -o mode=755 none "$closed"
    mkdir -p "$top" && mount --bind "$kept" "$top"
fi
shift 3
exec setpriv --reuid=65534 --regid=65534 --clear-groups "$@"
"""


def run_as_nobody(files: Sequence[str], *options: str, timeout: float = 600) -> subprocess.CompletedProcess[str]:
    """Run files of these tests as an ordinary user; only root can, and only where it may make mounts of its own."""
    top = Path(os.path.realpath(sys.base_prefix))
    closed = next((str(path) for path in reversed(top.parents) if not path.stat().st_mode & 0o001), "")
    if subprocess.run(["unshare", "-m", "true"], capture_output=True).returncode:
        pytest.skip("this root may not make a namespace of mounts, to let others see the interpreter")
    here = Path(__file__).parent
    with tempfile.TemporaryDirectory(dir="/tmp", ignore_cleanup_errors=True) as name:
        os.chown(name, 65534, 65534)
        environment = {**os.environ, "HOME": name, "TMPDIR": name}
        return subprocess.run(
            ["unshare", "-m", "sh", "-c", _AS_NOBODY, "sh", str(top), closed, f"{name}/kept",
             sys.executable, "-m", "pytest", "-p", "no:cacheprovider", f"--basetemp={name}/base", "-rs", *options,
             *(str(here / file) for file in files)],
            cwd=here.parent, env=environment, capture_output=True, text=True, timeout=timeout,
        )  # fmt: skip


def wait_for(ask: Callable[[], Path | None]) -> Path:
    """Return the first answer that is one."""
    for _ in range(600):
        found = ask()
        if found:
            return found
        time.sleep(0.05)
    raise AssertionError("waited 30 s in vain")
