"""What `pytest = "…"` stands for: no plugin, no settings, no module of the candidate's choice, and tests of our own."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path

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
_MODULE = (".py", "/__init__.py")
ENVIRONMENT: Mapping[str, str] = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTHONSAFEPATH": "1"}


def command(arguments: str, bench: Bench) -> tuple[str, ...]:
    """Return the program and its arguments; to be called when the copy is prepared."""
    config, settings = _settings(bench)
    found = [bench.python(), "-c", _guard(), CONTROLS, _MUST_FAIL, ",".join(_own_modules(bench))]
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


def _own_modules(bench: Bench) -> list[str]:
    """Return the names of the base's own modules that are those of standard ones, and stay the base's."""
    places = [f"{folder}{name}{end}" for name in sys.stdlib_module_names for folder in ("", "src/") for end in _MODULE]
    found = [place for place in places if bench.export.is_of_base(place.encode())]
    return sorted({place.removeprefix("src/").partition("/")[0].removesuffix(".py") for place in found})


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
