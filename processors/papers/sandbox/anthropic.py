"""How Anthropic reads and writes: messages."""

import json
import secrets
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from .shapes import HTML, Answer, Asked, Body, Headers, Limits, Said, tokens

MESSAGES: Final = "/v1/messages"
BAD: Final = "invalid_request_error"
LIMITED: Final = "rate_limit_error"
ERRORS: Final = {  # fault → status, type, message
    "quota": (
        400,
        BAD,
        "Your credit balance is too low to access the Anthropic API. "
        "Please go to Plans & Billing to upgrade or purchase credits.",
    ),
    "credits": (402, "billing_error", "There is an issue with your billing or payment information."),
    "usage-limits": (
        400,
        BAD,
        "You have reached your specified API usage limits. You will regain access on 2099-12-01 at 00:00 UTC.",
    ),
    "forbidden": (403, "permission_error", "Your API key does not have permission to use the specified resource."),
    "too-large": (413, "request_too_large", "Request exceeds the maximum size"),
    "server-error": (500, "api_error", "Internal server error"),
    "timeout": (504, "timeout_error", "Request timed out"),
    "overloaded": (529, "overloaded_error", "Overloaded"),
    "output-blocked": (400, BAD, "Output blocked by content filtering policy"),
}
WITHOUT: Final = {
    "integer": ("minimum", "maximum"),
    "number": ("minimum", "maximum"),
    "string": ("minLength", "maxLength"),
}


def error(status: int, kind: str, message: str, **details: str) -> Answer:
    """The shape of all its errors."""
    said = {"type": kind, "message": message} | ({"details": details} if details else {})
    return status, {"type": "error", "error": said, "request_id": f"req_{secrets.token_hex(12)}"}, {}


class Anthropic:
    """The only one that speaks like this."""

    key = "sk-ant-sandbox-6f1d0c"
    families: tuple[str, ...] = ("claude-",)
    context = 200_000
    faults = frozenset(ERRORS) | {
        "rate-limit", "rate-limit-bare", "spend-limit", "unauthorized", "unknown-model", "context", "html",
    }  # fmt: skip

    def authorise(self, headers: Headers, query: Headers) -> Answer | None:
        """Newer clients send a bearer token, older ones and examples a header of its own."""
        bearer, own = headers.get("authorization"), headers.get("x-api-key")
        if not bearer and not own:
            return error(401, "authentication_error", "x-api-key header is required")
        if own not in (None, self.key):
            return error(401, "authentication_error", "invalid x-api-key")
        if bearer not in (None, f"Bearer {self.key}"):
            return error(401, "authentication_error", "Invalid bearer token")
        if "anthropic-version" not in headers:
            return error(400, BAD, "anthropic-version: header is required")
        return None

    def read(self, path: str, body: Body) -> Asked | Answer | None:
        if path != MESSAGES:
            return None
        for name in ("model", "max_tokens", "messages"):
            if not body.get(name):
                return error(400, BAD, f"{name}: Field required")
        form = (body.get("output_config") or {}).get("format") or body.get("output_format") or {}
        schema, tool = form.get("schema"), None
        if schema and (wrong := _not_supported(schema)):
            return error(400, BAD, f"output_config.format.schema: {wrong}")
        if schema is None and body.get("tools") and (body.get("tool_choice") or {}).get("type") != "none":
            schema, tool = body["tools"][-1]["input_schema"], body["tools"][-1]["name"]
        said = [_text(message.get("content")) for message in body["messages"]]
        return Asked(
            model=body["model"],
            text=said[-1],
            tokens=tokens("".join(said) + _text(body.get("system"))),
            schema=schema,
            tool=tool,
            stream=bool(body.get("stream")),
            limit=body["max_tokens"],
        )

    def refusal(self, fault: str, asked: Asked, path: str, retry_after: float) -> Answer:
        match fault:
            case "rate-limit" | "rate-limit-bare":
                message = "This request would exceed your organization's rate limit of 50 requests per minute."
                status, body, _ = error(429, LIMITED, message)
                return status, body, {"retry-after": f"{retry_after:g}"} if fault == "rate-limit" else {}
            case "spend-limit":
                return error(429, LIMITED, "Spend limit reached.", error_code="enforced_spend_limit_reached")
            case "unauthorized":
                return error(401, "authentication_error", "invalid x-api-key")
            case "unknown-model":
                return error(404, "not_found_error", f"model: {asked.model}")
            case "context":
                return error(400, BAD, f"prompt is too long: {asked.tokens} tokens > {self.context} maximum")
            case "html":
                return 502, HTML, {}
        return error(*ERRORS[fault])

    def answer(self, path: str, asked: Asked, said: Said) -> Body:
        return _message(asked, said)

    def events(self, path: str, asked: Asked, said: Said) -> list[str]:
        whole = _message(asked, said)
        begun = whole | {"content": [], "stop_reason": None, "usage": whole["usage"] | {"output_tokens": 1}}
        events: list[Body] = [{"type": "message_start", "message": begun}]
        for block in whole["content"]:
            empty: Body = {"input": {}} if "input" in block else {"text": ""}
            kind, name = ("input_json_delta", "partial_json") if "input" in block else ("text_delta", "text")
            events += [{"type": "content_block_start", "index": 0, "content_block": block | empty}, {"type": "ping"}]
            events += [
                {"type": "content_block_delta", "index": 0, "delta": {"type": kind, name: piece}}
                for piece in said.pieces()
            ]
            events.append({"type": "content_block_stop", "index": 0})
        end = {"stop_reason": whole["stop_reason"], "stop_sequence": None}
        events += [{"type": "message_delta", "delta": end, "usage": whole["usage"]}, {"type": "message_stop"}]
        return [_event(event) for event in events]

    def broken(self, path: str) -> str:
        return _event({"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}})

    def headers(self, limits: Limits) -> Headers:
        reset = datetime.now(UTC) + timedelta(seconds=limits.reset)
        told = {"request-id": f"req_{secrets.token_hex(12)}"}
        for what, limit, remaining in (
            ("requests", limits.limit, limits.remaining),
            ("tokens", 2_400_000, 2_400_000),
            ("input-tokens", 2_000_000, 2_000_000),
            ("output-tokens", 400_000, 400_000),
        ):
            name = f"anthropic-ratelimit-{what}"
            told |= {
                f"{name}-limit": str(limit),
                f"{name}-remaining": str(remaining),
                f"{name}-reset": f"{reset:%Y-%m-%dT%H:%M:%SZ}",
            }
        return told


def _text(content: Any) -> str:
    """Of a message's content, which is a text or a list of blocks."""
    if isinstance(content, list):
        return "\n".join(str(block.get("text") or block.get("content") or "") for block in content)
    return str(content or "")


def _not_supported(schema: Body) -> str:
    """What the schema of an answer must or may not say."""
    for part in [schema, *schema.get("$defs", {}).values()]:
        if part.get("type") == "object" and part.get("additionalProperties") is not False:
            return "For 'object' type, 'additionalProperties' must be explicitly set to false"
        for field in part.get("properties", {}).values():
            kind = str(field.get("type"))
            if found := [name for name in WITHOUT.get(kind, ()) if name in field]:
                return f"For '{kind}' type, properties {', '.join(found)} are not supported"
    return ""


def _message(asked: Asked, said: Said) -> Body:
    ends = {"stop": "tool_use" if asked.tool else "end_turn", "length": "max_tokens"}
    content: list[Body] = [{"type": "text", "text": said.text}]
    if said.end in ("refusal", "filter"):
        content = []
    elif asked.tool:
        content = [
            {"type": "tool_use", "id": f"toolu_{secrets.token_hex(12)}", "name": asked.tool, "input": said.parsed()}
        ]
    return {
        "id": f"msg_{secrets.token_hex(12)}",
        "type": "message",
        "role": "assistant",
        "model": asked.model,
        "content": content,
        "stop_reason": ends.get(said.end, "refusal"),
        "stop_sequence": None,
        "usage": {
            "input_tokens": asked.tokens,
            "output_tokens": said.tokens,
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": 0,
            "cache_creation": {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 0},
            "service_tier": "standard",
        },
    }


def _event(event: Body) -> str:
    return f"event: {event['type']}\ndata: {json.dumps(event)}\n\n"
