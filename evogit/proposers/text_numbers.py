"""Numbers in text that is not Python: which characters are a constant, by the file's pygments lexer or by its look.

Knows nothing of edits or of how a new value is drawn.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from enum import Enum
from functools import lru_cache
from hashlib import blake2b
from itertools import islice
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pygments.lexer import Lexer

MAX_SPANS = 20_000
"""Constants of one file; what has more is data, and its first ones have to do."""

# Some rules of pygments take time in proportion to the square of a line: 16 KB of `1` cost its make lexer 18 s.
_MAX_LEXED, _MAX_LINE = 64 * 1024, 2000
# These take minutes for 80 words in a senseless order.
_REFUSED = frozenset({"maple", "smithy"})

# The lexers whose files hold nothing but values, so that a whole value which looks like a number is one even where
# the lexer calls it a string (INI, properties) or a plain scalar (YAML).
_DATA = frozenset({"ini", "systemd", "desktop", "properties", "yaml", "docker-compose", "toml", "json", "json5"})

_BASED = r"(?P<based>0[xX][0-9a-fA-F_']+|0[oO][0-7_']+|0[bB][01_']+)"
_POINT = r"(?P<float>(?:[0-9][0-9_']*\.[0-9]+|\.[0-9]+%s)(?:[eE][+-]?[0-9]+)?|[0-9]+[eE][+-]?[0-9]+)"
_WHOLE = r"(?P<int>[0-9](?:[0-9_']*[0-9])?)"
# A dot alone before a digit belongs to a version, an address or `x.0`; two are a range, as in Rust's `0..10`.
_ALONE = r"(?<!\w)(?<!(?<!\.)\.)"
_DOT_LAST = r"|[0-9][0-9_']*\.(?![\w.])"
_NUMBER = re.compile(f"{_ALONE}(?:{_BASED}|{_POINT % _DOT_LAST}|{_WHOLE})")
# In plain text `3.` ends a sentence.
_PLAIN_NUMBER = re.compile(f"{_ALONE}(?:{_BASED}|{_POINT % ''}|{_WHOLE})")
# Plain text has no grammar: no word, date, time, fraction, path, percent escape or issue number may touch the number.
_LOOSE_BEFORE = re.compile(r"(?:\d[-/:]|\w[-/]?|[#@%/\\])\Z")
_LOOSE_AFTER = re.compile(r"\w|['.]\w|[-/:]\w|[/\\]")
_SUFFIX = re.compile(r"[A-Za-zµ%]{0,4}(?:8|16|32|64|128)?(?![\w'])(?!\.\d)")
_VALUE_KINDS = ("Token.Literal.Number", "Token.Literal.String", "Token.Literal.Scalar", "Token.Name.Variable")
_VALUE_BEFORE = re.compile(r"(?:^|[=:\[{,(]|(?:^|\s)-(?=\s))[ \t]*\Z", re.MULTILINE)
_VALUE_AFTER = re.compile(r"[ \t]*(?:$|[,\]})#;])", re.MULTILINE)
# After these a minus is a sign; after a name or a closing bracket it subtracts, and R's `<-` assigns.
_OPERAND_BEFORE = ("=", "(", "[", "{", ",", ":", ";", "?", "&", "|", "!", "~", "*", "/", "%", "return")
# For pygments the whole line of a C macro is a comment.
_DEFINE = re.compile(r"#[ \t]*define[ \t]+\w+[ \t]+\(?-?\Z")
_COMMENT_LINE = re.compile(r"[ \t]*(?:#|;|//)")
_NAME_BEFORE = re.compile(
    r"""(?:([A-Za-z_][\w.-]*)["'\])]*(?:\s*:\s*[\w<>&*.]+)?\s*(?:[:?+]?=|:)\s*[\[({]?\s*|#\s*define\s+(\w+)\s+)[+-]?\Z"""
)


class Negative(Enum):
    """How a value below zero may be written in a constant's place."""

    BARE = "bare"
    WRAPPED = "wrapped"
    NEVER = "never"


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """Where a constant is: bytes `start` to `end` of the file; its value, and how its place may be written to.

    `name` is what the file calls it, where that is plain. `inert` marks one that can hardly matter to a score.
    """

    start: int
    end: int
    value: int | float
    name: str | None
    negative: Negative
    inert: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class _Tokens:
    """A lexer's tokens: parallel lists, and whether the file is of the data kind."""

    starts: list[int]
    kinds: list[str]
    texts: list[str]
    data: bool


def scan_text(path: str, text: str) -> tuple[tuple[Span, ...], bytes]:
    """Return the constants of `text` in order, and a digest of everything around them as the lexer sees it.

    Two texts with the same digest differ only in the constants: the same tokens stand around them.

    Args:
        path: the file's path; its last part chooses the lexer.
        text: the whole text.

    Raises:
        Nothing: text that cannot be read as numbers has none.
    """
    lines = text.replace("\r\n", "\n").replace("\r", "\n")
    lexer = _lexer(path.rpartition("/")[2])
    if lexer is None:
        return _in_bytes(text, islice(_plain_spans(lines), MAX_SPANS)), b""
    longest = 0 if "json" in lexer.aliases else max(map(len, lines.split("\n")))
    if len(text) > _MAX_LEXED or longest > _MAX_LINE or not _REFUSED.isdisjoint(lexer.aliases):
        return (), b""
    tokens = _lex(lexer, lines)
    spans = tuple(islice(_lexed_spans(lines, tokens), MAX_SPANS))
    return _in_bytes(text, spans), _digest(tokens, spans)


@lru_cache(maxsize=512)
def _lexer(filename: str) -> Lexer | None:
    from pygments.lexers import find_lexer_class_for_filename

    found = find_lexer_class_for_filename(filename)
    if found is None or "text" in found.aliases:
        return None
    return found()


_kind = lru_cache(maxsize=1024)(str)


def _lex(lexer: Lexer, text: str) -> _Tokens:
    # Lexers made of two others may hand out the parts in another order than the text's.
    found = sorted(lexer.get_tokens_unprocessed(text), key=lambda token: token[0])
    tokens = [(start, _kind(kind), value) for start, kind, value in found if value]
    return _Tokens(
        starts=[start for start, _, _ in tokens],
        kinds=[kind for _, kind, _ in tokens],
        texts=[value for _, _, value in tokens],
        data=not _DATA.isdisjoint(lexer.aliases),
    )


def _in_bytes(text: str, spans: Iterable[Span]) -> tuple[Span, ...]:
    """Move spans from characters with LF line ends to bytes with the text's own."""
    crlf = [match.start() - i for i, match in enumerate(re.finditer("\r\n", text))]
    found, at, offset = [], 0, 0
    for span in spans:
        start = span.start + bisect_left(crlf, span.start)
        offset += len(text[at:start].encode("utf-8"))
        at = start + span.end - span.start
        found.append(replace(span, start=offset, end=offset + at - start))
        offset += at - start
    return tuple(found)


def _plain_spans(text: str) -> Iterator[Span]:
    for match in _PLAIN_NUMBER.finditer(text):
        left, start = _unsigned(text, match.start(), spaced=True)
        loose = _LOOSE_BEFORE.search(left[-2:]) or _LOOSE_AFTER.match(text, match.end())
        if not loose and not {"_", "'"} & set(match[0]) and not _COMMENT_LINE.match(left.rpartition("\n")[2]):
            yield from _span(match, start, left, negative=Negative.BARE)


def _lexed_spans(text: str, tokens: _Tokens) -> Iterator[Span]:
    for match in _NUMBER.finditer(text):
        define = _DEFINE.search(text, max(0, match.start() - 80), match.start())
        left, start = _unsigned(text, match.start(), spaced=tokens.data or bool(define))
        if tokens.data:
            if _is_value(tokens, text, start, match.end()):
                yield from _span(match, start, left, negative=Negative.BARE)
        elif _is_number(tokens, match, bool(define)) and (suffix := _SUFFIX.match(text, match.end())):
            negative = Negative.BARE if define or _is_operand(left) else Negative.NEVER
            yield from _span(match, start, left, negative=negative, suffix=suffix[0])


def _unsigned(text: str, start: int, *, spaced: bool) -> tuple[str, int]:
    """Return what is left of the number and where the number starts, with its minus if that is a sign.

    `spaced` makes white space before the minus enough: ` -1` is a value between values, but `x -1` in a program is not.
    """
    left = text[max(0, start - 80) : start]
    if left.endswith("-") and (_is_operand(left[:-1]) or (spaced and left[-2:-1].isspace())):
        return left[:-1], start - 1
    return left, start


def _is_operand(left: str) -> bool:
    shown = left.rstrip()
    return not shown or shown.endswith(_OPERAND_BEFORE) or (shown[-1] in "<>" and shown != left)


def _is_value(tokens: _Tokens, text: str, start: int, end: int) -> bool:
    i = bisect_left(tokens.starts, start)
    if i == len(tokens.starts) or tokens.starts[i] != start or len(tokens.texts[i]) != end - start:
        return False
    # YAML splits `3 apples` into two scalars, and quotes are tokens of their own in INI and YAML: look around.
    return tokens.kinds[i].startswith(_VALUE_KINDS) and bool(
        _VALUE_BEFORE.search(text[max(0, start - 80) : start]) and _VALUE_AFTER.match(text, end)
    )


def _is_number(tokens: _Tokens, match: re.Match[str], define: bool) -> bool:
    """Whether the lexer sees a number begin here, and no name, string or comment before it ends.

    The C lexer puts the minus of `x-1` in the number's token; the shell's and make's lexers cut `0.5` after the 0.
    """
    i = max(0, bisect_right(tokens.starts, match.start()) - 1)
    if define and tokens.kinds[i] == "Token.Comment.Preproc":
        return True
    before = match.string[tokens.starts[i] : match.start()]
    if before not in ("", "-", "+") or not tokens.kinds[i].startswith("Token.Literal.Number"):
        return False
    last = bisect_left(tokens.starts, match.end())
    return all(kind.startswith(("Token.Literal.Number", "Token.Text")) for kind in tokens.kinds[i:last])


def _span(match: re.Match[str], start: int, left: str, *, negative: Negative, suffix: str = "") -> Iterator[Span]:
    """Yield the constant, unless its digits are an identifier's: zero-padded, as `007` and C's octal numbers are."""
    digits = re.sub("[_']", "", match[0])
    if match["based"] is None and digits[0] == "0" and digits[1:2].isdigit():
        return
    whole = match["float"] is None and (match["based"] is not None or suffix not in ("f", "F", "d", "D"))
    try:
        value: int | float = int(digits, 0) if whole else float(digits)
    except ValueError:  # more digits than Python converts, or `0x_`
        return
    signed = -value if start < match.start() else value
    line = left.rpartition("\n")[2]
    # The long pattern is tried only where it can match: it would take most of the time in a table of numbers.
    named = _NAME_BEFORE.search(line) if "=" in line or ":" in line or "define" in line else None
    name = (named[1] or named[2]) if named else None
    yield Span(start=start, end=match.end(), value=signed, name=name, negative=negative)


def _digest(tokens: _Tokens, spans: tuple[Span, ...]) -> bytes:
    seen = blake2b(digest_size=16)
    i = 0
    for start, kind, text in zip(tokens.starts, tokens.kinds, tokens.texts, strict=True):
        end = start + len(text)
        while i < len(spans) and spans[i].end <= start:
            i += 1
        j, at, rest = i, start, []
        while j < len(spans) and spans[j].start < end:
            rest.append(text[max(0, at - start) : max(0, spans[j].start - start)])
            if spans[j].start >= start:
                rest.append("\0")
            at, j = spans[j].end, j + 1
        rest.append(text[max(0, at - start) :])
        if "".join(rest):
            seen.update(f"{'number' if j > i else kind}\1{''.join(rest)}\2".encode("utf-8", "surrogatepass"))
    return seen.digest()
