"""The sandbox's HTTP side: each provider under its own name, what it received, and what goes wrong when told to.

`/<provider>/_received` tells what came in and what it cost, `/_received` of all (DELETE forgets it, and every
switch). `/<provider>/_control` takes `faults`, one a request in this order, null for a good answer; or `fault`,
`count` and `after`; and `latency_ms`, `retry_after` (s), `per_minute` (requests) and `context` (tokens), which stay.
A paper that says `sandbox:<provider>:<fault>` gets that fault each time. All state lives in memory, on one event loop.
"""

import json
from typing import Final
from urllib.parse import parse_qsl

from jobs import asgi
from jobs.asgi import Receive, Scope, Send

from .anthropic import Anthropic
from .gemini import Gemini
from .openai import OpenAI
from .provider import DROPPED, STREAMED, Provider, Turn
from .shapes import Answer, Dialect

SLOW: Final = 900.0  # seconds: longer than any client waits
PROVIDERS: Final[dict[str, Dialect]] = {
    "openai": OpenAI("sk-sandbox-openai-6f1d0c", ("gpt-", "o3", "o4")),
    "xai": OpenAI("xai-sandbox-6f1d0c", ("grok-",), "xai"),
    "compatible": OpenAI("sk-sandbox-compatible-6f1d0c", ("",), "compatible"),
    "anthropic": Anthropic(),
    "gemini": Gemini(),
}
KEYS: Final = {name: dialect.key for name, dialect in PROVIDERS.items()}


class Sandbox:
    """The ASGI application."""

    def __init__(self) -> None:
        self.providers = {name: Provider(name, dialect) for name, dialect in PROVIDERS.items()}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        method, path = scope["method"], scope["path"]
        _, name, rest = f"{path}/".split("/", 2)
        provider = self.providers.get(name)
        body = await asgi.body_of(receive)
        if path == "/_received":
            await _answer(send, self._received(method))
        elif provider is None:
            await _answer(send, (404, {"error": f"no {path} here", "providers": list(self.providers)}, {}))
        elif rest == "_received/":
            if method == "DELETE":
                provider.reset()
            await _answer(send, (200, provider.told(), {}))
        elif rest == "_control/":
            await _answer(send, _control(provider, body if method == "POST" else b"{}"))
        else:
            await self._turn(provider, scope, f"/{rest.removesuffix('/')}", body, receive, send)

    def _received(self, method: str) -> Answer:
        if method == "DELETE":
            for provider in self.providers.values():
                provider.reset()
        return 200, {name: provider.told() for name, provider in self.providers.items()}, {}

    async def _turn(
        self, provider: Provider, scope: Scope, path: str, body: bytes, receive: Receive, send: Send
    ) -> None:
        turn = provider.begin(path, body, asgi.headers_of(scope), dict(parse_qsl(scope["query_string"].decode())))
        try:
            if await asgi.left_within(receive, SLOW if turn.fault == "slow" else provider.latency):
                turn.note("gone")
            elif turn.fault == "reset":
                turn.note("reset")
                asgi.reset(receive)
            else:
                await self._tell(provider, turn, receive, send)
        finally:
            provider.end(turn)

    async def _tell(self, provider: Provider, turn: Turn, receive: Receive, send: Send) -> None:
        answer = provider.answer(turn)
        if not isinstance(answer, list):
            turn.note(answer[0])
            await _answer(send, (answer[0], answer[1], turn.headers | answer[2]))
            return
        turn.note(STREAMED)
        headers = {"content-type": "text/event-stream; charset=utf-8", "cache-control": "no-cache"} | turn.headers
        await asgi.begin(send, 200, headers)
        for event in answer:
            if event == DROPPED:
                asgi.reset(receive)
                return
            await send({"type": "http.response.body", "body": event.encode(), "more_body": True})
        await send({"type": "http.response.body", "body": b""})


def _control(provider: Provider, body: bytes) -> Answer:
    try:
        return 200, provider.control(json.loads(body)), {}
    except (ValueError, TypeError, AttributeError) as error:
        return 400, {"error": f"not a control: {error}", "faults": sorted(provider.faults)}, {}


async def _answer(send: Send, answer: Answer) -> None:
    status, said, more = answer
    kind, text = ("text/html", said) if isinstance(said, str) else ("application/json", json.dumps(said))
    await asgi.answer(send, status, text.encode(), {"content-type": kind} | more)


application = Sandbox()
