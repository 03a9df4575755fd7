"""When a schedule is due: computed in UTC from its rule, and from nothing that a process remembers.

So two beats that ask get the same instants. What is done with them is `jobs.scheduler`'s business.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from calendar import monthrange
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from itertools import product
from typing import Any, ClassVar, Protocol
from zoneinfo import ZoneInfo

from celery.exceptions import ImproperlyConfigured
from celery.schedules import ParseException, crontab_parser, solar
from django_celery_beat.models import PeriodicTask

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
TICK = timedelta(microseconds=1)
DAY = timedelta(days=1)
MINUTE = timedelta(minutes=1)
SHORTEST, LONGEST = timedelta(seconds=1), timedelta(days=36_525)  # of an interval
LEAP_YEAR = 2024
FURTHEST_YEAR = 9000  # from where Python can still count on


class Times(Protocol):
    """A series of instants."""

    def after(self, moment: datetime) -> datetime | None:
        """The first one later than `moment`."""

    def until(self, moment: datetime) -> datetime | None:
        """The last one not later than `moment`."""


@dataclass(frozen=True)
class Interval:
    """A grid through `anchor`, and not before it."""

    period: timedelta
    anchor: datetime = EPOCH

    def after(self, moment: datetime) -> datetime:
        return self.anchor + self.period * max((moment - self.anchor) // self.period + 1, 0)

    def until(self, moment: datetime) -> datetime | None:
        steps = (moment - self.anchor) // self.period
        return self.anchor + self.period * steps if steps >= 0 else None


@dataclass(frozen=True)
class Clocked:
    """One instant."""

    at: datetime

    def after(self, moment: datetime) -> datetime | None:
        return self.at if self.at > moment else None

    def until(self, moment: datetime) -> datetime | None:
        return self.at if self.at <= moment else None


class Daily(ABC):
    """Times that are known day by day, in some time zone."""

    zone: str
    horizon: ClassVar[int]  # how many days to look for one

    @abstractmethod
    def on(self, day: date) -> tuple[datetime, ...]:
        """The instants that belong to this day, in order."""

    def candidates(self, first: date, step: timedelta) -> Iterator[date]:
        """The days to look at, from the first one on or back."""
        return (first + step * n for n in range(self.horizon))

    # Both start one day off: an instant moved out of a gap may lie on the day after its own.

    def after(self, moment: datetime) -> datetime | None:
        days = self.candidates(moment.astimezone(ZoneInfo(self.zone)).date() - DAY, DAY)
        return next((at for day in days for at in self.on(day) if at > moment), None)

    def until(self, moment: datetime) -> datetime | None:
        days = self.candidates(moment.astimezone(ZoneInfo(self.zone)).date() + DAY, -DAY)
        return next((at for day in days for at in reversed(self.on(day)) if at <= moment), None)


@dataclass(frozen=True)
class Cron(Daily):
    """Wall-clock times of a zone. All of day of month, month and day of week must fit, as in Celery.

    With every hour named, each instant counts whose wall clock fits, so a run each real hour. Otherwise each
    wall-clock time counts once a day: one that the clocks skip at the next instant that exists, one that they show
    twice at the first.
    """

    minutes: frozenset[int]
    hours: frozenset[int]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]  # Sunday is 0
    zone: str

    horizon = 41 * 366  # a 29 February of a given weekday is at most 40 years away

    def candidates(self, first: date, step: timedelta) -> Iterator[date]:
        """Without months that do not fit, for the sake of yearly ones."""
        day = first
        while abs(day - first).days < self.horizon:
            if day.month in self.months:
                yield day
                day += step
            elif step > timedelta():
                day = (day.replace(day=28) + 4 * DAY).replace(day=1)
            else:
                day = day.replace(day=1) - DAY

    def on(self, day: date) -> tuple[datetime, ...]:
        if day.month in self.months and day.day in self.days and day.isoweekday() % 7 in self.weekdays:
            return _on(self, day)
        return ()


@dataclass(frozen=True)
class Solar(Daily):
    """A position of the sun at a place, at most once a day, to the second."""

    event: str
    latitude: float
    longitude: float
    zone: str = "UTC"

    horizon = 366

    def on(self, day: date) -> tuple[datetime, ...]:
        # Always asked from midnight: the answer varies by a fraction of a second with where one asks from.
        midnight = datetime.combine(day, time(), UTC)
        sun = _sun(self.event, self.latitude, self.longitude, midnight)
        at = midnight + sun.remaining_estimate(midnight)
        return (at.replace(microsecond=0),) if at < midnight + DAY else ()


@lru_cache(maxsize=256)  # a day of an every-minute cron costs some milliseconds and is asked for 1440 times
def _on(cron: Cron, day: date) -> tuple[datetime, ...]:
    walls = (datetime.combine(day, time(hour, minute)) for hour, minute in product(cron.hours, cron.minutes))
    zone = ZoneInfo(cron.zone)
    if len(cron.hours) == 24:
        found = {instant(wall, zone, fold) for wall in walls for fold in (0, 1)}
        return tuple(sorted(at for at in found if at))
    return tuple(sorted({first_instant(wall, zone) for wall in walls}))


def instant(wall: datetime, zone: ZoneInfo, fold: int = 0) -> datetime | None:
    """When the clocks of the zone show `wall`, the first or the second time; None where they skip it."""
    at = wall.replace(tzinfo=zone, fold=fold).astimezone(UTC)
    return at if at.astimezone(zone).replace(tzinfo=None) == wall else None


def first_instant(wall: datetime, zone: ZoneInfo) -> datetime:
    """When the clocks of the zone first show `wall`, or the next minute that they do not skip."""
    while (at := instant(wall, zone)) is None:
        wall += MINUTE
    return at


def cron(fields: Sequence[str], zone: str) -> Cron:
    """The cron of these texts: minute, hour, day of month, month, day of week. ValueError tells what is wrong."""
    if len(fields) != 5:
        raise ValueError(f"a cron has five fields, not {len(fields)}")
    minute, hour, day, month, weekday = fields
    try:
        ZoneInfo(zone)
    except (KeyError, ValueError, OSError):
        raise ValueError(f"no time zone {zone!r}") from None
    days, months = _field("day of month", day, 31, 1), _field("month", month, 12, 1)
    if not any(day <= monthrange(LEAP_YEAR, month)[1] for day, month in product(days, months)):
        raise ValueError(f"no such date: day {day!r} of month {month!r}")
    return Cron(
        minutes=_field("minute", minute, 60),
        hours=_field("hour", hour, 24),
        days=days,
        months=months,
        # Sunday may be written 7, which Celery's parser does not know.
        weekdays=frozenset(number % 7 for number in _field("day of week", weekday, 8 if "7" in weekday else 7)),
        zone=zone,
    )


@lru_cache(maxsize=1024)  # every schedule is read at every look
def _field(name: str, text: str, size: int, first: int = 0) -> frozenset[int]:
    try:
        return frozenset(crontab_parser(size, first).parse(text))
    except (ValueError, ParseException) as error:
        raise ValueError(f"bad {name} {text!r}: {error}") from None


@dataclass(frozen=True)
class Rule:
    """The due times of a schedule: `times` from `start` on and before `end`."""

    times: Times
    start: datetime | None = None
    end: datetime | None = None

    def after(self, moment: datetime) -> datetime | None:
        due = self.times.after(max(moment, self.start - TICK) if self.start else moment)
        return None if due is None or (self.end and due >= self.end) else due

    def until(self, moment: datetime) -> datetime | None:
        due = self.times.until(min(moment, self.end - TICK) if self.end else moment)
        return None if due is None or (self.start and due < self.start) else due


def rule_of(task: PeriodicTask, zone: str = "") -> Rule:
    """The rule of a schedule's row; ValueError tells what is wrong with it.

    `zone` is the crontab's time zone, for whoever read it as text.
    """
    for moment in (task.start_time, task.expires):
        if moment and not 1970 <= moment.year <= FURTHEST_YEAR:
            raise ValueError(f"start and end lie between 1970 and {FURTHEST_YEAR}, not in {moment.year}")
    times: Times
    if task.interval:
        times = _interval(task.interval.every, task.interval.period, task.start_time or EPOCH)
    elif task.crontab:
        row = task.crontab
        fields = [row.minute, row.hour, row.day_of_month, row.month_of_year, row.day_of_week]
        times = cron(fields, zone or str(row.timezone))
    elif task.solar:
        times = _solar(task.solar.event, float(task.solar.latitude), float(task.solar.longitude))
    elif task.clocked:
        times = Clocked(task.clocked.clocked_time)
    else:
        raise ValueError("neither interval, crontab, solar nor clocked is set")
    return Rule(times, task.start_time, task.expires)


def _interval(every: int, unit: str, anchor: datetime) -> Interval:
    try:
        period = timedelta(**{unit: every})
    except (OverflowError, TypeError):
        raise ValueError(f"bad interval: {every} {unit}") from None
    if not SHORTEST <= period <= LONGEST:
        raise ValueError(f"bad interval: {every} {unit} is not between one second and 100 years")
    return Interval(period, anchor)


def _solar(event: str, latitude: float, longitude: float) -> Solar:
    try:
        _sun(event, latitude, longitude, EPOCH)
    except ImproperlyConfigured:
        raise ValueError("schedules by the sun need the package ephem") from None
    return Solar(event, latitude, longitude)


def _sun(event: Any, latitude: float, longitude: float, now: datetime) -> Any:
    sun: Any = solar(event, latitude, longitude, nowfun=lambda: now)
    sun.max_search_days = 3  # past this day; where the sun stays up or down a search ends later still
    return sun
