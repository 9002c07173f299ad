"""Other repositories: which one a person means, and the one path component that stands for it in names of refs."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

import pygit2

from evogit.errors import RepositoryError, UsageError
from evogit.store.repository import Repository

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


def surrounding(folder: Path) -> Path | None:
    """Return the repository that `folder` is in, or None."""
    found = pygit2.discover_repository(str(folder))
    return Path(found) if found else None
