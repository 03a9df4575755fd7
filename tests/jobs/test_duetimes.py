"""Due times. In 2026 the clocks change, in UTC:

London 29 March 01:00 and 25 October 01:00, New York 8 March 07:00 and 1 November 06:00, Lord Howe (by half an
hour) 4 April 15:00 back and 3 October 15:30 forward.
"""

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from django_celery_beat.models import ClockedSchedule, CrontabSchedule, IntervalSchedule, PeriodicTask, SolarSchedule

from jobs.duetimes import Clocked, Cron, Interval, Rule, Times, cron, rule_of

LONDON, NEW_YORK, LORD_HOWE = "Europe/London", "America/New_York", "Australia/Lord_Howe"


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def crontab(text: str, zone: str = "UTC") -> Cron:
    return cron(text.split(), zone)


def between(times: Times, start: str, end: str) -> list[str]:
    """The due times after `start` until `end`, found forwards; found backwards they are the same."""
    found, moment = [], at(start)
    while (due := times.after(moment)) and due <= at(end):
        found.append(due)
        moment = due
    back, last = [], times.until(at(end))
    while last and last > at(start):
        back.append(last)
        last = times.until(last - timedelta(microseconds=1))
    assert back[::-1] == found
    return [f"{due:%m-%d %H:%M}" for due in found]


@pytest.mark.parametrize(
    ("text", "zone", "start", "end", "expected"),
    [
        # A daily time keeps its place on the clock.
        ("0 2 * * *", LONDON, "2026-03-27", "2026-03-31", ["03-27 02:00", "03-28 02:00", "03-29 01:00", "03-30 01:00"]),
        ("0 9 * * *", LONDON, "2026-10-24", "2026-10-27", ["10-24 08:00", "10-25 09:00", "10-26 09:00"]),
        ("30 9 * * *", NEW_YORK, "2026-03-07", "2026-03-10", ["03-07 14:30", "03-08 13:30", "03-09 13:30"]),
        ("0 9 * * *", LORD_HOWE, "2026-10-02", "2026-10-05", ["10-02 22:30", "10-03 22:00", "10-04 22:00"]),
        # One that the clocks skip comes when they have skipped it, once however many times were skipped.
        ("30 1 * * *", LONDON, "2026-03-28", "2026-03-31", ["03-28 01:30", "03-29 01:00", "03-30 00:30"]),
        ("*/20 1 * * *", LONDON, "2026-03-29", "2026-03-29 12:00", ["03-29 01:00"]),
        ("15,45 2 * * *", NEW_YORK, "2026-03-08", "2026-03-09", ["03-08 07:00"]),
        ("30 2,3 * * *", NEW_YORK, "2026-03-08", "2026-03-09", ["03-08 07:00", "03-08 07:30"]),
        ("0 2 * * *", LORD_HOWE, "2026-10-02", "2026-10-05", ["10-02 15:30", "10-03 15:30", "10-04 15:00"]),
        ("0,45 2 * * *", LORD_HOWE, "2026-10-03 12:00", "2026-10-04", ["10-03 15:30", "10-03 15:45"]),
        # One that they show twice counts the first time.
        ("30 1 * * *", LONDON, "2026-10-24", "2026-10-27", ["10-24 00:30", "10-25 00:30", "10-26 01:30"]),
        ("0,30 1 * * *", NEW_YORK, "2026-11-01", "2026-11-02", ["11-01 05:00", "11-01 05:30"]),
        ("45 1 * * *", LORD_HOWE, "2026-04-03", "2026-04-06", ["04-03 14:45", "04-04 14:45", "04-05 15:15"]),
        # Every hour means every real hour.
        ("0 * * * *", LONDON, "2026-03-28 23:30", "2026-03-29 02:30", ["03-29 00:00", "03-29 01:00", "03-29 02:00"]),
        ("30 * * * *", LONDON, "2026-03-29 00:00", "2026-03-29 03:00", ["03-29 00:30", "03-29 01:30", "03-29 02:30"]),
        ("0 * * * *", LONDON, "2026-10-24 23:30", "2026-10-25 02:30", ["10-25 00:00", "10-25 01:00", "10-25 02:00"]),
        ("0 * * * *", NEW_YORK, "2026-03-08 05:30", "2026-03-08 08:30", ["03-08 06:00", "03-08 07:00", "03-08 08:00"]),
        ("15 * * * *", NEW_YORK, "2026-11-01 05:00", "2026-11-01 08:00", ["11-01 05:15", "11-01 06:15", "11-01 07:15"]),
        # A change by half an hour moves the full hour itself.
        ("0 * * * *", LORD_HOWE, "2026-10-03 14:00", "2026-10-03 17:00", ["10-03 14:30", "10-03 16:00", "10-03 17:00"]),
        (
            "30 * * * *",
            LORD_HOWE,
            "2026-04-04 14:00",
            "2026-04-04 16:00",
            ["04-04 14:30", "04-04 15:00", "04-04 16:00"],
        ),
        # All of day of month, month and day of week must fit.
        ("0 0 1-7 * 1", "UTC", "2026-01-01", "2026-03-31", ["01-05 00:00", "02-02 00:00", "03-02 00:00"]),
        ("0 0 * * 5-7", "UTC", "2026-11-19", "2026-11-23", ["11-20 00:00", "11-21 00:00", "11-22 00:00"]),
        ("0 12 * jan sun", "UTC", "2026-01-01", "2026-01-17", ["01-04 12:00", "01-11 12:00"]),
        ("0 0 31 * *", "UTC", "2026-01-01", "2026-06-01", ["01-31 00:00", "03-31 00:00", "05-31 00:00"]),
    ],
)
def test_cron(text: str, zone: str, start: str, end: str, expected: list[str]) -> None:
    assert between(crontab(text, zone), start, end) == expected


@pytest.mark.parametrize("zone", [LONDON, NEW_YORK])
def test_every_hour_runs_each_real_hour_of_a_year(zone: str) -> None:
    hourly, moment, found = crontab("7 * * * *", zone), at("2026-01-01"), []
    while (due := hourly.after(moment)) and due < at("2027-01-01"):
        found.append(due)
        moment = due
    assert len(found) == 365 * 24
    assert {later - earlier for earlier, later in pairwise(found)} == {timedelta(hours=1)}


@pytest.mark.parametrize("zone", [LONDON, NEW_YORK, LORD_HOWE, "Asia/Kathmandu", "Africa/Cairo"])
@pytest.mark.parametrize("text", ["30 1 * * *", "15 2 * * *", "0 0 * * *"])
def test_a_daily_time_runs_once_on_each_day_of_a_year(text: str, zone: str) -> None:
    daily, moment, days = crontab(text, zone), datetime(2026, 1, 1, tzinfo=ZoneInfo(zone)) - timedelta(seconds=1), []
    while (due := daily.after(moment)) and due.astimezone(ZoneInfo(zone)).year == 2026:
        days.append(due.astimezone(ZoneInfo(zone)).date())
        moment = due
    assert len(days) == len(set(days)) == 365


def test_a_leap_day_is_found_however_far() -> None:
    leap_monday = crontab("0 0 29 2 1")
    assert leap_monday.after(at("2072-03-01")) == at("2112-02-29")
    assert leap_monday.until(at("2026-01-01")) == at("2016-02-29")


@pytest.mark.parametrize(
    ("text", "zone", "message"),
    [
        ("60 * * * *", "UTC", "bad minute '60': Invalid end range: 60 > 59."),
        ("* 24 * * *", "UTC", "bad hour '24': Invalid end range: 24 > 23."),
        ("* * 0 * *", "UTC", "bad day of month '0': Invalid beginning range: 0 < 1."),
        ("* * * 13 *", "UTC", "bad month '13': Invalid end range: 13 > 12."),
        ("* * * * 8", "UTC", "bad day of week '8': Invalid end range: 8 > 6."),
        ("*/0 * * * *", "UTC", "bad minute '*/0': slice step cannot be zero"),
        ("1,, * * * *", "UTC", "bad minute '1,,': empty part"),
        ("0 0 30 2 *", "UTC", "no such date: day '30' of month '2'"),
        ("0 0 * * *", "Mars/Olympus", "no time zone 'Mars/Olympus'"),
        ("0 0 * * *", "../UTC", "no time zone '../UTC'"),
        ("0 0 * * *", "Europe", "no time zone 'Europe'"),
    ],
)
def test_a_bad_cron_says_what_is_wrong(text: str, zone: str, message: str) -> None:
    with pytest.raises(ValueError, match=r".") as raised:
        crontab(text, zone)
    assert str(raised.value) == message


class TestInterval:
    def test_is_a_grid_from_the_epoch(self) -> None:
        ten = Interval(timedelta(minutes=10))
        assert between(ten, "2026-11-22 10:05", "2026-11-22 10:30") == ["11-22 10:10", "11-22 10:20", "11-22 10:30"]

    def test_starts_at_its_anchor(self) -> None:
        hourly = Interval(timedelta(hours=1), at("2026-11-22 10:05"))
        assert between(hourly, "2026-11-20", "2026-11-22 12:00") == ["11-22 10:05", "11-22 11:05"]
        assert hourly.until(at("2026-11-22 10:04")) is None

    def test_knows_no_summer_time(self) -> None:
        assert between(Interval(timedelta(days=1)), "2026-03-28", "2026-03-30") == ["03-29 00:00", "03-30 00:00"]


def test_a_clocked_time_comes_once() -> None:
    assert between(Clocked(at("2026-11-22 10:05")), "2026-11-01", "2026-12-01") == ["11-22 10:05"]


def test_a_rule_begins_with_its_start_and_ends_before_its_end() -> None:
    rule = Rule(crontab("0 12 * * *"), start=at("2026-11-22 12:00"), end=at("2026-11-24 12:00"))
    assert between(rule, "2026-11-01", "2026-12-01") == ["11-22 12:00", "11-23 12:00"]
    assert rule.after(at("2026-11-24 00:00")) is None
    assert rule.until(at("2026-11-22 11:59")) is None


class TestRuleOfARow:
    def test_interval_is_anchored_at_its_start(self) -> None:
        interval = IntervalSchedule(every=2, period="hours")
        assert rule_of(PeriodicTask(interval=interval)) == Rule(Interval(timedelta(hours=2)))
        start = at("2026-11-22 10:05")
        assert rule_of(PeriodicTask(interval=interval, start_time=start)) == Rule(
            Interval(timedelta(hours=2), start), start
        )

    def test_crontab_has_its_own_zone(self) -> None:
        row = CrontabSchedule(minute="30", hour="1", timezone=ZoneInfo(LONDON))
        assert rule_of(PeriodicTask(crontab=row)) == Rule(crontab("30 1 * * *", LONDON))

    def test_clocked(self) -> None:
        row = ClockedSchedule(clocked_time=at("2026-11-22 10:05"))
        assert rule_of(PeriodicTask(clocked=row)) == Rule(Clocked(at("2026-11-22 10:05")))

    def test_solar_is_the_same_instant_from_wherever_one_asks(self) -> None:
        sunrise = rule_of(PeriodicTask(solar=SolarSchedule(event="sunrise", latitude=51.5, longitude=0)))
        asked = {sunrise.after(at("2026-11-22") + timedelta(minutes=minutes)) for minutes in range(0, 420, 7)}
        assert asked == {at("2026-11-22 07:29:33")}
        assert sunrise.until(at("2026-11-22 23:00")) == at("2026-11-22 07:29:33")
        # Where the sun does not rise in winter, the next time is in January; at the pole it never "rises" in a day.
        north = rule_of(PeriodicTask(solar=SolarSchedule(event="sunrise", latitude=75, longitude=20)))
        assert (north.after(at("2026-11-22")) or at("2026-11-22")).month == 2
        pole = rule_of(PeriodicTask(solar=SolarSchedule(event="sunrise", latitude=90, longitude=0)))
        assert pole.after(at("2026-11-22")) is None

    @pytest.mark.parametrize(
        ("row", "message"),
        [
            ({}, "neither interval, crontab, solar nor clocked is set"),
            (
                {"interval": IntervalSchedule(every=10, period="microseconds")},
                "is not between one second",
            ),
            ({"interval": IntervalSchedule(every=0, period="days")}, "is not between one second"),
            ({"interval": IntervalSchedule(every=2**31 - 1, period="days")}, "bad interval: 2147483647 days"),
            ({"interval": IntervalSchedule(every=1, period="moons")}, "bad interval: 1 moons"),
            ({"crontab": CrontabSchedule(minute="61")}, "bad minute '61'"),
            ({"crontab": CrontabSchedule(), "start_time": datetime.max.replace(tzinfo=UTC)}, "not in 9999"),
            ({"crontab": CrontabSchedule(), "expires": datetime.min.replace(tzinfo=UTC)}, "not in 1"),
        ],
    )
    def test_a_bad_row_says_what_is_wrong(self, row: dict[str, object], message: str) -> None:
        with pytest.raises(ValueError, match=message):
            rule_of(PeriodicTask(**row))
