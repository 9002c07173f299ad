"""What `pytest = "…"` stands for: no plugin, no settings, no module of the candidate's choice, and tests of our own."""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import secrets
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

from evogit.errors import StorageError
from evogit.evaluation import by_heart, guarding
from evogit.evaluation.bench import Bench
from evogit.evaluation.guarding import wires
from evogit.evaluation.guarding.owners import CANDIDATE, LIBRARY, TESTS
from evogit.evaluation.junit import CONTROLS, MAX_REPORT_BYTES, Report
from evogit.evaluation.reading import bad, read_plain, under
from evogit.model import Measurement, Status
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
CONTROLLED = "with tripwires"
"""What the known tests of a base are kept by, too: those of releases with fewer controls would expect fewer."""
_USAGE = 4
"""Pytest's exit code for a command line it does not understand."""
_TEXTS = ("wires", "owners", "tripwires", "notary", "values", "modules", "witness", "guard")
"""The modules of what runs around pytest, each after those it imports."""
_START = """import json, sys, types
own = {"evogit.evaluation.guarding." + name: text for name, text in json.loads(sys.argv.pop(1))}
for name, text in own.items():
    module = sys.modules[name] = types.ModuleType(name)
    exec(compile(text, f"<{name}>", "exec"), module.__dict__)
for name in own:
    del sys.modules[name]
module.main(*sys.argv[1:5], [f"<{name}>" for name in own], sys.argv[5:])
"""
_PLAN, _SEAL, _MAX_SEAL_BYTES = "plan.json", "seal.json", 64 * 1024
_MODULES = (b".py", b".so")
_MOST_NAMES_BYTES = 100_000  # the system takes 128 KiB for one argument
ENVIRONMENT: Mapping[str, str] = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTHONSAFEPATH": "1"}


def command(arguments: str, bench: Bench) -> tuple[tuple[str, ...], str]:
    """Return the program and its arguments, and the secret of its seal; to be called when the copy is prepared.

    Raises:
        StorageError: the base cannot be read, or the copy cannot be tested: it has too many modules beside the base's,
            or lists what the tests ask.
        OSError: the disk says no.
    """
    listed = by_heart.found(bench)
    if listed:
        raise StorageError(f"what judges was tampered with: {listed}")
    secret = secrets.token_hex(16)
    found = [bench.python(), "-c", _START, _texts(), CONTROLS, _MUST_FAIL, _strangers(bench)]
    found += [str(bench.put(_PLAN, _plan(bench, secret))), f"--junitxml={bench.junit}"]
    return (*found, *options(arguments, bench)), secret


def options(arguments: str, bench: Bench) -> tuple[str, ...]:
    """Return what pytest is told on its command line: where its settings and the modules are, and these arguments."""
    config, settings = _settings(bench)
    found = ["-p", "no:cacheprovider", "-c", config, f"--rootdir={bench.export.root}"]
    if "pythonpath" not in settings:
        found += ["-o", f"pythonpath={_quoted(bench.export.root)} {_quoted(bench.export.root / 'src')}"]
    return (*found, *shlex.split(arguments))


def divided(report: Report, bench: Bench, secret: str, outcome: Outcome) -> Report | Measurement:
    """Return a report without the tests of our own, and which of those, and of our other controls, are as they have to.

    A report that is not sealed with the secret is none.
    """
    try:
        seal = _opened(bench, secret)
    except (OSError, ValueError) as error:
        return bad(
            Status.FAILED, f"what judges was tampered with: the report is not what pytest wrote: {error}", outcome
        )
    ours = {name for name in report.passed if name.startswith(CONTROLS)}
    held = {name for name in ours if report.passed[name] is not (name == CONTROLS + _MUST_FAIL)}
    passed = {name: passed for name, passed in report.passed.items() if name not in ours}
    touched = dict(seal.wires)
    if sum(passed.values()) > seal.passed:
        touched[wires.SEEN] = f"{sum(passed.values())} are reported, {seal.passed} were seen"
    return replace(
        report,
        passed=passed,
        held=frozenset(held | {CONTROLS + name for name in wires.ALL if name not in touched}),
        complaints={**report.complaints, **{CONTROLS + name: said for name, said in touched.items()}},
    )


def explained(refused: Measurement, outcome: Outcome) -> Measurement:
    """Return the refusal with the remedy where pytest did not understand its own settings."""
    if outcome.exit_code != _USAGE or b"unrecognized arguments" not in outcome.output:
        return refused
    why = 'no plugin is loaded by itself; name those the settings need, as in pytest = "-p pytest_timeout tests/"'
    return replace(refused, feedback=under(why, refused.feedback))


@dataclass(frozen=True, slots=True)
class _Seal:
    """What the notary says: how many tests it heard to pass, and what was said of each wire that was touched."""

    passed: int
    wires: Mapping[str, str]


def _opened(bench: Bench, secret: str) -> _Seal:
    """Return what a seal says, once it is known to be the notary's, of this report.

    Raises:
        OSError: it cannot be read.
        ValueError: it is not the notary's, or of another report.
    """
    path = bench.junit.with_name(_SEAL)
    if not path.exists():
        raise ValueError("it was not sealed")
    sign, _, said = read_plain(path, _MAX_SEAL_BYTES, below=path.parent).decode().partition("\n")
    if not hmac.compare_digest(sign.encode(), hmac.new(secret.encode(), said.encode(), "sha256").hexdigest().encode()):
        raise ValueError("its seal is forged")
    content = read_plain(bench.junit, MAX_REPORT_BYTES, below=path.parent)
    found = json.loads(said)
    if found["report"] != hashlib.sha256(content).hexdigest():
        raise ValueError("it was changed afterwards")
    return _Seal(found["passed"], found["wires"])


def _plan(bench: Bench, secret: str) -> bytes:
    """Return what the program is told: whose each file is, where report and seal are to be, and the secret.

    Where nothing was changed, all that might be is taken for the candidate's: what the base does is not held against
    any candidate.
    """
    export = bench.export
    frozen = [path for path in export.files if export.is_frozen(path)]
    changed = export.changed() or [path for path in export.files if not export.is_frozen(path)]
    owners = dict.fromkeys(map(os.fsdecode, export.files), LIBRARY)
    owners.update(dict.fromkeys(map(os.fsdecode, frozen), TESTS))
    owners.update(dict.fromkeys(map(os.fsdecode, changed), CANDIDATE))
    report, seal = str(bench.junit), str(bench.junit.with_name(_SEAL))
    return json.dumps({"files": owners, "report": report, "seal": seal, "secret": secret}).encode()


@cache
def _texts() -> str:
    folder = Path(guarding.__file__).parent
    return json.dumps([(name, (folder / f"{name}.py").read_text()) for name in _TEXTS])


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
