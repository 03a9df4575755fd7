"""The sandbox's HTTP side: the webhook, Stripe, and our own two paths about them and the mail server.

`/_received` tells what came in (DELETE forgets it), with `/_received?to=…` the mails to one address. `/_control` takes
`{"fault", "count", "after", "latency_ms", "answers", "webhook"}`: what goes wrong at the mail server, for how many
mails, after how many good ones, how late it answers, what it answers to an address; and with what status the webhook
answers. `/stripe/_received` and `/stripe/_control` are the same for Stripe.
"""

import asyncio
import json
from collections import deque
from typing import Any, Final
from urllib.parse import parse_qs

from jobs import asgi
from jobs.asgi import Receive, Scope, Send

from .smtp import FAULTS, PostOffice
from .stripe import LOST, Stripe

Reply = tuple[int, str, str, dict[str, str]]  # status, type, body, further headers

LATEST: Final = 100  # mails that are told in full
WEBHOOK_ANSWERS: Final = {  # of Slack
    200: "ok",
    400: "invalid_payload",
    403: "invalid_token",
    404: "no_service",
    410: "channel_is_archived",
    429: "rate_limited",
    500: "rollup_error",
}


class Sandbox:
    """The ASGI application."""

    def __init__(self) -> None:
        self.post_office = PostOffice()
        self.stripe = Stripe()
        self.messages: deque[dict[str, Any]] = deque(maxlen=1000)  # that the webhook took
        self.webhook = 200  # what it answers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path, method = scope["path"], scope["method"]
        if path == "/_received":
            await _send(send, self._received(method, scope["query_string"].decode()))
        elif path == "/_control":
            await _send(
                send, self._control(await asgi.body_of(receive)) if method == "POST" else _json(200, self._state())
            )
        elif path == "/webhook" and method == "POST":
            await _send(send, self._message(await asgi.body_of(receive)))
        elif path.startswith("/stripe/"):
            await self._stripe(scope, receive, send)
        else:
            await _send(send, _json(404, {"error": f"no {path} here"}))

    async def _stripe(self, scope: Scope, receive: Receive, send: Send) -> None:
        path, method, body = (
            scope["path"].removeprefix("/stripe"),
            scope["method"],
            (await asgi.body_of(receive)).decode(),
        )
        if path == "/_received":
            if method == "DELETE":
                self.stripe.reset()
            await _send(send, _json(200, self.stripe.received()))
            return
        if path == "/_control":
            try:
                await _send(send, _json(200, self.stripe.control(json.loads(body))))
            except (KeyError, TypeError, ValueError, AttributeError) as error:
                await _send(send, _json(400, {"error": f"not a control: {error}"}))
            return
        request = (method, path, body or scope["query_string"].decode(), asgi.headers_of(scope))
        answer = self.stripe.begin(*request)
        if answer is None:
            await asyncio.sleep(self.stripe.latency)
            answer = self.stripe.end(*request)
        status, said, more = answer
        if status == LOST:
            asgi.reset(receive)
            return
        text = "<html>Bad gateway</html>" if more.get("content-type") == "text/html" else json.dumps(said)
        await _send(send, (status, "application/json", text, {"request-id": "req_sandbox", **more}))

    def _message(self, body: bytes) -> Reply:
        """As Slack's incoming webhooks answer: text, not JSON."""
        try:
            message = json.loads(body)
            told = isinstance(message, dict) and bool(message.get("text") or message.get("blocks"))
        except ValueError:
            return 400, "text/html", "invalid_payload", {}
        if self.webhook != 200:
            headers = {"retry-after": "30"} if self.webhook == 429 else {}
            return self.webhook, "text/html", WEBHOOK_ANSWERS.get(self.webhook, "error"), headers
        if not told:
            return 400, "text/html", "no_text", {}
        self.messages.append(message)
        return 200, "text/html", "ok", {}

    def _received(self, method: str, query: str) -> Reply:
        office = self.post_office
        if method == "DELETE":
            office.reset()
            self.messages.clear()
            self.webhook = 200
        to = parse_qs(query).get("to")
        mails = [mail for mail in list(office.received) if to is None or set(to) & set(mail.to)]
        recipients = office.recipients()
        return _json(
            200,
            {
                "total": len(office.received),
                "recipients": len(recipients),
                "twice": sorted(address for address, count in recipients.items() if count > 1),
                "busiest": office.busiest,
                "mails": [mail.read() for mail in mails[-LATEST:]],
                "messages": list(self.messages),
            },
        )

    def _control(self, body: bytes) -> Reply:
        office = self.post_office
        try:
            wanted = json.loads(body)
            fault, count, after = wanted.get("fault"), int(wanted.get("count", 1)), int(wanted.get("after", 0))
            latency = float(wanted.get("latency_ms", office.latency * 1000)) / 1000
            answers = {str(address): str(answer) for address, answer in wanted.get("answers", {}).items()}
            webhook = int(wanted.get("webhook", self.webhook))
        except (ValueError, TypeError, AttributeError) as error:
            return _json(400, {"error": f"not a control: {error}"})
        if fault is not None and fault not in FAULTS:
            return _json(400, {"error": f"no fault {fault!r}", "faults": list(FAULTS)})
        office.fault, office.count, office.after = fault, count if fault else 0, after
        office.latency, office.answers = max(latency, 0.0), office.answers | answers
        self.webhook = webhook
        return _json(200, self._state())

    def _state(self) -> dict[str, Any]:
        office = self.post_office
        return {
            "fault": office.fault if office.count else None,
            "count": office.count,
            "after": office.after,
            "latency_ms": office.latency * 1000,
            "answers": office.answers,
            "webhook": self.webhook,
        }


def _json(status: int, value: Any) -> Reply:
    return status, "application/json", json.dumps(value), {}


async def _send(send: Send, reply: Reply) -> None:
    status, kind, body, more = reply
    await asgi.answer(send, status, body.encode(), {"content-type": kind, **more})


application = Sandbox()
