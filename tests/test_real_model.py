"""Agents that ask a real model: a small one on this machine, whose answers nobody can foresee.

What is checked holds whatever it says. `make test-real-model` makes the server and fetches the weights.
"""

from __future__ import annotations

import ast
import json
import os
import re
import socket
import subprocess
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from cage import why_not
from conftest import Checkout
from proofs import EXAMPLES
from proposals import document

pytestmark = pytest.mark.real_model
# Read before the environment is closed for each test.
_VENV = Path(os.environ.get("EVOGIT_MODEL_VENV", ""))
# Before the server is there, too: a process that tries a sandbox ends its other children, which the server would be.
_CONFINED = {} if why_not() else {"EVOGIT_SANDBOX": "bwrap", "EVOGIT_I_TRUST_THIS_CODE": ""}
_AGENTS = ("explorer", "refiner")
_MIDDLE = '''"""The middle of some numbers."""


def middle(numbers):
    """Return the median: of an even count the mean of the two in the middle."""
    return numbers[len(numbers) // 2]
'''
_BENCH = """import json, os
from middle import middle

CASES = [[1], [3, 1, 2], [1, 2], [5, 1, 4, 2], [9, 8, 7, 6, 5], [2, 2, 2], [1, 2, 3], [10, 0], [4, 6, 5, 7], [0, -5, 5]]


def is_right(numbers):
    known = sorted(numbers)
    half = len(known) // 2
    return middle(list(numbers)) == (known[half] + known[-half - 1]) / 2


with open(os.environ["EVOGIT_RESULT"], "w") as file:
    json.dump({"score": sum(map(is_right, CASES)) / len(CASES)}, file)
"""
_CONFIG = """goal = "middle(numbers) returns the median of any list of numbers"
direction = "maximize"
editable = ["middle.py"]

[evaluator]
command = "python bench.py"
timeout_s = 60

[[models]]
name = "openai/smol"
api_base = "{base}"
context_tokens = 4096
max_tokens = 400
timeout_s = 600
"""


class _Server:
    """The model on a port of this machine; its log says what it answered."""

    def __init__(self, folder: Path) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self._log = folder / "server.log"
        weights = next((_VENV / "weights").rglob("*.gguf"))
        argv = [
            str(_VENV / "bin" / "python"), "-m", "llama_cpp.server", "--model", str(weights), "--host", "127.0.0.1",
            "--port", str(self.port), "--n_ctx", "4096", "--n_threads", "1", "--model_alias", "smol",
        ]  # fmt: skip
        with self._log.open("w") as log:
            environment = {"PATH": os.defpath, "HOME": str(folder)}
            self._process = subprocess.Popen(argv, env=environment, cwd=folder, stdout=log, stderr=log)

    def __enter__(self) -> _Server:
        for _ in range(1200):
            assert self._process.poll() is None, self._log.read_text()
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{self.port}/v1/models", timeout=5).close()
            except OSError:
                time.sleep(0.25)
            else:
                return self
        raise AssertionError(f"the server did not begin: {self._log.read_text()}")

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait()

    @property
    def answered(self) -> int:
        """How many questions it has answered."""
        return len(re.findall(r'POST /v1/chat/completions HTTP/1\.1" 200', self._log.read_text()))


@pytest.fixture
def server(tmp_path: Path) -> Iterator[_Server]:
    """A server that runs."""
    if not _VENV.name:
        pytest.fail("there is no server of a model: run `make test-real-model`")
    with _Server(tmp_path) as running:
        yield running


def _records(here: Checkout) -> list[dict[str, Any]]:
    """Return all records of all journals, with the commits they stand on."""
    found = []
    for ref in here.git("for-each-ref", "--format=%(refname)", "refs/notes/evogit").splitlines():
        for listed in here.git("notes", f"--ref={ref}", "list").splitlines():
            blob, on = listed.split()
            lines = here.git("cat-file", "blob", blob).splitlines()
            found += [{**json.loads(line), "on": on} for line in lines if line]
    return sorted(found, key=lambda one: (one["agent"], one["seq"]))


def _small(name: str) -> str:
    """Return the definition of an agent that ships, for small models, and for models only."""
    text = (EXAMPLES.parent / "agents" / f"{name}.toml").read_text()
    return re.sub(r"(?m)^fallback = .*\n", "", re.sub(r'(?m)^format = "\w+"', 'format = "function"', text))


def test_a_small_model_asked_by_two_agents(server: _Server, new_checkout: Callable[..., Checkout]) -> None:
    small = {f".evogit/agents/{name}.toml": _small(name) for name in _AGENTS}
    config = _CONFIG.format(base=f"http://127.0.0.1:{server.port}/v1")
    here = new_checkout("toy", {"middle.py": _MIDDLE, "bench.py": _BENCH, "evogit.toml": config, **small})
    here = Checkout(here.path, {**here.environment, **_CONFINED, "OPENAI_API_KEY": "none-is-needed"})
    agents = [word for name in _AGENTS for word in ("--agent", name)]
    words = here.command("run", *agents, "--run", "r", "--evals", "12", "--minutes", "6")
    done = subprocess.run(words, cwd=here.path, env=here.environment, capture_output=True, text=True, timeout=3000)
    print(done.stdout + done.stderr)
    assert "Traceback" not in done.stdout + done.stderr
    # 1: all agents ended, since five proposals of each in a row came to nothing.
    assert done.returncode in (0, 1)
    records = _records(here)
    proposals = [one for one in records if one["kind"] == "proposal" and one.get("calls")]
    scores = {one["on"]: one for one in records if one["kind"] == "score"}
    _print_table(proposals, scores)
    calls = [call for one in proposals for call in one["calls"]]
    answers = [call for call in calls if call.get("tokens_out")]
    assert answers
    assert all(call["tokens_in"] > 0 for call in answers)
    # An agent that is stopped loses the answer it waits for.
    assert server.answered - len(_AGENTS) <= len(answers) <= server.answered
    assert document(here, "status")["spent"]["calls"] == len(calls)
    assert all(one["why"] for one in proposals if one["outcome"] == "useless")
    for one in proposals:
        if one["outcome"] == "candidate":
            assert here.git("diff", "--name-only", f"{one['on']}^", one["on"]) == "middle.py"
            ast.parse(here.git("show", f"{one['on']}:middle.py"))
    status = document(here, "status")
    assert status["problems"] == {}
    assert status["best_value"] >= status["base_value"]
    assert here.git("fsck", "--strict", "--no-dangling") == ""


def _print_table(proposals: Sequence[dict[str, Any]], scores: dict[str, dict[str, Any]]) -> None:
    print(f"{'agent':24} {'proposal':10} {'calls':24} {'tokens in':>9} {'out':>5}  what came of it")
    for one in proposals:
        calls = ", ".join(f"{count} {name}" for name, count in Counter(c["outcome"] for c in one["calls"]).items())
        tokens = [sum(call.get(key) or 0 for call in one["calls"]) for key in ("tokens_in", "tokens_out")]
        score = scores.get(one["on"]) if one["outcome"] == "candidate" else None
        came = str(score.get("value", score["status"])) if score else one.get("why") or "not scored"
        print(f"{one['agent']:24} {one['outcome']:10} {calls:24} {tokens[0]:9} {tokens[1]:5}  {came[:110]}")
    outcomes = Counter(call["outcome"] for one in proposals for call in one["calls"])
    said = ", ".join(f"{count} {name}" for name, count in sorted(outcomes.items()))
    print(f"{outcomes.total()} calls: {said}")
