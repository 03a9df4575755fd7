"""The sandbox's HTTP side: hands requests to ESI and the single sign-on, lets things go wrong, and keeps the log.

Four paths are ours. `/_received` tells what came in (DELETE forgets it). `POST /_control` changes `switches.Switches`
(GET tells them, DELETE makes everything as at the start), with `{"expire": true}` every answer's age is over.
`POST /_grant` takes `{"character", "scopes"}` and answers with tokens, as a login would.
"""

import asyncio
import json
import re
from typing import Any, Final
from urllib.parse import parse_qsl

from pydantic import ValidationError

from jobs import asgi
from jobs.asgi import Receive, Scope, Send

from .esi import Esi
from .faults import FAULTS, fault
from .http import Answer, Request, page, told
from .log import Log
from .routes import SCOPES, find
from .sso import Sso
from .switches import Switches
from .world import PILOT, World

SLOW: Final = 120.0  # seconds: longer than any client waits
LOOK: Final = 0.01  # seconds between two looks at whether a held answer may go


class Sandbox:
    """The ASGI application. All state lives in memory, on one event loop."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """As at the start."""
        self.switches = Switches()
        self.world = World(self.switches)
        self.esi = Esi(self.switches, self.world)
        self.sso = Sso(self.switches, self.world)
        self.log = Log()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = await _request(scope, receive)
        service, _, rest = request.path.removeprefix("/").partition("/")
        match service:
            case "_received" | "_control" | "_grant":
                await _send(send, self._ours(service, request))
            case "esi" | "sso":
                await self._serve(service, f"/{rest}", request, receive, send)
            case _:
                await _send(send, told(404, {"error": f"no {request.path} here"}))

    async def _serve(self, service: str, path: str, request: Request, receive: Receive, send: Send) -> None:
        request = Request(request.method, path, request.query, request.headers, request.body, request.root)
        found = find(request.method, path) if service == "esi" else None
        name = found[0].name if found else path.strip("/")
        bucket, whose = (found[0].bucket, self.esi.whose(request)) if found else ("", 0)
        log = self.log
        entry = log.begin(service, name, bucket, whose, request)
        status: int | str = "gone"
        note: dict[str, Any] = {}
        try:
            await asyncio.sleep(self.switches.latency_ms / 1000)
            await self._held(name, receive)
            wrong = self._next_fault(service, name)
            if wrong in ("reset", "sso-reset"):
                status = "reset"
                asgi.reset(receive)
            elif wrong in ("slow", "sso-slow"):
                status = "slow"
                await asgi.left_within(receive, SLOW)
            else:
                answer = self._answer(service, request, wrong)
                status, note = answer.status, answer.note
                if wrong == "sso-lost":
                    status = "lost"
                    asgi.reset(receive)
                else:
                    await _send(send, answer)
        finally:
            log.end(entry, request, status, note)

    def _answer(self, service: str, request: Request, wrong: str | None) -> Answer:
        instead = fault(wrong) if wrong else None
        if service == "sso":
            return page(503, "Down for maintenance") if self.switches.downtime else instead or self.sso.answer(request)
        if wrong == "429-game" and instead:
            return instead
        if self.switches.downtime:
            instead = fault("503")
        return self.esi.answer(request, instead)

    def _next_fault(self, service: str, name: str) -> str | None:
        switches = self.switches
        wrong = switches.fault
        if wrong is None or wrong.startswith("sso-") != (service == "sso") or not re.search(switches.path, name):
            return None
        if service == "sso" and not switches.path and name != "v2/oauth/token":
            return None
        if switches.after:
            switches.after -= 1
            return None
        switches.count -= 1
        if not switches.count:
            switches.fault, switches.count = None, 1
        return wrong

    async def _held(self, name: str, receive: Receive) -> None:
        """Wait while answers of this route are held back, or until the client has left."""
        if not self._holds(name):
            return
        gone = asyncio.ensure_future(asgi.left_within(receive, SLOW))
        while self._holds(name) and not gone.done():
            await asyncio.sleep(LOOK)
        gone.cancel()

    def _holds(self, name: str) -> bool:
        return self.switches.hold is not None and re.search(self.switches.hold, name) is not None

    def _ours(self, path: str, request: Request) -> Answer:
        match path, request.method:
            case "_received", method:
                if method == "DELETE":
                    self.log.forget()
                return told(200, self.log.told())
            case "_grant", "POST":
                wanted = json.loads(request.body or b"{}")
                return told(
                    200, self.sso.grant(int(wanted.get("character", PILOT)), tuple(wanted.get("scopes", SCOPES)))
                )
            case "_control", "POST":
                return self._control(request.body)
            case "_control", "DELETE":
                self.reset()
        return told(200, self.switches.model_dump(mode="json"))

    def _control(self, body: bytes) -> Answer:
        try:
            wanted = json.loads(body)
            expire = wanted.pop("expire", False)
            if wanted.get("fault") not in (None, *FAULTS):
                return told(400, {"error": f"no fault {wanted['fault']!r}", "faults": list(FAULTS)})
            for name in ("path", "hold"):
                re.compile(wanted.get(name) or "")
            self.switches.change(wanted)
        except (ValidationError, ValueError, TypeError, AttributeError, re.error) as wrong:
            return told(400, {"error": f"not a control: {wrong}"})
        if expire:
            self.esi.forget()
            self.log.expire()
        return told(200, self.switches.model_dump(mode="json"))


async def _request(scope: Scope, receive: Receive) -> Request:
    headers = asgi.headers_of(scope)
    query = dict(parse_qsl(scope["query_string"].decode(), keep_blank_values=True))
    root = f"http://{headers.get('host', '')}{scope.get('root_path', '')}"
    return Request(scope["method"], scope["path"], query, headers, await asgi.body_of(receive), root)


async def _send(send: Send, answer: Answer) -> None:
    await asgi.answer(send, answer.status, answer.body, answer.headers)


application = Sandbox()
