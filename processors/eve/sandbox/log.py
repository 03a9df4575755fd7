"""What the sandbox received: each request with its times, how many were there at once, and which should not have come.

`early` came before the Expires of the same answer. `too_soon` came within the time that a 429 or 420 had asked for.
No token is ever noted.
"""

import time
from collections import Counter, deque
from collections.abc import Mapping
from typing import Any, Final

from .http import Request

REMEMBERED: Final = 20_000
Entry = dict[str, Any]


class Log:
    def __init__(self) -> None:
        self.requests: deque[Entry] = deque(maxlen=REMEMBERED)
        self._busy: Counter[str] = Counter()  # route → answers that are being made
        self._busiest: Counter[str] = Counter()
        self._expires: dict[tuple[object, ...], int] = {}
        self._waits: dict[str, float] = {}  # who was told to wait → until when

    def begin(self, service: str, name: str, bucket: str, whose: int, request: Request) -> Entry:
        """Note an arrival. `bucket` and `whose` say which wait it should have kept to."""
        now = time.time()
        key = (name, request.path, tuple(sorted(request.query.items())))
        waits = [self._waits.get(f"{bucket} {whose}", 0.0), self._waits.get("all", 0.0)]
        entry = {
            "at": now,
            "until": None,
            "service": service,
            "route": name,
            "method": request.method,
            "path": request.path,
            "query": {} if service == "sso" else dict(request.query),
            "status": None,
            "conditional": "if-none-match" in request.headers,
            "early": self._expires.get(key, 0) > now and request.method == "GET",
            "too_soon": service == "esi" and max(waits) > now,
            "agent": request.headers.get("user-agent", ""),
            "compatibility_date": request.headers.get("x-compatibility-date"),
        }
        self.requests.append(entry)
        self._busy[name] += 1
        self._busiest[name] = max(self._busiest[name], self._busy[name])
        return entry

    def end(self, entry: Entry, request: Request, status: int | str, note: Mapping[str, Any]) -> None:
        """Note what it got, and what that says about the next."""
        entry |= {"until": time.time(), "status": status} | {
            name: note[name] for name in ("character", "group", "grant_type") if name in note
        }
        self._busy[entry["route"]] -= 1
        if note.get("shifted"):
            self._expires.clear()  # whoever begins again is right
        elif "expires" in note:
            key = (entry["route"], request.path, tuple(sorted(request.query.items())))
            self._expires[key] = note["expires"]
        if "wait" in note:
            self._waits[note["of"]] = time.time() + note["wait"]

    def told(self) -> Entry:
        """All of it, as `/_received` gives it."""
        requests = list(self.requests)
        return {
            "total": len(requests),
            "statuses": Counter(str(entry["status"]) for entry in requests),
            "routes": Counter(entry["route"] for entry in requests),
            "busiest": dict(self._busiest),
            "busy": {route: count for route, count in self._busy.items() if count},
            "early": sum(entry["early"] for entry in requests),
            "too_soon": sum(entry["too_soon"] for entry in requests),
            "requests": requests,
        }

    def forget(self) -> None:
        """The past, but not what clients were told."""
        self.requests.clear()
        self._busiest.clear()

    def expire(self) -> None:
        """Every answer's age is over."""
        self._expires.clear()
