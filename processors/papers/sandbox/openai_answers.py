"""What an OpenAI-compatible service answers, whole and streamed: chat completions and responses."""

import json
import secrets
import time

from .shapes import REFUSAL, Asked, Body, Said


def _usage(asked: Asked, said: Said, *, chat: bool) -> Body:
    into, out = ("prompt_tokens", "completion_tokens") if chat else ("input_tokens", "output_tokens")
    return {
        into: asked.tokens,
        f"{into}_details": {"cached_tokens": 0},
        out: said.tokens,
        f"{out}_details": {"reasoning_tokens": 0},
        "total_tokens": asked.tokens + said.tokens,
    }


def _reason(asked: Asked, said: Said) -> str:
    if said.end == "stop":
        return "tool_calls" if asked.tool else "stop"
    return {"length": "length", "refusal": "stop", "filter": "content_filter"}[said.end]


def completion(asked: Asked, said: Said) -> Body:
    """A whole chat completion."""
    refused, tool = said.end == "refusal", asked.tool if said.end != "refusal" else None
    message: Body = {
        "role": "assistant",
        "content": None if refused or tool else said.text,
        "refusal": REFUSAL if refused else None,
        "annotations": [],
    }
    if tool:
        call = {"name": tool, "arguments": said.text}
        message["tool_calls"] = [{"id": f"call_{secrets.token_hex(12)}", "type": "function", "function": call}]
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": _reason(asked, said)}
    usage = _usage(asked, said, chat=True)
    return _frame(asked, "chat.completion") | {"choices": [choice], "usage": usage, "service_tier": "default"}


def _frame(asked: Asked, kind: str) -> Body:
    return {
        "id": f"chatcmpl-{secrets.token_hex(14)}",
        "object": kind,
        "created": int(time.time()),
        "model": asked.model,
        "system_fingerprint": "fp_f5bdcc3276",
    }


def chunks(asked: Asked, said: Said) -> list[str]:
    """A chat completion in parts."""
    frame = _frame(asked, "chat.completion.chunk")
    deltas: list[Body] = [{"role": "assistant", "content": None if asked.tool else "", "refusal": None}]
    if said.end == "refusal":
        deltas.append({"refusal": REFUSAL})
    elif asked.tool:
        begun = {"name": asked.tool, "arguments": ""}
        deltas.append({"tool_calls": [{"index": 0, "id": "call_sandbox", "type": "function", "function": begun}]})
        deltas += [{"tool_calls": [{"index": 0, "function": {"arguments": piece}}]} for piece in said.pieces()]
    else:
        deltas += [{"content": piece} for piece in said.pieces()]
    ends: list[str | None] = [None] * len(deltas) + [_reason(asked, said)]
    told = [
        frame | {"choices": [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": end}]}
        for delta, end in zip([*deltas, {}], ends, strict=True)
    ]
    if asked.usage:
        told.append(frame | {"choices": [], "usage": _usage(asked, said, chat=True)})
    return [*(f"data: {json.dumps(chunk)}\n\n" for chunk in told), "data: [DONE]\n\n"]


def _item(asked: Asked, said: Said) -> Body:
    """The only one of a response's output."""
    if asked.tool and said.end != "refusal":
        return {
            "type": "function_call",
            "id": f"fc_{secrets.token_hex(16)}",
            "call_id": f"call_{secrets.token_hex(12)}",
            "name": asked.tool,
            "arguments": said.text,
            "status": "completed" if said.end == "stop" else "incomplete",
        }
    part: Body = {"type": "output_text", "text": said.text, "annotations": [], "logprobs": []}
    if said.end == "refusal":
        part = {"type": "refusal", "refusal": REFUSAL}
    return {
        "type": "message",
        "id": f"msg_{secrets.token_hex(16)}",
        "role": "assistant",
        "status": "completed" if said.end in ("stop", "refusal") else "incomplete",
        "content": [part],
    }


def response(asked: Asked, said: Said) -> Body:
    """A whole response."""
    why = {"length": "max_output_tokens", "filter": "content_filter"}.get(said.end)
    return {
        "id": f"resp_{secrets.token_hex(24)}",
        "object": "response",
        "created_at": int(time.time()),
        "model": asked.model,
        "status": "incomplete" if why else "completed",
        "incomplete_details": {"reason": why} if why else None,
        "error": None,
        "instructions": None,
        "max_output_tokens": asked.limit,
        "metadata": {},
        "output": [_item(asked, said)],
        "parallel_tool_calls": True,
        "temperature": 1.0,
        "tool_choice": "auto",
        "tools": [],
        "top_p": 1.0,
        "usage": _usage(asked, said, chat=False),
    }


def event(body: Body) -> str:
    """A server-sent event of the responses API."""
    return f"event: {body['type']}\ndata: {json.dumps(body)}\n\n"


def response_events(asked: Asked, said: Said) -> list[str]:
    """A response in parts."""
    whole = response(asked, said)
    (item,) = whole["output"]
    at: Body = {"item_id": item["id"], "output_index": 0}
    begun = whole | {"status": "in_progress", "output": [], "usage": None}
    empty: Body = {"arguments": ""} if "arguments" in item else {"content": []}
    bare = item | empty | {"status": "in_progress"}
    events: list[Body] = [
        {"type": "response.created", "response": begun},
        {"type": "response.in_progress", "response": begun},
        {"type": "response.output_item.added", "output_index": 0, "item": bare},
    ]
    if "arguments" in item:
        kind = "response.function_call_arguments"
        events += [at | {"type": f"{kind}.delta", "delta": piece} for piece in said.pieces()]
        events.append(at | {"type": f"{kind}.done", "arguments": said.text, "name": asked.tool})
    else:
        (part,) = item["content"]
        at |= {"content_index": 0}
        kind, name = ("response.refusal", "refusal") if "refusal" in part else ("response.output_text", "text")
        pieces = [REFUSAL] if name == "refusal" else said.pieces()
        events.append(at | {"type": "response.content_part.added", "part": part | {name: ""}})
        events += [at | {"type": f"{kind}.delta", "delta": piece, "logprobs": []} for piece in pieces]
        events.append(at | {"type": f"{kind}.done", name: part[name], "logprobs": []})
        events.append(at | {"type": "response.content_part.done", "part": part})
    events.append({"type": "response.output_item.done", "output_index": 0, "item": item})
    events.append({"type": f"response.{whole['status']}", "response": whole})
    return [event(said_now | {"sequence_number": number}) for number, said_now in enumerate(events)]
