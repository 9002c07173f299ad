"""What of a measurement may enter a record, which is shared: nothing that looks like a key, and no more than fits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import msgspec

from evogit.model import Artifact, Measurement
from evogit.records import MAX_LINE_BYTES
from evogit.store import leaks

_FOR_THE_REST = 4096
"""Bytes of a line for who, when and where."""


def shareable(measured: Measurement) -> Measurement:
    """Return a measurement as it may be recorded: without keys and tokens, and without artifacts that do not fit."""
    artifacts = {f"{number}" if leaks.found(name.encode("utf-8", "replace")) else name: _without_key(artifact)
                 for number, (name, artifact) in enumerate(measured.artifacts.items(), 1)}  # fmt: skip
    kept = replace(
        measured, feedback=checked(measured.feedback), metrics=_named_well(measured.metrics),
        instances=_named_well(measured.instances), artifacts=artifacts,
    )  # fmt: skip
    if artifacts and len(msgspec.json.encode(kept)) > MAX_LINE_BYTES - _FOR_THE_REST:
        left_out = measured.artifacts_left_out + len(artifacts)
        return replace(kept, artifacts={}, artifacts_left_out=left_out)
    return kept


def _without_key(artifact: Artifact) -> Artifact:
    return Artifact(bytes=artifact.bytes, text=checked(artifact.text), sha256=artifact.sha256)


def checked(text: str) -> str:
    """Return a text, or what is said in its place where it looks as if it held a key."""
    kind = leaks.found(text.encode("utf-8", "replace"))
    return f"left out: it looks as if it holds {kind}" if kind else text


def _named_well(numbers: Mapping[str, float]) -> Mapping[str, float]:
    if leaks.found("\n".join(numbers).encode("utf-8", "replace")) is None:
        return numbers
    return {name: amount for name, amount in numbers.items() if leaks.found(name.encode("utf-8", "replace")) is None}
