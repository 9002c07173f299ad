"""How things are shown: one console for colour, one form of JSON, and hostile text made harmless."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Mapping
from datetime import datetime

import click
from rich.console import Console
from rich.text import Text

from evogit.records import Choice

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff]")


class _Console(Console):
    def on_broken_pipe(self) -> None:
        raise BrokenPipeError  # rich would exit with code 1; `evogit log | head` is no failure


def console(*, stderr: bool = False) -> Console:
    """Return the console for results (stdout) or progress (stderr), coloured as the user asked."""
    context = click.get_current_context(silent=True)
    color = context.find_root().obj if context else "auto"
    return _Console(
        stderr=stderr,
        force_terminal=True if color == "always" else None,
        no_color=True if color == "never" else None,
        highlight=False,
        soft_wrap=True,
    )


def safe(text: str) -> str:
    """Return text from candidates, records or refs without characters that drive a terminal."""
    return _CONTROL.sub("\N{REPLACEMENT CHARACTER}", text)


def plain(text: str) -> Text:
    """Return untrusted text for a console: nothing in it is markup."""
    return Text(safe(text))


def number(value: float | None) -> str:
    """Return a score as people read it."""
    return "-" if value is None else f"{value:.6g}"


def gain(value: float | None, base: float | None) -> str:
    """Return the difference to the base with its sign."""
    return "" if value is None or base is None else f"{value - base:+.4g}"


def local_time(at: str) -> str:
    """Return a record's time as local hours, minutes and seconds; anything that is no time as a dash."""
    try:
        return datetime.fromisoformat(at).astimezone().strftime("%H:%M:%S")
    except (ValueError, OverflowError):
        return "-"


def chosen_words(choice: Choice) -> str:
    """Return in words which one was chosen, and by which shares."""
    others = [f"{name} {share:.0%}" for name, share in choice.shares.items() if name != choice.chosen]
    return f"{choice.chosen} by its share of {choice.shares.get(choice.chosen, 0):.0%} ({', '.join(others)})"


def spent_words(usd: float, calls: int, unknown: int) -> str:
    """Return what was spent in words."""
    more = f", {unknown} of them of unknown cost" if unknown else ""
    return f"{usd:.4f} USD in {calls} calls{more}"


def print_json(data: Mapping[str, object]) -> None:
    """Print one JSON document with its schema version."""
    json.dump({"schema": 1, **data}, sys.stdout, indent=2, ensure_ascii=True)
    sys.stdout.write("\n")
