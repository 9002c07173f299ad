"""What tests of crashes and concurrency look at, found without evogit: plain Git, files, and the process table."""

from __future__ import annotations

import hashlib
import json
import subprocess
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

import psutil
from conftest import Checkout

_T = TypeVar("_T")
_PATIENCE_S = 60.0


def wait_for(ask: Callable[[], _T | None], what: str, patience_s: float = _PATIENCE_S) -> _T:
    """Return the first answer that is not None (or False); fail when there is none for long."""
    deadline = time.monotonic() + patience_s
    while time.monotonic() < deadline:
        found = ask()
        if found is not None and found is not False:
            return found
        time.sleep(0.01)
    raise AssertionError(f"waited {patience_s:g} s in vain for {what}")


def catches(pid: int, number: int) -> bool:
    """Return whether a process has a handler for a signal by now; one that comes sooner would just end it."""
    status = Path(f"/proc/{pid}/status").read_text()
    caught = next(line for line in status.splitlines() if line.startswith("SigCgt:"))
    return bool(int(caught.split()[1], 16) >> (number - 1) & 1)


class Gate:
    """Makes a repository's evaluations wait while the gate is closed, so that a test knows where an agent is."""

    def __init__(self, checkout: Checkout, *, first: str = "") -> None:
        """Put `first` and the gate before the score command, and commit that."""
        self._shut, self._reached = checkout.path.parent / "shut", checkout.path.parent / "reached"
        toml = checkout.path / "evogit.toml"
        wait = f"while [ -e {self._shut} ]; do echo $$ > {self._reached}; sleep 0.02; done; "
        toml.write_text(
            toml.read_text().replace('command = "', f'command = "{first}{wait}').replace("_s = 20", "_s = 200")
        )
        checkout.commit("a gate")

    def close(self) -> None:
        """Make the next evaluation wait."""
        self._reached.unlink(missing_ok=True)
        self._shut.touch()

    def open(self) -> None:
        """Let evaluations pass."""
        self._shut.unlink()

    def is_reached(self) -> bool:
        """Whether an evaluation waits."""
        return self._reached.exists()


def journals(checkout: Checkout, run: str) -> dict[str, str]:
    """Return the tip of each readable journal of a run, by its agent."""
    prefix = f"refs/notes/evogit/{run}/"
    said = checkout.git("for-each-ref", "--format=%(refname) %(objectname)", prefix)
    pairs = (line.split() for line in said.splitlines())
    return {name.removeprefix(prefix).removesuffix(".journal"): tip for name, tip in pairs}


def lines(checkout: Checkout, run: str) -> set[tuple[str, str, bytes]]:
    """Return every line of every note of a run as (agent, commit, line), read by `git notes list` and `cat-file`."""
    notes = [
        (agent, *line.split())
        for agent in journals(checkout, run)
        for line in checkout.git("notes", f"--ref=refs/notes/evogit/{run}/{agent}.journal", "list").splitlines()
    ]
    contents = blobs(checkout, [blob for _, blob, _ in notes])
    return {
        (agent, commit, line)
        for (agent, _, commit), content in zip(notes, contents, strict=True)
        for line in content.splitlines()
        if line
    }


def records(checkout: Checkout, run: str) -> list[dict[str, Any]]:
    """Return every record of a run, with the commit it stands on under `commit`."""
    return [{**json.loads(line), "commit": commit} for _, commit, line in lines(checkout, run)]


def scores(checkout: Checkout, run: str) -> int:
    """Return how many evaluations are recorded."""
    return sum(record["kind"] == "score" for record in records(checkout, run))


def blobs(checkout: Checkout, ids: list[str]) -> list[bytes]:
    """Return the contents of blobs, by whatever name git knows them."""
    asked = "".join(f"{blob}\n" for blob in ids).encode()
    said = subprocess.run(
        ["git", "cat-file", "--batch"], cwd=checkout.path, env=checkout.environment, input=asked, capture_output=True
    ).stdout
    contents, at = [], 0
    for _ in ids:
        end = said.index(b"\n", at)
        size = int(said[at:end].split()[2])
        contents.append(said[end + 1 : end + 1 + size])
        at = end + 2 + size
    return contents


def fsck(checkout: Checkout) -> list[str]:
    """Return all that `git fsck --strict` complains about; objects that nothing refers to are no fault."""
    done = subprocess.run(
        ["git", "fsck", "--strict", "--no-progress"], cwd=checkout.path, env=checkout.environment, capture_output=True
    )
    said = (done.stdout + done.stderr).decode("utf-8", "replace").splitlines()
    faults = [line for line in said if not line.startswith("dangling ")]
    return faults or ([f"exit code {done.returncode}"] if done.returncode else [])


def users_own(checkout: Checkout) -> dict[str, str]:
    """Return digests of all that belongs to the user and that evogit promises to leave alone."""
    git = checkout.path / ".git"
    files = [path for path in checkout.path.rglob("*") if path.is_file() and git not in path.parents]
    files += [git / name for name in ("HEAD", "index", "config", "ORIG_HEAD") if (git / name).exists()]
    files += [path for path in (git / "hooks").glob("*") if path.is_file()]
    found = {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}
    branches = checkout.git(
        "for-each-ref", "--format=%(refname) %(objectname)", "refs/heads", "refs/tags", "refs/stash"
    )
    kept = [line for line in branches.splitlines() if not line.startswith("refs/heads/evogit/")]
    return {**found, "refs": "\n".join(kept), "HEAD": checkout.git("rev-parse", "HEAD")}


def processes_of(paths: Iterable[Path]) -> list[psutil.Process]:
    """Return the living processes that name one of these folders in their command line, or work in it."""
    wanted = tuple(map(str, paths))
    found = []
    for process in psutil.process_iter():
        try:
            said = [process.cwd(), *process.cmdline()]
            if process.status() != psutil.STATUS_ZOMBIE and any(path in text for path in wanted for text in said):
                found.append(process)
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    return found


def wait_until_gone(paths: Iterable[Path], patience_s: float = 10.0) -> None:
    """Wait until no process works in or names one of these folders; fail when one stays."""
    wanted = list(paths)
    deadline = time.monotonic() + patience_s
    while left := processes_of(wanted):
        assert time.monotonic() < deadline, f"processes that stay: {[(p.pid, p.cmdline(), p.cwd()) for p in left]}"
        time.sleep(0.05)


def kill_all(paths: Iterable[Path]) -> None:
    """Kill whatever a failed test left running."""
    for process in processes_of(paths):
        with suppress(psutil.NoSuchProcess):
            process.kill()
