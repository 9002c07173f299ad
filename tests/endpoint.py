"""A loopback endpoint that speaks as OpenAI's chat completions do, or in other `dialects`: it changes a file by the
means a tool offers.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import dialects

SUMMARY = "Summary: Raise A, since the score grows with it"
_SHELLS = ("bash", "Bash", "run_shell_command", "exec_command", "shell_command", "shell")
_KEYS = ("Authorization", "x-api-key", "x-goog-api-key")
_DONE = "COMPLETE_TASK_AND_SUBMIT_FINAL_OUTPUT"


class Endpoint:
    """What was asked of the server, and the change it makes: the whole new content of one file.

    Asked by `evogit agents check --try`, it changes the greeting of that.
    """

    def __init__(self, file: str, content: str) -> None:
        self.file, self.content = file, content
        self.requests: list[dict[str, Any]] = []
        self.keys: set[str] = set()
        self.url = ""

    def environment(self, key: str) -> dict[str, str]:
        """Return the variables by which tools find this server and a key for it."""
        keys = {f"{maker}_API_KEY": key for maker in ("OPENAI", "GEMINI", "ANTHROPIC")}
        compatible = dict.fromkeys(("OPENAI_BASE_URL", "OPENAI_API_BASE"), f"{self.url}/v1")
        return {**keys, **compatible, "GOOGLE_GEMINI_BASE_URL": self.url, "ANTHROPIC_BASE_URL": self.url}

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        """Return the message that a request is answered with."""
        told = json.dumps(request["messages"])
        file, content = ("greeting.txt", "Hello, world\n") if "greeting.txt" in told else (self.file, self.content)
        tools = {tool["function"]["name"]: tool["function"] for tool in request.get("tools", [])}
        shell = next((tools[name] for name in _SHELLS if name in tools), None)
        if shell is None:
            return {"content": f"{SUMMARY}\n\n{file}\n```\n{content}```\n"}
        done = sum(message["role"] == "tool" for message in request["messages"])
        write = f"cat > {file} <<'EOF'\n{content}EOF"
        if done == 0:
            return self._call(shell, write)
        if done == 1 and _DONE in told:
            return self._call(shell, f"echo {_DONE}; echo '{SUMMARY}'")
        return {"content": f"I have changed {file}.\n{SUMMARY}"}

    def _call(self, tool: dict[str, Any], command: str) -> dict[str, Any]:
        known = {"command": command, "description": "change the file", "is_background": False, "timeout": 60000}
        known |= {"cmd": command}
        wanted = tool["parameters"]["properties"]
        if wanted.get("command", {}).get("type") == "array":
            known["command"] = ["bash", "-c", command]
        arguments = json.dumps({name: value for name, value in known.items() if name in wanted})
        number = len(self.requests)
        called = {
            "id": f"call_{number}",
            "type": "function",
            "function": {"name": tool["name"], "arguments": arguments},
        }
        return {"content": SUMMARY, "tool_calls": [called]}


@contextmanager
def endpoint(file: str, content: str) -> Iterator[Endpoint]:
    """Serve on a port of its own at 127.0.0.1."""
    made = Endpoint(file, content)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, format: str, *args: object) -> None:
            pass

        def do_GET(self) -> None:
            self._send("application/json", b'{"object": "list", "data": [{"id": "m", "object": "model"}]}')

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            request = dialects.asked(self.path.partition("?")[0], body)
            made.requests.append(request)
            made.keys.add(next(filter(None, map(self.headers.get, _KEYS)), "").removeprefix("Bearer "))
            message = {"role": "assistant", **made.answer(request)}
            if in_dialect := dialects.said(self.path.partition("?")[0], body, message):
                self._send(*in_dialect)
                return
            usage = {"prompt_tokens": 100, "completion_tokens": 20, "total_tokens": 120}
            ended = "tool_calls" if "tool_calls" in message else "stop"
            whole = {"id": "x", "created": 1, "model": request["model"], "usage": usage}
            if not request.get("stream"):
                choice = {"index": 0, "message": message, "finish_reason": ended}
                body = {**whole, "object": "chat.completion", "choices": [choice]}
                self._send("application/json", json.dumps(body).encode())
                return
            calls = [{"index": number, **call} for number, call in enumerate(message.get("tool_calls", []))]
            delta = {**message, **({"tool_calls": calls} if calls else {})}
            parts = [
                [{"index": 0, "delta": delta, "finish_reason": None}],
                [{"index": 0, "delta": {}, "finish_reason": ended}],
            ]
            events = [{**whole, "object": "chat.completion.chunk", "choices": choices} for choices in parts]
            said = "".join(f"data: {json.dumps(event)}\n\n" for event in events) + "data: [DONE]\n\n"
            self._send("text/event-stream", said.encode())

        def _send(self, kind: str, body: bytes) -> None:
            self.send_response(200)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    made.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield made
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
