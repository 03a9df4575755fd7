"""Which roll-ups to read for a stretch of time: days within it, hours and minutes at its edges."""
# ruff: noqa: A002 (range and type are the words of the API)

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, Final, NamedTuple

from jobs.models import Period
from jobs.rollups import KEPT, LIVE, floor
from jobs.sessions import fetch

RANGES: Final = {
    "15m": timedelta(minutes=15),
    "1h": timedelta(hours=1),
    "6h": timedelta(hours=6),
    "24h": timedelta(days=1),
    "7d": timedelta(days=7),
    "30d": timedelta(days=30),
}
_BUCKETS: Final = [(timedelta(hours=6), Period.MINUTE), (timedelta(days=7), Period.HOUR)]  # longer ones: days


class Window(NamedTuple):
    """A range that ends now: the last so many minutes, hours or days, the current one included."""

    begin: datetime
    now: datetime
    bucket: Period

    @property
    def hours(self) -> float:
        """How long it is so far."""
        return (self.now - self.begin) / timedelta(hours=1)

    def live(self, rolled_up: datetime | None) -> datetime:
        """From when on jobs are read: from where roll-ups end, unless they are far behind."""
        oldest = floor(self.now, Period.MINUTE) - LIVE
        return max(rolled_up or oldest, oldest, self.begin)

    def buckets(self) -> Iterator[datetime]:
        """The begin of each."""
        at = self.begin
        while at <= self.now:
            yield at
            at += timedelta(seconds=self.bucket)


class Stretch(NamedTuple):
    """Roll-ups of one period, from `since` until before `until`."""

    period: Period
    since: datetime
    until: datetime


def window(range: str | timedelta) -> Window:
    """The range by its name in RANGES, or of that length. Raises KeyError for an unknown name."""
    length = RANGES[range] if isinstance(range, str) else range
    bucket = next((period for most, period in _BUCKETS if length <= most), Period.DAY)
    ((now,),) = fetch("SELECT statement_timestamp()", {})
    now = now.astimezone(UTC)
    begin = min(floor(now - length, bucket) + timedelta(seconds=bucket), floor(now, bucket))
    return Window(begin, now, bucket)


def stretches(begin: datetime, end: datetime) -> list[Stretch]:
    """The fewest roll-ups from `begin` until before `end`, which are begins of minutes."""
    first_hour, last_hour = _ceil(begin, Period.HOUR), floor(end, Period.HOUR)
    first_day, last_day = _ceil(begin, Period.DAY), floor(end, Period.DAY)
    if first_hour >= last_hour:
        parts = [Stretch(Period.MINUTE, begin, end)]
    elif first_day >= last_day:
        parts = [
            Stretch(Period.MINUTE, begin, first_hour),
            Stretch(Period.HOUR, first_hour, last_hour),
            Stretch(Period.MINUTE, last_hour, end),
        ]
    else:
        parts = [
            Stretch(Period.MINUTE, begin, first_hour),
            Stretch(Period.HOUR, first_hour, first_day),
            Stretch(Period.DAY, first_day, last_day),
            Stretch(Period.HOUR, last_day, last_hour),
            Stretch(Period.MINUTE, last_hour, end),
        ]
    return [part for part in parts if part.since < part.until]


def kept(moment: datetime, now: datetime) -> datetime:
    """The begin of the minute, or of the hour or day where minutes or hours of then are no longer kept."""
    periods = (Period.MINUTE, Period.HOUR)
    return floor(moment, next((period for period in periods if now - moment < KEPT[period] / 2), Period.DAY))


def parameters(parts: list[Stretch]) -> dict[str, Any]:
    """Of a statement that reads `rows`."""
    return {
        "periods": [part.period.value for part in parts],
        "since": [part.since for part in parts],
        "until": [part.until for part in parts],
    }


def rows(table: str, condition: str) -> str:
    """The roll-ups `r` of these stretches, for FROM. `OFFSET 0` has each stretch read by the index of the table."""
    return f"""unnest(%(periods)s::int[], %(since)s::timestamptz[], %(until)s::timestamptz[]) AS w(period, since, until)
    CROSS JOIN LATERAL (SELECT * FROM {table} WHERE period = w.period AND at >= w.since AND at < w.until
        AND {condition} OFFSET 0) AS r"""  # noqa: S608 (constants)


def _ceil(moment: datetime, period: int) -> datetime:
    begin = floor(moment, period)
    return begin if begin == moment else begin + timedelta(seconds=period)
