"""One simulated provider: its limits, its faults, what it says, what it received and what that cost."""

import json
import re
import time
from collections import Counter, deque
from dataclasses import dataclass, field
from typing import Any, Final

from .shapes import Answer, Asked, Body, Dialect, End, Headers, Limits, Said, tokens
from .writing import talk, write

DROPPED: Final = ""  # in place of an event: the connection ends
STREAMED: Final = 200
MINUTE: Final = 60.0
PER_MINUTE: Final = 4000  # requests, of a customer in good standing
REMEMBERED: Final = 10_000  # requests
CHARACTERS: Final = 2000  # of a request's text
ENDS: Final[dict[str, End]] = {"refusal": "refusal", "truncated": "length", "content-filter": "filter"}
OURS: Final = frozenset(ENDS) | {"invalid", "slow", "reset", "stream-error", "stream-reset"}
MARK: Final = re.compile(r"sandbox:([a-z]+):([a-z-]+)")


@dataclass
class Turn:
    """One request, from its arrival to its answer."""

    path: str
    noted: dict[str, Any]  # in what was received
    asked: Asked | None = None
    refused: Answer | None = None  # before any fault
    fault: str | None = None
    headers: Headers = field(default_factory=dict)

    def note(self, status: int | str) -> None:
        """What became of it."""
        self.noted["status"] = status


class Provider:
    """Its state, in memory."""

    def __init__(self, name: str, dialect: Dialect) -> None:
        self.name, self.dialect = name, dialect
        self.faults = dialect.faults | OURS
        self.reset()

    def reset(self) -> None:
        """Without faults and without a past."""
        self.queue: deque[str | None] = deque()
        self.latency, self.retry_after, self.per_minute = 0.0, 2.0, PER_MINUTE
        self.dialect.context = type(self.dialect).context
        self.arrivals: deque[float] = deque(maxlen=REMEMBERED)
        self.requests: deque[dict[str, Any]] = deque(maxlen=REMEMBERED)
        self.running = self.busiest = 0

    def begin(self, path: str, body: bytes, headers: Headers, query: Headers) -> Turn:
        """Take a request: who asks, how often, what, and what will go wrong."""
        noted = {
            "at": time.time(),
            "path": path,
            "model": "",
            "stream": False,
            "text": "",
            "tokens": {"input": 0, "output": 0},
            "retry": headers.get("x-stainless-retry-count", "0"),  # how the official clients count their own
            "request_id": "",
            "status": None,
        }
        self.requests.append(noted)
        self.running += 1
        self.busiest = max(self.busiest, self.running)
        turn = Turn(path, noted)
        limits = self._limits()
        turn.headers = self.dialect.headers(limits)
        noted["request_id"] = turn.headers.get("x-request-id") or turn.headers.get("request-id", "")
        turn.refused = self.dialect.authorise(headers, query)
        if turn.refused:
            return turn
        try:
            read = self.dialect.read(path, json.loads(body or b"{}"))
        except ValueError:
            read = 400, {"error": {"message": "We could not parse the JSON body of your request."}}, {}
        if read is None:
            read = 404, {"error": {"message": f"Unknown request URL: {path}"}}, {}
        if not isinstance(read, Asked):
            turn.refused = read
            return turn
        turn.asked = read
        noted |= {"model": read.model, "stream": read.stream, "text": read.text[:CHARACTERS]}
        turn.fault = self._fault(read, limits)
        return turn

    def _limits(self) -> Limits:
        now = time.monotonic()
        while self.arrivals and now - self.arrivals[0] >= MINUTE:
            self.arrivals.popleft()
        self.arrivals.append(now)
        remaining = self.per_minute - len(self.arrivals)
        return Limits(self.per_minute, max(remaining, 0), self.arrivals[0] + MINUTE - now if remaining < 0 else 0.0)

    def _fault(self, asked: Asked, limits: Limits) -> str | None:
        if limits.reset:
            return "rate-limit"
        if self.queue and (fault := self.queue.popleft()):
            return fault
        if not asked.model.startswith(self.dialect.families):
            return "unknown-model"
        if asked.tokens > self.dialect.context:
            return "context"
        marked = {fault for provider, fault in MARK.findall(asked.text) if provider == self.name}
        return next(iter(marked & self.faults), None)

    def answer(self, turn: Turn) -> Answer | list[str]:
        """A whole answer, or the events of a stream."""
        asked, fault = turn.asked, turn.fault
        if asked is None:
            return turn.refused or (500, {}, {})
        if fault in self.dialect.faults:
            return self.dialect.refusal(fault, asked, turn.path, self.retry_after)
        broken = fault in ("stream-error", "stream-reset")
        if broken and not asked.stream:
            return self.dialect.refusal("server-error", asked, turn.path, self.retry_after)
        said = self._say(asked, fault)
        turn.noted["tokens"] = {"input": asked.tokens, "output": said.tokens}
        if not asked.stream:
            return 200, self.dialect.answer(turn.path, asked, said), {}
        events = self.dialect.events(turn.path, asked, said)
        if broken:
            ending = self.dialect.broken(turn.path) if fault == "stream-error" else DROPPED
            return [*events[: len(events) // 2], ending]
        return events

    def _say(self, asked: Asked, fault: str | None) -> Said:
        about = MARK.sub("", asked.text)
        text = talk(about, self.name) if asked.schema is None else write(asked.schema, about, self.name)
        if fault == "invalid":
            text = json.dumps({"unexpected": "This is not what was asked for."})
        end = ENDS.get(fault or "", "stop")
        most = len(text) // 8 if end == "length" else asked.limit
        if most is not None and tokens(text) > most:
            text, end = text[: most * 4], "length" if end == "stop" else end
        return Said(
            "" if end in ("refusal", "filter") else text, end, len(text) // 4 if end == "length" else tokens(text)
        )

    def end(self, turn: Turn) -> None:
        """It was answered, or its client left."""
        self.running -= 1

    def control(self, wanted: Body) -> Body:
        """Change the switches; how they are then. Raises ValueError or TypeError when that is not possible."""
        fault, count, after = wanted.get("fault"), int(wanted.get("count", 1)), int(wanted.get("after", 0))
        queue = wanted.get("faults", [None] * after + [fault] * count if "fault" in wanted else list(self.queue))
        for name in queue:
            if name is not None and name not in self.faults:
                raise ValueError(f"no fault {name!r}")
        latency = max(0.0, float(wanted.get("latency_ms", self.latency * 1000)) / 1000)
        retry_after, context = (
            float(wanted.get("retry_after", self.retry_after)),
            int(wanted.get("context", self.dialect.context)),
        )
        self.per_minute = int(wanted.get("per_minute", self.per_minute))
        self.queue, self.latency, self.retry_after, self.dialect.context = deque(queue), latency, retry_after, context
        return {
            "faults": list(self.queue),
            "latency_ms": latency * 1000,
            "retry_after": retry_after,
            "per_minute": self.per_minute,
            "context": context,
        }

    def told(self) -> Body:
        """What came in, how it ended and what it cost."""
        requests = list(self.requests)
        return {
            "total": len(requests),
            "running": self.running,
            "busiest": self.busiest,
            "statuses": Counter(str(request["status"]) for request in requests),
            "tokens": {kind: sum(request["tokens"][kind] for request in requests) for kind in ("input", "output")},
            "requests": requests,
        }
