"""How Gemini reads and writes: generateContent, whole and streamed."""

import json
import re
import secrets
from typing import Any, Final

from .shapes import HTML, Answer, Asked, Body, Headers, Limits, Said, tokens

PATH: Final = re.compile(r"/v1(?:beta)?/models/([^/:]+):(generateContent|streamGenerateContent)")
SPENT: Final = "You exceeded your current quota, please check your plan and billing details."
ERRORS: Final = {  # fault → status, its name, message
    "credits": (402, "FAILED_PRECONDITION", "Your prepaid credits are used up."),
    "forbidden": (403, "PERMISSION_DENIED", "Your project has been denied access."),
    "server-error": (500, "INTERNAL", "An internal error has occurred."),
    "overloaded": (503, "UNAVAILABLE", "The model is overloaded. Please try again later."),
    "timeout": (504, "DEADLINE_EXCEEDED", "Deadline expired before operation could complete."),
}


def error(status: int, name: str, message: str, *details: Body) -> Answer:
    """The shape of all its errors."""
    said = {"code": status, "message": message, "status": name}
    return status, {"error": said | ({"details": list(details)} if details else {})}, {}


def _detail(kind: str, **fields: Any) -> Body:
    return {"@type": f"type.googleapis.com/google.rpc.{kind}", **fields}


class Gemini:
    """The only one that speaks like this."""

    key = "gemini-sandbox-6f1d0c"
    families: tuple[str, ...] = ("gemini-",)
    context = 1_048_576
    faults = frozenset(ERRORS) | {
        "rate-limit", "rate-limit-bare", "quota", "unauthorized", "unknown-model", "context", "html",
    }  # fmt: skip

    def authorise(self, headers: Headers, query: Headers) -> Answer | None:
        given = headers.get("x-goog-api-key") or query.get("key")
        if not given:
            message = "Method doesn't allow unregistered callers (callers without established identity)."
            return error(403, "PERMISSION_DENIED", message)
        return None if given == self.key else self._wrong_key()

    def _wrong_key(self) -> Answer:
        reason = _detail("ErrorInfo", reason="API_KEY_INVALID", domain="googleapis.com")
        return error(400, "INVALID_ARGUMENT", "API key not valid. Please pass a valid API key.", reason)

    def read(self, path: str, body: Body) -> Asked | Answer | None:
        asked = PATH.fullmatch(path)
        if asked is None:
            return None
        if not body.get("contents"):
            return error(400, "INVALID_ARGUMENT", "* GenerateContentRequest.contents: contents is not specified")
        config = body.get("generationConfig") or {}
        schema, tool = _field(config, "responseJsonSchema") or _field(config, "responseSchema"), None
        calling = ((body.get("toolConfig") or {}).get("functionCallingConfig") or {}).get("mode", "AUTO")
        if schema is None and body.get("tools") and calling != "NONE":
            function = _field(body["tools"][-1], "functionDeclarations")[-1]
            schema = _field(function, "parametersJsonSchema") or _field(function, "parameters") or {"type": "object"}
            tool = function["name"]
        said = [_text(content) for content in body["contents"]]
        return Asked(
            model=asked[1],
            text=said[-1],
            tokens=tokens("".join(said) + _text(body.get("systemInstruction") or {})),
            schema=schema,
            tool=tool,
            stream=asked[2] == "streamGenerateContent",
            limit=config.get("maxOutputTokens"),
        )

    def refusal(self, fault: str, asked: Asked, path: str, retry_after: float) -> Answer:
        match fault:
            case "rate-limit" | "rate-limit-bare":
                per_minute = {"quotaId": "GenerateRequestsPerMinutePerProjectPerModel", "quotaValue": "10"}
                wait = [_detail("RetryInfo", retryDelay=f"{retry_after:g}s")] if fault == "rate-limit" else []
                violations = _detail("QuotaFailure", violations=[per_minute])
                return error(429, "RESOURCE_EXHAUSTED", SPENT, violations, *wait)
            case "quota":
                per_day = {"quotaId": "GenerateRequestsPerDayPerProjectPerModel-FreeTier", "quotaValue": "0"}
                return error(
                    429, "RESOURCE_EXHAUSTED", f"{SPENT} limit: 0", _detail("QuotaFailure", violations=[per_day])
                )
            case "unauthorized":
                return self._wrong_key()
            case "unknown-model":
                message = f"models/{asked.model} is not found for API version v1beta"
                return error(404, "NOT_FOUND", f"{message}, or is not supported for generateContent.")
            case "context":
                message = f"The input token count ({asked.tokens}) exceeds the maximum number of tokens allowed"
                return error(400, "INVALID_ARGUMENT", f"{message} ({self.context}).")
            case "html":
                return 502, HTML, {}
        return error(*ERRORS[fault])

    def answer(self, path: str, asked: Asked, said: Said) -> Body:
        return _generated(asked, said, _part(asked, said))

    def events(self, path: str, asked: Asked, said: Said) -> list[str]:
        parts = [{"text": piece} for piece in said.pieces()]
        if asked.tool or said.end == "refusal":
            parts = [_part(asked, said)]  # a call of a function comes whole
        chunks = [_generated(asked, said, part) for part in parts]
        for chunk in chunks[:-1]:
            del chunk["candidates"][0]["finishReason"]
        return [f"data: {json.dumps(chunk)}\r\n\r\n" for chunk in chunks]

    def broken(self, path: str) -> str:
        return f"data: {json.dumps(error(*ERRORS['overloaded'])[1])}\r\n\r\n"

    def headers(self, limits: Limits) -> Headers:
        return {"server-timing": "gfet4t7; dur=760", "vary": "Origin"}  # nothing of limits


def _field(message: Body, name: str) -> Any:
    """Written in camel case or not: the service reads both, and its client writes both."""
    return message.get(name) or message.get(re.sub(r"[A-Z]", lambda found: f"_{found[0].lower()}", name))


def _text(content: Body) -> str:
    return "\n".join(str(part.get("text", "")) for part in content.get("parts", []))


def _part(asked: Asked, said: Said) -> Body:
    return {"functionCall": {"name": asked.tool, "args": said.parsed()}} if asked.tool else {"text": said.text}


def _generated(asked: Asked, said: Said, part: Body) -> Body:
    whole: Body = {
        "modelVersion": asked.model,
        "responseId": secrets.token_urlsafe(16),
        "usageMetadata": {
            "promptTokenCount": asked.tokens,
            "promptTokensDetails": [{"modality": "TEXT", "tokenCount": asked.tokens}],
            "candidatesTokenCount": said.tokens,
            "totalTokenCount": asked.tokens + said.tokens,
        },
    }
    if said.end == "refusal":
        return whole | {"promptFeedback": {"blockReason": "PROHIBITED_CONTENT"}}
    candidate: Body = {
        "finishReason": {"stop": "STOP", "length": "MAX_TOKENS", "filter": "SAFETY"}[said.end],
        "index": 0,
    }
    if said.end != "filter":
        candidate["content"] = {"parts": [part], "role": "model"}
    return whole | {"candidates": [candidate]}
