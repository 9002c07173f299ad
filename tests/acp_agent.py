"""A tool that speaks the Agent Client Protocol, for tests: it raises A in `knobs.py`, or does as its argument says."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from typing import Any

sys.stdin.reconfigure(encoding="utf-8")  # type: ignore[union-attr]


def send(message: dict[str, Any]) -> None:
    print(json.dumps({"jsonrpc": "2.0", **message}), flush=True)


def receive() -> dict[str, Any]:
    line = sys.stdin.readline()
    return dict(json.loads(line)) if line else sys.exit(0)


def ask(method: str, params: dict[str, Any]) -> dict[str, Any]:
    send({"id": f"mine-{method}", "method": method, "params": params})
    answer = receive()
    assert answer["id"] == f"mine-{method}"
    return answer


def update(kind: str, **more: Any) -> None:
    send({"method": "session/update", "params": {"sessionId": "s", "update": {"sessionUpdate": kind, **more}}})


def say(text: str) -> None:
    update("agent_message_chunk", content={"type": "text", "text": text})


def work(how: str, number: int, prompt: str) -> dict[str, Any]:
    print("a word on the wrong stream\n{not json\n[1, 2]\n17")
    if how == "ends early":
        print("no more money", file=sys.stderr)
        sys.exit(3)
    if how == "one line":
        while True:
            sys.stdout.write("x" * 65536)
    if how == "lines":
        while True:
            sys.stdout.write("{}\n" * 20000)
    if how == "asks and does not listen":
        for i in range(10**9):
            send({"id": i, "method": "session/request_permission", "params": {}})
    if how == "silent":
        time.sleep(90)
    if how == "error":
        send({"id": number, "error": {"code": -32603, "message": "Internal error", "data": "no quota"}})
        time.sleep(90)
    say("I will look first.\nSummary: not the last word")
    update("agent_thought_chunk", content={"type": "text", "text": "Summary: a thought"})
    options = [{"optionId": "no", "kind": "reject_once"}, {"optionId": "always", "kind": "allow_always"},
               {"optionId": "once", "kind": "allow_once"}]  # fmt: skip
    allowed = ask("session/request_permission", {"sessionId": "s", "options": options, "toolCall": {"toolCallId": "c"}})
    assert allowed["result"]["outcome"] == {"outcome": "selected", "optionId": "once"}, allowed
    refused = ask("fs/read_text_file", {"sessionId": "s", "path": "/etc/passwd"})
    assert refused["error"]["code"] == -32601, refused
    update("tool_call", toolCallId="c", title="edit", status="pending")
    with open("knobs.py") as file:
        text = file.read()
    with open("knobs.py", "w") as file:
        file.write(text.replace("A = 1.0", "A = 3.0") + f"# {prompt.strip()}\n")
    if how == "tries":
        said = json.loads(subprocess.run(["evogit", "try"], capture_output=True, check=True).stdout)
        with open("knobs.py", "a") as file:
            file.write(f"# {said['score']}\n")
    update("usage_update", used=10, size=100, cost={"amount": 0.25, "currency": "USD"})
    update("usage_update", used=20, size=100, cost={"amount": 0.5, "currency": "USD"})
    say("Done.\nSummary: Rai")
    say("se A")
    if how == "counts in its own way":
        return {"stopReason": "end_turn", "_meta": {"quota": {"token_count": {"input_tokens": 7, "output_tokens": 2}}}}
    reason = "refusal" if how == "refuses" else "end_turn"
    return {"stopReason": reason, "usage": {"inputTokens": 30, "outputTokens": 4, "totalTokens": 34}}


def main() -> None:
    how = sys.argv[1] if len(sys.argv) > 1 else ""
    while True:
        request = receive()
        method, params = request["method"], request["params"]
        if method == "initialize":
            assert params["protocolVersion"] == 1
            assert params["clientCapabilities"] == {
                "fs": {"readTextFile": False, "writeTextFile": False},
                "terminal": False,
            }
            result: dict[str, Any] = {"protocolVersion": 1, "agentCapabilities": {}, "authMethods": []}
        elif method == "session/new":
            assert params == {"cwd": os.getcwd(), "mcpServers": []}
            result = {} if how == "no session" else {"sessionId": "s"}
        else:
            assert (method, params["sessionId"]) == ("session/prompt", "s")
            result = work(how, request["id"], params["prompt"][0]["text"])
        send({"id": request["id"], "result": result})


main()
