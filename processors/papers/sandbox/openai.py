"""How OpenAI reads and writes, and xAI and others that speak like it: chat completions and responses."""

import json
import secrets
from typing import Any, Final

from . import openai_answers
from .shapes import HTML, Answer, Asked, Body, Headers, Limits, Said, tokens

CHAT: Final = "/v1/chat/completions"
RESPONSES: Final = "/v1/responses"
BAD: Final = "invalid_request_error"
SPENT: Final = "You exceeded your current quota, please check your plan and billing details."
ERRORS: Final = {  # fault → status, message, type, code
    "quota": (429, SPENT, "insufficient_quota", "insufficient_quota"),
    "credits": (429, "You have no credits remaining.", "insufficient_quota", "credit_balance_exhausted"),
    "spend-limit": (429, "Spend limit reached.", "insufficient_quota", "organization_spend_limit_exceeded"),
    "usage-limits": (429, "Usage limit reached.", "insufficient_quota", "organization_usage_limit_exceeded"),
    "forbidden": (
        403,
        "Country, region, or territory not supported",
        "request_forbidden",
        "unsupported_country_region_territory",
    ),
    "server-error": (500, "The server had an error while processing your request.", "server_error", None),
    "overloaded": (
        503,
        "Our servers are currently overloaded. Please try again later.",
        "service_unavailable_error",
        "server_is_overloaded",
    ),
    "conflict": (409, "The request conflicts with another one.", BAD, None),
    "tool-use-failed": (400, "Failed to call a function.", BAD, "tool_use_failed"),
}


def error(status: int, message: str, kind: str = BAD, code: str | None = None, param: str | None = None) -> Answer:
    """The shape of all its errors."""
    return status, {"error": {"message": message, "type": kind, "param": param, "code": code}}, {}


class OpenAI:
    """OpenAI; with `company` another that took over its API."""

    context = 128_000
    faults = frozenset(ERRORS) | {"rate-limit", "rate-limit-bare", "unauthorized", "unknown-model", "context", "html"}

    def __init__(self, key: str, families: tuple[str, ...], company: str = "openai") -> None:
        self.key, self.families, self.company = key, families, company

    def authorise(self, headers: Headers, query: Headers) -> Answer | None:
        given = headers.get("authorization", "")
        if not given:
            return error(
                401, "You didn't provide an API key. You need to provide your API key in an Authorization header."
            )
        return None if given == f"Bearer {self.key}" else self._wrong_key(given.removeprefix("Bearer "))

    def _wrong_key(self, given: str) -> Answer:
        message = f"Incorrect API key provided: {given[:3]}***."
        if self.company == "xai":
            return 400, {"code": "Client specified an invalid argument", "error": message}, {}
        return error(401, message, code="invalid_api_key")

    def read(self, path: str, body: Body) -> Asked | Answer | None:
        if path not in (CHAT, RESPONSES):
            return None
        chat = path == CHAT
        messages: Any = body.get("messages" if chat else "input")
        if isinstance(messages, str):
            messages = [{"role": "user", "content": messages}]
        for name, value in (("model", body.get("model")), ("messages" if chat else "input", messages)):
            if not value:
                return error(
                    400, f"Missing required parameter: '{name}'.", code="missing_required_parameter", param=name
                )
        temperature = body.get("temperature") or 0
        if temperature < 0:
            expected = f"Expected a value >= 0, but got {temperature} instead."
            message = f"Invalid 'temperature': decimal below minimum value. {expected}"
            return error(400, message, code="decimal_below_min_value", param="temperature")
        shape = (body.get("response_format") if chat else body.get("text", {}).get("format")) or {}
        form = shape.get("json_schema", {}) if chat else shape
        schema, tool = form.get("schema"), None
        if schema and form.get("strict") and (wrong := _not_strict(schema)):
            message = f"Invalid schema for response_format '{form.get('name')}': {wrong}"
            return error(400, message, code="invalid_json_schema", param="response_format")
        if schema is None and body.get("tools") and body.get("tool_choice", "auto") != "none":
            function = body["tools"][-1]
            function = function.get("function", function)
            schema, tool = function["parameters"], function["name"]
        said = [_text(message.get("content")) for message in messages]
        return Asked(
            model=body["model"],
            text=said[-1],
            tokens=tokens("".join(said) + str(body.get("instructions") or "")),
            schema=schema,
            tool=tool,
            stream=bool(body.get("stream")),
            limit=body.get("max_completion_tokens") or body.get("max_tokens") or body.get("max_output_tokens"),
            usage=not chat or bool((body.get("stream_options") or {}).get("include_usage")),
        )

    def refusal(self, fault: str, asked: Asked, path: str, retry_after: float) -> Answer:
        match fault:
            case "rate-limit" | "rate-limit-bare":
                message = f"Rate limit reached for {asked.model} on requests per min (RPM)."
                status, body, headers = error(429, message, "requests", "rate_limit_exceeded")
                if fault == "rate-limit":
                    headers = {"retry-after": f"{retry_after:g}", "retry-after-ms": f"{retry_after * 1000:.0f}"}
                elif self.company == "compatible":  # as OpenRouter passes on what another said
                    body = {"error": {"code": 429, "message": "Provider returned error", "metadata": {"raw": message}}}
                return status, body, headers
            case "unauthorized":
                return self._wrong_key(self.key)
            case "unknown-model" if path == RESPONSES:
                message = f"The requested model '{asked.model}' does not exist."
                return error(400, message, code="model_not_found", param="model")
            case "unknown-model":
                message = f"The model `{asked.model}` does not exist or you do not have access to it."
                return error(404, message, code="model_not_found")
            case "context":
                message = (
                    f"This model's maximum context length is {self.context} tokens. "
                    f"However, your messages resulted in {asked.tokens} tokens."
                )
                return error(400, message, code="context_length_exceeded", param="messages")
            case "html":
                return 502, HTML, {}
        status, message, kind, code = ERRORS[fault]
        answer = error(status, message, kind, code)
        if fault == "tool-use-failed":
            answer[1]["error"]["failed_generation"] = "<function=final_result>"  # type: ignore[index]
        return answer

    def answer(self, path: str, asked: Asked, said: Said) -> Body:
        return openai_answers.response(asked, said) if path == RESPONSES else openai_answers.completion(asked, said)

    def events(self, path: str, asked: Asked, said: Said) -> list[str]:
        return openai_answers.response_events(asked, said) if path == RESPONSES else openai_answers.chunks(asked, said)

    def broken(self, path: str) -> str:
        body = error(500, "The server had an error while processing your request.", "server_error")[1]
        if path == RESPONSES:
            return openai_answers.event(
                {"type": "error", "code": "server_error", "message": "The server had an error.", "param": None}
            )
        return f"data: {json.dumps(body)}\n\n"

    def headers(self, limits: Limits) -> Headers:
        return {
            "x-request-id": f"req_{secrets.token_hex(16)}",
            "openai-processing-ms": "287",
            "openai-version": "2020-10-01",
            "x-ratelimit-limit-requests": str(limits.limit),
            "x-ratelimit-remaining-requests": str(limits.remaining),
            "x-ratelimit-reset-requests": f"{limits.reset:.2f}s",
            "x-ratelimit-limit-tokens": "200000",
            "x-ratelimit-remaining-tokens": "199977",
            "x-ratelimit-reset-tokens": "6ms",
        }


def _text(content: Any) -> str:
    """Of a message's content, which is a text or a list of parts."""
    if isinstance(content, list):
        return "\n".join(str(part.get("text", "")) for part in content)
    return str(content or "")


def _not_strict(schema: Body) -> str:
    """What a strict schema may not leave out."""
    for part in [schema, *schema.get("$defs", {}).values()]:
        if part.get("type") != "object":
            continue
        if part.get("additionalProperties") is not False:
            return "In context=(), 'additionalProperties' is required to be supplied and to be false."
        if set(part.get("required", [])) != set(part.get("properties", {})):
            return "In context=(), 'required' is required to be an array including every key in properties."
    return ""
