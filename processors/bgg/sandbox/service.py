"""The sandbox's HTTP side: who may ask, how often, and what goes wrong when told to.

Two paths are ours and not BoardGameGeek's: `/_received` tells what came in (DELETE forgets it), and
`/_control` takes `{"fault", "count", "after", "latency_ms"}`: what goes wrong, how often, after how many good
answers, and how late each answer is. All state lives in memory, on one event loop.
"""

import asyncio
import json
import time
from collections import Counter, deque
from collections.abc import Callable
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import parse_qs

from jobs import asgi
from jobs.asgi import Receive, Scope, Send

from . import answers, games

TOKEN: Final = "0c5f9d2e-5b0e-4d57-9a53-6a0f6b1d7e13"  # noqa: S105 opens nothing but this sandbox
WINDOW: Final = 0.95  # seconds in which a third request is one too many
REMEMBERED: Final = 20_000  # requests
SLOW: Final = 60.0  # seconds: longer than any client waits
XML: Final = "text/xml; charset=utf-8"
COLLECTOR: Final = "collector"  # the only user there is

Answer = tuple[int, str, str]  # status, type, body


def _xml(body: str, status: int = 200) -> Answer:
    return status, XML, body


FAULTS: Final[dict[str, Answer | None]] = {  # None: no answer
    "202": _xml(answers.ACCEPTED, 202),
    "401": (401, "text/html", ""),
    "429": _xml(answers.TOO_FAST, 429),
    "500": (500, "text/html", answers.HTML),
    "502": (502, "text/html", answers.HTML),
    "503": (503, "text/html", answers.HTML),
    "504": (504, "text/html", answers.HTML),
    "html": (200, "text/html; charset=utf-8", answers.HTML),
    "exception": _xml(answers.EXCEPTION),
    "cut": _xml(answers.things(games.REAL, stats=True, types=set())[:-400]),
    "slow": None,
    "reset": None,
}


class Sandbox:
    """The ASGI application."""

    def __init__(self) -> None:
        self.clock: deque[float] = deque(maxlen=REMEMBERED)  # arrivals, monotonic
        self.received: deque[dict[str, Any]] = deque(maxlen=REMEMBERED)
        self.accepted: set[str] = set()  # collections asked for once, ready the next time
        self.fault: str | None = None
        self.count = 0
        self.after = 0
        self.latency = 0.0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope["path"]
        if path in ("/_received", "/_control"):
            status, value = self._received(scope) if path == "/_received" else await self._control(scope, receive)
            await _send(send, (status, "application/json", json.dumps(value)))
            return
        request = self._note(scope)
        await asyncio.sleep(self.latency)
        fault = self._next_fault()
        if fault == "reset":
            asgi.reset(receive)
        if fault in ("reset", "slow"):
            await asgi.left_within(receive, SLOW)
        answer = FAULTS.get(fault or "") or self._answer(scope, request)
        request["status"] = fault if fault in ("reset", "slow") else answer[0]
        await _send(send, answer)

    def _note(self, scope: Scope) -> dict[str, Any]:
        self.clock.append(time.monotonic())
        request = {
            "at": time.time(),
            "path": scope["path"],
            "query": scope["query_string"].decode(),
            "agent": asgi.headers_of(scope).get("user-agent", ""),
            "too_fast": len(self.clock) > 2 and self.clock[-1] - self.clock[-3] < WINDOW,
            "status": None,
        }
        self.received.append(request)
        return request

    def _next_fault(self) -> str | None:
        if not self.count:
            return None
        if self.after:
            self.after -= 1
            return None
        self.count -= 1
        return self.fault

    def _answer(self, scope: Scope, request: dict[str, Any]) -> Answer:
        authorization = asgi.headers_of(scope).get("authorization")
        if not authorization:
            return 401, "text/plain", "Unauthorized. See https://boardgamegeek.com/using_the_xml_api"
        if authorization != f"Bearer {TOKEN}":
            return 401, "text/plain", ""
        if request["too_fast"]:
            return _xml(answers.TOO_FAST, 429)
        endpoint = ENDPOINTS.get(scope["path"])
        if scope["method"] != "GET" or endpoint is None:
            return 404, "text/html", answers.HTML
        query = {name: values[-1] for name, values in parse_qs(scope["query_string"].decode()).items()}
        return endpoint(self, query)

    def _thing(self, query: dict[str, str]) -> Answer:
        ids, types = query.get("id", "0").split(","), set(query.get("type", "").split(",")) - {""}
        if len(ids) > 20:
            return 400, "text/plain", "Cannot load more than 20 items"
        if not all(number.lstrip("-").isdecimal() and int(number) for number in ids):
            return _xml(answers.INVALID_ITEM)
        return _xml(answers.things(dict.fromkeys(map(int, ids)), stats=query.get("stats") == "1", types=types))

    def _hot(self, query: dict[str, str]) -> Answer:
        return _xml(
            answers.hot_list()
            if query.get("type", "boardgame") == "boardgame"
            else answers.things((), stats=False, types=set())
        )

    def _search(self, query: dict[str, str]) -> Answer:
        types = set(query.get("type", "boardgame,boardgameexpansion").split(","))
        if not types <= answers.THING_TYPES:
            return _xml(answers.INVALID_TYPE)
        return _xml(answers.found(query.get("query", ""), types))

    def _collection(self, query: dict[str, str]) -> Answer:
        if query.get("username") != COLLECTOR:
            return _xml(answers.INVALID_USER)
        asked = json.dumps(query, sort_keys=True)
        if asked in self.accepted:
            self.accepted.remove(asked)
            return _xml(answers.collection(list(games.REAL.values())))
        self.accepted.add(asked)
        return FAULTS["202"] or _xml("")

    def _received(self, scope: Scope) -> tuple[int, Any]:
        """What came in, with the most requests that any window of 950 ms saw."""
        if scope["method"] == "DELETE":
            self.clock.clear()
            self.received.clear()
        arrivals, first, busiest = list(self.clock), 0, 0
        for last, at in enumerate(arrivals):
            while at - arrivals[first] >= WINDOW:
                first += 1
            busiest = max(busiest, last - first + 1)
        statuses = Counter(str(request["status"]) for request in self.received)
        requests = list(self.received)
        return 200, {"total": len(requests), "busiest": busiest, "statuses": statuses, "requests": requests}

    async def _control(self, scope: Scope, receive: Receive) -> tuple[int, Any]:
        """Switch a fault on for the next requests, and a latency on for all."""
        if scope["method"] == "POST":
            try:
                wanted = json.loads(await asgi.body_of(receive))
                fault, count, after = wanted.get("fault"), int(wanted.get("count", 1)), int(wanted.get("after", 0))
                latency = float(wanted.get("latency_ms", self.latency * 1000)) / 1000
            except (ValueError, TypeError, AttributeError) as error:
                return HTTPStatus.BAD_REQUEST, {"error": f"not a control: {error}"}
            if fault is not None and fault not in FAULTS:
                return HTTPStatus.BAD_REQUEST, {"error": f"no fault {fault!r}", "faults": list(FAULTS)}
            self.fault, self.count, self.after = fault, count if fault else 0, after
            self.latency = max(latency, 0.0)
        return 200, {
            "fault": self.fault if self.count else None,
            "count": self.count,
            "after": self.after,
            "latency_ms": self.latency * 1000,
        }


ENDPOINTS: Final[dict[str, Callable[[Sandbox, dict[str, str]], Answer]]] = {
    "/xmlapi2/thing": Sandbox._thing,
    "/xmlapi2/hot": Sandbox._hot,
    "/xmlapi2/search": Sandbox._search,
    "/xmlapi2/collection": Sandbox._collection,
}


async def _send(send: Send, answer: Answer) -> None:
    status, kind, body = answer
    login = {"www-authenticate": 'Bearer realm="xml api"'} if status == HTTPStatus.UNAUTHORIZED else {}
    await asgi.answer(send, status, body.encode(), {"content-type": kind} | login)


application = Sandbox()
