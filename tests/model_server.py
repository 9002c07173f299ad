"""A model on loopback: chat completions as OpenAI serves them, from a script, with faults on demand.

What it answers depends on the script and on what it was asked, never on time.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

KEY = "sk-canary/8d20c4e7+51ab"


@dataclass(frozen=True)
class Say:
    """An answer; `usage` are tokens in and out, None leaves them out."""

    text: str
    finish: str = "stop"
    usage: tuple[object, object] | None = (1000, 100)


@dataclass(frozen=True)
class Fault:
    """Something else than an answer: an HTTP status with a body, or one of hang, cut, drip, html, broken, bare."""

    kind: str = "status"
    status: int = 500
    headers: Mapping[str, str] = field(default_factory=dict)
    body: str = ""


Script = Callable[[int, list[dict[str, Any]]], Say | Fault]


class ModelServer:
    """Serves one script; `asked` are the questions, `keys` what they were authorised with.

    `most_open` is how many questions it thought about at a time, at most.
    """

    def __init__(self, script: Script, *, key: str = KEY) -> None:
        self.asked: list[dict[str, Any]] = []
        self.keys: list[str | None] = []
        self.open = self.most_open = 0
        self._script, self._key, self._lock = script, key, threading.Lock()
        self._done = threading.Event()
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                server._answer(self)

            def log_message(self, format: str, *args: object) -> None:
                pass

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._http.daemon_threads = True
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.05})

    def __enter__(self) -> ModelServer:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()

    @property
    def base(self) -> str:
        """What `api_base` has to say."""
        return f"http://127.0.0.1:{self._http.server_address[1]}/v1"

    def table(self, **settings: object) -> str:
        """Return a `[[models]]` table of this model, with prices unless other ones are given."""
        known = {"name": "openai/scripted", "api_base": self.base, "price_in": 10.0, "price_out": 100.0, **settings}
        return "\n[[models]]\n" + "".join(f"{k} = {json.dumps(v)}\n" for k, v in known.items() if v is not None)

    def _answer(self, request: BaseHTTPRequestHandler) -> None:
        body = json.loads(request.rfile.read(int(request.headers.get("Content-Length") or 0)))
        with self._lock:
            number = len(self.asked)
            self.asked.append(body)
            self.keys.append(request.headers.get("Authorization"))
        if self.keys[number] != f"Bearer {self._key}":
            said = json.dumps({"error": {"message": f"Incorrect API key provided: {self.keys[number]}"}})
            _send(request, 401, said)
            return
        made = self._think(number, body["messages"])
        if isinstance(made, Say):
            _send(request, 200, json.dumps(_completion(body["model"], made)))
        else:
            self._fail(request, made)

    def _think(self, number: int, messages: list[dict[str, Any]]) -> Say | Fault:
        with self._lock:
            self.open += 1
            self.most_open = max(self.most_open, self.open)
        try:
            return self._script(number, messages)
        finally:
            with self._lock:  # before the answer is sent, which may be followed by the next question
                self.open -= 1

    def _fail(self, request: BaseHTTPRequestHandler, fault: Fault) -> None:
        whole = json.dumps(_completion("scripted", Say("half of it")))
        if fault.kind == "status":
            _send(request, fault.status, fault.body or '{"error": {"message": "no"}}', fault.headers)
        elif fault.kind == "hang":
            self._done.wait(60)
        elif fault.kind == "cut":
            request.send_response(200)
            request.send_header("Content-Length", str(len(whole)))
            request.end_headers()
            request.wfile.write(whole[:20].encode())
        elif fault.kind == "drip":
            request.send_response(200)
            request.send_header("Content-Length", str(len(whole)))
            request.end_headers()
            for sign in whole:
                if self._done.wait(0.5):
                    break
                try:
                    request.wfile.write(sign.encode())
                    request.wfile.flush()
                except OSError:
                    break
        elif fault.kind == "html":
            _send(request, 200, "<html>Welcome to this hotel</html>", {"Content-Type": "text/html"})
        elif fault.kind == "broken":
            _send(request, 200, '{"choices": [')
        else:
            _send(request, 200, '{"id": "x", "object": "chat.completion", "created": 1, "model": "m"}')


def _completion(model: str, made: Say) -> dict[str, Any]:
    into, out = made.usage or (None, None)
    usage = {"usage": {"prompt_tokens": into, "completion_tokens": out, "total_tokens": 0}} if made.usage else {}
    message = {"role": "assistant", "content": made.text}
    choice = {"index": 0, "message": message, "finish_reason": made.finish}
    created = int(time.time())
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": created,
        "model": model,
        "choices": [choice],
    } | usage


def _send(request: BaseHTTPRequestHandler, status: int, body: str, headers: Mapping[str, str] | None = None) -> None:
    content = body.encode()
    request.send_response(status)
    for name, value in {"Content-Type": "application/json", **(headers or {})}.items():
        request.send_header(name, value)
    request.send_header("Content-Length", str(len(content)))
    request.end_headers()
    request.wfile.write(content)
