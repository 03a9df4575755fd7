"""What becomes of due times that passed unseen: in three hours without a beat, also while the clocks change."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from jobs.catchup import ENDED, MOST, NO_BEAT, TOO_LATE, Plan, plan
from jobs.duetimes import Interval, Rule, cron

LONDON, NEW_YORK, LORD_HOWE = "Europe/London", "America/New_York", "Australia/Lord_Howe"
POLICIES = ("skip", "one", "all")


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def rule(text: str, zone: str = "UTC", **limits: Any) -> Rule:
    return Rule(cron(text.split(), zone), **limits)


def times(moments: list[datetime]) -> list[str]:
    return [f"{moment:%H:%M}" for moment in moments]


def missed(found: Plan) -> list[str]:
    return times([moment for moment, _ in found.missed])


# Three hours without a beat, in UTC: the schedule, when the beat stopped, and what was due in them.
OUTAGES = [
    ("0 * * * *", "UTC", "2026-11-22 08:59:30", ["09:00", "10:00", "11:00"]),
    ("*/45 9-11 * * *", "UTC", "2026-11-22 08:59:30", ["09:00", "09:45", "10:00", "10:45", "11:00", "11:45"]),
    ("0 10 * * *", "UTC", "2026-11-22 08:59:30", ["10:00"]),
    ("0 13 * * *", "UTC", "2026-11-22 08:59:30", []),
    # Spring: the clocks skip 01:00 to 02:00 in London, 02:00 to 03:00 in New York, 02:00 to 02:30 on Lord Howe.
    ("30 1 * * *", LONDON, "2026-03-29 00:00:30", ["01:00"]),
    ("0 * * * *", LONDON, "2026-03-29 00:00:30", ["01:00", "02:00", "03:00"]),
    ("*/30 1-2 * * *", LONDON, "2026-03-29 00:00:30", ["01:00", "01:30"]),
    ("15 2 * * *", NEW_YORK, "2026-03-08 05:30:30", ["07:00"]),
    ("0 * * * *", NEW_YORK, "2026-03-08 05:30:30", ["06:00", "07:00", "08:00"]),
    ("15 2 * * *", LORD_HOWE, "2026-10-03 14:00:30", ["15:30"]),
    ("0 * * * *", LORD_HOWE, "2026-10-03 14:00:30", ["14:30", "16:00", "17:00"]),
    # Autumn: they show 01:00 to 02:00 twice in London and in New York, 01:30 to 02:00 on Lord Howe.
    ("30 1 * * *", LONDON, "2026-10-25 00:00:30", ["00:30"]),
    ("30 * * * *", LONDON, "2026-10-25 00:00:30", ["00:30", "01:30", "02:30"]),
    ("*/30 1-2 * * *", LONDON, "2026-10-25 00:00:30", ["00:30", "02:00", "02:30"]),
    ("30 1 * * *", NEW_YORK, "2026-11-01 04:00:30", ["05:30"]),
    ("30 * * * *", NEW_YORK, "2026-11-01 04:00:30", ["04:30", "05:30", "06:30"]),
    ("45 1 * * *", LORD_HOWE, "2026-04-04 13:30:30", ["14:45"]),
    ("45 * * * *", LORD_HOWE, "2026-04-04 13:30:30", ["13:45", "14:45", "15:15", "16:15"]),
]


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize(("text", "zone", "stopped", "due"), OUTAGES)
def test_a_beat_that_was_away_for_three_hours(text: str, zone: str, stopped: str, due: list[str], policy: str) -> None:
    back = at(stopped) + timedelta(hours=3, seconds=10)
    found = plan(rule(text, zone), at(stopped), back, policy)
    made_up_for = {"skip": [], "one": due[-1:], "all": due}[policy]
    assert times(found.due) == made_up_for
    assert missed(found) == [moment for moment in due if moment not in made_up_for]
    assert {reason for _, reason in found.missed} <= {NO_BEAT}
    assert found.untold is None


@pytest.mark.parametrize(("policy", "due", "left_out"), [("skip", 1, 179), ("one", 1, 179), ("all", 180, 0)])
def test_what_is_due_this_minute_is_late_and_not_missed(policy: str, due: int, left_out: int) -> None:
    found = plan(rule("* * * * *"), at("2026-11-22 09:00"), at("2026-11-22 12:00:20"), policy)
    assert (len(found.due), len(found.missed)) == (due, left_out)
    assert found.due[-1] == at("2026-11-22 12:00")
    if found.missed:
        assert (found.missed[0][0], found.missed[-1][0]) == (at("2026-11-22 09:01"), at("2026-11-22 11:59"))


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("away", [timedelta(seconds=26), timedelta(days=30)])
def test_every_due_time_of_the_last_half_minute_is_enqueued(away: timedelta, policy: str) -> None:
    now = at("2026-11-22 10:00:05")
    found = plan(Rule(Interval(timedelta(seconds=10))), now - away, now, policy)
    assert [f"{moment:%M:%S}" for moment in found.due][-3:] == ["59:40", "59:50", "00:00"]


@pytest.mark.parametrize("policy", POLICIES)
def test_the_latest_thousand_missed_ones_are_told_one_by_one(policy: str) -> None:
    now = at("2026-11-22 10:00:05")
    found = plan(Rule(Interval(timedelta(seconds=10))), now - timedelta(days=30), now, policy)
    older = [moment for moment, _ in found.missed] + found.due[:-3]
    assert len(older) == MOST == 1000
    assert older[-1] == at("2026-11-22 09:59:30")
    assert found.untold == (at("2026-10-23 10:00:10"), older[0] - timedelta(seconds=10))
    assert plan(Rule(Interval(timedelta(seconds=10))), found.untold[1], now, policy).untold is None


@pytest.mark.parametrize(
    ("policy", "due", "reasons"),
    [
        ("skip", [], [NO_BEAT, NO_BEAT, NO_BEAT]),
        ("one", ["11:00"], [NO_BEAT, NO_BEAT]),
        ("all", ["11:00"], [TOO_LATE, TOO_LATE]),
    ],
)
def test_a_job_that_could_not_start_any_more_is_missed(policy: str, due: list[str], reasons: list[str]) -> None:
    hourly, stopped, now = rule("0 * * * *"), at("2026-11-22 08:30"), at("2026-11-22 11:30")
    found = plan(hourly, stopped, now, policy, lifetime=timedelta(hours=1))
    assert (times(found.due), [reason for _, reason in found.missed]) == (due, reasons)
    late = plan(hourly, stopped, now, policy, lifetime=timedelta(minutes=10))
    assert (late.due, missed(late)) == ([], ["09:00", "10:00", "11:00"])


@pytest.mark.parametrize("policy", POLICIES)
def test_nothing_is_made_up_for_after_the_end(policy: str) -> None:
    end = at("2026-11-22 11:30")
    found = plan(rule("0 * * * *", end=end), at("2026-11-22 09:30"), end + timedelta(seconds=1), policy)
    assert (found.due, found.missed) == ([], [(at("2026-11-22 10:00"), ENDED), (at("2026-11-22 11:00"), ENDED)])
