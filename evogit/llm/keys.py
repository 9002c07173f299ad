"""The user's keys, so that no text that has one in it goes any further."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable, Mapping
from urllib.parse import quote

_TELLING = re.compile(r"KEY|TOKEN|SECRET|PASSW|CREDENTIAL|AUTH", re.IGNORECASE)
_LEAST = 8
"""Shorter values are words that stand anywhere."""
_LOOKS_LIKE = re.compile(r"(?i)\b(?:bearer\s+|sk-|key-|api[_-]?key[\"'=: ]+)[\w*./+=-]{6,}")
_GONE = "[a key]"


def secrets(environment: Mapping[str, str], named: Iterable[str] = ()) -> list[str]:
    """Return the values of the variables that hold keys, by what they are called or because they are `named`."""
    names = {name for name in environment if _TELLING.search(name)} | set(named)
    values = {environment.get(name, "").strip() for name in names}
    return sorted((value for value in values if len(value) >= _LEAST), key=len, reverse=True)


def forms(secret: str) -> set[str]:
    """Return a secret as it is, and as it may stand in an address, in JSON, or encoded."""
    encoded = base64.b64encode(secret.encode()).decode().rstrip("=")
    return {secret, quote(secret, safe=""), json.dumps(secret)[1:-1], encoded}


def holds(text: str, known: Iterable[str]) -> bool:
    """Return whether one of the known secrets stands in a text."""
    return any(form in text for secret in known for form in forms(secret))


def without(text: str, known: Iterable[str]) -> str:
    """Return a text with all that is, or looks like, a key replaced."""
    for secret in known:
        for form in forms(secret):
            text = text.replace(form, _GONE)
    return _LOOKS_LIKE.sub(_GONE, text)
