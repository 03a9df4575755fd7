"""ESI's rules around its answers: the compatibility date, tokens and scopes, snapshots with ETag and expiry, pages."""

import hashlib
import json
import re
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import formatdate, parsedate_to_datetime
from typing import Any, Final

from . import paging, resolving, tokens
from .http import Answer, Request, error, told
from .limits import Buckets, ErrorLimit
from .routes import OLDEST, Route, find
from .switches import Switches
from .world import World

DAY_CHANGES: Final = timedelta(hours=11)  # UTC
SUBJECT: Final = re.compile(r"CHARACTER:EVE:([0-9]+)")
EXCEEDED: Final = (
    "This software has exceeded the error limit for ESI. If you are a user, please contact the maintainer."
)


@dataclass(slots=True)
class Snapshot:
    """An answer as it was when somebody first asked; all its pages are of the same moment."""

    value: Any
    modified: int
    expires: int
    shifted: bool = False  # since the last answer


class Esi:
    """Answers one request after the other."""

    def __init__(self, switches: Switches, world: World) -> None:
        self._switches = switches
        self._world = world
        self._buckets = Buckets(switches)
        self._errors = ErrorLimit(switches)
        self._snapshots: dict[tuple[object, ...], Snapshot] = {}

    def forget(self) -> None:
        """The next answers are new ones."""
        self._snapshots.clear()

    def whose(self, request: Request) -> int:
        """The character of the request's token; 0: nobody's, the address counts."""
        return _subject(self._claims(request)[0])

    def answer(self, request: Request, fault: Answer | None = None) -> Answer:
        """The answer, or this one instead, with the limits' headers and what it costs."""
        found = find(request.method, request.path)
        if found is None:
            return self._errors_counted(error(404, "Requested route does not exist!"))
        route, ids = found
        claims, refusal = self._claims(request)
        whose = _subject(claims)
        note = {"character": ids.get("character_id", whose), "group": route.bucket or None}
        if route.bucket and (wait := self._buckets.wait(route.bucket, whose)):
            refused = error(429, "Rate limit exceeded")
            refused.headers |= self._buckets.spend(route.bucket, whose, 429) | {"retry-after": str(wait)}
            refused.note |= note | {"wait": wait, "of": f"{route.bucket} {whose}"}
            return refused
        if not route.bucket and (wait := self._errors.wait()):
            refused = error(420, EXCEEDED)
            refused.headers |= {"x-esi-error-limit-remain": "0", "x-esi-error-limit-reset": str(wait)}
            refused.note |= note | {"wait": wait, "of": "all"}
            return refused
        try:
            answer = fault or refusal or self._allowed(route, ids, request, claims)
        except ValueError as wrong:
            answer = error(400, f"invalid parameter: {wrong}", location="query", value=dict(request.query))
        answer.note |= note
        if route.bucket:
            answer.headers |= self._buckets.spend(route.bucket, whose, answer.status)
            return answer
        return self._errors_counted(answer)

    def _errors_counted(self, answer: Answer) -> Answer:
        answer.headers |= self._errors.count(answer.status)
        return answer

    def _claims(self, request: Request) -> tuple[dict[str, Any] | None, Answer | None]:
        """Who asks, and what is wrong with the token."""
        kind, _, token = request.headers.get("authorization", "").partition(" ")
        if not token:
            return None, None
        claims = tokens.read(token, self._switches.kid) if kind.lower() == "bearer" else None
        return claims, None if claims else error(401, "token is expired or invalid")

    def _allowed(self, route: Route, ids: Mapping[str, int], request: Request, claims: dict[str, Any] | None) -> Answer:
        date = request.headers.get("x-compatibility-date") or request.query.get("compatibility_date") or OLDEST
        if not _known_date(date):
            return error(400, "invalid compatibility date", location="header.X-Compatibility-Date", value=date)
        if route.scope:
            scopes = (claims or {}).get("scp", [])
            if claims is None:
                return error(401, "authorization not provided")
            if route.scope not in ([scopes] if isinstance(scopes, str) else scopes):
                return error(403, f"token is not valid for scope: {route.scope}")
            if _subject(claims) != ids["character_id"]:
                return error(403, "Character does not have required access")
        if route.method == "POST":
            return resolving.answer(route, ids, request.body, self._world)
        snapshot, hit = self._snapshot(route, ids, request.query, date)
        if snapshot.value is None:
            return error(404, "Character not found" if len(ids) == 1 else "Mail not found!")
        size = self._switches.sizes.get(route.name)
        value, more = paging.cut(route, snapshot.value, request.query, size)
        if value is None:
            return error(404, "Requested page does not exist!")
        return self._cached(route, request, snapshot, value, more | {"x-esi-cache-status": "HIT" if hit else "MISS"})

    def _snapshot(
        self, route: Route, ids: Mapping[str, int], query: Mapping[str, str], date: str
    ) -> tuple[Snapshot, bool]:
        variant = (query.get("include_completed"), query.get("labels"))
        key = (route.path, *ids.values(), *variant, date >= route.version)
        known, now = self._snapshots.get(key), int(time.time())
        if known and int(query.get("page", 1)) > 1 and self._switches.shift:
            self._switches.shift -= 1
            known.modified, known.expires, known.shifted = known.modified + 1, known.expires + 1, True
            return known, False
        if known and now < known.expires:
            return known, True
        value = self._switches.answers.get(route.name)
        if value is None:
            value = self._world.tell(route, ids, query, date)
        age = self._switches.ages.get(route.name, self._switches.ages.get("*", route.age))
        unchanged = known is not None and route.newer and known.value == value
        snapshot = Snapshot(value, known.modified if known and unchanged else now, now + age)
        self._snapshots[key] = snapshot
        return snapshot, False

    def _cached(self, route: Route, request: Request, snapshot: Snapshot, value: Any, more: dict[str, str]) -> Answer:
        """200 with the value, or 304 when the caller has it."""
        text = json.dumps(value).encode()
        etag = f'W/"{hashlib.sha256(text).hexdigest()}"' if route.newer else f'"{hashlib.sha224(text).hexdigest()}"'
        age = snapshot.expires - snapshot.modified
        newer = f"private, max-age={age}, must-revalidate, stale-if-error=900"
        headers = {
            "cache-control": newer if route.newer else ("private" if route.scope else "public"),
            "content-language": request.headers.get("accept-language", "en"),
            "etag": etag,
            "last-modified": formatdate(snapshot.modified, usegmt=True),
            "vary": "Accept-Language, X-Compatibility-Date",
            "x-compatibility-date": route.version,
            **({} if route.newer else {"x-esi-request-id": secrets.token_hex(16)}),
            **more,
        }
        note: dict[str, Any] = {"shifted": snapshot.shifted}
        snapshot.shifted = False
        if snapshot.expires > snapshot.modified:
            headers["expires"] = formatdate(snapshot.expires, usegmt=True)
            note["expires"] = snapshot.expires
        since = request.headers.get("if-modified-since")
        if etag == request.headers.get("if-none-match") or (since and _unchanged(since, snapshot.modified)):
            return Answer(304, b"", headers, note)
        answer = told(200, None)
        answer.body = text
        answer.headers |= headers
        answer.note |= note
        return answer


def _subject(claims: Mapping[str, Any] | None) -> int:
    """Whose a token is, by its claims; 0: nobody's."""
    match = SUBJECT.fullmatch(str((claims or {}).get("sub")))
    return int(match[1]) if match else 0


def _known_date(date: str) -> bool:
    """Neither before the first nor after today; ESI's day begins at 11:00 UTC."""
    try:
        asked = datetime.strptime(date, "%Y-%m-%d").date()  # noqa: DTZ007 (a day, no time)
    except ValueError:
        return False
    return asked.isoformat() >= OLDEST and asked <= (datetime.now(UTC) - DAY_CHANGES).date()


def _unchanged(since: str, modified: int) -> bool:
    try:
        return parsedate_to_datetime(since).timestamp() >= modified
    except ValueError:
        return False
