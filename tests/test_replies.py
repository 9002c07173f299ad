"""Replies of models: what applies, applies whole and keeps the file's own bytes; what does not, says why."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from evogit.model import RepoPath
from evogit.replies import FORMATS, Reply, decoded, instructions, parse
from evogit.replies.reply import MAX_REPLY

_QUICK = settings(max_examples=30, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
_NASTY = [
    "", "   ", "```", "~~~~", "=======", "<<<<<<< SEARCH", ">>>>>>> REPLACE", "<<<<<<<<< SEARCH", "--- a/x.py",
    "+++ b/x.py",
    "@@ -1,2 +3,4 @@", "### `x.py`", "### DELETE `a.py`", "-- b", "\\ No newline", "diff --git a b", "\tx",
    "    y = 1", "Subject: no", "é ü 漢", "x = 1", "x = 1  ", "\u2028\x0c", "rename to z",
]  # fmt: skip
_LINES = st.lists(
    st.sampled_from(_NASTY) | st.text(st.characters(codec="utf-8", exclude_characters="\0\r\n"), max_size=9)
)
_Wanted = dict[RepoPath, list[str] | None]
_Edit = dict[RepoPath, bytes | None]
_Case = tuple[dict[RepoPath, str], _Wanted, _Edit]
_NAMES = ["a.py", "src/b.c", "docs/with blank.md", "Makefile", "ü/x.txt", "src/deep/er/y"]


def _files(draw: st.DrawFn) -> dict[RepoPath, tuple[list[str], str, bool, str]]:
    names = draw(st.lists(st.sampled_from(_NAMES), min_size=1, max_size=4, unique=True))
    return {
        RepoPath(name): (
            [*draw(_LINES), f"the end of {name}"],
            draw(st.sampled_from(["\n", "\r\n"])),
            draw(st.booleans()),
            draw(st.sampled_from(["", "\ufeff"])),
        )
        for name in names
    }


def _content(lines: list[str], newline: str, ends: bool, mark: str) -> str:
    return mark + newline.join(lines) + (newline if ends else "")


@st.composite
def _cases(
    draw: st.DrawFn,
) -> _Case:
    """Files, what is to become of them in lines, and the same in bytes."""
    files = _files(draw)
    wanted: dict[RepoPath, list[str] | None] = {}
    edit: dict[RepoPath, bytes | None] = {}
    for path in draw(st.lists(st.sampled_from(_NAMES), min_size=1, max_size=3, unique=True)):
        known = files.get(RepoPath(path))
        if known and draw(st.integers(0, 5)) == 0 and len(files) > 1 + list(edit.values()).count(None):
            wanted[RepoPath(path)] = edit[RepoPath(path)] = None
            continue
        lines = [*draw(_LINES), f"another end of {path}"]
        wanted[RepoPath(path)] = lines
        newline, ends, mark = known[1:] if known else ("\n", True, "")
        if known and len(known[0]) == 1 and not ends:
            newline = "\n"  # nothing in the file says how its lines end
        edit[RepoPath(path)] = _content(lines, newline, ends, mark).encode()
    return {path: _content(*known) for path, known in files.items()}, wanted, edit


def _lines(content: str) -> list[str]:
    lines = content.removeprefix("\ufeff").replace("\r\n", "\n").split("\n")
    return lines if lines[-1] else lines[:-1]


def _marker(sign: str, lines: list[str]) -> str:
    size = 7
    while any(line.strip().startswith(sign * size) for line in lines):
        size += 1
    return sign * size


def _blocks(files: Mapping[RepoPath, str], wanted: Mapping[RepoPath, list[str] | None]) -> str:
    told = []
    for path, new in wanted.items():
        old = _lines(files[path]) if path in files else []
        if new is None:
            told.append(f"### DELETE `{path}`\n")
            continue
        size = max(len(_marker(sign, old + new)) for sign in "<=>")
        told.append("\n".join([
            f"### `{path}`", "<" * size + " SEARCH", *old, "=" * size, *new, ">" * size + " REPLACE", ""
        ]))  # fmt: skip
    return "\n".join(told)


def _file(files: Mapping[RepoPath, str], wanted: Mapping[RepoPath, list[str] | None]) -> str:
    told = []
    for path, new in wanted.items():
        if new is None:
            told.append(f"### DELETE `{path}`\n")
        else:
            fence = _marker("`", new)
            told.append("\n".join([f"### `{path}`", fence, *new, fence, ""]))
    return "\n".join(told)


def _diff(files: Mapping[RepoPath, str], wanted: Mapping[RepoPath, list[str] | None]) -> str:
    told = ["```diff"]
    for path, new in wanted.items():
        old = _lines(files[path]) if path in files else []
        before, after = f"a/{path}" if path in files else "/dev/null", f"b/{path}" if new is not None else "/dev/null"
        told += [f"--- {before}", f"+++ {after}"]
        for line in list(difflib.unified_diff(old, new or [], n=10**6, lineterm=""))[2:]:
            told.append("@@ -7,1 +999,3 @@" if line.startswith("@@ ") else line)
    return "\n".join([*told, "```", ""])


_RENDER = {"blocks": _blocks, "file": _file, "diff": _diff}


@pytest.mark.parametrize("format", sorted(_RENDER))
@given(_cases())
@_QUICK
def test_what_is_written_in_a_format_is_read_from_it(format: str, case: _Case) -> None:
    files, wanted, edit = case
    said = "Subject: Try it\nFor a reason.\n\nAnd more.\n\n" + _RENDER[format](files, wanted)
    assert parse(said, format=format, files=files) == Reply("Try it", "For a reason.\n\nAnd more.", edit, [])
    returned = said.replace("\n", "\r\n")
    assert parse(returned, format=format, files=files).edit == edit


@pytest.mark.parametrize("format", sorted(_RENDER))
@given(_cases(), st.data())
@_QUICK
def test_a_reply_that_was_cut_off_is_never_half_applied(format: str, case: _Case, data: st.DataObject) -> None:
    files, wanted, edit = case
    path = data.draw(st.sampled_from(sorted(wanted)))
    said = _RENDER[format](files, {path: wanted[path]})
    cut = data.draw(st.integers(0, len(said)))
    found = parse(said[:cut], format=format, files=files)
    assert found.edit in (None, {path: edit[path]})
    assert (found.edit is None) == bool(found.problems)


def _module(bodies: Mapping[str, int]) -> str:
    told = ["import os", "", "LIMIT = 3", "", ""]
    for name, value in bodies.items():
        if name.startswith("m"):
            told += [f"class C{name}:", "    at = 1", "", f"    def {name}(self):", f'        """{value}."""',
                     f"        return {value}  # here", "", "    def other(self):", "        return 0"]  # fmt: skip
        else:
            told += ["@staticmethod"] * (value % 2) + [
                f"def {name}(x):", '    text = """', f"{value}", '    """', f"    return x + {value}"
            ]  # fmt: skip
        told += ["", ""]
    return "\n".join(told[:-1])


_BODIES = st.dictionaries(st.sampled_from(["f1", "f2", "m1", "m2", "f3"]), st.integers(0, 99), min_size=1)


@given(_BODIES, st.dictionaries(st.sampled_from(["f1", "f2", "m1", "m2", "f3"]), st.integers(0, 49)), st.booleans())
@_QUICK
def test_functions_written_whole_take_the_place_of_those_with_their_names(
    before: dict[str, int], chosen: dict[str, int], returned: bool
) -> None:
    # an even change keeps whether there is a decorator: leaving it out keeps the file's own
    after = {name: value + 2 * chosen.get(name, 0) for name, value in before.items()}
    changed = {name: value for name, value in after.items() if value != before[name]}
    files = {RepoPath("a.py"): _module(before), RepoPath("b.txt"): "text\n"}
    newline = "\r\n" if returned else "\n"
    files = {path: content.replace("\n", newline) for path, content in files.items()}
    fences = "\n".join(f"### `a.py`\n```python\n{_module({name: value})}\n```" for name, value in changed.items())
    found = parse(f"Subject: s\n\n{fences}\n", format="function", files=files)
    if changed:
        assert found.problems == []
        assert found.edit == {"a.py": _module(after).replace("\n", newline).encode()}
    else:
        assert found.edit is None


_FRAGMENTS = [
    "```", "```python\n", "````", "~~~", "\n", "\n\n", "<<<<<<< SEARCH\n", "=======\n", ">>>>>>> REPLACE\n", "@@\n",
    "--- a/a.py\n+++ b/a.py\n", "diff --git a/a.py b/a.py\n", "### `a.py`\n", "### `../../etc/passwd`\n", "a.py\n",
    "x = 1\n", "def f(x):\n    return x\n", "class C:\n", "    def f(self):\n", "\0", "\ud800", "\x1b[31m", "<think>",
    "</think>", "### RENAME `a.py` -> `b.py`\n", "### DELETE `a.py`\n", "+", "-", " ", "\r\n", "rename from a.py\n",
    "rename to c.py\n", "Subject: ", "(" * 50, "/dev/null", "\ufeff", "EVOLVE-BLOCK-START\n",
]  # fmt: skip
_FILES = {
    RepoPath("a.py"): "x = 1\n\n\ndef f(x):\n    return x\n",
    RepoPath("src/m.c"): "int f(int x)\n{\n    return x;\n}\n",
}


@pytest.mark.parametrize("format", FORMATS)
@given(st.lists(st.sampled_from(_FRAGMENTS), max_size=25))
@settings(max_examples=100, deadline=None, derandomize=True)
def test_any_reply_gives_an_edit_or_a_problem(format: str, fragments: list[str]) -> None:
    found = parse("".join(fragments), format=format, files=_FILES)
    assert (found.edit is None) == bool(found.problems)
    assert len(found.subject) <= 72
    assert len(found.body) <= 2000
    for path, content in (found.edit or {}).items():
        assert content is not None or path in _FILES
        assert content is None or (b"\0" not in content and content.decode() != _FILES.get(path))


_NOT_EDITS = {
    "nothing": "",
    "prose": "I would sort the items first, since that is usually faster.",
    "a page": "<!DOCTYPE html><html><body><h1>502 Bad Gateway</h1></body></html>",
    "a refusal": "I'm sorry, but I can't help with that.",
    "thought without end": "<think>\n### `a.py`\n```\nx = 2\n```\n",
    "other tool's call": '{"tool": "edit", "path": "a.py", "text": "x = 2"}',
    "another format": "*** Begin Patch\n*** Update File: a.py\n-x = 1\n+x = 2\n*** End Patch",
    "too long": "x" * (MAX_REPLY + 1),
    "no change": "### `a.py`\n```\nx = 1\n\n\ndef f(x):\n    return x\n```\n",
    "an open fence": "### `a.py`\n```python\nx = 2\n\n\ndef f(x):\n    return x",
    "an open block": "### `a.py`\n<<<<<<< SEARCH\nx = 1\n=======\nx = 2\n",
    "half a block": "### `a.py`\n<<<<<<< SEARCH\nx = 1\n",
    "NUL": "### `a.py`\n```python\ndef f(x):\n    return '\0'\n```\n",
    "all emptied": "### `a.py`\n```\n```\n",
    "all deleted": "### DELETE `a.py`\n### DELETE `src/m.c`\n",
}


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("text", _NOT_EDITS.values(), ids=_NOT_EDITS)
def test_what_is_no_edit_is_a_problem_in_every_format(text: str, format: str) -> None:
    found = parse(text, format=format, files=_FILES)
    assert found.edit is None
    assert found.problems


def _block(old: str, new: str, path: str = "a.py") -> str:
    return f"### `{path}`\n<<<<<<< SEARCH\n{old}=======\n{new}>>>>>>> REPLACE\n"


_BOX = """\
class Box:
    def fit(self, items):
        best = None
        for item in items:
            if item.size <= self.room:
                best = item
        return best

    def weigh(self, items):
        total = 0
        for item in items:
            total += item.weight
        return total
"""


def _one(text: str, format: str, content: str = _BOX, path: str = "a.py") -> str:
    """Return what becomes of one file."""
    found = parse(text, format=format, files={RepoPath(path): content})
    assert found.problems == []
    assert found.edit is not None
    [(changed, made)] = found.edit.items()
    assert changed == path
    assert made is not None
    return made.decode()


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        pytest.param(
            "best = item\n",
            "best = 1\n",
            ("                best = item\n", "                best = 1\n"),
            id="indented",
        ),
        pytest.param(
            "        best = None   \n", "        best = 0\n", ("best = None", "best = 0"), id="blanks-at-the-end"
        ),
        pytest.param(
            "\n        best = None\n\n", "\n        best = 0\n\n", ("best = None", "best = 0"), id="blank-lines"
        ),
        pytest.param(
            "if item.size <= self.room:\n    best = item\n",
            "if item.size < self.room:\n    best = item\n    break\n",
            (
                "            if item.size <= self.room:\n                best = item\n",
                "            if item.size < self.room:\n                best = item\n                break\n",
            ),
            id="moved-to-the-left",
        ),
        pytest.param(
            "def fit(self, items):\n    best = None\n    for item in itens:\n        if item.size <= self.room:\n",
            "def fit(self, items):\n    best = 0\n    for item in itens:\n        if item.size <= self.room:\n",
            ("best = None", "best = 0"),
            id="a-slip-of-the-pen",
        ),
    ],
)
def test_a_search_that_is_nearly_right_finds_its_place_and_the_rest_stays_as_it_was(
    old: str, new: str, expected: tuple[str, str]
) -> None:
    assert _one(_block(old, new), "blocks") == _BOX.replace(*expected, 1)


def test_tabs_are_kept_where_a_model_writes_blanks() -> None:
    content = "func f() {\n\tif a {\n\t\tb()\n\t}\n}\n"
    made = _one(_block("    if a {\n        b()\n", "    if a {\n        c()\n", "m.go"), "blocks", content, "m.go")
    assert made == content.replace("b()", "c()")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (_block("        for item in items:\n", ""), ["Block 1", "2 places, from lines 4, 11", "more lines around"]),
        (
            _block("        for thing in things:\n            thing()\n", ""),
            ["not in the file", "nearest", "4|        for item in items:"],
        ),
        (_block("nothing like it at all, really\n", ""), ["nor any like them", "|nothing like it"]),
        (_block("        best = None\n", "        best = 0\n", "b.py"), ["no file `b.py`", "`a.py`"]),
        (_block("a\n=======\nb\n", ""), ["2 lines `=======`", "longer"]),
        (_block("", "x = 1\n"), ["no line to look for"]),
        ("### RENAME `a.py` -> `a.py/b`\n### RENAME `c` -> `d`\n", ["no file `c`"]),
    ],
    ids=["ambiguous", "not-there", "unlike", "no-file", "dividers", "empty", "rename"],
)
def test_a_block_that_does_not_fit_says_what_is_there_instead(text: str, told: list[str]) -> None:
    found = parse(text, format="blocks", files={RepoPath("a.py"): _BOX})
    assert found.edit is None
    for words in told:
        assert words in "\n".join(found.problems)


@pytest.mark.parametrize(
    "lines",
    [
        ["+x = 2"], ["--- a/a.py", "+++ b/a.py", "index 123..456", "+x = 2"],
        ["@@ -1 +1 @@", "-x = 1", "+x = 2"], ["--- a/a.py", "+++ b/a.py", "@@ @@", "-x = 1", "+x = 2", "and so on"],
        ["--- a/a.py", "+++ b/a.py", "@@ @@", "+x = 2"],
    ],
)  # fmt: skip
def test_no_line_of_a_diff_is_passed_over(lines: list[str]) -> None:
    text = "\n".join(["```diff", *lines, "```", ""])
    found = parse(text, format="diff", files={RepoPath("a.py"): "x = 1\ny = 1\n"})
    assert found.edit is None
    assert found.problems


def test_a_new_file_needs_no_header_of_its_hunk() -> None:
    text = "```diff\n--- /dev/null\n+++ b/new.py\n+x = 1\n+y = 2\n```\n"
    assert parse(text, format="diff", files=_FILES).edit == {"new.py": b"x = 1\ny = 2\n"}


@pytest.mark.parametrize("start", ["<think>\n", ""])
def test_what_a_model_thinks_aloud_is_no_answer(start: str) -> None:
    thought = f"{start}{_block('x = 1', 'x = 3')}</think>\n\n"
    found = parse(thought + "Subject: two\n\n" + _block("x = 1\n", "x = 2\n"), format="blocks", files=_FILES)
    assert found.subject == "two"
    assert found.edit == {"a.py": _FILES[RepoPath("a.py")].replace("x = 1", "x = 2").encode()}


def test_one_block_that_does_not_fit_keeps_all_others_from_being_applied() -> None:
    text = _block("        best = None\n", "        best = 0\n") + _block("        worst = None\n", "\n")
    assert parse(text, format="blocks", files={RepoPath("a.py"): _BOX}).edit is None


def test_files_are_made_renamed_and_deleted_and_changed_under_their_new_name() -> None:
    files = {RepoPath("a.py"): "x = 1\n", RepoPath("b.py"): "y = 1\n", RepoPath("c.py"): "z = 1\n"}
    text = (
        "### RENAME `a.py` -> `src/a.py`\n### DELETE `b.py`\n"
        + _block("x = 1\n", "x = 2\n", "src/a.py")
        + _block("", "", "src/__init__.py")
    )
    found = parse(text, format="blocks", files=files)
    assert found.edit == {"a.py": None, "b.py": None, "src/a.py": b"x = 2\n", "src/__init__.py": b""}


def test_mixed_line_ends_stay_on_every_line_that_stays() -> None:
    content = "a\r\nb\nc\r\nd\ne"
    assert _one("### `a.py`\n```\na\nB\nc\nd\ne\n```\n", "file", content) == "a\r\nB\nc\r\nd\ne"
    assert _one(_block("b\n", "B\nBB\n"), "blocks", content) == "a\r\nB\nBB\nc\r\nd\ne"
    assert _one(_block("e\n", "e\nf\n"), "blocks", content) == "a\r\nb\nc\r\nd\ne\nf"


_SLOW = '''\
"""Doc."""

import os

RATE = 10


def slow(items):
    return sorted(items)


class Box:
    @property
    def size(self):
        text = """
odd
"""
        return 1
'''


_ODD = '        text = """\nodd\n"""\n        return 1'


def _fence(code: str, path: str = "a.py") -> str:
    return f"### `{path}`\n```python\n{code}```\n"


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        pytest.param("def slow(items):\n    return items\n", [("sorted(items)", "items")], id="plain"),
        pytest.param(
            "import heapq\nimport os\n\ndef helper(x):\n    return x\n\ndef slow(items):\n    return helper(items)\n\n"
            'if __name__ == "__main__":\n    print(slow([1]))\nprint(slow([2]))\n',
            [
                ("import os\n", "import os\nimport heapq\n"),
                ("sorted(items)", "helper(items)"),
                ("def slow", "def helper(x):\n    return x\n\n\ndef slow"),
            ],
            id="helper-imports-and-a-call",
        ),
        pytest.param(
            'def size(self):\n    """One.\n\n    More."""\n    t = """\nodd\n"""\n    return 2\n',
            [(_ODD, '        """One.\n\n        More."""\n        t = """\nodd\n"""\n        return 2')],
            id="a-method-alone",
        ),
        pytest.param("    def size(self):\n        return 2\n", [(_ODD, "        return 2")], id="indented"),
        pytest.param(
            "class Box:\n    def new(self):\n        return 1\n\n    @cached\n    def size(self):\n        return 2\n",
            [("    @property\n", "    def new(self):\n        return 1\n\n    @cached\n"), (_ODD, "        return 2")],
            id="in-its-class",
        ),
    ],
)
def test_a_function_comes_into_its_place(code: str, expected: list[tuple[str, str]]) -> None:
    after = _SLOW
    for old, new in expected:
        assert old in after
        after = after.replace(old, new, 1)
    assert _one(_fence(code), "function", _SLOW) == after
    if "class" not in code and not code.startswith(" "):
        assert _one(_fence(code).partition("\n")[2], "function", _SLOW) == after  # without a path


@pytest.mark.parametrize(
    ("code", "told"),
    [
        ("def fast(items):\n    return 1\n", "no function `fast`; its functions are `slow`, `Box.size`"),
        ("def slow(items):\n    return (\n", "does not parse as python: line"),
        ("LIMIT = 4\n\ndef slow(items):\n    return LIMIT\n", "`LIMIT = 4` beside functions"),
        ("RATE = 1\n\ndef slow(items):\n    return RATE\n", "`RATE = 1` beside functions"),
        ("x\n", "no whole function"),
        ("def slow(items):\n    return 1\n\n\ndef slow(items):\n    return 2\n", "given twice"),
    ],
)
def test_a_function_that_has_no_place_says_why(code: str, told: str) -> None:
    found = parse(_fence(code), format="function", files={RepoPath("a.py"): _SLOW})
    assert found.edit is None
    assert told in found.problems[0]


_OTHER = {
    "m.c": (
        "int g(void);\n\nstatic int f(int x)\n{\n    return x;\n}\n",
        "static int f(int x)\n{\n    return x + 1;\n}\n",
    ),
    "m.js": (
        "class A {\n  f(x) {\n    return x;\n  }\n}\nexport function g() { return 1; }\n",
        "function g() { return 2; }\n",
    ),
    "m.ts": ("function f(x: number): number {\n  return x;\n}\n", "function f(x: number): number {\n  return 2;\n}\n"),
    "m.go": (
        "package m\n\nfunc (s *A) f() int {\n\treturn 1\n}\n\nfunc (s *B) f() int {\n\treturn 1\n}\n",
        "func (b *B) f() int {\n\treturn 2\n}\n",
    ),
    "m.rs": (
        "impl A {\n    fn f(&self) -> i32 {\n        1\n    }\n}\n",
        "impl A {\n    fn f(&self) -> i32 {\n        2\n    }\n}\n",
    ),
    "m.java": (
        "class A {\n    int f() {\n        return 1;\n    }\n}\n",
        "class A {\n    int f() {\n        return 2;\n    }\n}\n",
    ),
}


@pytest.mark.parametrize("path", _OTHER)
def test_functions_are_replaced_in_every_language(path: str) -> None:
    content, code = _OTHER[path]
    made = _one(_fence(code, path), "function", content, path)
    assert len(made) >= len(content)
    changed = [line for line in made.splitlines() if line not in content.splitlines()]
    assert len(changed) == 1 + (path == "m.go")
    if path == "m.js":
        assert changed == ["export function g() { return 2; }"]


def test_only_what_is_between_the_markers_may_be_changed() -> None:
    content = "import os\n# EVOLVE-BLOCK-START\nx = 1\n# EVOLVE-BLOCK-END\nprint(x)\n"
    assert _one(_block("x = 1\n", "x = 2\ny = 3\n"), "blocks", content) == content.replace("x = 1", "x = 2\ny = 3")
    for text in (
        _block("print(x)\n", "print(9)\n"), "### DELETE `a.py`\n", "### RENAME `a.py` -> `b.py`\n",
        _block("x = 1\n", "# EVOLVE-BLOCK-END\nimport sys\n# EVOLVE-BLOCK-START\n"),
    ):  # fmt: skip
        files = {RepoPath("a.py"): content, RepoPath("c.py"): "\n"}
        found = parse(text, format="blocks", files=files)
        assert found.edit is None
        assert "EVOLVE-BLOCK" in found.problems[0]


@pytest.mark.parametrize("format", FORMATS)
def test_the_example_a_model_is_shown_applies(format: str) -> None:
    content = "import sys\n\n\ndef order(items):\n    return sorted(items)\n"
    example = instructions(format).partition("Example:\n")[2].rpartition("To delete a file")[0]
    found = parse(example, format=format, files={RepoPath("src/pack.py"): content})
    assert found.subject == "Skip the sort when the items are in order"
    assert found.body == "Most instances come sorted, and the sort takes half of the time."
    guard = "    if all(a <= b for a, b in zip(items, items[1:])):\n        return list(items)\n    return"
    assert found.edit == {"src/pack.py": content.replace("    return", guard, 1).encode()}


def test_a_search_of_thousands_of_like_lines_ends() -> None:
    rng = Random(1)
    lines = [rng.choice(["x = 1", "y = 2", "    z"]) for _ in range(20_000)]
    content = "\n".join(lines) + "\n"
    for old in (lines[:9_000], [*lines[5:9_000], "not there"], ["x = 1"] * 9_000):
        text = _block("\n".join(old) + "\n", "\n".join(reversed(old)) + "\n")
        found = parse(text, format="blocks", files={RepoPath("a.py"): content})
        assert (found.edit is None) == bool(found.problems)


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize(
    "text",
    [
        _block("x = 1\n", "x = 2\n") * 2_000, "### RENAME " + " " * 300_000 + "\n", "```\n" * 10_000,
        "```python\ndef f(x):\n    return x\n```\n" * 2_000, "### `" + "a/" * 200_000 + "`\n```\n```\n", "(" * 300_000,
        "```diff\n--- a/a.py\n+++ b/a.py\n" + "@@ @@\n-x = 1\n+x = 2\n" * 5_000 + "```\n", " \t" * 200_000 + "Subject",
        "### `a.py`\n```python\n" + "(" * 60_000 + "\n```\n", "<think>" * 50_000, "</think> " * 50_000,
    ],
    ids=range(11),
)  # fmt: skip
def test_a_huge_reply_is_read_to_its_end(text: str, format: str) -> None:
    found = parse(text, format=format, files={RepoPath("a.py"): "x = 0\n" * 100, **_FILES})
    assert (found.edit is None) == bool(found.problems)
    assert sum(map(len, found.problems)) < 40_000


def test_a_file_that_is_no_text_is_not_shown() -> None:
    assert decoded(b"\xff\xfe") is None
    assert decoded("\ufeffé\r\n".encode()) == "\ufeffé\r\n"
