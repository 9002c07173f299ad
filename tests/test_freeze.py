"""What a run is made of: which files are protected, which may change, and from where they are taken."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from conftest import CONFIG, Checkout

from evogit import edits
from evogit.errors import ConfigError
from evogit.model import Edit, RepoPath
from evogit.store.freeze import freeze
from evogit.store.repository import open_repository
from evogit.store.task import Definition

_FILES = {
    "src/core.py": "A = 1\n",
    "src/data.bin": "x",
    "tests/test_core.py": "",
    "src/pkg/conftest.py": "",
    ".github/workflows/ci.yml": "",
    "tools/score.py": "",
    "Makefile": "bench:\n",
    "evogit.toml": "",
}


def _frozen(new_checkout: Callable[..., Checkout], command: str, extra: str = "") -> Definition:
    checkout = new_checkout(f"repo-{abs(hash((command, extra)))}", _FILES)
    (checkout.path / "evogit.toml").write_text(f"{extra}\n[evaluator]\ncommand = '{command}'\n")
    return freeze(open_repository(checkout.path)).definition


@pytest.mark.parametrize(
    ("command", "protected"),
    [
        ("python tools/score.py --fast", b"tools/score.py"),
        ("python -m tools.score", b"tools/score.py"),
        ("./tools/score.py && true", b"tools/score.py"),
        ("make bench", b"Makefile"),
    ],
)
def test_files_the_command_names_are_protected(
    command: str, protected: bytes, new_checkout: Callable[..., Checkout]
) -> None:
    definition = _frozen(new_checkout, command)
    assert protected in definition.files
    always = (
        b"evogit.toml",
        b"tests/test_core.py",
        b"tests/new.py",
        b"src/pkg/conftest.py",
        b".github/workflows/ci.yml",
    )
    assert all(definition.is_protected(path) for path in always)
    assert definition.is_editable(b"src/core.py")
    assert definition.is_editable(b"src/new.py")


def test_patterns_narrow_what_may_change(new_checkout: Callable[..., Checkout]) -> None:
    definition = _frozen(new_checkout, "true", 'editable = ["src/**"]\nprotected = ["*.bin", "!tests/**"]')
    assert [path for path in map(str.encode, _FILES) if definition.is_editable(path)] == [b"src/core.py"]
    assert not definition.is_protected(b"tests/test_core.py")


def test_a_file_named_editable_is_not_protected_by_being_in_the_command(new_checkout: Callable[..., Checkout]) -> None:
    definition = _frozen(new_checkout, "python src/core.py", 'editable = ["src/core.py"]')
    assert definition.is_editable(b"src/core.py")


@pytest.mark.parametrize(
    ("path", "content", "refusal"),
    [
        ("src/core.py", b"A = 2\n", None),
        ("src/new/file.py", b"", None),
        ("src/core.py", None, None),
        ("evogit.toml", b"", "'evogit.toml' is protected"),
        ("tools/score.py", b"", "'tools/score.py' is protected"),
        ("README", b"", "'README' is not among the editable files"),
        ("src/../../x", b"", "'src/../../x': it has an empty or dot part '..'"),
        ("/etc/passwd", b"", "'/etc/passwd': it is absolute"),
        ("src/.git/config", b"", "'src/.git/config': it names a .git folder"),
        ("src/.GIT/config", b"", "'src/.GIT/config': it names a .git folder"),
        ("src/git~1/config", b"", "'src/git~1/config': it names a .git folder"),
        ("src/.g\u200cit/config", b"", "'src/.g\\u200cit/config': it names a .git folder"),
        ("src/.git. /config", b"", "'src/.git. /config': it names a .git folder"),
        ("src//x", b"", "'src//x': it has an empty or dot part ''"),
        ("src/a\nb", b"", "'src/a\\nb': it holds control characters"),
        ("src/a\0b", b"", "'src/a\\x00b': it holds control characters"),
        ("src/" + "x" * 300, b"", f"'src/{'x' * 300}': a name is longer than 255 bytes"),
        ("src/core.py", b"x" * 1_048_577, "'src/core.py' would have 1048577 bytes; at most 1048576 are allowed"),
    ],
)
def test_edits_are_checked(
    path: str, content: bytes | None, refusal: str | None, new_checkout: Callable[..., Checkout]
) -> None:
    definition = _frozen(new_checkout, "python tools/score.py", 'editable = ["src/**"]')
    edit = Edit(files={RepoPath(path): content}, subject="try")
    assert edits.refusal(edit, definition) == refusal


def test_marked_files_are_changed_between_their_marks_only_by_whomever(new_checkout: Callable[..., Checkout]) -> None:
    definition = _frozen(new_checkout, "true")
    before = b"import os\n// EVOLVE-BLOCK-START\nx = 1\n// EVOLVE-BLOCK-END\ny = 2\n"
    known = {RepoPath("src/core.py"): before}
    for old, new, allowed in (
        (b"x = 1", b"x = 1\nz = 3", True),
        (b"y = 2", b"y = 3", False),
        (b"BLOCK-END", b"", False),
    ):
        edit = Edit(files={RepoPath("src/core.py"): before.replace(old, new)}, subject="try")
        assert (edits.refusal(edit, definition, known) is None) == allowed
    gone = edits.refusal(Edit(files={RepoPath("src/core.py"): None}, subject="try"), definition, known)
    assert gone
    assert "EVOLVE-BLOCK" in gone


def test_uncommitted_protected_files_count_and_all_else_does_not(new_checkout: Callable[..., Checkout]) -> None:
    checkout = new_checkout("dirty", {"knobs.py": "A = 1", "bench.py": "1", "evogit.toml": CONFIG, "notes.txt": ""})
    repo = open_repository(checkout.path)
    clean = freeze(repo)
    assert (clean.uncommitted_used, clean.uncommitted_ignored) == ([], [])
    for name in ("knobs.py", "bench.py", "notes.txt"):
        (checkout.path / name).write_text("changed")
    (checkout.path / "data").mkdir()
    (checkout.path / "data" / "cases.txt").write_text("untracked")
    text = CONFIG.replace("stop =", 'protected = ["data/**"]\nstop =')
    (checkout.path / "evogit.toml").write_text(text)
    dirty = freeze(repo)
    assert dirty.uncommitted_used == ["bench.py", "data/cases.txt", "evogit.toml"]
    assert dirty.uncommitted_ignored == ["knobs.py", "notes.txt"]
    assert dirty.definition.evaluator != clean.definition.evaluator
    assert checkout.git("cat-file", "blob", str(dirty.definition.files[b"data/cases.txt"].id)) == "untracked"


def test_line_endings_converted_by_the_users_settings_are_no_change(new_checkout: Callable[..., Checkout]) -> None:
    checkout = new_checkout("crlf", {"knobs.py": "A = 1\n", "bench.py": "1\n2\n", "evogit.toml": CONFIG})
    before = freeze(open_repository(checkout.path)).definition.evaluator
    checkout.git("config", "core.autocrlf", "true")
    for name in ("bench.py", "evogit.toml"):
        (checkout.path / name).unlink()
    checkout.git("checkout", "-q", "--", ".")
    assert b"\r\n" in (checkout.path / "bench.py").read_bytes()
    after = freeze(open_repository(checkout.path))
    assert after.definition.evaluator == before
    assert after.uncommitted_used == []


def test_a_changed_limit_goes_on_and_a_changed_evaluator_does_not(toy: Checkout) -> None:
    first = freeze(open_repository(toy.path)).definition
    (toy.path / "evogit.toml").write_text(
        CONFIG.replace("evals = 20", "evals = 999").replace('use = "tuner"', 'use = "tuner"\ncount = 5')
    )
    assert freeze(open_repository(toy.path)).definition.key == first.key
    (toy.path / "bench.py").write_text("changed")
    assert freeze(open_repository(toy.path)).definition.key != first.key


def test_too_many_untracked_protected_files_are_refused(toy: Checkout) -> None:
    folder = toy.path / "many"
    folder.mkdir()
    for number in range(10_001):
        (folder / str(number)).touch()
    (toy.path / "evogit.toml").write_text(CONFIG.replace("stop =", 'protected = ["many/**"]\nstop ='))
    with pytest.raises(ConfigError, match="more than 10000 files; name fewer"):
        freeze(open_repository(toy.path))
