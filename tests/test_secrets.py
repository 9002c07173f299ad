"""Keys of the person who runs evogit are found in nothing that it stores, says, starts or shows a candidate."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import quote

import psutil
import pytest
from cage import KINDS, why_not
from conftest import CONFIG, Checkout

_KEYS = {
    "OPENAI_API_KEY": "sk-canary/4f9e2c71+d0b8a6",
    "ANTHROPIC_API_KEY": "canary-anthropic-77d1",
    "GITHUB_TOKEN": "ghp_canary0123456789",
    "AWS_SECRET_ACCESS_KEY": "canary+aws/secret=93",
    "MY_TOKEN": "canary-token-5b1f",
    "SSH_AUTH_SOCK": "/nowhere/canary-agent.sock",
    "https_proxy": "http://canary-user:canary-word@127.0.0.1:9",
}
_TELL_ALL = """import json, os, knobs
said = [f"{name}={value}" for name, value in os.environ.items()]
for pid in [name for name in os.listdir("/proc") if name.isdecimal()] if LOOK_AROUND else []:
    for file in ("environ", "cmdline"):
        try:
            said += open(f"/proc/{pid}/{file}", errors="replace").read().split(chr(0))
        except OSError:
            pass
said = [line for line in said if "canary" in line or "EVOGIT_RESULT" in line]
print(said)
with open(os.environ["EVOGIT_RESULT"], "w") as file:
    json.dump({"score": knobs.value(), "feedback": chr(10).join(said)[:3000]}, file)
"""


def _forms(secret: str) -> set[bytes]:
    """Return a secret as it may look in JSON, an address, an encoded text, or backwards."""
    raw = secret.encode()
    return {
        raw,
        base64.b64encode(raw).rstrip(b"="),
        quote(secret, safe="").encode(),
        raw[::-1],
        json.dumps(secret)[1:-1].encode(),
    }


def _found(where: str, content: bytes) -> Iterator[str]:
    yield from (
        f"{name} in {where}" for name, secret in _KEYS.items() if any(form in content for form in _forms(secret))
    )


class _Watch:
    """Reads the command lines of all processes of this test, again and again."""

    def __init__(self) -> None:
        self.found: set[str] = set()
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._look)

    def __enter__(self) -> _Watch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._done.wait(0.02):
            for process in psutil.Process().children(recursive=True):
                try:
                    line = "\0".join(process.cmdline()).encode("utf-8", "surrogateescape")
                except psutil.Error:
                    continue
                self.found.update(_found("a command line", line))


def _stored(checkout: Checkout) -> Iterator[str]:
    """Look through every object, unpacked, and every other file below `.git` and in the work tree."""
    objects = subprocess.run(
        ["git", "cat-file", "--batch-all-objects", "--batch", "--buffer"],
        cwd=checkout.path, env=checkout.environment, capture_output=True, check=True,
    ).stdout  # fmt: skip
    yield from _found("an object", objects)
    for folder, _, names in os.walk(checkout.path):
        for name in names:
            path = Path(folder) / name
            if path.is_file() and "/objects/" not in str(path):
                yield from _found(str(path), path.read_bytes())


@pytest.mark.parametrize("sandbox", [pytest.param("none", marks=pytest.mark.heavy), *KINDS])
def test_keys_are_found_nowhere(toy: Checkout, world: Mapping[str, str], sandbox: str) -> None:
    """The score command itself tells all it can see; what it tells is stored as feedback, and holds no key.

    Without a sandbox it looks at its own environment only: the kernel shows a process those of others of its user.
    """
    if sandbox != "none" and (reason := why_not(sandbox)):
        pytest.skip(reason)
    (toy.path / "bench.py").write_text(_TELL_ALL.replace("LOOK_AROUND", str(sandbox != "none")))
    (toy.path / "evogit.toml").write_text(CONFIG)
    toy.commit("An evaluator that tells all")
    trusting = {"EVOGIT_SANDBOX": sandbox, "EVOGIT_I_TRUST_THIS_CODE": "1" if sandbox == "none" else ""}
    with_keys = Checkout(toy.path, {**world, **_KEYS, **trusting})
    with _Watch() as watch:
        said = [
            with_keys.evogit("run", "-n", "2", "--evals", "8", "--run", "r", "--seed", "1").stderr,
            *(
                with_keys.evogit(*words).stdout
                for words in (["status", "--json"], ["log", "--json"], ["show", "--json"])
            ),
            with_keys.evogit("evaluate", "HEAD", "--json").stdout,
        ]
        with_keys.evogit("run", "-n", "1", "--evals", "1", "--agent", "nobody", expect=2)
    assert "EVOGIT_RESULT=" in said[-1], "the evaluator told nothing: this test sees nothing"
    assert watch.found == set()
    assert list(_found("what was said", "\n".join(said).encode())) == []
    assert sorted(set(_stored(toy))) == []
