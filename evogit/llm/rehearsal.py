"""Learns what a first question makes litellm import, so that it can be imported before anybody asks.

A child asks a server of its own on loopback, and says which modules it has then: what else litellm keeps after a
question, which are threads, connections and an event loop, ends with the child. No key and no network is used.
"""

from __future__ import annotations

import importlib
import json
import os
import signal
import sys
import threading
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

_ASKED = ("openai/rehearsal", "anthropic/rehearsal")
"""One by OpenAI's own client, one by the client that litellm uses for nearly all others."""
_LONGEST_S = 60
_ANSWER = {
    "id": "rehearsal", "object": "chat.completion", "created": 1, "model": "rehearsal", "type": "message",
    "role": "assistant", "stop_reason": "end_turn", "content": [{"type": "text", "text": "yes"}],
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "yes"}, "finish_reason": "stop"}],
    "usage": {
        "prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2, "input_tokens": 1, "output_tokens": 1,
    },
}  # fmt: skip
"""An answer that both take for one of theirs."""


def rehearse(litellm: Any) -> None:  # noqa: ANN401 - a module without types
    """Import what a question imports; what cannot be learned, or imported, is left to those who ask."""
    for name in _learned(litellm):
        # What is installed may do anything when it is imported; who asks will meet it again.
        with suppress(Exception):
            importlib.import_module(name)


def _learned(litellm: Any) -> list[str]:  # noqa: ANN401
    """Return the modules that a child has after a question and this process has not, in the order of their import."""
    heard, said = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.close(heard)
            with open(said, "w") as pipe:
                pipe.write("\n".join(_after_questions(litellm)))
        finally:
            os._exit(0)
    os.close(said)
    with open(heard) as pipe:
        found = pipe.read().split()
    with suppress(ChildProcessError):
        os.waitpid(child, 0)
    return found


def _after_questions(litellm: Any) -> list[str]:  # noqa: ANN401
    signal.alarm(_LONGEST_S)
    before = set(sys.modules)
    for name in [name for name in os.environ if name.lower().endswith("_proxy")]:
        del os.environ[name]  # a proxy would be asked for this machine, too
    server = HTTPServer(("127.0.0.1", 0), _Answering)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    for model in _ASKED:
        with suppress(Exception):
            litellm.completion(
                model=model, messages=[{"role": "user", "content": "?"}], max_tokens=1, temperature=0.5, timeout=10,
                num_retries=0, max_retries=0, api_key="none", api_base=f"http://127.0.0.1:{server.server_port}/v1",
            )  # fmt: skip
    return [name for name in sys.modules if name not in before]


class _Answering(BaseHTTPRequestHandler):
    """Gives every question the same answer."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        content = json.dumps(_ANSWER).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""
