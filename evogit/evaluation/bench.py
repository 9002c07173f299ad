"""Where commands run: a fresh copy of a tree for each, a clean environment, and what was supplied beside the tree."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from evogit.evaluator_table import Command, Evaluator
from evogit.model import TreeId
from evogit.sandbox import KEPT, Companion, Job, Launcher, Outcome
from evogit.store.export import Export, empty_folder, remove

RESULT, JUNIT, ARTIFACTS = "EVOGIT_RESULT", "EVOGIT_JUNIT", "EVOGIT_ARTIFACTS"


@dataclass(frozen=True, slots=True, kw_only=True)
class Supplies:
    """What an export needs beside the tree: links by their path in it, and its folders that Python imports from.

    `read_only` is what must be in a sandbox's reach for the links to lead somewhere.
    """

    links: Mapping[bytes, Path] = field(default_factory=dict)
    imports: tuple[str, ...] = ()
    read_only: tuple[Path, ...] = ()

    def without(self, is_hidden: Callable[[bytes], bool]) -> Supplies:
        """Return it without the links whose path is hidden; then only what the others lead to is in reach."""
        kept = {path: target for path, target in self.links.items() if not is_hidden(path)}
        gone = [target for path, target in self.links.items() if path not in kept]
        reach = [
            place
            for folder in self.read_only
            for place in (kept.values() if any(path.is_relative_to(folder) for path in gone) else (folder,))
        ]
        return replace(self, links=kept, read_only=tuple(dict.fromkeys(reach)))

    def below(self) -> Iterator[bytes]:
        """Yield the path, in an export, of every file below its links."""
        for path, target in self.links.items():
            top = os.fsencode(target)
            for folder, _, names in os.walk(top):
                yield from (path + os.path.join(folder, name)[len(top) :] for name in names)


class Bench:
    """Runs commands, each on a copy of a tree that nothing has touched yet."""

    def __init__(self, evaluator: Evaluator, export: Export, launcher: Launcher, caller: Mapping[str, str]) -> None:
        """Run in `export`, with what `caller` (an environment) has of the variables that are let through."""
        self.export = export
        self._evaluator = evaluator
        self._launcher = launcher
        self._scratch = export.root.parent / "scratch"
        self._environment = environment(caller, self._scratch)
        self._signs: dict[Path, tuple[int, ...]] = {}
        self.supplies = Supplies()

    @property
    def result(self) -> Path:
        """The file a command writes its result to."""
        return Path(self._environment[RESULT])

    @property
    def junit(self) -> Path:
        """The file a test runner writes its report to, unless the evaluator names another."""
        return Path(self._environment[JUNIT])

    @property
    def artifacts(self) -> Path:
        """The folder a command may leave files in for people to look at."""
        return Path(self._environment[ARTIFACTS])

    def supply(self, supplies: Supplies) -> None:
        """Use this beside the tree from now on."""
        self.supplies = supplies
        self.export.supply(supplies.links)
        if supplies.imports:
            folders = [str(self.export.root / folder) for folder in supplies.imports]
            self._environment["PYTHONPATH"] = os.pathsep.join(folders)

    def python(self) -> str:
        """Return the interpreter of a virtual environment the evaluator was supplied with, or the first on PATH."""
        for path, target in self.supplies.links.items():
            if (target / "pyvenv.cfg").is_file():
                return str(self.export.root / os.fsdecode(path) / "bin" / "python")
        found = (shutil.which(name, path=self._environment["PATH"]) for name in ("python", "python3"))
        return next((path for path in found if path), "python3")

    def prepare(self, tree: TreeId | None) -> None:
        """Make the copy fresh (None: no more than protected files), and what a command can leave results in empty.

        Raises:
            StorageError: the tree cannot be read or exported.
            OSError: the disk says no.
        """
        self.export.switch(tree)
        self.export.switch(tree)
        os.makedirs(self._scratch, exist_ok=True)
        os.chmod(self._scratch, 0o755)  # a command may have taken the right to look into it
        for name in os.listdir(self._scratch):
            path = self._scratch / name
            if self._signs.get(path) != _sign(path):
                remove(os.fsencode(path))
        for name in ("home", "tmp", self.artifacts.name):
            if not (self._scratch / name).exists():
                path = self.empty(name)
                self._signs[path] = _sign(path)
        self._hand_over(self._scratch)

    def _hand_over(self, path: Path) -> None:
        if self.owner is not None:
            os.chown(path, self.owner, -1)

    def put(self, name: str, content: bytes) -> Path:
        """Return a new file beside the tree, for one command to read, and to remove if it likes.

        Raises:
            OSError: the disk says no.
        """
        path = self._scratch / name
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb") as file:
            file.write(content)
        self._hand_over(path)
        return path

    def discard(self, path: Path) -> None:
        """Remove a report that came with the tree: it would be read in the place of one that was not written.

        Raises:
            OSError: the disk says no.
        """
        if path.parent.resolve().is_relative_to(self.export.root.resolve()):
            with suppress(NotADirectoryError):
                remove(os.fsencode(path))

    @property
    def tools(self) -> Path:
        """Where evogit keeps what it brings for commands; no candidate can write there."""
        return self.export.root.parent / "tools"

    @property
    def environment(self) -> Mapping[str, str]:
        """What every command finds in its environment."""
        return self._environment

    @property
    def kind(self) -> str:
        """What a record says of the confinement of commands."""
        return self._launcher.kind

    @property
    def owner(self) -> int | None:
        """The user whose the files must be that a command is to write; None: the one who runs evogit."""
        return self._launcher.owner

    def empty(self, name: str) -> Path:
        """Return a folder beside the tree that commands may write in, made empty.

        Raises:
            OSError: the disk says no.
        """
        folder = self._scratch / name
        empty_folder(folder)
        self._hand_over(folder)
        return folder

    def run(self, command: Command, more: Mapping[str, str] | None = None, around: Sequence[str] = ()) -> Outcome:
        """Run a command on what was prepared, as an argument of `around`, and `more` added to its environment.

        Raises:
            Cancelled: the caller wants to stop.
            OSError: it cannot be started.
        """
        return self.run_job(self.job((*around, *argv(command)), more))

    def run_job(self, job: Job) -> Outcome:
        """Run a job of this bench.

        Raises:
            Cancelled, OSError: as for `run`.
        """
        return self._launcher.launch(job)

    def run_beside(self, companion: Companion, job: Job) -> Outcome:
        """Run a job of this bench, which has the ends of the companion's pipes by their numbers.

        Raises:
            Cancelled, OSError: as for `run`.
        """
        return self._launcher.launch(replace(job, descriptors=(companion.input, companion.output)), [companion])

    def open(self, job: Job) -> Companion:
        """Start a job of this bench that is talked to; the caller closes it.

        Raises:
            OSError: it cannot be started.
        """
        return self._launcher.open(replace(job, talks=True))

    def job(self, command: Command, more: Mapping[str, str] | None = None, read_only: Sequence[Path] = ()) -> Job:
        """Return a command as what is launched on what was prepared; `read_only` is in its reach, too."""
        return Job(
            argv=argv(command),
            cwd=self.export.root,
            environment={**self._environment, **(more or {})},
            timeout_s=self._evaluator.timeout_s,
            writable=(self._scratch,),
            read_only=(*self.supplies.read_only, *([self.tools] if self.tools.is_dir() else []), *read_only),
            memory_mb=self._evaluator.memory_mb,
        )


def argv(command: Command) -> tuple[str, ...]:
    """Return the program and arguments that run a command."""
    return ("/bin/sh", "-c", command) if isinstance(command, str) else command


def _sign(path: Path) -> tuple[int, ...]:
    """What changes when anything is done to a folder, or in it."""
    found = os.lstat(path)
    return (found.st_dev, found.st_ino, found.st_mode, found.st_mtime_ns, found.st_ctime_ns)


def environment(caller: Mapping[str, str], scratch: Path) -> dict[str, str]:
    """Return the whole environment of a candidate's process."""
    kept = {name: caller[name] for name in KEPT if name in caller}
    return {
        "PATH": os.defpath,
        "LANG": "C.UTF-8",
        "TZ": "UTC",
        **kept,
        "HOME": str(scratch / "home"),
        "TMPDIR": str(scratch / "tmp"),
        RESULT: str(scratch / "result.json"),
        JUNIT: str(scratch / "junit.xml"),
        ARTIFACTS: str(scratch / "artifacts"),
        "PYTHONHASHSEED": "0",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONNOUSERSITE": "1",
        "GIT_CEILING_DIRECTORIES": str(scratch.parent.parent),
        "SOURCE_DATE_EPOCH": "0",
    }
