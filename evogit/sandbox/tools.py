"""Which folders outside the system's hold the tools that an environment names, and their libraries.

A home folder is full of keys, so from it only what is known to be a tool's own is taken.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

KEPT = (
    *("PATH", "LANG", "TZ", "LD_LIBRARY_PATH", "VIRTUAL_ENV", "CONDA_PREFIX", "PYENV_ROOT", "PYENV_VERSION"),
    *("JAVA_HOME", "GOROOT", "RUSTUP_HOME", "RUSTUP_TOOLCHAIN", "NVM_DIR", "CC", "CXX"),
    *("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE"),
)
"""The only variables of the caller's that a candidate gets: where tools are, nothing that could be a key."""
SYSTEM = ("usr", "bin", "sbin", "lib", "lib32", "lib64", "libx32")
"""Folders of `/` that every sandbox shows."""
_PLACES = ("VIRTUAL_ENV", "CONDA_PREFIX", "PYENV_ROOT", "JAVA_HOME", "GOROOT", "RUSTUP_HOME", "NVM_DIR")
_PROGRAMS = ("python", "python3", "node", "java", "ruby", "go", "cargo", "rustc", "julia")
_PROGRAM_FOLDERS = {"bin", "sbin", "shims", "condabin"}
_LIBRARIES = ("lib", "lib64", "libexec", "versions")
_MANAGERS = {".pyenv", ".rbenv", ".nodenv", ".nvm", ".volta", ".asdf", ".sdkman", ".rustup", ".juliaup", ".ghcup"}
_STORES = (Path("/nix/store"), Path("/gnu/store"))
"""Package stores whose programs need their neighbours."""
_HOPS = 10


def folders(
    environment: Mapping[str, str], homes: Sequence[Path], secret: Sequence[Path], program: Path | None = None
) -> list[Path]:
    """Return the folders to show, parents before children; never one that holds a home or something secret.

    `homes` are home folders, `secret` what must stay out of sight wherever it is; `program` is one whose folders
    are shown, too.
    """
    kept: list[Path] = []
    wanted = {place for folder in _wanted(environment, homes, program) for place in (folder, _real(folder))}
    wanted |= {store for store in _STORES if any(folder.is_relative_to(store) for folder in wanted)}
    for folder in sorted(wanted, key=lambda path: (len(path.parts), path)):
        if _is_system(folder) or any(folder.is_relative_to(known) for known in kept):
            continue
        if any(_real(private).is_relative_to(_real(folder)) for private in (*homes, *secret)):
            continue
        kept.append(folder)
    return kept


def _wanted(environment: Mapping[str, str], homes: Sequence[Path], program: Path | None) -> Iterator[Path]:
    path = environment.get("PATH", "")
    for folder in _existing(path.split(os.pathsep)):
        yield folder
        yield from _whole(folder, homes)
    yield from _existing(environment.get(name, "") for name in _PLACES)
    yield from _existing(environment.get("LD_LIBRARY_PATH", "").split(os.pathsep))
    for name in _PROGRAMS:
        found = shutil.which(name, path=path)
        if found:
            yield from _behind(Path(found), homes)
    if program:
        yield from _around(program, homes)
        for behind in _behind(program, homes):
            yield behind
            yield from _packages(behind)


def _around(program: Path, homes: Sequence[Path]) -> Iterator[Path]:
    """Yield the folders of a program that need not be on the PATH, and of what runs it."""
    yield program.parent
    yield from _whole(program.parent, homes)
    yield from _packages(program.parent)
    with suppress(OSError, UnicodeDecodeError, ValueError), program.open("rb") as file:
        words = file.readline(512).decode().split()
        runner = Path(words[0].removeprefix("#!")) if words and words[0].startswith("#!/") else None
        if runner and runner.name != "env" and runner.is_file():
            yield runner.parent
            yield from _whole(runner.parent, homes)
            yield from _behind(runner, homes)


def _packages(folder: Path) -> Iterator[Path]:
    """Yield the outermost folder of packages of Node.js that one lies in: they use their neighbours."""
    for place in (*reversed(folder.parents), folder):
        if place.name == "node_modules":
            yield place
            return


def _behind(program: Path, homes: Sequence[Path]) -> Iterator[Path]:
    """Yield the folders that the links from a program's name to the program itself lead through."""
    for _ in range(_HOPS):
        if not program.is_symlink():
            return
        program = Path(os.path.normpath(program.parent / os.readlink(program)))
        if not _is_system(program):
            yield program.parent
            yield from _whole(program.parent, homes)


def _whole(folder: Path, homes: Sequence[Path]) -> Iterator[Path]:
    """Yield the folder around one with programs where it is one tool's, so that its libraries are seen."""
    above = folder.parent
    if folder.name not in _PROGRAM_FOLDERS:
        return
    own = any((above / mark).exists() for mark in ("pyvenv.cfg", "conda-meta")) or above.name in _MANAGERS
    at_home = any(above.is_relative_to(home) for home in homes)
    libraries = any((above / name).is_dir() for name in _LIBRARIES) and not (above / ".git").exists()
    if own:
        yield from _base(above / "pyvenv.cfg", homes)
    # In a home folder, a version's own folder is a tool's: ~/.nvm/versions/node/v20, ~/.local/share/uv/python/3.12.
    if own or (libraries and (not at_home or _depth(above, homes) > 1)):
        yield above


def _base(settings: Path, homes: Sequence[Path]) -> Iterator[Path]:
    """Yield the folders of the interpreter that a virtual environment was made from."""
    with suppress(OSError, UnicodeDecodeError):
        for line in settings.read_text().splitlines():
            key, _, value = line.partition("=")
            if key.strip() == "home":
                for folder in _existing([value.strip()]):
                    yield from (folder, *_whole(folder, homes))


def _depth(folder: Path, homes: Sequence[Path]) -> int:
    return min(len(folder.relative_to(home).parts) for home in homes if folder.is_relative_to(home))


def _existing(names: Iterable[str]) -> Iterator[Path]:
    for name in names:
        if os.path.isabs(name) and os.path.isdir(name):
            yield Path(os.path.normpath(name))


def _is_system(path: Path) -> bool:
    return len(path.parts) < 2 or path.parts[1] in (*SYSTEM, "etc")


def _real(path: Path) -> Path:
    return Path(os.path.realpath(path))
