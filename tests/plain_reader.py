"""A reader of the format that uses nothing of evogit's: git and json, as FORMAT.md says."""

from __future__ import annotations

import hashlib
import json
import subprocess
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from statistics import median
from typing import Any

_KINDS = {"score", "proposal", "lease", "verdict", "successor", "tombstone"}
_DEFAULTS = {
    **{"result": "file", "timeout_s": 60.0, "repeat": 1, "setup_timeout_s": 1800.0},
    **{key: [] for key in ("gates", "stages", "setup_inputs", "carry")},
}


def read_run(repository: Path, run: str, environment: Mapping[str, str]) -> dict[str, Any]:
    """Return the task's base, all records by commit, and the score of each commit by the evaluator in force."""
    git = _git(repository, environment)
    task = json.loads(git("cat-file", "blob", f"refs/evogit/{run}/task:task.json"))
    prefix = f"refs/notes/evogit/{run}/"
    records: dict[str, list[dict[str, Any]]] = {}
    for ref in git("for-each-ref", "--format=%(refname)", prefix).decode().split():
        agent = ref.removeprefix(prefix).removesuffix(".journal")
        writers = {agent, *_stands_for(git, ref, agent)}
        for line in git("ls-tree", "-r", ref).decode().splitlines():
            (_, _, blob), path = line.partition("\t")[0].split(), line.partition("\t")[2]
            commit = path.replace("/", "")
            for text in dict.fromkeys(git("cat-file", "blob", blob).split(b"\n")):
                record = _parse(text)
                if record and record.get("agent") in writers and record.get("run") == run:
                    found = records.setdefault(commit, [])
                    if record not in found:
                        found.append(record)
    return {
        "base": task["base"],
        "records": records,
        "values": _values(records, _evaluator(git, f"refs/evogit/{run}/task")),
    }


def _stands_for(git: Callable[..., bytes], ref: str, agent: str) -> list[str]:
    """Return the agents whose journals this one stands for: its first commit's note says so."""
    if not agent.startswith("kept-"):
        return []
    start = git("rev-list", "--first-parent", "--max-parents=0", ref).decode().strip()
    said = git("notes", f"--ref={ref}", "show", start).split(b"\n")
    records = [record for line in said if (record := _parse(line)) and record["kind"] == "successor"]
    return [record["of"] for record in records if record["agent"] == agent]


def read_epochs(repository: Path, run: str, environment: Mapping[str, str]) -> list[tuple[str, str]]:
    """Return the evaluator digest of each epoch and the task commit that opened it; every commit must be readable."""
    git = _git(repository, environment)
    ref = f"refs/evogit/{run}/task"
    base = json.loads(git("cat-file", "blob", f"{ref}:task.json"))["base"]
    found: list[tuple[str, str]] = []
    for commit in git("rev-list", "--first-parent", "--reverse", f"{base}..{ref}").decode().split():
        digest = _evaluator(git, commit)
        if not found or found[-1][0] != digest:
            found.append((digest, commit))
    return found


def _git(repository: Path, environment: Mapping[str, str]) -> Callable[..., bytes]:
    def git(*arguments: str) -> bytes:
        command = ["git", "-C", str(repository), *arguments]
        return subprocess.run(command, env=dict(environment), check=True, capture_output=True).stdout

    return git


def _evaluator(git: Callable[..., bytes], task: str) -> str:
    table = tomllib.loads(git("cat-file", "blob", f"{task}:evogit.toml").decode())["evaluator"]
    for key in ("timeout_s", "setup_timeout_s"):
        if key in table:
            table[key] = float(table[key])
    kept = {key: value for key, value in table.items() if value != _DEFAULTS.get(key)}
    line = json.dumps(kept, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    digest = hashlib.sha256(line.encode() + b"\n")
    for entry in sorted(
        git("ls-tree", "-r", "-z", f"{task}:protected").split(b"\0"), key=lambda e: e.partition(b"\t")[2]
    ):
        about, _, path = entry.partition(b"\t")
        if path and path != b"evogit.toml":
            mode, _, blob = about.split()
            digest.update(b"%s %s\t%s\0" % (mode, blob, path))
    return digest.hexdigest()


def _parse(line: bytes) -> dict[str, Any] | None:
    try:
        record = json.loads(line)
    except ValueError:
        return None
    known = isinstance(record, dict) and record.get("v") == 1 and record.get("kind") in _KINDS
    return record if known else None


def _values(records: dict[str, list[dict[str, Any]]], evaluator: str) -> dict[str, float]:
    ours = {commit: [r for r in found if r.get("evaluator") == evaluator] for commit, found in records.items()}
    scores = {
        commit: [r["value"] for r in found if r.get("status") == "ok" and "value" in r]
        for commit, found in ours.items()
    }
    return {commit: median(values) for commit, values in scores.items() if values}
