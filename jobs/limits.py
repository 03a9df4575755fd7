"""The pace and the breaker of an upstream, shared by all workers: one row in Postgres for each.

Calls are spaced evenly by the database's clock. A window counted in Redis would let bursts through at
its edges and forget everything when emptied.
"""

import time
from datetime import timedelta

from jobs.errors import Snooze
from jobs.sessions import fetch, side_session

PATIENCE = 2.0  # seconds a slot may be waited for while holding the worker's slot
LATE = 0.025  # seconds; a caller that wakes up later than this asks for another slot, or two calls would meet
TRIES = 5  # where the database is always that far away, calls go on
BREAK_AFTER = 5  # retryable errors in a row
BREAK_FOR = 30.0  # seconds

_TAKE = """
INSERT INTO jobs_limit AS l (name, next_at) VALUES (%(name)s, clock_timestamp() + %(interval)s * interval '1 second')
ON CONFLICT (name) DO UPDATE SET next_at = greatest(l.next_at, clock_timestamp()) + %(interval)s * interval '1 second'
WHERE l.next_at < clock_timestamp() + %(patience)s * interval '1 second'
    AND (l.open_until IS NULL OR l.open_until < clock_timestamp())
RETURNING extract(epoch FROM next_at - clock_timestamp())::float8 - %(interval)s
"""
_WAIT = """
SELECT extract(epoch FROM greatest(next_at, open_until) - clock_timestamp())::float8, open_until > clock_timestamp()
FROM jobs_limit WHERE name = %(name)s
"""
_LOOK = """
SELECT extract(epoch FROM greatest(next_at, open_until) - clock_timestamp())::float8,
    coalesce(open_until > clock_timestamp(), false)
FROM jobs_limit WHERE name = %(name)s AND greatest(next_at, open_until) > clock_timestamp()
"""
_SLOW_DOWN = """
INSERT INTO jobs_limit AS l (name, next_at) VALUES (%(name)s, clock_timestamp() + %(seconds)s * interval '1 second')
ON CONFLICT (name) DO UPDATE SET next_at = greatest(l.next_at, excluded.next_at)
"""
_SUCCEEDED = "UPDATE jobs_limit SET failures = 0, open_until = NULL WHERE name = %(name)s AND failures > 0"
# The first call after the pause is a trial: one more failure opens the breaker again.
_FAILED = """
INSERT INTO jobs_limit AS l (name, failures) VALUES (%(name)s, 1)
ON CONFLICT (name) DO UPDATE SET failures = l.failures + 1,
    open_until = CASE WHEN l.failures + 1 >= %(break_after)s
        THEN clock_timestamp() + %(break_for)s * interval '1 second' END
"""


class Upstream:
    """A service that our jobs call: at most one call each `interval` seconds, over all workers."""

    def __init__(self, name: str, *, interval: float = 0.0) -> None:
        self.name = name
        self.interval = interval

    def acquire(self) -> None:
        """Wait for the next call's turn. Raises Snooze when that is more than 2 s away, or the breaker is open."""
        for _ in range(TRIES):
            earliest, latest = self._take()
            time.sleep(max(0.0, latest - time.monotonic()))
            if time.monotonic() < earliest + LATE:
                return

    def _take(self) -> tuple[float, float]:
        """Between which times (monotonic) the slot is that is now ours: we know when we asked and when it was said."""
        with side_session():  # which may have to be waited for
            asked = time.monotonic()
            taken = fetch(_TAKE, {"name": self.name, "interval": self.interval, "patience": PATIENCE})
            if taken:
                wait = max(0.0, float(taken[0][0]))
                return asked + wait, time.monotonic() + wait
            ((seconds, broken),) = fetch(_WAIT, {"name": self.name})
        raise self._not_now(seconds, broken)

    def check(self) -> None:
        """Raise Snooze while nobody may call, for upstreams that set no pace but count calls and say when to stop."""
        with side_session():
            closed = fetch(_LOOK, {"name": self.name})
        if closed:
            raise self._not_now(*closed[0])

    def _not_now(self, seconds: float, broken: bool) -> Snooze:
        reason = "its last calls failed" if broken else "its limit is used up"
        return Snooze(f"{self.name}: {reason}", after=timedelta(seconds=max(0.0, seconds)))

    def slow_down(self, seconds: float) -> None:
        """Let nobody call for this long, as the upstream asked."""
        with side_session():
            fetch(_SLOW_DOWN, {"name": self.name, "seconds": seconds})

    def succeeded(self) -> None:
        """Close the breaker."""
        with side_session():
            fetch(_SUCCEEDED, {"name": self.name})

    def failed(self) -> None:
        """Count a retryable error; five in a row open the breaker for 30 s."""
        with side_session():
            fetch(_FAILED, {"name": self.name, "break_after": BREAK_AFTER, "break_for": BREAK_FOR})
