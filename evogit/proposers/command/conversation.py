"""The Agent Client Protocol, version 1, from the client's side: one question to a tool, on its standard streams.

Neither files nor a terminal are offered: in its sandbox the tool works by itself. It is a stranger, and may say
anything, nothing, or without end. See agentclientprotocol.com.
"""

from __future__ import annotations

import json
import os
import select
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from evogit.proposers.command.usage import Usage
from evogit.sandbox import Companion, Job, Launcher

_VERSION = 1
_POLL_S = 0.1
_CHUNK = 256 * 1024
_LONGEST_LINE = 8 * 1024 * 1024
_MOST_UNREAD = 1024 * 1024
_LONGEST_ID = 256
_KEPT_WORDS, _KEPT_PARTS = 64 * 1024, 64
_NO_METHOD = -32601
_ENDS = ("end_turn", "max_tokens", "max_turn_requests")
"""Reasons to stop after which what it did is looked at."""


@dataclass(frozen=True, slots=True)
class Told:
    """How a tool ended: why nothing is taken of what it did (empty: all is well), what it said, and wall seconds."""

    why: str
    said: Usage
    seconds: float


class _Ended(Exception):
    """It cannot go on; the text says why."""


def converse(launcher: Launcher, job: Job, name: str, text: str, meanwhile: Callable[[], float] | None = None) -> Told:
    """Start a tool called `name`, give it a task, and end it when it says that it is done.

    `meanwhile` is as for `Launcher.launch`.

    Raises:
        Cancelled: the caller wants to stop; the tool was ended.
        OSError: it cannot be started.
    """
    begun, why = time.monotonic(), ""
    companion = launcher.open(replace(job, talks=True, input=None))
    talk = _Talk(launcher, companion, name, begun + job.timeout_s, job.timeout_s, meanwhile)
    try:
        _ask(talk, str(job.cwd), text)
    except _Ended as ended:
        why = str(ended)
    finally:
        companion.close()
    return Told(why, talk.said, time.monotonic() - begun)


def _ask(talk: _Talk, folder: str, text: str) -> None:
    nothing = {"fs": {"readTextFile": False, "writeTextFile": False}, "terminal": False}
    talk.call("initialize", {"protocolVersion": _VERSION, "clientCapabilities": nothing})
    session = talk.call("session/new", {"cwd": folder, "mcpServers": []}).get("sessionId")
    if not isinstance(session, str):
        raise _Ended(f"failed: {talk.name} opened no session")
    done = talk.call("session/prompt", {"sessionId": session, "prompt": [{"type": "text", "text": text}]})
    talk.count(done.get("usage"))
    counted = _table(_table(_table(done, "_meta"), "quota"), "token_count")  # gemini
    talk.said.add(counted.get("input_tokens"), counted.get("output_tokens"))
    if (reason := done.get("stopReason")) not in _ENDS:
        raise _Ended(f"failed: {talk.name} stopped for the reason {str(reason)[:80]!r}")


class _Talk:
    def __init__(
        self, launcher: Launcher, companion: Companion, name: str, deadline: float, limit_s: float,
        meanwhile: Callable[[], float] | None,
    ) -> None:  # fmt: skip
        self.name, self.said = name, Usage()
        self._launcher, self._companion, self._meanwhile = launcher, companion, meanwhile
        self._deadline, self._limit_s = deadline, limit_s
        self._lines: deque[bytes] = deque()
        self._rest, self._unsent = bytearray(), bytearray()
        self._number = 0
        self._is_new_part = True
        for pipe in (companion.input, companion.output):
            os.set_blocking(pipe, False)

    def call(self, method: str, params: Mapping[str, object]) -> Mapping[str, Any]:
        """Return the result of a call; what the tool asks or tells meanwhile is answered and kept."""
        self._number += 1
        self._send({"id": self._number, "method": method, "params": params})
        while True:
            message = self._message()
            if isinstance(message.get("method"), str):
                self._hear(message["method"], _table(message, "params"), message.get("id"))
            elif message.get("id") == self._number and type(message["id"]) is int:
                if "error" in message:
                    error = _table(message, "error")
                    raise _Ended(
                        f"failed: {self.name} refused {method}: {error.get('message')} {error.get('data', '')}"
                    )
                return _table(message, "result")

    def count(self, usage: object) -> None:
        """Add tokens as the protocol names them."""
        if isinstance(usage, dict):
            self.said.add(usage.get("inputTokens"), usage.get("outputTokens"))

    def _hear(self, method: str, params: Mapping[str, Any], number: object) -> None:
        if number is None:
            if method == "session/update":
                self._learn(_table(params, "update"))
            return
        if not isinstance(number, int | str) or len(str(number)) > _LONGEST_ID:
            raise _Ended(f"refused: {self.name} asks under no number")
        if method == "session/request_permission":
            self._send({"id": number, "result": {"outcome": _permitted(params.get("options"))}})
        else:
            self._send({"id": number, "error": {"code": _NO_METHOD, "message": f"{method[:80]} is not offered"}})

    def _learn(self, update: Mapping[str, Any]) -> None:
        kind = update.get("sessionUpdate")
        if kind == "agent_message_chunk":
            words = _table(update, "content").get("text")
            if isinstance(words, str) and words:
                self._keep(words)
            self.count(_table(update, "_meta").get("usage"))  # qwen: of each of its calls
        elif kind == "usage_update":
            cost = _table(update, "cost")
            if cost.get("currency") == "USD":
                self.said.usd = None  # it is the sum so far
                self.said.add(None, None, cost.get("amount"))
        elif kind != "agent_thought_chunk":
            self._is_new_part = True

    def _keep(self, words: str) -> None:
        parts = self.said.words
        if self._is_new_part or not parts:
            parts.append("")
            del parts[:-_KEPT_PARTS]
        self._is_new_part = False
        parts[-1] = (parts[-1] + words)[-_KEPT_WORDS:]

    def _send(self, message: Mapping[str, object]) -> None:
        self._unsent += json.dumps({"jsonrpc": "2.0", **message}).encode() + b"\n"
        if len(self._unsent) > _MOST_UNREAD:
            raise _Ended(f"refused: {self.name} asks and does not listen")

    def _message(self) -> Mapping[str, Any]:
        """Return the next line that is an object; others are what programs print."""
        while True:
            while not self._lines:
                self._wait()
            with suppress(ValueError, RecursionError):
                said = json.loads(self._lines.popleft())
                if isinstance(said, dict):
                    return said

    def _wait(self) -> None:
        """Wait for more, a little at a time, and look after everything else meanwhile."""
        companion = self._companion
        poll = select.poll()
        poll.register(companion.output, select.POLLIN)
        if companion.is_heard:
            poll.register(companion.errors, select.POLLIN)
        if self._unsent:
            poll.register(companion.input, select.POLLOUT)
        left = self._deadline - time.monotonic()
        events = dict(poll.poll(1000 * max(0.0, min(left, _POLL_S))))
        if companion.input in events:
            with suppress(BlockingIOError, BrokenPipeError):
                del self._unsent[: os.write(companion.input, self._unsent)]
        if reason := companion.mind():
            raise _Ended(f"stopped: {reason}")
        if companion.output in events:
            self._read()
        if left <= 0:
            raise _Ended(f"timeout: {self.name} was not done after {self._limit_s:g} s")
        self._launcher.stop_if_cancelled()
        if self._meanwhile:
            self._deadline += self._launcher.aside(companion, self._meanwhile)

    def _read(self) -> None:
        with suppress(BlockingIOError):
            chunk = os.read(self._companion.output, _CHUNK)
            if not chunk:
                self._companion.look()
                last = self._companion.said.decode("utf-8", "replace").strip().rpartition("\n")[2]
                raise _Ended(f"failed: {self.name} ended before it was done: {last}")
            self._rest += chunk
            if b"\n" in chunk:
                *lines, rest = bytes(self._rest).split(b"\n")
                self._lines.extend(lines)
                self._rest = bytearray(rest)
            if len(self._rest) > _LONGEST_LINE:
                raise _Ended(f"refused: {self.name} said more than {_LONGEST_LINE} bytes in one line")


def _permitted(options: object) -> Mapping[str, object]:
    """Return the choice that lets a tool do what it asks for, preferably once: what it may, its sandbox says."""
    known: Sequence[object] = options if isinstance(options, list) else []
    for kind in ("allow_once", "allow_always"):
        for option in known:
            if isinstance(option, dict) and option.get("kind") == kind and isinstance(option.get("optionId"), str):
                return {"outcome": "selected", "optionId": option["optionId"]}
    return {"outcome": "cancelled"}


def _table(message: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    inner = message.get(name)
    return inner if isinstance(inner, dict) else {}
