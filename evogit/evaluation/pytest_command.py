"""The command line that `pytest = "…"` stands for: no plugin, no settings and no module of the candidate's choice."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping
from dataclasses import replace

from evogit.evaluation.bench import Bench
from evogit.evaluation.reading import under
from evogit.model import Measurement
from evogit.sandbox import Outcome

_FILES = (
    ("pytest.ini", ""),
    ("pyproject.toml", "[tool.pytest"),
    ("tox.ini", "[pytest]"),
    ("setup.cfg", "[tool:pytest]"),
)
"""Where pytest reads its settings, in its order, and the words they begin with there."""
_USAGE = 4
"""Pytest's exit code for a command line it does not understand."""
ENVIRONMENT: Mapping[str, str] = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTHONSAFEPATH": "1"}


def command(arguments: str, bench: Bench) -> tuple[str, ...]:
    """Return the program and its arguments; to be called when the copy is prepared."""
    config, settings = _settings(bench)
    found = [bench.python(), "-m", "pytest", "-p", "no:cacheprovider", "-c", config, f"--rootdir={bench.export.root}"]
    if "pythonpath" not in settings:
        found += ["-o", f"pythonpath={_quoted(bench.export.root)} {_quoted(bench.export.root / 'src')}"]
    return (*found, f"--junitxml={bench.junit}", *shlex.split(arguments))


def explained(refused: Measurement, outcome: Outcome) -> Measurement:
    """Return the refusal with the remedy where pytest did not understand its own settings."""
    if outcome.exit_code != _USAGE or b"unrecognized arguments" not in outcome.output:
        return refused
    why = 'no plugin is loaded by itself; name those the settings need, as in pytest = "-p pytest_timeout tests/"'
    return replace(refused, feedback=under(why, refused.feedback))


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
