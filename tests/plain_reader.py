"""A reader of the format that uses nothing of evogit's: git and json, as FORMAT.md says."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from pathlib import Path
from statistics import median
from typing import Any

_KINDS = {"score", "proposal", "lease", "verdict"}


def read_run(repository: Path, run: str, environment: Mapping[str, str]) -> dict[str, Any]:
    """Return the task's base, all records by commit, and the score of each commit by the task's evaluator."""

    def git(*arguments: str) -> bytes:
        command = ["git", "-C", str(repository), *arguments]
        return subprocess.run(command, env=dict(environment), check=True, capture_output=True).stdout

    task = json.loads(git("cat-file", "blob", f"refs/evogit/{run}/task:task.json"))
    prefix = f"refs/notes/evogit/{run}/"
    records: dict[str, list[dict[str, Any]]] = {}
    for ref in git("for-each-ref", "--format=%(refname)", prefix).decode().split():
        agent = ref.removeprefix(prefix).removesuffix(".journal")
        for line in git("ls-tree", "-r", ref).decode().splitlines():
            (_, _, blob), path = line.partition("\t")[0].split(), line.partition("\t")[2]
            commit = path.replace("/", "")
            for text in dict.fromkeys(git("cat-file", "blob", blob).split(b"\n")):
                record = _parse(text)
                if record and (record.get("agent"), record.get("run")) == (agent, run):
                    records.setdefault(commit, []).append(record)
    return {"base": task["base"], "records": records, "values": _values(records)}


def _parse(line: bytes) -> dict[str, Any] | None:
    try:
        record = json.loads(line)
    except ValueError:
        return None
    known = isinstance(record, dict) and record.get("v") == 1 and record.get("kind") in _KINDS
    return record if known else None


def _values(records: dict[str, list[dict[str, Any]]]) -> dict[str, float]:
    scores = {commit: [r["value"] for r in found if r.get("status") == "ok"] for commit, found in records.items()}
    return {commit: median(values) for commit, values in scores.items() if values}
