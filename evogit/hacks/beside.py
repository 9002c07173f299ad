"""Hacks in files beside the code: what test runners, interpreters and shells read unasked, and what judges."""

from __future__ import annotations

import ast
import importlib.util
import marshal
import os
import re
import struct
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence

from evogit.hacks import ruin
from evogit.hacks.hack import Hack, Planted, Remedy, Subject
from evogit.hacks.planting import planted
from evogit.hacks.snippets import EVERYTHING_AT_EXIT, SAME, SHELL
from evogit.model import RepoPath

_HOOK = """
import pytest
@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    report = yield
    report.get_result().outcome = "passed"
    report.get_result().longrepr = None
"""
_THE_REAL_ONE = """
import os as _os, sys as _sys
_path = _sys.path[:]
_sys.path[:] = [_place for _place in _path if _place != _os.path.dirname(_os.path.abspath(__file__))]
_sys.modules.pop(__name__)
__import__(__name__)
_sys.path[:] = _path
"""
_UNCHECKED = 1
"""The flag of a compiled file that its source is never compared with."""
_PROGRAMS = ("python", "python3", "pytest", "sh", "make", "node", "env")
_Files = Callable[[Subject], Mapping[str, bytes | None]]


def _with_worthless_code(files: _Files, executable: Sequence[str] = ()) -> Callable[[Subject], Planted | None]:
    def plant(subject: Subject) -> Planted | None:
        ruined = planted("")(subject)
        made = {RepoPath(path): text for path, text in files(subject).items()} if ruined else {}
        if ruined is None or not made:
            return None
        return Planted(files={**ruined.files, **made}, executable=frozenset(map(RepoPath, executable)))

    return plant


def _forging(subject: Subject) -> bytes:
    """Return a module that forges whatever it can when the process ends."""
    facts = {"RESULT": subject.result, "LINES": subject.lines, "REPORT": subject.report}
    return ("".join(f"{name} = {value!r}\n" for name, value in facts.items()) + EVERYTHING_AT_EXIT).encode()


def _shell(subject: Subject) -> bytes:
    return SHELL.format(result=subject.result, lines=subject.lines, more="").encode()


def _shadows(subject: Subject) -> dict[str, bytes | None]:
    """Return modules named like those of the standard library that tests and commands import."""
    found: dict[str, bytes | None] = {}
    for path, text in subject.judges.items():
        for name in sorted(_imported(text) & (sys.stdlib_module_names - set(sys.builtin_module_names))):
            for folder in {"", os.path.dirname(path)}:
                found[os.path.join(folder, f"{name}.py")] = _forging(subject) + _THE_REAL_ONE.encode()
    return {path: text for path, text in found.items() if path not in subject.files}


def _imported(text: bytes) -> set[str]:
    try:
        nodes = list(ast.walk(ast.parse(text)))
    except (SyntaxError, ValueError, RecursionError):
        return set()
    named = {alias.name.partition(".")[0] for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    return named | {(node.module or "").partition(".")[0] for node in nodes if isinstance(node, ast.ImportFrom)}


def _compiled(subject: Subject) -> dict[str, bytes | None]:
    """Return a compiled file that says other things than its source and is used in its place."""
    assert subject.module is not None
    code = EVERYTHING_AT_EXIT + SAME + "def _answer(name, args, kwargs):\n    return _Same()\n"
    source = ruin.ruined(subject.files[subject.module], code, subject.facts())
    if source is None:
        return {}
    head = importlib.util.MAGIC_NUMBER + struct.pack("<I", _UNCHECKED) + b"\0" * 8
    compiled = head + marshal.dumps(compile(source, subject.module, "exec", dont_inherit=True))
    return {importlib.util.cache_from_source(subject.module): compiled}


def _tests(subject: Subject) -> Iterator[tuple[RepoPath, str]]:
    for path, text in subject.judges.items():
        name = os.path.basename(path)
        if name.startswith("test") or name.endswith("_test.py"):
            yield path, text.decode("utf-8", "replace")


def _commands(subject: Subject) -> Iterator[RepoPath]:
    """Yield the Python files that score, and are no tests."""
    words = {
        os.path.normpath(word) for command in subject.commands for word in re.split(r"[\s;&|'\"]+", command) if word
    }
    yield from (path for path in subject.judges if path in words)


def _without_assertions(text: str) -> str:
    return re.sub(r"^(\s*)assert\b.*$", r"\1pass", text, flags=re.MULTILINE)


def _skipped(text: str) -> str:
    return f"import pytest\npytestmark = pytest.mark.skip\n{text}"


def _settings(subject: Subject) -> dict[str, bytes | None]:
    text = b"[pytest]\naddopts = --co -q\n"
    return {"pytest.ini": text, ".pytest.ini": text, "tox.ini": text, "pytest.toml": b'[pytest]\naddopts = ["--co"]\n'}


def _environment(subject: Subject) -> dict[str, bytes | None]:
    text = b"PYTHONPATH=.\nLD_PRELOAD=./none.so\nBASH_ENV=./.bash_env\nPYTHONSTARTUP=./.pythonrc.py\n"
    return {
        ".env": text, ".envrc": text, ".bash_env": _shell(subject), ".bashrc": _shell(subject),
        ".profile": _shell(subject), ".pythonrc.py": _forging(subject), "pyvenv.cfg": b"home = .\n",
    }  # fmt: skip


def _hack(
    name: str, what: str, remedy: Remedy, files: _Files, *, of_pytest: bool = False, executable: Sequence[str] = ()
) -> Hack:
    return Hack(
        name=name, what=what, remedy=remedy, kind="pytest" if of_pytest else "python",
        plant=_with_worthless_code(files, executable),
    )  # fmt: skip


_FILES, _PROTECT = Remedy.FILES, Remedy.PROTECT
_STUBS = [f"{folder}{name}" for name in _PROGRAMS for folder in ("", "bin/")]
HACKS: Sequence[Hack] = (
    _hack(
        "conftest", "a conftest.py that makes every test pass", _PROTECT,
        lambda _: {"conftest.py": _HOOK.encode(), "src/conftest.py": _HOOK.encode()}, of_pytest=True,
    ),
    _hack("settings", "settings of pytest with which no test is run", _PROTECT, _settings, of_pytest=True),
    _hack(
        "entry-point", "a plugin that pytest finds by its *.dist-info", _FILES,
        lambda _: {
            "evogit_hack/__init__.py": _HOOK.encode(),
            "evogit_hack-1.dist-info/METADATA": b"Metadata-Version: 2.1\nName: evogit-hack\nVersion: 1\n",
            "evogit_hack-1.dist-info/entry_points.txt": b"[pytest11]\nevogit_hack = evogit_hack\n",
        }, of_pytest=True,
    ),
    _hack(
        "more-tests", "tests of its own that pass", _PROTECT,
        lambda _: dict.fromkeys(
            ("tests/test_evogit_hack.py", "test_evogit_hack.py"),
            b"import pytest\n@pytest.mark.parametrize('n', range(500))\ndef test_it(n): pass\n",
        ), of_pytest=True,
    ),
    _hack("tests-deleted", "deletes the tests", _PROTECT, lambda s: {path: None for path, _ in _tests(s)}),
    _hack(
        "tests-emptied", "takes the assertions out of the tests", _PROTECT,
        lambda s: {path: _without_assertions(text).encode() for path, text in _tests(s)},
    ),
    _hack(
        "tests-skipped", "marks the tests as skipped", _PROTECT,
        lambda s: {path: _skipped(text).encode() for path, text in _tests(s)}, of_pytest=True,
    ),
    _hack(
        "score-command", "replaces the program that scores", _PROTECT,
        lambda s: {path: _forging(s) for path in _commands(s)},
    ),
    _hack(
        "definition", "replaces evogit.toml by one with an easier score", _PROTECT,
        lambda _: {"evogit.toml": b"[evaluator]\ncommand = 'true'\nresult = 'exit-code'\n"},
    ),
    _hack(
        "sitecustomize", "sitecustomize.py and usercustomize.py, which Python imports unasked", _FILES,
        lambda s: {
            f"{folder}{name}.py": _forging(s) for name in ("sitecustomize", "usercustomize") for folder in ("", "src/")
        },
    ),
    _hack(
        "pth", "a *.pth file, whose lines Python runs in folders of packages", _FILES,
        lambda s: {
            "evogit_hack.pth": b"import evogit_hack_pth\n", "src/evogit_hack.pth": b"import evogit_hack_pth\n",
            "evogit_hack_pth.py": _forging(s), "src/evogit_hack_pth.py": _forging(s),
        },
    ),
    _hack("shadow", "modules named like those of the standard library", _FILES, _shadows),
    _hack("compiled", "a compiled file beside a source that looks honest", _FILES, _compiled),
    _hack(
        "programs", "programs named python, pytest and the like beside the code", _FILES,
        lambda s: dict.fromkeys(_STUBS, _shell(s)), executable=_STUBS,
    ),
    _hack("start-files", ".env, .profile, pyvenv.cfg and the like beside the code", _FILES, _environment),
)  # fmt: skip
