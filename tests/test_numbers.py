"""Which numbers are constants, and that nothing but them changes."""

from __future__ import annotations

import ast
import json
import tomllib
import warnings

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evogit.model import RepoPath, SourceFile
from evogit.proposers.numbers import MAX_BYTES, Constant, find_constants, replace_constants
from evogit.proposers.text_numbers import Negative

PYTHON = '''\
# -*- coding: utf-8 -*-
"""Doc 3."""
import sys
__version__ = (1, 2)
ALPHA = 3; BETA: float = -.5; über = "é" * 4
LOW, HIGH = 0.1, 0.9
TABLE = [[1, 2], {"a": 3, "b": (4.0,)}]
\x0cdef rule(gap, k=3, *, q: "int" = 0x1F, z=1_000) -> 7:
\t"""Text 4."""
\tif sys.version_info >= (3, 11) and gap < 8:
\t\treturn f"{gap * 3:.2f}" + call(5, n=- 6)
\treturn gap-1 + 2**gap + 2.5.real - -(9) + True + 1j
most = 1e300 if 1else 2
if __name__ == "__main__":
    rule(99)
'''
C = """\
#define SNUG 10 /* 7 */
#define LEAST -2
#define TWICE(x) 2 * (x)
/* #define OLD 3 */
static float y = 1.5f; long z = 0x1FUL, w = -3, mode = 0755;
int f(int x) { return x-1 + (x > 2 ? .5e-3 : 'c'); } // 4
char *s = "5";
"""
JAVASCRIPT = "const a = -3, c = .5e-3, big = 1_000;\nlet x = a - 1; // 5\nlet s = `t ${7}` + '8';\nlet r = /a3/;\n"
INI = '; 1\n[part 2]\nsnug = 3\nratio=-0.5\nlist = 1, 2\nversion = 1\nwhen = 2024-01-02\nid = 007\nquoted = "3"\n'
YAML = """\
a: 3  # 4
b: -0.5
nested: {c: [1, 2.5], e: 1e-5}
list:
  - 3
  - 3 apples
  - -7
3: key
when: 2024-01-02
time: 12:30
release: 1.2.3
text: "3"
block: |
  5
"""
TOML = 'a = 3\nb = -0.5\nc = [1, 2]\nwhen = 2024-01-02\ns = "3"\nh = 0xff\ne = 1e-5\nname-4 = "x"\n'
JSON = '{"a": -3, "b": [1.5, 2e-3], "version": 2, "3": "3", "c": {"d": 0}}\n'
CSS = "/* 1 */\n.h2 { margin: -3px .5em; color: #123456; width: calc(100% - 5px); line-height: 1.2 }\n"
MAKEFILE = "N = 3\nSTEP := 0.5\nall:\n\tcc -O2 -DK=5 x.c # 6\n\thead -7 x\n"
CSV = "name,x,y\nb1,1,-2.5\n# 3\nb2,1e-5,2024-01-02\n007,0,.5\n"
TEXT = "Keep at most 3 lines, 2.5 wide, offset -4.\nv1.2.3 1.2.4 10:30 192.168.0.1 dead12 12ab x-3 #12 1/2 a/7 7.\n"
RUST = "for i in 0..10 { let y: f64 = 1e-5; t.0; 5u32.max(3); }\n"

FILES = {
    "rule.py": PYTHON,
    "a.c": C,
    "a.js": JAVASCRIPT,
    "a.ini": INI,
    "a.yaml": YAML,
    "a.toml": TOML,
    "a.json": JSON,
    "a.css": CSS,
    "Makefile": MAKEFILE,
    "a.csv": CSV,
    "a.txt": TEXT,
    "a.rs": RUST,
}


def source(path: str, content: str | bytes) -> SourceFile:
    return SourceFile(path=RepoPath(path), content=content.encode() if isinstance(content, str) else content)


def shown(file: SourceFile) -> list[str]:
    """Return each constant as `name=written`, the name left out where there is none."""
    constants = find_constants(file)
    written = [file.content[constant.start : constant.end].decode() for constant in constants]
    return [f"{c.name}={text}" if c.name else text for c, text in zip(constants, written, strict=True)]


def written_value(text: str) -> float:
    """Read a constant as written in any of the languages of these tests."""
    digits = text.replace("_", "").replace("'", "").replace(" ", "").lower()
    digits = digits.replace("(", "").replace(")", "")
    return int(digits, 0) if "x" in digits else float(digits)


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (
            "rule.py",
            "ALPHA=3 BETA=-.5 4 LOW=0.1 HIGH=0.9 TABLE[0][0]=1 TABLE[0][1]=2 TABLE[1]['a']=3 TABLE[1]['b'][0]=4.0 "
            "k=3 q=0x1F z=1_000 8 5 n=-_6 1 2 2.5 -(9) 2",
        ),
        ("a.c", "SNUG=10 LEAST=-2 y=1.5 z=0x1F w=-3 1 2 .5e-3"),
        ("a.js", "a=-3 c=.5e-3 1 7"),
        ("a.ini", "snug=3 ratio=-0.5"),
        ("a.yaml", "a=3 b=-0.5 c=1 2.5 e=1e-5 3 -7"),
        ("a.toml", "a=3 b=-0.5 c=1 2 h=0xff e=1e-5"),
        ("a.json", "a=-3 b=1.5 2e-3 d=0"),
        ("a.css", "margin=-3 .5 100 5 line-height=1.2"),
        ("Makefile", "N=3 STEP=0.5 DK=5"),
        ("a.csv", "1 -2.5 1e-5 0 .5"),
        ("a.txt", "3 2.5 -4 7"),
        ("a.rs", "0 10 y=1e-5 5 3"),
    ],
)
def test_constants_of_each_language(path: str, expected: str) -> None:
    assert [text.replace(" ", "_") for text in shown(source(path, FILES[path]))] == expected.split()


def test_inert_constants_are_found_on_request_only() -> None:
    file = source("rule.py", PYTHON)
    left_out = [c for c in find_constants(file, inert=True) if c not in find_constants(file)]
    assert [(c.name, c.value) for c in left_out] == [
        ("__version__[0]", 1),
        ("__version__[1]", 2),
        (None, 7),
        (None, 3),
        (None, 11),
        (None, 99),
    ]


def test_a_constant_knows_its_place_kind_precision_and_scale() -> None:
    zero, ratio = find_constants(source("a.py", "A = 0\r\nB = x * -0.0250e2\r\n"))
    assert (zero.line, zero.value, zero.is_int, zero.digits, zero.scale) == (1, 0, True, 1, 1.0)
    assert (ratio.line, ratio.value, ratio.is_int, ratio.digits, ratio.scale) == (2, -2.5, False, 3, 2.5)


@pytest.mark.parametrize(
    ("path", "content"),
    [
        ("a.py", b"x = 3\0"),
        ("a.py", b"x = 3 # \xff"),
        ("a.py", b"# coding: latin-1\nx = 3\n"),
        ("a.py", b"x = (3"),
        ("a.py", b"x = " + b"-" * 5000 + b"(3)"),
        ("a.py", b"x = " + b"(" * 500 + b"3"),
        ("a.csv", b"1," * MAX_BYTES),
        ("a.csv", b""),
        ("a.js", b"x = 3; y = '" + b"a" * 5000 + b"'"),
        ("a.mpl", b"x := 3:"),
        ("a.txt", b"9999999999999 0x deadbeef 1_000 1'000"),
        ("a.c", b'// 3\n/* 4 */ char *s = "5"; int a7, b = 0755;\n#if 8\n#endif\n'),
    ],
)
def test_files_without_constants(path: str, content: bytes) -> None:
    assert find_constants(source(path, content)) == ()


@pytest.mark.parametrize("path", FILES)
@pytest.mark.parametrize("ends", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("before", ["", "\ufeff"])
def test_every_place_is_that_of_its_value(path: str, ends: str, before: str) -> None:
    file = source(path, before + FILES[path].replace("\n", ends))
    constants = find_constants(file, inert=True)
    assert len(constants) >= len(find_constants(source(path, FILES[path]))) - (ends == "\r")
    for constant in constants:
        assert written_value(file.content[constant.start : constant.end].decode()) == constant.value


def assert_only(file: SourceFile, constant: Constant, value: int | float, content: bytes) -> None:
    """Check that `content` is `file` with the value, of the constant's kind, in its place and no other byte changed."""
    before, after = file.content[: constant.start], file.content[constant.end :]
    assert content.startswith(before)
    assert content.endswith(after)
    text = content[len(before) : len(content) - len(after)].decode()
    assert float(text.strip("()")) == value
    assert ("." in text) == (not constant.is_int)


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_an_edit_replaces_the_constant_and_keeps_every_other_byte(data: st.DataObject) -> None:
    path = data.draw(st.sampled_from(sorted(FILES)))
    file = source(path, FILES[path].replace("\n", data.draw(st.sampled_from(["\n", "\r\n"]))))
    constants = find_constants(file)
    constant = data.draw(st.sampled_from(constants))
    least = 0 if constant.negative is Negative.NEVER else -(10**12)
    value: int | float = data.draw(st.integers(least, 10**12))
    if not constant.is_int:
        value /= 1000
    content = replace_constants(file, {constant: value})
    if value == constant.value:
        assert content is None or content != file.content
        return
    if path == "Makefile" and value < 0:
        assert content is None, "its lexer sees a flag, not a number"
        return
    assert content is not None
    assert_only(file, constant, value, content)
    again = find_constants(source(path, content))
    expected = [value if c == constant else c.value for c in constants]
    assert [c.value for c in again] == expected
    assert [c.name for c in again] == [c.name for c in constants]


def test_several_constants_are_replaced_at_once() -> None:
    file = source("a.ini", "é = 1\nb = 22\nc = 0.5 ; 1\n")
    a, b, c = find_constants(file)
    assert replace_constants(file, {c: 1e-7, a: -12345, b: 3}) == "é = -12345\nb = 3\nc = 1.0e-07 ; 1\n".encode()
    assert replace_constants(file, {a: 1}) is None


@pytest.mark.parametrize(
    ("expression", "value", "expected"),
    [
        ("5-2", -3, "5-(-3)"),
        ("5 - -2", -3, "5 - (-3)"),
        ("5 - -2", 3, "5 - 3"),
        ("3**2", -3, "(-3)**2"),
        ("(-3)**2", -4, "(-4)**2"),
        ("(3)**2", -4, "(-4)**2"),
        ("2.5.real", -0.5, "(-0.5).real"),
        ("4*2", -3, "-3*2"),
        ("[2, 1][0]", -7, "[-7, 1][0]"),
    ],
)
def test_a_negative_value_stays_one_operand(expression: str, value: int | float, expected: str) -> None:
    file = source("a.py", expression)
    constants = find_constants(file)
    chosen = constants[1] if expression.startswith("5") else constants[0]
    assert replace_constants(file, {chosen: value}) == expected.encode()


def test_c_never_gets_a_second_minus() -> None:
    file = source("a.c", "int f(int x) { int y = 4; return x-1 - 2; }\n")
    assert [c.negative for c in find_constants(file)] == [Negative.BARE, Negative.NEVER, Negative.NEVER]
    assert replace_constants(file, {find_constants(file)[1]: -3}) is None


@pytest.mark.parametrize(
    ("path", "content", "index", "value"),
    [
        ("a.py", "match x:\n    case {1: a, 2: b}: pass\n", 0, 2),
        ("a.json", '{"a": 1}', 0, float("inf")),
        ("a.toml", "a = 1\n", 0, float("nan")),
    ],
)
def test_an_edit_that_would_not_parse_is_refused(path: str, content: str, index: int, value: int | float) -> None:
    file = source(path, content)
    assert replace_constants(file, {find_constants(file)[index]: value}) is None


def test_a_file_that_is_not_strict_can_still_be_tuned() -> None:
    commented = source("tsconfig.json", '{\n  // 1\n  "a": 2,\n}\n')
    (constant,) = find_constants(commented)
    assert replace_constants(commented, {constant: 3}) == b'{\n  // 1\n  "a": 3,\n}\n'
    notebook_like = source("a.py", "x = await f(2)\n")
    (constant,) = find_constants(notebook_like)
    assert replace_constants(notebook_like, {constant: -3}) == b"x = await f(-3)\n"


def test_no_warning_leaves_the_check() -> None:
    file = source("a.py", 'x = "\\d" is 3\ny = 1 if x else 2\n')
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        constant = find_constants(file)[0]
        assert replace_constants(file, {constant: 4}) == b'x = "\\d" is 4\ny = 1 if x else 2\n'


SIGNS = "x=-+*/()[]{}:,;.'\"#\\ \t\n\r\f_$@<>|&%!~é\u2028"
NUMBERS = ("3", "0", "1.5", "-2", "1e-5", "0x1F", "007", "1_0", "1.2.3", "10:30")
WORDS = ("if ", "else", "return ", "def f(a=", "# ", "//", "/*", "*/", "lambda:", "**", "- ", "version", "\r\n")
PIECES = st.sampled_from([*SIGNS, *NUMBERS, *WORDS])


@settings(max_examples=200, deadline=None)
@given(
    path=st.sampled_from(
        ["a.py", "a.c", "a.js", "a.ini", "a.yaml", "a.toml", "a.json", "a.css", "a.sh", "Makefile", "a"]
    ),
    pieces=st.lists(PIECES, max_size=25),
    value=st.sampled_from([0, 1, 7, -3, 40, 10**12]),
)
def test_any_text_keeps_its_other_constants(path: str, pieces: list[str], value: int) -> None:
    file = source(path, "".join(pieces))
    constants = find_constants(file, inert=True)
    assert [c.start for c in constants] == sorted(c.start for c in constants)
    for i, constant in enumerate(constants):
        new = float(value) if not constant.is_int else value
        content = replace_constants(file, {constant: new})
        if content is not None:
            after = [c.value for c in find_constants(source(path, content), inert=True)]
            assert after == [new if j == i else c.value for j, c in enumerate(constants)]
            assert parses(path, content) or not parses(path, file.content)


def parses(path: str, content: bytes) -> bool:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if path.endswith(".py"):
                ast.parse(content)
            elif path.endswith(".json"):
                json.loads(content)
            elif path.endswith(".toml"):
                tomllib.loads(content.decode())
    except (SyntaxError, ValueError):
        return False
    return True
