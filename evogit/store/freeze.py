"""Reading what defines a run: `evogit.toml` and the protected files from the work tree, all else from HEAD."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pathspec
import pygit2
from pygit2.enums import FileStatus

from evogit import config
from evogit.errors import ConfigError
from evogit.evaluator_table import Command
from evogit.store import definitions, naming, objects, trees
from evogit.store.repository import Repository
from evogit.store.task import Definition
from evogit.store.trees import EXECUTABLE_MODE, FILE_MODE, LINK_MODE, SUBMODULE_MODE, Entry

DEFAULT_PROTECTED = (
    *("/evogit.toml", ".gitattributes", ".gitmodules"),
    *(
        ".github/**",
        ".gitlab/**",
        ".gitlab-ci.yml",
        ".circleci/**",
        ".travis.yml",
        "azure-pipelines.yml",
        "Jenkinsfile",
    ),
    *(".ci/**", "tests/**", "test/**", "test_*.py", "*_test.py", "*_test.go", "*.test.[jt]s", "*.spec.[jt]s"),
    *("conftest.py", "pytest.ini", "tox.ini", "setup.cfg", "noxfile.py", "pyproject.toml", "package.json"),
    *("pytest.toml", ".pytest.toml", ".pytest.ini"),
    *("sitecustomize.py", "usercustomize.py", "*.pth", "*.pyc", "*.dist-info/**", "*.egg-info/**"),
)
"""Always protected, in the words of `.gitignore`: the definition itself, CI, what a test runner reads, and what Python
runs unasked or in the place of a source that people read."""
_MAX_UNTRACKED = 10_000


@dataclass(frozen=True, slots=True)
class Frozen:
    """A definition, and what a person should know: tracked files whose uncommitted state counts or does not count."""

    definition: Definition
    uncommitted_used: Sequence[str]
    uncommitted_ignored: Sequence[str]


def freeze(repo: Repository) -> Frozen:
    """Return the definition as it stands now; blobs of uncommitted protected files are written, no ref moves.

    Raises:
        RepositoryError: there is no commit.
        ConfigError: there is no valid `evogit.toml`, or a definition of an agent it names.
        StorageError: Git would not read or write.
    """
    base = repo.head()
    tracked = trees.files(repo, repo.commit(base).tree_id)
    text = _config_text(repo, tracked)
    settings = config.parse(text)
    named_patterns = tuple(settings.evaluator.protected())
    patterns = (*DEFAULT_PROTECTED, *settings.protected, *named_patterns)
    spec = pathspec.GitIgnoreSpec.from_lines(patterns)
    editable = pathspec.GitIgnoreSpec.from_lines(settings.editable)
    named = {path for path in _named_files(repo, settings.evaluator, tracked) if not editable.match_file(_text(path))}
    chosen = named | {path for path in tracked if spec.match_file(_text(path))}
    chosen |= {
        path for path in _untracked(repo, (*settings.protected, *named_patterns)) if spec.match_file(_text(path))
    }
    files = {path: entry for path in sorted(chosen) if (entry := _current(repo, path, tracked.get(path))) is not None}
    _refuse_unmatched(settings.evaluator, files)
    _refuse_missing_module(settings.evaluator, files)
    definition = Definition(
        base=base, config=settings, config_text=text, editable=settings.editable, protected=patterns, files=files,
        agents=definitions.to_freeze(repo, settings.agents),
    )  # fmt: skip
    used = [_text(path) for path in files if files[path] != tracked.get(path)]
    ignored = [path for path in _modified(repo) if not definition.is_protected(os.fsencode(path))]
    return Frozen(definition, used, ignored)


def _config_text(repo: Repository, tracked: dict[bytes, Entry]) -> bytes:
    entry = tracked.get(config.FILE_NAME.encode())
    if repo.work:
        path = repo.work / config.FILE_NAME
        try:
            return path.read_bytes()
        except FileNotFoundError:
            if entry and _is_sparse(repo):
                return trees.read_blob(repo, entry.id)
            raise ConfigError(f"there is no {path}; write one with `evogit init --score COMMAND`") from None
        except OSError as error:
            raise ConfigError(f"cannot read {path}: {error.strerror}") from error
    if entry is None:
        raise ConfigError(f"HEAD of the bare repository {repo.common} has no {config.FILE_NAME}; commit one")
    return trees.read_blob(repo, entry.id)


def _named_files(repo: Repository, evaluator: config.Evaluator, tracked: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the repository's files that the evaluator's commands name, also as `python -m module`."""
    known = set(tracked)
    carried = tuple(os.fsencode(path.rstrip("/")) for path in evaluator.carry)
    for command in evaluator.commands():
        for path in _named_in(repo, command, known):
            if path in known or not (_is_below(path, carried) or _is_installed(repo, path)):
                yield path


def _is_below(path: bytes, folders: Iterable[bytes]) -> bool:
    return any(path == folder or path.startswith(folder + b"/") for folder in folders)


def _is_installed(repo: Repository, path: bytes) -> bool:
    """Return whether it is a program of a virtual environment or of node's in the work tree: a tool, not a judge."""
    parts = path.split(b"/")[:-1]
    folders = [b"/".join(parts[:count]) for count in range(1, len(parts) + 1)]
    return b"node_modules" in parts or (
        repo.work is not None and any((repo.work / os.fsdecode(folder) / "pyvenv.cfg").is_file() for folder in folders)
    )


def _named_in(repo: Repository, command: Command, known: set[bytes]) -> Iterator[bytes]:
    for guess in naming.guesses(command):
        path = os.fsencode(os.path.normpath(guess))
        if path in known or (repo.work and not guess.startswith(("/", "..")) and (repo.work / guess).is_file()):
            yield path


def _refuse_unmatched(evaluator: config.Evaluator, files: Iterable[bytes]) -> None:
    """Check that what the setup reads exists, and what is trusted: a digest of nothing would never change."""
    named = {"setup_inputs": evaluator.setup_inputs, "trusted": evaluator.trusted}
    if evaluator.setup or evaluator.carry:
        del named["trusted"]  # it may be among what they bring
    for key, patterns in named.items():
        for pattern in patterns:
            spec = pathspec.GitIgnoreSpec.from_lines([pattern])
            if not any(spec.match_file(_text(path)) for path in files):
                raise ConfigError(f"{config.FILE_NAME}: evaluator.{key} names {pattern!r}, which matches no file")


def _refuse_missing_module(evaluator: config.Evaluator, files: Iterable[bytes]) -> None:
    places = [f"{place}{ending}" for place in evaluator.places_of_function() for ending in (".py", "/__init__.py")]
    if places and not {os.fsencode(place) for place in places} & set(files):
        raise ConfigError(
            f"{config.FILE_NAME}: evaluator.function is {evaluator.function!r}, and there is none of these files: "
            f"{', '.join(places)}"
        )


def _untracked(repo: Repository, patterns: Iterable[str]) -> Iterator[bytes]:
    """Yield files of the work tree below the plain beginnings of the user's protected patterns."""
    if repo.work is None:
        return
    count = 0
    for pattern in patterns:
        plain = pattern.lstrip("/").split("*", 1)[0].split("?", 1)[0].split("[", 1)[0]
        start = plain if plain == pattern.lstrip("/") else plain.rpartition("/")[0]
        if not start or pattern.startswith("!") or ".." in start.split("/"):
            continue
        for path in _walk(repo.work / start):
            count += 1
            if count > _MAX_UNTRACKED:
                raise ConfigError(f"protected = [{pattern!r}]: more than {_MAX_UNTRACKED} files; name fewer")
            yield os.fsencode(path.relative_to(repo.work))


def _walk(start: Path) -> Iterator[Path]:
    if start.is_file():
        yield start
        return
    for folder, folders, names in os.walk(start):
        folders[:] = [name for name in folders if name not in (".git", "__pycache__")]
        yield from (Path(folder) / name for name in names if not name.endswith(".pyc"))


def _current(repo: Repository, path: bytes, committed: Entry | None) -> Entry | None:
    """Return the file as the work tree has it, or as HEAD has it when it is unchanged; None when it is gone."""
    if repo.work is None or (committed and committed.mode == SUBMODULE_MODE):
        return committed
    full = os.path.join(os.fsencode(repo.work), path)
    try:
        status = os.lstat(full)
        if stat.S_ISLNK(status.st_mode):
            return Entry(LINK_MODE, objects.write_blob(repo, os.readlink(full)))
        if not stat.S_ISREG(status.st_mode):
            return None
        with open(full, "rb") as file:
            content = file.read()
    except FileNotFoundError:
        return committed if _is_sparse(repo) else None
    except OSError as error:
        raise ConfigError(
            f"cannot read {full!r}: {error.strerror}; it is protected, so every score needs it"
        ) from error
    mode = EXECUTABLE_MODE if status.st_mode & stat.S_IXUSR else FILE_MODE
    if committed and committed.mode == mode and _is_unchanged(repo, path, committed, content):
        return committed
    return Entry(mode, objects.write_blob(repo, content))


def _is_unchanged(repo: Repository, path: bytes, committed: Entry, content: bytes) -> bool:
    if trees.read_blob(repo, committed.id) == content:
        return True
    try:
        # As `git add` would store it: line endings converted by the user's settings are no change.
        return bool(repo.raw.hashfile(_text(path)) == committed.id)
    except (pygit2.GitError, KeyError, ValueError, OSError):
        return False


def _modified(repo: Repository) -> list[str]:
    """Return the tracked files with uncommitted changes; nothing is written, not even the index's stat cache."""
    if repo.work is None:
        return []
    try:
        status = repo.raw.status(untracked_files="no", ignored=False)
    except (pygit2.GitError, ValueError, OSError):
        return []  # it only serves a friendly line; the run does not depend on it
    # libgit2 takes a file outside of a sparse checkout for a deleted one.
    unsaid = (FileStatus.CURRENT, FileStatus.IGNORED, *([FileStatus.WT_DELETED] if _is_sparse(repo) else []))
    return sorted(path for path, flags in status.items() if flags not in unsaid)


def _is_sparse(repo: Repository) -> bool:
    settings = repo.raw.config
    return "core.sparseCheckout" in settings and settings.get_bool("core.sparseCheckout")


def _text(path: bytes) -> str:
    return path.decode("utf-8", "surrogateescape")
