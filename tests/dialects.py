"""What the test endpoint is asked in other makers' words, as it is asked in OpenAI's, and its answers in theirs."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

Body = dict[str, Any]
_IN, _OUT = 100, 20


def asked(path: str, body: Body) -> Body:
    """Return a question as chat completions put it: messages, and tools."""
    if path.endswith("/responses"):
        return _from_responses(body)
    if "/messages" in path:
        return _from_messages(body)
    if "GenerateContent" in path or "generateContent" in path:
        return _from_contents(body)
    return body


def said(path: str, body: Body, message: Body) -> tuple[str, bytes] | None:
    """Return the kind and the bytes of an answer; None where it is one of chat completions."""
    if path.endswith("/responses"):
        return "text/event-stream", _events(_responses(message))
    if "/messages" in path:
        if not body.get("stream"):
            return "application/json", json.dumps(_whole_message(message)).encode()
        return "text/event-stream", _events(_messages(message))
    if "GenerateContent" in path:
        return "text/event-stream", f"data: {json.dumps(_contents(message))}\r\n\r\n".encode()
    if "generateContent" in path:
        return "application/json", json.dumps(_contents(message)).encode()
    return None


def _events(events: Iterator[Body]) -> bytes:
    return "".join(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n" for event in events).encode()


def _message(role: str, content: object) -> Body:
    return {"role": role, "content": json.dumps(content)}


def _tool(name: str, parameters: Mapping[str, Any] | None) -> Body:
    return {"type": "function", "function": {"name": name, "parameters": parameters or {"properties": {}}}}


def _call(message: Body) -> tuple[str, str, Body] | None:
    """Return the number, the name and the arguments of the call in an answer."""
    for call in message.get("tool_calls", []):
        return call["id"], call["function"]["name"], json.loads(call["function"]["arguments"])
    return None


def _from_responses(body: Body) -> Body:
    items = body["input"]
    roles = ["tool" if item["type"].endswith("_call_output") else item.get("role", "assistant") for item in items]
    tools = [
        _tool(tool["name"], tool.get("parameters")) for tool in body.get("tools", []) if tool["type"] == "function"
    ]
    return {"model": body["model"], "messages": list(map(_message, roles, items)), "tools": tools}


def _responses(message: Body) -> Iterator[Body]:
    response: Body = {"id": "resp_1", "object": "response", "status": "in_progress", "output": []}
    yield {"type": "response.created", "response": response}
    words = {"type": "output_text", "text": message["content"], "annotations": []}
    items: list[Body] = [{"type": "message", "id": "msg_1", "role": "assistant", "content": [words]}]
    if call := _call(message):
        number, name, arguments = call
        items.append({"type": "function_call", "id": "fc_1", "call_id": number, "name": name,
                      "arguments": json.dumps(arguments)})  # fmt: skip
    for place, item in enumerate(items):
        yield {"type": "response.output_item.done", "output_index": place, "item": item}
    usage = {
        "input_tokens": _IN, "input_tokens_details": None, "output_tokens": _OUT, "output_tokens_details": None,
        "total_tokens": _IN + _OUT,
    }  # fmt: skip
    yield {"type": "response.completed",
           "response": {**response, "status": "completed", "output": items, "usage": usage}}  # fmt: skip


def _from_messages(body: Body) -> Body:
    found = []
    for message in body["messages"]:
        parts = message["content"] if isinstance(message["content"], list) else []
        is_result = any(part["type"] == "tool_result" for part in parts)
        found.append(_message("tool" if is_result else message["role"], message["content"]))
    tools = [_tool(tool["name"], tool.get("input_schema")) for tool in body.get("tools", [])]
    return {"model": body["model"], "messages": found, "tools": tools}


def _whole_message(message: Body) -> Body:
    content: list[Body] = [{"type": "text", "text": message["content"]}]
    if call := _call(message):
        content.append({"type": "tool_use", "id": call[0], "name": call[1], "input": call[2]})
    return {
        "id": "msg_1", "type": "message", "role": "assistant", "model": "m", "content": content,
        "stop_reason": "tool_use" if call else "end_turn", "stop_sequence": None,
        "usage": {"input_tokens": _IN, "output_tokens": _OUT},
    }  # fmt: skip


def _messages(message: Body) -> Iterator[Body]:
    whole = _whole_message(message)
    yield {"type": "message_start", "message": {**whole, "content": [], "stop_reason": None}}
    for index, part in enumerate(whole["content"]):
        if part["type"] == "text":
            begun, delta = {**part, "text": ""}, {"type": "text_delta", "text": part["text"]}
        else:
            begun = {**part, "input": {}}
            delta = {"type": "input_json_delta", "partial_json": json.dumps(part["input"])}
        yield {"type": "content_block_start", "index": index, "content_block": begun}
        yield {"type": "content_block_delta", "index": index, "delta": delta}
        yield {"type": "content_block_stop", "index": index}
    ended = {"stop_reason": whole["stop_reason"], "stop_sequence": None}
    yield {"type": "message_delta", "delta": ended, "usage": {"output_tokens": _OUT}}
    yield {"type": "message_stop"}


def _from_contents(body: Body) -> Body:
    found = []
    for content in body["contents"]:
        is_result = any("functionResponse" in part for part in content["parts"])
        found.append(_message("tool" if is_result else content.get("role", "user"), content["parts"]))
    declared = [one for tool in body.get("tools", []) for one in tool.get("functionDeclarations", [])]
    tools = [_tool(one["name"], one.get("parametersJsonSchema") or one.get("parameters")) for one in declared]
    return {"model": "m", "messages": found, "tools": tools}


def _contents(message: Body) -> Body:
    parts: list[Body] = [{"text": message["content"]}]
    if call := _call(message):
        parts.append({"functionCall": {"id": call[0], "name": call[1], "args": call[2]}})
    counted = {"promptTokenCount": _IN, "candidatesTokenCount": _OUT, "totalTokenCount": _IN + _OUT}
    candidate = {"content": {"role": "model", "parts": parts}, "finishReason": "STOP", "index": 0}
    return {"candidates": [candidate], "usageMetadata": counted, "modelVersion": "m"}
