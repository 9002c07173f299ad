"""Where commands run: a fresh copy of a tree for each, a clean environment, and what was supplied beside the tree."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from evogit.evaluator_table import Command, Evaluator
from evogit.model import TreeId
from evogit.sandbox import Job, Launcher, Outcome
from evogit.store.export import Export, empty_folder, remove

KEPT = (
    *("PATH", "LANG", "TZ", "LD_LIBRARY_PATH", "VIRTUAL_ENV", "CONDA_PREFIX", "PYENV_ROOT", "PYENV_VERSION"),
    *("JAVA_HOME", "GOROOT", "RUSTUP_HOME", "RUSTUP_TOOLCHAIN", "NVM_DIR", "CC", "CXX"),
    *("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE"),
)
"""The only variables of the caller's that a candidate gets: where tools are, nothing that could be a key."""
RESULT, JUNIT = "EVOGIT_RESULT", "EVOGIT_JUNIT"


@dataclass(frozen=True, slots=True, kw_only=True)
class Supplies:
    """What an export needs beside the tree: links by their path in it, and its folders that Python imports from.

    `read_only` is what must be in a sandbox's reach for the links to lead somewhere.
    """

    links: Mapping[bytes, Path] = field(default_factory=dict)
    imports: tuple[str, ...] = ()
    read_only: tuple[Path, ...] = ()


class Bench:
    """Runs commands, each on a copy of a tree that nothing has touched yet."""

    def __init__(self, evaluator: Evaluator, export: Export, launcher: Launcher, caller: Mapping[str, str]) -> None:
        """Run in `export`, with what `caller` (an environment) has of the variables that are let through."""
        self.export = export
        self._evaluator = evaluator
        self._launcher = launcher
        self._scratch = export.root.parent / "scratch"
        self._environment = environment(caller, self._scratch)
        self.supplies = Supplies()

    @property
    def result(self) -> Path:
        """The file a command writes its result to."""
        return Path(self._environment[RESULT])

    @property
    def junit(self) -> Path:
        """The file a test runner writes its report to, unless the evaluator names another."""
        return Path(self._environment[JUNIT])

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

    def prepare(self, tree: TreeId) -> None:
        """Make the copy fresh, and everything a command can leave results in empty.

        Raises:
            StorageError: the tree cannot be read or exported.
            OSError: the disk says no.
        """
        self.export.switch(tree)
        folders = (self._scratch / "home", self._scratch / "tmp")
        for folder in folders:
            empty_folder(folder)
        if self._launcher.owner is not None:
            for folder in (self._scratch, *folders):
                os.chown(folder, self._launcher.owner, -1)
        for path in (self.result, self.junit):
            remove(os.fsencode(path))  # a command may have made a folder of it

    def discard(self, path: Path) -> None:
        """Remove a report that came with the tree: it would be read in the place of one that was not written.

        Raises:
            OSError: the disk says no.
        """
        if path.parent.resolve().is_relative_to(self.export.root.resolve()):
            with suppress(NotADirectoryError):
                remove(os.fsencode(path))

    def run(self, command: Command, more: Mapping[str, str] | None = None) -> Outcome:
        """Run a command on what was prepared, `more` added to its environment.

        Raises:
            Cancelled: the caller wants to stop.
            OSError: it cannot be started.
        """
        argv = ("/bin/sh", "-c", command) if isinstance(command, str) else command
        return self._launcher.launch(
            Job(
                argv=argv,
                cwd=self.export.root,
                environment={**self._environment, **(more or {})},
                timeout_s=self._evaluator.timeout_s,
                writable=(self._scratch,),
                read_only=self.supplies.read_only,
                memory_mb=self._evaluator.memory_mb,
            )
        )


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
        "PYTHONHASHSEED": "0",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONNOUSERSITE": "1",
        "GIT_CEILING_DIRECTORIES": str(scratch.parent.parent),
        "SOURCE_DATE_EPOCH": "0",
    }
