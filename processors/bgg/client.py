"""BoardGameGeek's XML API2: one call, one answer, or an error that says what a job should do about it.

Every request first waits for its turn (two a second, shared by all workers). What an answer looks like
is `xml`'s business; when to try again is the job queue's.
"""

import functools
import logging
import os
from collections.abc import Callable, Sequence
from http import HTTPStatus
from typing import Final, TypeVar

import httpx2
from django.conf import settings

from jobs.errors import Discard, RateLimited, Retry
from jobs.processor import Upstream, pause_queue

from . import xml

log = logging.getLogger(__name__)

QUEUE: Final = "bgg"
MAX_IDS: Final = 20  # the service refuses longer lists
MAX_HOT: Final = 50
INTERVAL: Final = 0.51  # seconds between two requests: 2 a second, and a margin
TIMEOUT: Final = httpx2.Timeout(30, connect=5)
PATIENCE: Final = 5.0  # seconds we stay away, at least, when told to slow down
MAX_PATIENCE: Final = 300.0
MAX_AFTER: Final = 24 * 3600.0  # seconds that the service itself may keep us away

T = TypeVar("T")


class Unauthorized(Discard):
    """BoardGameGeek refuses the token (BGG_TOKEN): no job would succeed."""


class Client:
    """The calls we use. `attempt` is the caller's: the later it is, the longer a 429 keeps it away."""

    def __init__(self, url: str, token: str, *, timeout: httpx2.Timeout = TIMEOUT) -> None:
        self._upstream = Upstream(QUEUE, interval=INTERVAL)
        self._http = httpx2.Client(
            base_url=url,
            timeout=timeout,
            headers={"User-Agent": f"Jobyard ({settings.UPSTREAM_CONTACT})" if settings.UPSTREAM_CONTACT else "Jobyard"}
            | ({"Authorization": f"Bearer {token}"} if token else {}),
        )

    def things(self, ids: Sequence[int], *, stats: bool = True, attempt: int = 1) -> list[xml.Thing]:
        """Games by id, 20 at most. Those that the service does not know are missing in the answer."""
        query = {"id": ",".join(map(str, ids))} | ({"stats": "1"} if stats else {})
        return self._get("thing", query, xml.things, attempt)

    def hot(self, *, attempt: int = 1) -> list[xml.HotGame]:
        """The games that people look at most today, 50 at most."""
        return self._get("hot", {"type": "boardgame"}, xml.hot, attempt)

    def search(self, query: str, *, attempt: int = 1) -> list[xml.Found]:
        """Games and expansions with these words in a name."""
        return self._get("search", {"query": query, "type": "boardgame,boardgameexpansion"}, xml.search, attempt)

    def close(self) -> None:
        self._http.close()

    def _get(self, path: str, query: dict[str, str], read: Callable[[bytes], T], attempt: int) -> T:
        self._upstream.acquire()
        try:
            answer = self._ask(path, query, read)
        except RateLimited as limited:
            limited.after = max(min(PATIENCE * 2 ** min(attempt - 1, 10), MAX_PATIENCE), limited.after or 0)
            self._upstream.failed()
            self._upstream.slow_down(limited.after)
            raise
        except Retry:
            self._upstream.failed()
            raise
        except Unauthorized as refused:
            log.error("%s The queue %s is paused.", refused, QUEUE)
            pause_queue(QUEUE, reason=str(refused))
            raise
        self._upstream.succeeded()
        return answer

    def _ask(self, path: str, query: dict[str, str], read: Callable[[bytes], T]) -> T:
        try:
            response = self._http.get(path, params=query)
        except httpx2.RequestError as error:
            raise Retry(f"{path}: {type(error).__name__}: {error}") from error
        _check(path, response)
        try:
            return read(response.content)
        except xml.Malformed as error:
            raise Retry(f"{path}: {error}") from error
        except xml.Refused as error:
            raise _refusal(path, str(error)) from error


def _check(path: str, response: httpx2.Response) -> None:
    """Raise what the status and the kind of answer mean. Most errors come with 200 and XML: see `_refusal`."""
    status = response.status_code
    told = f"{path}: {status} {' '.join(response.text.split())[:200]}"
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        after = response.headers.get("Retry-After", "")
        raise RateLimited(told, after=min(float(after), MAX_AFTER) if after.isdecimal() else None)
    if status == HTTPStatus.UNAUTHORIZED:
        raise Unauthorized
    if status == HTTPStatus.ACCEPTED or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        raise Retry(told)
    if status != HTTPStatus.OK:
        raise Discard(told)
    if "xml" not in response.headers.get("Content-Type", ""):
        raise Retry(f"{path}: an answer that is not XML")


def _refusal(path: str, message: str) -> Retry | Discard:
    """The error behind a message inside an answer."""
    told = f"{path}: {message}"
    if message == "Rate limit exceeded.":
        return RateLimited(told)
    return Retry(told) if message in ("Exception", "") else Discard(told)


@functools.cache
def client() -> Client:
    """The client of this process, built when it is first needed: connections do not survive a fork."""
    return Client(settings.BGG_URL, settings.BGG_TOKEN)


os.register_at_fork(after_in_child=client.cache_clear)
