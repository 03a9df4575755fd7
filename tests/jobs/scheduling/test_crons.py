"""Crons as people see them. In 2026 the clocks change, in UTC: London 29 March 01:00 and 25 October 01:00, New York
8 March 07:00 and 1 November 06:00, Lord Howe (by half an hour) 4 April 15:00 back and 3 October 15:30 forward.
"""

from datetime import UTC, datetime

import pytest
from django.utils import timezone
from django_celery_beat.models import ClockedSchedule, CrontabSchedule, IntervalSchedule, PeriodicTask, SolarSchedule

from jobs import scheduling
from jobs.duetimes import Clocked, cron
from jobs.processor import CRON_EXPRESSIONS
from jobs.scheduling.crons import cron_of, following, words_of

LONDON, NEW_YORK, LORD_HOWE = "Europe/London", "America/New_York", "Australia/Lord_Howe"


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("EVERY_MINUTE", "* * * * *", "Every minute"),
        ("EVERY_5_MINUTES", "*/5 * * * *", "Every 5 minutes"),
        ("EVERY_15_MINUTES", "*/15 * * * *", "Every 15 minutes"),
        ("EVERY_30_MINUTES", "*/30 * * * *", "Every 30 minutes"),
        ("EVERY_HOUR", "0 * * * *", "Every hour"),
        ("EVERY_2_HOURS", "0 */2 * * *", "Every 2 hours"),
        ("EVERY_6_HOURS", "0 */6 * * *", "Every 6 hours"),
        ("DAILY_MIDNIGHT", "0 0 * * *", "At 00:00"),
        ("DAILY_3AM", "0 3 * * *", "At 03:00"),
        ("WEEKLY_MONDAY", "0 0 * * 1", "At 00:00, only on Monday"),
        ("MONTHLY_FIRST", "0 0 1 * *", "At 00:00, on day 1 of the month"),
    ],
)
def test_common_ones_have_names_and_words(name: str, text: str, words: str) -> None:
    assert getattr(CRON_EXPRESSIONS, name) == text
    assert scheduling.words(text) == words
    assert scheduling.validate(text).valid


def test_one_without_words_is_its_own() -> None:
    assert scheduling.words("0 2") == "0 2"


# What five runs are, in UTC, from the evening before the clocks change.
NEXT = [
    ("30 1 * * *", LONDON, "2026-03-28 12:00", ["29 01:00", "30 00:30", "31 00:30", "01 00:30", "02 00:30"]),
    ("0 * * * *", LONDON, "2026-03-28 23:30", ["29 00:00", "29 01:00", "29 02:00", "29 03:00", "29 04:00"]),
    ("30 1 * * *", LONDON, "2026-10-24 12:00", ["25 00:30", "26 01:30", "27 01:30", "28 01:30", "29 01:30"]),
    ("30 * * * *", LONDON, "2026-10-24 23:45", ["25 00:30", "25 01:30", "25 02:30", "25 03:30", "25 04:30"]),
    ("30 2 * * *", NEW_YORK, "2026-03-07 12:00", ["08 07:00", "09 06:30", "10 06:30", "11 06:30", "12 06:30"]),
    ("0 */2 * * *", NEW_YORK, "2026-03-08 04:00", ["08 05:00", "08 07:00", "08 08:00", "08 10:00", "08 12:00"]),
    ("30 1 * * *", NEW_YORK, "2026-10-31 12:00", ["01 05:30", "02 06:30", "03 06:30", "04 06:30", "05 06:30"]),
    ("0 * * * *", NEW_YORK, "2026-11-01 04:30", ["01 05:00", "01 06:00", "01 07:00", "01 08:00", "01 09:00"]),
    ("15 2 * * *", LORD_HOWE, "2026-10-03 00:00", ["03 15:30", "04 15:15", "05 15:15", "06 15:15", "07 15:15"]),
    ("0 * * * *", LORD_HOWE, "2026-10-03 14:00", ["03 14:30", "03 16:00", "03 17:00", "03 18:00", "03 19:00"]),
    ("45 1 * * *", LORD_HOWE, "2026-04-04 00:00", ["04 14:45", "05 15:15", "06 15:15", "07 15:15", "08 15:15"]),
    ("45 * * * *", LORD_HOWE, "2026-04-04 13:30", ["04 13:45", "04 14:45", "04 15:15", "04 16:15", "04 17:15"]),
]


@pytest.mark.parametrize(("text", "zone", "moment", "expected"), NEXT)
def test_the_next_runs_in_a_zone(text: str, zone: str, moment: str, expected: list[str]) -> None:
    found = following(cron(text.split(), zone), at(moment))
    assert [f"{run:%d %H:%M}" for run in found] == expected


def test_there_may_be_fewer_than_asked_for() -> None:
    once = Clocked(at("2026-11-22"))
    assert following(once, at("2026-01-01")) == [once.at]
    assert following(once, once.at) == []


def test_next_runs_begin_now() -> None:
    before = timezone.now()
    runs = scheduling.next_runs("* * * * *", 3)
    assert len(runs) == 3
    assert before < runs[0] < runs[1] < runs[2]


class TestValidate:
    def test_says_what_a_cron_means(self) -> None:
        found = scheduling.validate("30 2 * * 1-5", LONDON)
        assert (found.valid, found.error, found.description) == (True, None, "At 02:30, Monday through Friday")
        assert found.next_runs == scheduling.next_runs("30 2 * * 1-5", 5, LONDON)

    @pytest.mark.parametrize(
        ("text", "zone", "error"),
        [
            ("61 * * * *", "UTC", "bad minute '61': Invalid end range: 61 > 59."),
            ("0 0 30 2 *", "UTC", "no such date: day '30' of month '2'"),
            ("* * * * * *", "UTC", "a cron has five fields, not 6"),
            ("", "UTC", "a cron has five fields, not 0"),
            ("* * * * *", "Mars/Olympus", "no time zone 'Mars/Olympus'"),
        ],
    )
    def test_says_what_is_wrong(self, text: str, zone: str, error: str) -> None:
        assert scheduling.validate(text, zone) == scheduling.Validation(False, error, "", [])


@pytest.mark.parametrize(
    ("task", "words", "text"),
    [
        ({"crontab": CrontabSchedule(minute="0", hour="8, 20")}, "At 08:00 and 20:00", "0 8,20 * * *"),
        ({"interval": IntervalSchedule(every=1, period="hours")}, "Every hour", ""),
        ({"interval": IntervalSchedule(every=10, period="seconds")}, "Every 10 seconds", ""),
        ({"solar": SolarSchedule(event="sunrise", latitude=51.5, longitude=0)}, "At sunrise at 51.5, 0", ""),
        ({"clocked": ClockedSchedule(clocked_time=at("2026-11-22 10:05"))}, "Once at 2026-11-22 10:05:00 UTC", ""),
        ({}, "Never", ""),
    ],
)
def test_any_schedule_has_words(task: dict[str, object], words: str, text: str) -> None:
    row = PeriodicTask(**task)
    assert (words_of(row), cron_of(row)) == (words, text)
