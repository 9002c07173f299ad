"""Words that stand for each other: operators, functions and methods of the same shape, exceptions. Data, no code."""

from __future__ import annotations

from collections.abc import Iterable, Mapping


def _mutual(*groups: str) -> Mapping[bytes, tuple[bytes, ...]]:
    """Return for each word the others of its groups."""
    found: dict[bytes, dict[bytes, None]] = {}
    for group in groups:
        words = [word.encode() for word in group.split()]
        for word in words:
            found.setdefault(word, {}).update(dict.fromkeys(other for other in words if other != word))
    return {word: tuple(others) for word, others in found.items()}


def _pairs(*pairs: tuple[str, str]) -> Mapping[bytes, tuple[bytes, ...]]:
    both: Iterable[tuple[str, str]] = (*pairs, *((second, first) for first, second in pairs))
    found: dict[bytes, tuple[bytes, ...]] = {}
    for first, second in both:
        found[first.encode()] = (*found.get(first.encode(), ()), second.encode())
    return found


BOUNDARIES = _pairs(
    ("<", "<="), (">", ">="), ("==", "!="), ("===", "!=="), ("is", "is not"), ("in", "not in"), ("..", "..=")
)
"""A comparison's bound taken in or left out, or its opposite."""
TURNED: Mapping[bytes, bytes] = {b"<": b">", b">": b"<", b"<=": b">=", b">=": b"<="}
"""The comparison the other way round."""
COMPARISONS = _mutual("< > <= >= == !=", "< > === !==")
ARITHMETIC = _mutual("+ -", "* / //", "/ // %", "+ *", "* **", "& | ^", "<< >>")
OPPOSITES = _pairs(("+", "-"), ("*", "/"), ("*", "//"), ("/", "//"), ("&", "|"), ("<<", ">>"))
ASSIGNMENTS = _mutual("+= -= =", "*= /= //= =", "|= &= ^= =", "<<= >>=", "%= //= =", "++ --")
BOOLEANS = _mutual("and or", "&& ||")

SAME_SHAPE = _mutual(
    "min max", "any all", "append extend", "append appendleft", "append add insert", "pop popleft",
    "lstrip rstrip strip", "startswith endswith", "floor ceil", "floor trunc round", "round int float",
    "find rfind index rindex", "add discard remove", "upper lower", "upper title capitalize",
    "split rsplit splitlines", "partition rpartition", "keys values items", "union intersection difference",
    "issubset issuperset", "isdigit isalpha isalnum isnumeric", "isupper islower", "bisect_left bisect_right",
    "insort_left insort_right", "ljust rjust center", "sorted list reversed", "list tuple set sum len",
    "setdefault get pop", "update clear", "sin cos tan", "log log2 log10 exp", "nlargest nsmallest",
    "heappush heappop", "push unshift", "shift pop", "slice splice", "indexOf lastIndexOf", "every some",
    "trimStart trimEnd trim", "toUpperCase toLowerCase", "startsWith endsWith", "map filter", "HasPrefix HasSuffix",
    "TrimLeft TrimRight", "starts_with ends_with", "trim_start trim_end trim", "addFirst addLast",
    "removeFirst removeLast", "getFirst getLast", "strcpy strcat", "strchr strrchr", "strcmp strcasecmp",
    "toupper tolower", "isalpha isdigit isalnum isspace", "memcpy memmove", "fmin fmax", "add sub",
    "year month day", "hour minute second", "days seconds", "weekday isoweekday", "left right", "first last",
    "start end stop", "low high", "lo hi", "head tail", "next prev", "width height", "rows columns",
    "move_to_end popitem",
)  # fmt: skip
"""Functions, methods and attributes that take and give the same, or nearly."""
WRAPPERS = ("abs", "sorted", "list", "set", "len", "int", "reversed", "str")
"""Functions of one argument that programs forget, or need not have."""
TAILS = (".strip()", ".lower()", ".copy()", ".rstrip()")
"""Methods without an argument that programs forget."""
EXCEPTIONS = _mutual(
    "KeyError IndexError LookupError ValueError TypeError",
    "ValueError TypeError ZeroDivisionError OverflowError ArithmeticError", "AttributeError NameError TypeError",
    "OSError FileNotFoundError PermissionError", "StopIteration RuntimeError ValueError",
    "UnicodeDecodeError UnicodeError ValueError",
)  # fmt: skip
