"""What a tool says of itself in its output: last words, tokens, cost. It is a stranger and may say anything."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

_MAX_COUNT = 2**53
_STARTS = 8
"""How often a value that goes over several lines is looked for."""
_ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|.)")
_AIDER_TOKENS = re.compile(r"Tokens: ([\d.]+)(k|M)? sent,.*?([\d.]+)(k|M)? received")
_AIDER_COST = re.compile(r"\$([\d.]+) session")
_MINI_COST = re.compile(r"\(step \d+, \$([\d.]+)\)")
_SUMMARY = re.compile(r"^\W*summary\W*:\W*(?P<words>\w.*)$", re.IGNORECASE | re.MULTILINE)
_UNITS = {"": 1, "k": 1_000, "M": 1_000_000}


@dataclass(slots=True)
class Usage:
    """Tokens and US dollars, None where unknown, and what it said in words, in their order."""

    tokens_in: int | None = None
    tokens_out: int | None = None
    usd: float | None = None
    words: list[str] = field(default_factory=list)

    def add(self, tokens_in: object, tokens_out: object, usd: object = None) -> None:
        """Count one more step; what is no amount is left out."""
        self.tokens_in = _sum(self.tokens_in, _count(tokens_in))
        self.tokens_out = _sum(self.tokens_out, _count(tokens_out))
        if (cost := _amount(usd)) is not None:
            self.usd = (self.usd or 0.0) + cost

    @property
    def summary(self) -> str:
        """The line that it was asked to end with, or the first line of what it said last; empty when there is none."""
        for said in reversed(self.words):
            lines = [match["words"] for match in _SUMMARY.finditer(said)]
            if lines:
                return lines[-1]
        last = self.words[-1].strip() if self.words else ""
        return last.partition("\n")[0]


def read(output: bytes) -> Usage:
    """Return what an output says, whichever tool it is from; nothing of what it does not say is guessed."""
    text = _ESCAPES.sub("", output.decode("utf-8", "replace"))
    found = Usage()
    for value in _values(text):
        for event in value if isinstance(value, list) else [value]:
            if isinstance(event, dict):
                _take(found, event)
    if found.tokens_in is None and found.usd is None:
        _take_words(found, text)
    if not found.words and (lines := [match[0] for match in _SUMMARY.finditer(text) if "<" not in match["words"]]):
        found.words.append(lines[-1])
    return found


def _values(text: str) -> Iterator[Any]:
    """Yield the JSON values of an output: one a line, or one that goes over several lines."""
    is_any = False
    starts = []
    at = 0
    for line in text.splitlines(keepends=True):
        if line.startswith(("{", "[")):
            value = _parsed(line)
            if value is None:
                starts.append(at)
            else:
                is_any = True
                yield value
        at += len(line)
    # A list of objects, each on a line of its own, is made of lines that are values: they are not told twice.
    for start in starts[:_STARTS] if not is_any else []:
        try:
            yield json.JSONDecoder().raw_decode(text, start)[0]
        except (ValueError, RecursionError):
            continue
        return


def _parsed(line: str) -> Any:  # noqa: ANN401 - any JSON value
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        return None


def _take(found: Usage, event: Mapping[str, Any]) -> None:
    """Learn from one event of those tools whose output is known; `docs` of each call it so."""
    kind = event.get("type")
    if kind == "result":  # claude, qwen
        usage = _table(event, "usage")
        cached = [usage.get(name) for name in ("cache_creation_input_tokens", "cache_read_input_tokens")]
        # qwen counts what was cached among the input, and has no cost.
        whole = [usage.get("input_tokens"), *(cached if "total_cost_usd" in event else ())]
        found.add(_total(whole), usage.get("output_tokens"), event.get("total_cost_usd"))
        _say(found, event.get("result"))
    elif kind == "turn.completed":  # codex
        usage = _table(event, "usage")
        found.add(usage.get("input_tokens"), usage.get("output_tokens"))
    elif kind == "item.completed" and _table(event, "item").get("type") == "agent_message":
        _say(found, _table(event, "item").get("text"))
    elif kind == "step_finish":  # opencode
        part = _table(event, "part")
        tokens = _table(part, "tokens")
        cache = _table(tokens, "cache")
        cost = part.get("cost")
        # It says 0 for a model whose prices it does not know.
        found.add(_total([tokens.get("input"), cache.get("read"), cache.get("write")]),
                  _total([tokens.get("output"), tokens.get("reasoning")]), cost or None)  # fmt: skip
    elif kind == "text":
        _say(found, _table(event, "part").get("text"))
    elif "response" in event and "stats" in event:  # gemini
        for model in _table(_table(event, "stats"), "models").values():
            tokens = _table(model, "tokens") if isinstance(model, dict) else {}
            found.add(tokens.get("prompt"), _total([tokens.get("candidates"), tokens.get("thoughts")]))
        _say(found, event.get("response"))


def _take_words(found: Usage, text: str) -> None:
    """Learn from lines for people, where a tool has no others."""
    for sent, sent_unit, received, received_unit in _AIDER_TOKENS.findall(text):
        found.add(_units(sent, sent_unit), _units(received, received_unit))
    costs = _AIDER_COST.findall(text) or _MINI_COST.findall(text)
    cost = _amount(_number(costs[-1])) if costs else None
    found.usd = cost or None  # both say 0 for a model whose prices they do not know


def _say(found: Usage, words: object) -> None:
    if isinstance(words, str) and words.strip():
        found.words.append(words)


def _table(event: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    inner = event.get(name)
    return inner if isinstance(inner, dict) else {}


def _total(counts: Sequence[object]) -> int | None:
    known = [count for count in map(_count, counts) if count is not None]
    return sum(known) if known else None


def _sum(before: int | None, more: int | None) -> int | None:
    if more is None:
        return before
    return min((before or 0) + more, _MAX_COUNT)


def _count(said: object) -> int | None:
    is_count = isinstance(said, int) and not isinstance(said, bool) and 0 <= said <= _MAX_COUNT
    return int(str(said)) if is_count else None


def _amount(said: object) -> float | None:
    if isinstance(said, bool) or not isinstance(said, int | float) or not 0 <= said < 1e9:
        return None
    return float(said) if math.isfinite(said) else None


def _units(digits: str, unit: str) -> int | None:
    number = _number(digits)
    return None if number is None else round(number * _UNITS[unit])


def _number(digits: str) -> float | None:
    try:
        return float(digits)
    except ValueError:
        return None
