"""Repositories whose agents ask a model on loopback, and what their journals say of it."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from conftest import CONFIG, Checkout
from model_server import KEY, ModelServer

EDIT = """Subject: Raise A to {new}
A is too small: the best is above it. Closes #1, thanks @ada.

Signed-off-by: Eve <eve@example.invalid>

### `knobs.py`
<<<<<<< SEARCH
A = {old}
=======
A = {new}
>>>>>>> REPLACE
"""
"""What a model answers that wants A to be another number, with lines in it that forges would take for theirs."""
SMITH = """summary = "Asks for edits"
proposer = "model"
prompt = "refiner"
repairs = 1
selection = "greedy"
"""
"""The definition of an agent that asks for such."""
_NUMBER = re.compile(r"(?m)^A = (-?[\d.]+)$")


class Patient(Checkout):
    """Importing litellm takes seconds of CPU in each process, and minutes on a machine that has much else to do."""

    def evogit(self, *arguments: str, expect: int = 0, timeout: float = 900) -> subprocess.CompletedProcess[str]:
        return super().evogit(*arguments, expect=expect, timeout=timeout)


def asking(
    toy: Checkout,
    server: ModelServer,
    keys: Mapping[str, str] | None = None,
    *,
    table: Mapping[str, object] | None = None,
    **definitions: str,
) -> Patient:
    """Commit a model's table and definitions of agents, by name; return the repository, a key in its environment."""
    (toy.path / "evogit.toml").write_text(CONFIG + server.table(**(table or {})))
    folder = toy.path / ".evogit" / "agents"
    folder.mkdir(parents=True)
    for name, text in definitions.items():
        (folder / f"{name}.toml").write_text(text)
    toy.commit("Models")
    return Patient(toy.path, {**toy.environment, **({"OPENAI_API_KEY": KEY} if keys is None else keys)})


def shown(messages: list[dict[str, Any]]) -> str:
    """Return the number A has in the file that a question shows."""
    found = _NUMBER.search(messages[1]["content"])
    assert found, messages
    return found[1]


def proposals(here: Checkout) -> list[dict[str, Any]]:
    """Return the proposals of all journals that asked a model, in the order they were made."""
    found = []
    for line in here.git("for-each-ref", "--format=%(refname)", "refs/notes/evogit").splitlines():
        for listed in here.git("notes", f"--ref={line}", "list").splitlines():
            for text in here.git("cat-file", "blob", listed.split()[0]).splitlines():
                if text.startswith("{") and (record := json.loads(text)).get("calls"):
                    found.append({**record, "on": listed.split()[1]})
    return sorted(found, key=lambda record: (record["agent"], record["seq"]))


def assert_nowhere(here: Checkout, secret: str, said: str) -> None:
    """Check that a secret is in no object of the repository, in no file of its folder, and was not said."""
    objects = here.git("cat-file", "--batch-all-objects", "--batch", "--buffer")
    assert secret not in objects + said
    for folder, _, names in os.walk(here.path):
        for path in (Path(folder) / name for name in names):
            assert not path.is_file() or secret.encode() not in path.read_bytes(), path
