"""How many calls a caller may make. A call too many is a 429 that says when to come back."""

import threading
import time

import redis
from django.conf import settings
from django.http import HttpRequest
from ninja.throttling import BaseThrottle

from jobs import broker

AWAY = 5.0  # seconds without counting after Redis failed


class CallerRate(BaseThrottle):
    """So many calls of one caller in each period, by all web processes together. Without Redis nothing is counted.

    A period begins with its first call and ends by Redis' clock: those of web hosts may differ, and be set.
    """

    def __init__(self, setting: str) -> None:
        self.setting = setting
        self.away_until = 0.0
        self._here = threading.local()

    @property
    def rate(self) -> tuple[int, int] | None:
        """Calls, and seconds; None: any number."""
        rate: tuple[int, int] | None = getattr(settings, self.setting)
        return rate

    def allow_request(self, request: HttpRequest) -> bool:
        if self.rate is None or time.monotonic() < self.away_until:
            return True
        most, period = self.rate
        key = f"jobs:calls:{self.setting}:{request.auth.name}"  # type: ignore[attr-defined]
        try:
            with broker.client().pipeline(transaction=False) as pipe:
                # Also on a key that a dying process left without its end; one that has one keeps it.
                used, _, left = pipe.incr(key).expire(key, period, nx=True).pttl(key).execute()  # type: ignore[attr-defined]
        except redis.RedisError:
            self.away_until = time.monotonic() + AWAY
            return True
        self._here.left = left / 1000
        return bool(used <= most)

    def wait(self) -> float | None:
        """Seconds to the next period. Asked after `allow_request`, in the same thread."""
        left: float = self._here.left
        return left


CALLS = CallerRate("API_RATE")
BULKS = CallerRate("API_BULK_RATE")
