"""The git program as the person set it up, for talking to remotes: their credentials, keys and proxies are git's.

What the configuration could do to journals is taken out: hooks, tags, submodules, and by the callers refspecs and
pruning.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pygit2

from evogit.errors import RemoteUnreachable, RepositoryError, StorageError
from evogit.store.remote import Remote, without_secret
from evogit.store.repository import Repository

_LOCAL = (
    *("GIT_DIR", "GIT_WORK_TREE", "GIT_COMMON_DIR", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY", "GIT_PREFIX"),
    *("GIT_ALTERNATE_OBJECT_DIRECTORIES", "GIT_NAMESPACE", "GIT_SHALLOW_FILE", "GIT_GRAFT_FILE", "GIT_QUARANTINE_PATH"),
    *("GIT_IMPLICIT_WORK_TREE", "GIT_INTERNAL_SUPER_PREFIX", "GIT_REPLACE_REF_BASE", "GIT_CONFIG"),
)
"""What a hook's environment says of another repository; all other `GIT_*` are how the person reaches remotes."""
_SETTINGS = (
    f"core.hooksPath={os.devnull}",
    *("core.fsmonitor=false", "core.protectHFS=true", "core.protectNTFS=true", "gc.auto=0", "maintenance.auto=false"),
    *(
        "submodule.recurse=false",
        "fetch.fsckObjects=true",
        "receive.fsckObjects=true",
        "advice.pushUpdateRejected=false",
    ),
    "protocol.allow=never",
    *(f"protocol.{name}.allow=always" for name in ("file", "git", "ssh", "http", "https")),
    # Old repositories have these in honest commits; what could do harm stays an error.
    *(
        f"fetch.fsck.{name}=warn"
        for name in (
            *(
                "missingSpaceBeforeDate",
                "missingSpaceBeforeEmail",
                "missingNameBeforeEmail",
                "missingEmail",
                "badEmail",
            ),
            *("badTimezone", "zeroPaddedDate", "zeroPaddedFilemode", "nullSha1", "gitmodulesParse"),
        )
    ),
)
_SLOW = ("http.lowSpeedLimit=1000", "http.lowSpeedTime=30")
_LIST_S = 30.0
_TRANSFER_S = 600.0
_PATIENCE_S = 5.0


@dataclass(frozen=True, slots=True)
class Done:
    """A git command that ended."""

    code: int
    output: bytes
    errors: str

    @property
    def reason(self) -> str:
        """Why it failed, in git's words, on one line."""
        lines = [line.strip() for line in self.errors.splitlines() if line.strip()]
        telling = [line for line in lines if line.startswith(("fatal:", "error:", "ssh:"))] or lines[-2:]
        return (
            without_secret("; ".join(dict.fromkeys(telling[:3]))).rstrip(".") or f"git ended with exit code {self.code}"
        )


def environment(caller: Mapping[str, str]) -> dict[str, str]:
    """Return the environment git gets: the caller's, without what names another repository, and without prompts."""
    kept = {name: value for name, value in caller.items() if name not in _LOCAL}
    return kept | {"GIT_TERMINAL_PROMPT": "0", "GIT_NO_REPLACE_OBJECTS": "1", "LC_ALL": "C", "GIT_PAGER": "cat"}


def run(repo: Repository, arguments: Sequence[str], *, stdin: bytes = b"", timeout: float = _TRANSFER_S) -> Done:
    """Run `git <arguments>` as the person would, and return how it ended; `timeout` in seconds.

    Raises:
        RemoteUnreachable: it took longer.
        StorageError: git is missing.
    """
    program = shutil.which("git")
    if program is None:
        raise StorageError("the git program is not on PATH; install git 2.34 or newer")
    slow = () if "http.lowspeedtime" in repo.raw.config else _SLOW
    settings = [word for setting in (*_SETTINGS, *slow) for word in ("-c", setting)]
    process = subprocess.Popen(
        [program, f"--git-dir={repo.common}", *settings, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, env=environment(os.environ), cwd=repo.work or repo.common, start_new_session=True,
    )  # fmt: skip
    try:
        output, errors = process.communicate(stdin, timeout)
    except subprocess.TimeoutExpired:
        raise RemoteUnreachable(f"git {arguments[0]} took longer than {timeout:g} s") from None
    finally:
        _end(process)
    return Done(process.returncode, output, errors.decode("utf-8", "replace"))


def _end(process: subprocess.Popen[bytes]) -> None:
    """End git and its helpers if they still run: asked first, since git then removes its lock files."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        if process.poll() is not None:
            break
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, number)
        with suppress(subprocess.TimeoutExpired):
            process.wait(_PATIENCE_S)
    for pipe in (process.stdin, process.stdout, process.stderr):
        if pipe:
            pipe.close()


def list_refs(repo: Repository, remote: Remote, patterns: Sequence[str]) -> dict[str, pygit2.Oid]:
    """Return the refs the remote shows now, of those that begin with one of `patterns`.

    Raises:
        RemoteUnreachable: it shows none.
    """
    done = run(repo, ["ls-remote", "--quiet", "--refs", "--", remote.name], timeout=_LIST_S)
    if done.code:
        raise RemoteUnreachable(f"cannot reach {remote}: {done.reason}")
    found = (line.partition("\t")[::2] for line in done.output.decode("utf-8", "replace").splitlines())
    return {name: pygit2.Oid(hex=oid) for oid, name in found if name.startswith(tuple(patterns)) and len(oid) == 40}


def write_bundle(repo: Repository, path: Path, names: Sequence[str]) -> None:
    """Write these refs and all that they need into a bundle file.

    Raises:
        RepositoryError: the history is cut off, so the bundle could not be read anywhere else.
        StorageError: git would not write it.
    """
    if repo.is_shallow:
        raise RepositoryError(f"the history of {repo.common} is cut off; run `git fetch --unshallow` first")
    done = run(repo, ["bundle", "create", "--quiet", str(path), "--stdin"], stdin="\n".join(names).encode() + b"\n")
    if done.code:
        raise StorageError(f"cannot write {path}: {done.reason}")


def init(folder: Path, address: str) -> None:
    """Make an empty repository in a folder, with the remote `origin`.

    Raises:
        StorageError: git would not.
    """
    program = shutil.which("git")
    if program is None:
        raise StorageError("the git program is not on PATH; install git 2.34 or newer")
    # What a newer git may be configured to make instead, evogit cannot read.
    formats = {"GIT_DEFAULT_HASH": "sha1", "GIT_DEFAULT_REF_FORMAT": "files"}
    for words in (["init", "-q"], ["remote", "add", "origin", address]):
        done = subprocess.run(
            [program, *words], cwd=folder, env=environment(os.environ) | formats, capture_output=True, text=True
        )
        if done.returncode:
            raise StorageError(f"cannot make a repository in {folder}: {without_secret(done.stderr.strip())}")
