"""Answers the scorer's questions from outside of its sandbox: has the key and the network, and nothing of a candidate.

    python relay.py --url http://127.0.0.1:8000/v1 --model NAME evogit run

It listens on `model/socket`, which evogit.toml carries to the scorer only, as long as the command runs, and asks any
server that speaks chat completions as OpenAI's does, with the key of the environment variable OPENAI_API_KEY, if it is
set.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import socketserver
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from contextlib import suppress
from pathlib import Path
from typing import Any

SOCKET = Path("model/socket")
TIMEOUT_S = 110
TRIES = 2


class Relay(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    """A model behind a socket: one line of JSON with a `prompt` in, one with a `text` or an `error` out."""

    daemon_threads = True

    def __init__(self, url: str, model: str, key: str, calls: int) -> None:
        """Listen; `calls` is how often the model is asked at most."""
        self.left, self._model = calls, model
        self._url, self._key = f"{url.rstrip('/')}/chat/completions", key
        self._lock = threading.Lock()
        SOCKET.parent.mkdir(exist_ok=True)
        SOCKET.unlink(missing_ok=True)
        super().__init__(str(SOCKET), Line)
        # Root's evaluations run as users of their own; those of others run as they do.
        SOCKET.chmod(0o666 if os.geteuid() == 0 else 0o600)

    def answer(self, prompt: str) -> dict[str, str]:
        """Return the model's answer, or why there is none."""
        with self._lock:
            self.left -= 1
            number = self.left
        if number < 0:
            return {"error": "the relay's --calls are used up"}
        why = ""
        for _ in range(TRIES):
            try:
                said = self._ask(prompt)
                text = said["choices"][0]["message"]["content"] or ""
            except (OSError, ValueError, LookupError, TypeError) as error:
                why = f"the model's server: {type(error).__name__}: {error}"
                if isinstance(error, urllib.error.HTTPError) and error.code in (400, 401, 403, 404):
                    break
                continue
            print(f"{number} calls left; tokens: {said.get('usage')}", file=sys.stderr, flush=True)
            return {"text": text}
        print(why, file=sys.stderr, flush=True)
        return {"error": why}

    def _ask(self, prompt: str) -> dict[str, Any]:
        body = {"model": self._model, "messages": [{"role": "user", "content": prompt}]}
        headers = {
            "Content-Type": "application/json",
            **({"Authorization": f"Bearer {self._key}"} if self._key else {}),
        }
        request = urllib.request.Request(self._url, json.dumps(body).encode(), headers)
        with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:
            said: dict[str, Any] = json.load(answer)
        return said


class Line(socketserver.StreamRequestHandler):
    """One question."""

    server: Relay

    def handle(self) -> None:
        """Answer it."""
        asked = json.loads(self.rfile.readline(1 << 20))
        self.wfile.write(json.dumps(self.server.answer(str(asked["prompt"]))).encode() + b"\n")


def main() -> int:
    """Serve while a command runs and return its exit code, or without one until interrupted."""
    parser = argparse.ArgumentParser(description="Answer the scorer's questions by a model while COMMAND runs.")
    parser.add_argument("--url", default=os.environ.get("OPENAI_API_BASE", ""), help="what ends in /v1")
    parser.add_argument("--model", required=True, help="its name there")
    parser.add_argument("--calls", type=int, default=500, help="the most calls there may be (500)")
    parser.add_argument("command", nargs=argparse.REMAINDER)
    asked = parser.parse_args()
    if not asked.url:
        parser.error("say --url, or set OPENAI_API_BASE")
    with Relay(asked.url, asked.model, os.environ.get("OPENAI_API_KEY", ""), asked.calls) as relay:
        if not asked.command:
            relay.serve_forever()
        threading.Thread(target=relay.serve_forever, daemon=True).start()
        process = subprocess.Popen(asked.command)
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the command, which ends in its own way
        exit_code = process.wait()
        relay.shutdown()
        print(f"{asked.calls - max(relay.left, 0)} calls for solvers", file=sys.stderr)
    return exit_code


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        sys.exit(main())
