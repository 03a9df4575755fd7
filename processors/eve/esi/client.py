"""ESI: one call, one answer, or an error that says what a job should do about it.

Every call first looks whether ESI, or the rate group of this character, wants to be left alone: rows shared by all
workers. What was answered before, and pages, are `reading`'s; when to try again is the job queue's.
"""

import functools
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Any, Final

import httpx2
from django.conf import settings
from django.utils import timezone

from jobs.errors import Discard, Retry, Snooze
from jobs.processor import Upstream

from .endpoints import Asked

ESI: Final = "esi"
COMPATIBILITY_DATE: Final = "2026-08-18"  # whose shapes the models know
TENANT: Final = "tranquility"
TIMEOUT: Final = httpx2.Timeout(20, connect=5)  # ESI itself gives up after 10 s
ERROR_LIMITED: Final = 420
GAMES_OWN: Final = "error_label"  # in an answer of the game's: not about us as a caller, though it may be a 420
MARGIN: Final = 1.0  # seconds that we stay away longer than we were told: whole seconds, and an answer's way
UNTOLD: Final = 60.0  # seconds to stay away when asked to without a time
LONGEST: Final = 24 * 3600.0  # seconds that we stay away at most, whatever is asked
RESERVE: Final = 20  # errors that are left for calls under way elsewhere: all queues of this room run 18 jobs
DEAREST: Final = 5  # tokens, of a refused call
KEPT: Final = timedelta(hours=1)  # how long an answer holds that does not say so
DOWNTIME: Final = (time(11, 0), time(12, 0))  # UTC: it begins every day, and is over before
USUAL_END: Final = time(11, 15)
AGAIN: Final = 300.0  # seconds between two looks at a long downtime


class Unauthorized(Discard):
    """ESI refuses the access token."""


class NotFound(Discard):
    """ESI knows no such thing."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What ESI said. `value` is None when it is what `etag` already stands for."""

    value: Any
    changed: bool
    etag: str
    modified: str  # Last-Modified as it came: pages of one snapshot have the same
    lifetime: timedelta  # how long nobody needs to ask again, and must not
    pages: int | None  # of numbered pages
    size: int  # bytes


class Client:
    """Calls ESI. `clock` says what time it is."""

    def __init__(
        self, url: str, *, timeout: httpx2.Timeout = TIMEOUT, clock: Callable[[], datetime] = timezone.now
    ) -> None:
        self._upstream = Upstream(ESI)
        self._clock = clock
        self._http = httpx2.Client(
            base_url=url,
            timeout=timeout,
            headers={
                "User-Agent": f"Jobyard ({settings.UPSTREAM_CONTACT})" if settings.UPSTREAM_CONTACT else "Jobyard",
                "X-Compatibility-Date": COMPATIBILITY_DATE,
                "X-Tenant": TENANT,
                "Accept-Language": "en",
            },
        )

    def get(self, asked: Asked, query: Mapping[str, str], token: str, etag: str = "") -> Answer:
        """GET an endpoint. `token` is empty for public ones; `etag` is that of the answer we have.

        Raises Snooze while we are to stay away, Unauthorized, Discard, or Retry.
        """
        endpoint = asked.endpoint
        whose = asked.ids.get("character_id", 0) if token else 0
        bucket = Upstream(f"{ESI} {endpoint.bucket or endpoint.name} {whose}")
        self._upstream.check()
        bucket.check()
        headers = ({"Authorization": f"Bearer {token}"} if token else {}) | ({"If-None-Match": etag} if etag else {})
        try:
            response = self._http.get(asked.path, params=query, headers=headers)
        except httpx2.RequestError as error:
            raise self._trouble(f"{endpoint.name}: {type(error).__name__}: {error}") from error
        self._heed(response, bucket)
        return self._read(endpoint.name, response)

    def close(self) -> None:
        self._http.close()

    def _heed(self, response: httpx2.Response, bucket: Upstream) -> None:
        """Let everybody stay away for as long as the answer asks, also when the next call would be one too many."""
        headers, status = response.headers, response.status_code
        if status == ERROR_LIMITED and GAMES_OWN not in response.text:
            raise _put_off(self._upstream, response, headers.get("X-Esi-Error-Limit-Reset"))
        if status == HTTPStatus.TOO_MANY_REQUESTS:
            raise _put_off(bucket, response, headers.get("Retry-After"))
        if _number(headers.get("X-Esi-Error-Limit-Remain"), RESERVE + 1) <= RESERVE:
            self._upstream.slow_down(_seconds(headers.get("X-Esi-Error-Limit-Reset")))
        if _number(headers.get("X-Ratelimit-Remaining"), DEAREST) < DEAREST:
            bucket.slow_down(DEAREST * _seconds_a_token(headers.get("X-Ratelimit-Limit", "")))

    def _read(self, name: str, response: httpx2.Response) -> Answer:
        if response.status_code not in (HTTPStatus.OK, HTTPStatus.NOT_MODIFIED):
            raise self._refusal(name, response)
        changed = response.status_code == HTTPStatus.OK
        try:
            value = _storable(response.json()) if changed else None
        except ValueError as error:
            raise self._trouble(f"{name}: an answer that is not JSON") from error
        self._upstream.succeeded()
        headers = response.headers
        pages = headers.get("X-Pages", "")
        return Answer(
            value=value,
            changed=changed,
            etag=headers.get("ETag", ""),
            modified=headers.get("Last-Modified", ""),
            lifetime=_lifetime(headers),
            pages=int(pages) if pages.isdecimal() else None,
            size=len(response.content),
        )

    def _refusal(self, name: str, response: httpx2.Response) -> Retry | Snooze | Discard:
        """The error behind a status."""
        status = response.status_code
        told = f"{name}: {status} {_message(response)}"
        if status >= HTTPStatus.INTERNAL_SERVER_ERROR or status == ERROR_LIMITED:
            return self._trouble(told, absent=status == HTTPStatus.SERVICE_UNAVAILABLE)
        match status:
            case HTTPStatus.UNAUTHORIZED:
                return Unauthorized(told)
            case HTTPStatus.FORBIDDEN:
                return Discard(f"{told}. The character may have to log in again, with all scopes.")
            case HTTPStatus.NOT_FOUND:
                return NotFound(told)
        return Discard(told)

    def _trouble(self, told: str, *, absent: bool = False) -> Retry | Snooze:
        """What an error means that passes: another attempt, or, while the game is down, none used up."""
        self._upstream.failed()
        if (left := downtime(self._clock())) is not None:
            return Snooze(told, after=left)
        return Snooze(told, after=UNTOLD) if absent else Retry(told)


def downtime(now: datetime) -> float | None:
    """Seconds until the daily downtime should be over, or is worth another look. None: it is not the time for one."""
    moment = now.astimezone(UTC)
    if not DOWNTIME[0] <= moment.time() < DOWNTIME[1]:
        return None
    return max((datetime.combine(moment, USUAL_END, UTC) - moment).total_seconds(), AGAIN)


def _put_off(closed: Upstream, response: httpx2.Response, told: str | None) -> Snooze:
    """Close it for as long as we were told."""
    after = _seconds(told)
    closed.slow_down(after)
    return Snooze(f"{closed.name}: {response.status_code} {_message(response)}", after=after)


def _message(response: httpx2.Response) -> str:
    """ESI's own words, or the beginning of whatever else came."""
    try:
        said = response.json()
    except ValueError:
        said = None
    text = said["error"] if isinstance(said, dict) and isinstance(said.get("error"), str) else response.text
    return " ".join(text.split())[:200]


def _storable(value: Any) -> Any:
    """Players write what Postgres stores in no text: NULs and lone surrogates."""
    match value:
        case str():
            return value.replace("\0", "").encode(errors="replace").decode()
        case list():
            return [_storable(each) for each in value]
        case dict():
            return {name: _storable(each) for name, each in value.items()}
    return value


def _lifetime(headers: httpx2.Headers) -> timedelta:
    """How long the answer holds, by ESI's own clock: ours may be wrong."""
    try:
        told, until = (parsedate_to_datetime(headers[name]) for name in ("Date", "Expires"))
    except (KeyError, ValueError):
        return KEPT
    return max(until - told, timedelta())


def _number(text: str | None, otherwise: int) -> int:
    return int(text) if text and text.isdecimal() else otherwise


def _seconds(text: str | None) -> float:
    return min(float(text) + MARGIN, LONGEST) if text and text.isdecimal() else UNTOLD


def _seconds_a_token(limit: str) -> float:
    """From `150/15m`: after how many seconds a token comes back, on average."""
    tokens, _, window = limit.partition("/")
    unit = {"s": 1, "m": 60, "h": 3600}.get(window[-1:])
    if not (tokens.isdecimal() and int(tokens) and unit and window[:-1].isdecimal()):
        return UNTOLD / DEAREST
    return min(int(window[:-1]) * unit / int(tokens), LONGEST)


@functools.cache
def client() -> Client:
    """The client of this process, built when it is first needed: connections do not survive a fork."""
    return Client(settings.ESI_URL)


os.register_at_fork(after_in_child=client.cache_clear)
