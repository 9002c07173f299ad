"""A hub over HTTP on loopback: `git http-backend` behind a small server that asks for a password, or breaks off.

    python http_hub.py FOLDER [breaks]

It says its port. Who is not ada:secret gets 401. With `breaks`, two of three answers are cut short or 503.
"""

from __future__ import annotations

import base64
import os
import subprocess
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from urllib.parse import urlsplit

_FOLDER = sys.argv[1]
_BREAKS = "breaks" in sys.argv
_ALLOWED = "Basic " + base64.b64encode(b"ada:secret").decode()
_ASKED = count()


class Hub(BaseHTTPRequestHandler):
    """One request to git."""

    def do_GET(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self._answer()

    def log_message(self, format: str, *args: object) -> None:
        pass

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.headers.get("Authorization") != _ALLOWED:
            self.send_response(401)
            self.send_header("WWW-Authenticate", 'Basic realm="hub"')
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        turn = next(_ASKED) % 3 if _BREAKS else 0
        if turn == 1:
            self.send_error(503)
            return
        head, _, content = self._git(body).partition(b"\r\n\r\n")
        lines = [line.partition(": ")[::2] for line in head.decode().splitlines()]
        status = next((int(value.split()[0]) for name, value in lines if name == "Status"), 200)
        self.send_response(status)
        for name, value in lines:
            if name != "Status":
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content[: len(content) // 2] if turn == 2 else content)

    def _git(self, body: bytes) -> bytes:
        asked = urlsplit(self.path)
        environment = {
            **os.environ, "GIT_PROJECT_ROOT": _FOLDER, "GIT_HTTP_EXPORT_ALL": "1", "PATH_INFO": asked.path,
            "QUERY_STRING": asked.query, "REQUEST_METHOD": self.command, "REMOTE_USER": "ada",
            "CONTENT_TYPE": self.headers.get("Content-Type", ""), "CONTENT_LENGTH": str(len(body)),
            "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
            "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
        }  # fmt: skip
        return subprocess.run(["git", "http-backend"], input=body, capture_output=True, env=environment).stdout


if __name__ == "__main__":
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    print(server.server_address[1], flush=True)
    server.serve_forever()
