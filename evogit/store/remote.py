"""Other repositories: which one a person means, and the git program that talks to it.

Git itself runs with the person's own configuration here, since that is where credentials, keys and proxies are. What
the configuration could do to journals is taken out: refspecs, pruning, hooks, tags, submodules.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import signal
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pygit2

from evogit.errors import RemoteUnreachable, RepositoryError, StorageError, UsageError
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
_PART = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,60}")
_ADDRESS = re.compile(r"[a-z][a-z0-9+.-]*://.+|[A-Za-z0-9._@\[\]-]+:[^:].*")
_SECRET = re.compile(r"(://)[^/@\s]+@")
_BUNDLE = b"# v"


@dataclass(frozen=True, slots=True)
class Remote:
    """Another repository: what git is given, one path component for names, and what people are shown."""

    name: str
    slug: str
    is_bundle: bool = False

    def __str__(self) -> str:
        return without_secret(self.name)


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


def without_secret(text: str) -> str:
    """Return the text without names and passwords in addresses."""
    return _SECRET.sub(r"\1", text)


def find(repo: Repository, text: str | None) -> Remote:
    """Return the remote a person means: a configured one, an address, a path, or a bundle file.

    Without `text`: `origin`, or the only one.

    Raises:
        UsageError: it is none of these.
        RepositoryError: its configuration would destroy journals.
    """
    known = configured(repo)
    if text is None:
        text = "origin" if "origin" in known else next(iter(known), "") if len(known) == 1 else ""
        if not text:
            listed = f"there are {', '.join(known)}" if known else "none is configured"
            raise UsageError(f"which remote? {listed}; name one, or an address, a path or a bundle file")
    if text in known:
        return _configured(repo, text)
    address = absolute(text)
    same = next((name for name, url in known.items() if address in (url, absolute(url))), None)
    if same:
        return _configured(repo, same)
    if text.startswith("-") or not (Path(address).exists() or _ADDRESS.fullmatch(address)):
        raise UsageError(
            f"{without_secret(text)!r} is no remote, address, path or bundle file here; "
            f"remotes: {', '.join(known) or 'none'}"
        )
    return Remote(address, _slug(address), _is_bundle(Path(address)))


def absolute(address: str) -> str:
    """Return a path as git can be given it from anywhere; an address as it is."""
    return str(Path(address).resolve()) if not _ADDRESS.fullmatch(address) or Path(address).exists() else address


def configured(repo: Repository) -> dict[str, str]:
    """Return the configured remotes and their addresses, by name."""
    found: dict[str, str] = {}
    for entry in repo.raw.config:
        if entry.name.startswith("remote.") and entry.name.endswith(".url"):
            found.setdefault(entry.name[len("remote.") : -len(".url")], str(entry.value))
    return dict(sorted(found.items()))


def _configured(repo: Repository, name: str) -> Remote:
    for refspec in map(str, repo.raw.config.get_multivar(f"remote.{name}.fetch")):
        target = refspec.rpartition(":")[2]
        if "refs/notes/evogit/x".startswith(target.partition("*")[0]) and target:
            raise RepositoryError(
                f"remote.{name}.fetch is {refspec!r}, so a `git fetch` would overwrite journals; remove it "
                f"(git config --unset-all remote.{name}.fetch '{re.escape(refspec)}')"
            )
    return Remote(name, _slug(name))


def _slug(text: str) -> str:
    text = without_secret(text)
    if _PART.fullmatch(text) and ".." not in text and not text.endswith((".lock", ".")):
        return text
    stem = re.sub(r"[^A-Za-z0-9-]+", "-", text.rstrip("/").rpartition("/")[2]).strip("-")[:40]
    return f"{stem or 'remote'}-{hashlib.sha256(text.encode('utf-8', 'surrogateescape')).hexdigest()[:8]}"


def _is_bundle(path: Path) -> bool:
    if not path.is_file():
        return False
    with path.open("rb") as file:
        if file.read(len(_BUNDLE)) == _BUNDLE:
            return True
    raise UsageError(f"{path} is a file, and no git bundle")


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


def surrounding(folder: Path) -> Path | None:
    """Return the repository that `folder` is in, or None."""
    found = pygit2.discover_repository(str(folder))
    return Path(found) if found else None
