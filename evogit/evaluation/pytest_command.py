"""What `pytest = "…"` stands for: no plugin, no settings, no module of the candidate's choice, and tests of our own."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path

from evogit.errors import StorageError
from evogit.evaluation.bench import Bench
from evogit.evaluation.junit import CONTROLS, Report
from evogit.evaluation.reading import under
from evogit.model import Measurement
from evogit.sandbox import Outcome

_FILES = (
    ("pytest.toml", ""),
    (".pytest.toml", ""),
    ("pytest.ini", ""),
    (".pytest.ini", "[pytest]"),
    ("pyproject.toml", "[tool.pytest"),
    ("tox.ini", "[pytest]"),
    ("setup.cfg", "[tool:pytest]"),
)
"""Where pytest reads its settings, in its order, and the words they begin with there."""
_MUST_FAIL = "a test that fails"
_USAGE = 4
"""Pytest's exit code for a command line it does not understand."""
_MODULES = (b".py", b".so")
_MOST_NAMES_BYTES = 100_000  # the system takes 128 KiB for one argument
ENVIRONMENT: Mapping[str, str] = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTHONSAFEPATH": "1"}


def command(arguments: str, bench: Bench) -> tuple[str, ...]:
    """Return the program and its arguments; to be called when the copy is prepared.

    Raises:
        StorageError: the base cannot be read, or the copy has too many modules beside the base's.
    """
    config, settings = _settings(bench)
    found = [bench.python(), "-c", _guard(), CONTROLS, _MUST_FAIL, _strangers(bench)]
    found += ["-p", "no:cacheprovider", "-c", config, f"--rootdir={bench.export.root}"]
    if "pythonpath" not in settings:
        found += ["-o", f"pythonpath={_quoted(bench.export.root)} {_quoted(bench.export.root / 'src')}"]
    return (*found, f"--junitxml={bench.junit}", *shlex.split(arguments))


def divided(report: Report) -> Report:
    """Return a report without the tests of our own, and which of those ended as they have to."""
    ours = {name for name in report.passed if name.startswith(CONTROLS)}
    held = {name for name in ours if report.passed[name] is not (name == CONTROLS + _MUST_FAIL)}
    return replace(
        report,
        passed={name: passed for name, passed in report.passed.items() if name not in ours},
        held=frozenset(held),
    )


def explained(refused: Measurement, outcome: Outcome) -> Measurement:
    """Return the refusal with the remedy where pytest did not understand its own settings."""
    if outcome.exit_code != _USAGE or b"unrecognized arguments" not in outcome.output:
        return refused
    why = 'no plugin is loaded by itself; name those the settings need, as in pytest = "-p pytest_timeout tests/"'
    return replace(refused, feedback=under(why, refused.feedback))


@cache
def _guard() -> str:
    return Path(__file__).with_name("pytest_guard.py").read_text()


def _strangers(bench: Bench) -> str:
    """Return the names of modules that are where the base has none of that name: they must not hide another's."""
    base = bench.export.base_files
    new = [path for path in bench.export.files if path.endswith(_MODULES) and path not in base]
    known = {pair for path in base for pair in _named(path)} if new else set()
    found = ",".join(sorted({name for path in new for folder, name in _named(path) if (folder, name) not in known}))
    if len(os.fsencode(found)) > _MOST_NAMES_BYTES:
        raise StorageError(f"it has {len(new)} Python modules that the base has not; that is too many to test")
    return found


def _named(path: bytes) -> Iterator[tuple[str, str]]:
    """Yield each folder on the way to a file, and what stands in it, as Python would call it."""
    folder = ""
    for part in os.fsdecode(path).split("/"):
        yield folder, part.partition(".")[0]
        folder += f"{part}/"


def _settings(bench: Bench) -> tuple[str, str]:
    """Return the file of settings among those laid over every tree, and what it says."""
    for name, words in _FILES:
        path = bench.export.root / name
        if bench.export.is_frozen(name.encode()) and path.is_file():
            said = path.read_text(errors="replace")
            if words in said:
                return str(path), said
    return os.devnull, ""


def _quoted(path: os.PathLike[str]) -> str:
    return shlex.quote(os.fspath(path))
