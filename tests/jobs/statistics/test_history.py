"""Sums and series of what happened, from roll-ups and the jobs of the last minutes."""

from datetime import timedelta

import pytest

from jobs import statistics
from jobs.histograms import FACTOR, Percentiles
from jobs.models import Job, Status
from jobs.rollups import roll_up
from jobs.statistics import RANGES, Ended, Summary
from tests.jobs.history import job_at, minute, rolled_up
from tests.jobs.rows import job_in

pytestmark = pytest.mark.django_db
NOTHING = Percentiles(None, None, None)


def some_jobs(**ago: float) -> None:
    """Five that were enqueued and ended so long ago."""
    at = minute() - timedelta(**ago)
    job_at(at, type="juggle", run_ms=200, wait_ms=20)
    job_at(at, type="juggle", run_ms=200, wait_ms=20)
    job_at(at, type="juggle", queue="cpu", run_ms=800, wait_ms=80)
    job_at(at, Status.FAILED, type="improvise", run_ms=10_000, wait_ms=1)
    job_at(at, Status.CANCELLED, type="improvise")
    Job.objects.filter(finished_at=at).update(created_at=at)


def derive(**ago: float) -> None:
    """Roll-ups from so long ago on."""
    rolled_up(minute() - timedelta(**ago))
    while roll_up(timedelta(days=2)):
        pass


class TestSummary:
    @pytest.mark.parametrize("name", RANGES)
    def test_of_nothing(self, name: str) -> None:
        assert statistics.summary(name) == Summary(0, 0, 0, 0, 100, 0, 100, None, None, 0, NOTHING, NOTHING)

    @pytest.mark.parametrize("name", RANGES)
    def test_of_the_last_minutes_is_the_same_before_they_are_rolled_up_and_after(self, name: str) -> None:
        some_jobs(minutes=0)
        some_jobs(minutes=2)
        live = statistics.summary(name)
        derive(minutes=10)
        rolled = statistics.summary(name)
        assert rolled._replace(per_hour=0) == live._replace(per_hour=0)
        assert (rolled.enqueued, rolled.completed, rolled.failed, rolled.cancelled) == (10, 6, 2, 2)
        assert (rolled.completion_rate, rolled.failure_rate, rolled.success_rate) == (75, 25, 75)
        assert rolled.avg_run_ms == (2 * 200 + 800 + 10_000) / 4
        assert rolled.avg_wait_ms == pytest.approx((2 * 20 + 80 + 1) / 4, abs=0.5)
        assert rolled.run.p50 == pytest.approx(200, rel=FACTOR - 1)
        assert rolled.run.p99 == pytest.approx(10_000, rel=FACTOR - 1)
        assert rolled.wait.p95 == pytest.approx(80, rel=FACTOR - 1)

    @pytest.mark.parametrize(("name", "inside", "outside"), [
        ("15m", {"minutes": 14}, {"minutes": 15}),
        ("1h", {"minutes": 59}, {"minutes": 60}),
        ("6h", {"minutes": 359}, {"minutes": 360}),
        ("24h", {"hours": 23}, {"hours": 25}),
        ("7d", {"days": 6, "hours": 23}, {"days": 7, "hours": 1}),
        ("30d", {"days": 29}, {"days": 31}),
    ])  # fmt: skip
    def test_has_what_is_in_its_range_and_nothing_before(
        self, name: str, inside: dict[str, float], outside: dict[str, float]
    ) -> None:
        some_jobs(**inside)
        some_jobs(**outside)
        derive(days=32)
        assert statistics.summary(name).completed == 3
        assert sum(point.completed for point in statistics.series(name)) == 3

    def test_of_a_type_a_queue_or_both(self) -> None:
        some_jobs(hours=2)
        some_jobs(minutes=0)
        derive(hours=3)
        assert statistics.summary("24h", type="juggle").completed == 6
        assert statistics.summary("24h", type="juggle").failed == 0
        assert statistics.summary("24h", queue="cpu").enqueued == 2
        assert statistics.summary("24h", type="juggle", queue="default").completed == 4
        assert statistics.summary("24h", type="improvise", queue="cpu").enqueued == 0
        assert statistics.summary("24h", type="unheard of").completion_rate == 100

    def test_of_any_length(self) -> None:
        some_jobs(minutes=4)
        some_jobs(minutes=30)
        derive(hours=1)
        assert statistics.summary(timedelta(minutes=10)).failed == 1
        assert statistics.summary(timedelta(minutes=40)).failed == 2

    def test_says_how_many_jobs_ended_an_hour(self) -> None:
        some_jobs(minutes=20)
        derive(hours=1)
        assert statistics.summary("1h").per_hour == pytest.approx(4, abs=0.2)

    def test_does_not_need_the_jobs_any_more(self) -> None:
        some_jobs(hours=2)
        derive(hours=3)
        before = statistics.summary("24h")
        Job.objects.all().delete()
        assert statistics.summary("24h")._replace(per_hour=0) == before._replace(per_hour=0)


class TestSeries:
    def test_has_every_point_with_zeros_where_nothing_happened(self) -> None:
        some_jobs(minutes=3)
        some_jobs(minutes=0)
        derive(minutes=20)
        points = statistics.series("15m")
        assert [point.at for point in points] == [minute(14 - number) for number in range(15)]
        assert [point.completed for point in points] == [0] * 11 + [3, 0, 0, 3]
        counts = [(point.enqueued, point.failed, point.cancelled) for point in points]
        assert counts == [(0, 0, 0)] * 11 + [(5, 1, 1), (0, 0, 0), (0, 0, 0), (5, 1, 1)]
        assert (points[0].wait, points[0].run) == (NOTHING, NOTHING)
        assert points[11].run.p50 == pytest.approx(200, rel=FACTOR - 1)

    def test_of_a_type_or_a_queue(self) -> None:
        some_jobs(hours=5)
        derive(hours=7)
        assert sum(point.completed for point in statistics.series("24h", type="juggle")) == 3
        assert sum(point.completed for point in statistics.series("6h", queue="cpu")) == 1
        assert sum(point.failed for point in statistics.series("7d", type="improvise", queue="cpu")) == 0

    def test_adds_up_to_the_summary(self) -> None:
        for hours in (0, 1, 5, 30, 100, 300):
            some_jobs(hours=hours)
        derive(days=14)
        for name in RANGES:
            points, whole = statistics.series(name), statistics.summary(name)
            assert sum(point.enqueued for point in points) == whole.enqueued
            assert sum(point.completed for point in points) == whole.completed


def test_each_type_and_each_queue_has_a_summary() -> None:
    some_jobs(hours=3)
    some_jobs(minutes=0)
    derive(hours=5)
    by_type = statistics.by_type("24h")
    assert list(by_type) == ["improvise", "juggle"]
    assert by_type["juggle"] == statistics.summary("24h", type="juggle")._replace(per_hour=by_type["juggle"].per_hour)
    assert (by_type["improvise"].failed, by_type["improvise"].cancelled) == (2, 2)
    by_queue = statistics.by_queue("6h")
    assert {name: one.completed for name, one in by_queue.items()} == {"cpu": 2, "default": 4}


def test_the_slowest_types_come_first() -> None:
    some_jobs(minutes=1)
    assert [name for name, _ in statistics.slowest("1h")] == ["improvise", "juggle"]
    assert [name for name, _ in statistics.slowest("1h", limit=1)] == ["improvise"]


def test_what_ended_in_each_queue_within_the_age_of_each_outcome() -> None:
    some_jobs(hours=2)
    some_jobs(days=3)
    derive(days=4)
    ended = statistics.ended_by_queue({"completed": timedelta(days=1), "failed": timedelta(days=7)})
    assert ended == {"default": Ended(2, 2, 20_400 / 4), "cpu": Ended(1, 0, 800)}


def test_jobs_that_are_active_are_enqueued_and_nothing_else() -> None:
    for status in (Status.PENDING, Status.SCHEDULED, Status.PROCESSING):
        job_in(status)
    found = statistics.summary("15m")
    assert (found.enqueued, found.completed, found.failed, found.cancelled) == (3, 0, 0, 0)
