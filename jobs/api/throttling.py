"""How many calls a caller may make. A call too many is a 429 that says when to come back."""

import time

import redis
from django.conf import settings
from django.http import HttpRequest
from ninja.throttling import BaseThrottle

from jobs import broker

AWAY = 5.0  # seconds without counting after Redis failed


class CallerRate(BaseThrottle):
    """So many calls of one caller in each period, by all web processes together. Without Redis nothing is counted."""

    def __init__(self, setting: str) -> None:
        self.setting = setting
        self.away_until = 0.0

    @property
    def rate(self) -> tuple[int, int] | None:
        """Calls, and seconds; None: any number."""
        rate: tuple[int, int] | None = getattr(settings, self.setting)
        return rate

    def allow_request(self, request: HttpRequest) -> bool:
        if self.rate is None or time.monotonic() < self.away_until:
            return True
        most, period = self.rate
        key = f"jobs:calls:{self.setting}:{request.auth.name}:{int(time.time()) // period}"  # type: ignore[attr-defined]
        try:
            with broker.client().pipeline(transaction=False) as pipe:
                used, _ = pipe.incr(key).expire(key, period).execute()  # type: ignore[attr-defined]
        except redis.RedisError:
            self.away_until = time.monotonic() + AWAY
            return True
        return bool(used <= most)

    def wait(self) -> float | None:
        """Seconds to the next period."""
        return self.rate and self.rate[1] - time.time() % self.rate[1]


CALLS = CallerRate("API_RATE")
BULKS = CallerRate("API_BULK_RATE")
