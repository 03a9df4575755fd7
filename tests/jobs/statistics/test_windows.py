"""Which roll-ups are read for a stretch of time."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.models import Period
from jobs.rollups import floor
from jobs.statistics.windows import RANGES, Stretch, kept, stretches, window
from tests.jobs.history import minute

NOON = datetime(2026, 3, 29, 12, tzinfo=UTC)
MINUTES = st.integers(0, 60 * 24 * 40).map(lambda minutes: NOON + timedelta(minutes=minutes))


@given(MINUTES, MINUTES)
def test_stretches_are_all_of_it_once_in_whole_periods(one: datetime, other: datetime) -> None:
    begin, end = sorted((one, other))
    at = begin
    for period, since, until in stretches(begin, end):
        assert since == at < until
        assert floor(since, period) == since
        assert floor(until, period) == until
        at = until
    assert at == end


@given(MINUTES, MINUTES)
def test_few_rows_are_read_however_long_it_is(one: datetime, other: datetime) -> None:
    begin, end = sorted((one, other))
    periods = {Period.MINUTE: 0, Period.HOUR: 0, Period.DAY: 0}
    for period, since, until in stretches(begin, end):
        periods[period] += int((until - since).total_seconds()) // period
    assert periods[Period.MINUTE] < 120
    assert periods[Period.HOUR] < 48


def test_a_month_is_days_with_hours_and_minutes_at_its_edges() -> None:
    begin, end = datetime(2026, 3, 1, 22, 58, tzinfo=UTC), datetime(2026, 4, 1, 1, 2, tzinfo=UTC)
    assert stretches(begin, end) == [
        Stretch(Period.MINUTE, begin, begin.replace(hour=23, minute=0)),
        Stretch(Period.HOUR, begin.replace(hour=23, minute=0), datetime(2026, 3, 2, tzinfo=UTC)),
        Stretch(Period.DAY, datetime(2026, 3, 2, tzinfo=UTC), datetime(2026, 4, 1, tzinfo=UTC)),
        Stretch(Period.HOUR, datetime(2026, 4, 1, tzinfo=UTC), end.replace(minute=0)),
        Stretch(Period.MINUTE, end.replace(minute=0), end),
    ]


@pytest.mark.parametrize(
    ("age", "period"),
    [(timedelta(hours=1), Period.MINUTE), (timedelta(days=3), Period.HOUR), (timedelta(days=100), Period.DAY)],
)
def test_long_ago_is_known_by_the_hour_or_the_day(age: timedelta, period: Period) -> None:
    moment = NOON - age + timedelta(minutes=17, seconds=3)
    assert kept(moment, NOON) == floor(moment, period)


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("name", "points", "bucket"),
    [
        ("15m", 15, Period.MINUTE),
        ("1h", 60, Period.MINUTE),
        ("6h", 360, Period.MINUTE),
        ("24h", 24, Period.HOUR),
        ("7d", 168, Period.HOUR),
        ("30d", 30, Period.DAY),
    ],
)
def test_a_range_is_so_many_points_and_ends_now(name: str, points: int, bucket: Period) -> None:
    seen = window(name)
    begins = list(seen.buckets())
    assert (len(begins), seen.bucket) == (points, bucket)
    assert begins[0] == seen.begin
    assert begins[-1] <= seen.now < begins[-1] + timedelta(seconds=bucket)
    assert window(RANGES[name]).bucket == bucket


@pytest.mark.django_db
def test_a_range_has_one_point_at_least() -> None:
    assert window(timedelta(seconds=1)).begin == minute()


@pytest.mark.django_db
def test_jobs_are_read_from_where_roll_ups_end_and_no_further_back_than_five_minutes() -> None:
    seen = window("1h")
    assert seen.live(minute(1)) == minute(1)
    assert seen.live(minute(600)) == seen.live(None) == minute(5)
    seen = window(timedelta(minutes=2))
    assert seen.live(None) == seen.begin


def test_a_range_that_there_is_not_is_a_key_error() -> None:
    with pytest.raises(KeyError):
        window("2w")
