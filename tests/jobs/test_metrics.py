"""Numbers about jobs, without counting them all."""

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.db.models.functions import Now
from pydantic import BaseModel

from jobs import lifecycle, metrics
from jobs.models import Job, Queue, Status, Worker
from jobs.processor import enqueue
from jobs.rollups import roll_up
from jobs.testing import perform
from tests.jobs import stand_ins as stand_ins  # registers the job types
from tests.jobs.history import job_at, minute, rolled_up
from tests.jobs.rows import job_in

pytestmark = pytest.mark.django_db


def refuse(count: int, **options: Any) -> None:
    for _ in range(count):
        enqueue("refuse_guest", **options)


def test_a_short_count_is_exact() -> None:
    refuse(3)
    assert metrics.count(Job.objects.all(), limit=3) == metrics.Count(3, approximate=False)
    assert metrics.count(Job.objects.filter(status="failed"), limit=3) == metrics.Count(0, approximate=False)


def test_a_long_count_is_the_planners_estimate() -> None:
    refuse(40)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE jobs_job")
    assert metrics.count(Job.objects.all(), limit=10) == metrics.Count(40, approximate=True)


def test_a_long_count_is_never_less_than_what_was_counted() -> None:
    refuse(20)
    counted = metrics.count(Job.objects.filter(type="refuse_guest", queue="cpu", priority=3), limit=10)
    assert counted.number >= 10
    assert counted.approximate


def test_queue_status_speaks_of_waiting_active_delayed_and_paused() -> None:
    refuse(2)  # in cpu, which is paused
    refuse(3, queue="default")
    refuse(1, delay=60)
    perform(enqueue("refuse_guest", max_attempts=1))
    perform(enqueue("greet_guest", {"guestName": "Ada"}))
    lifecycle.claim_these([enqueue("refuse_guest").id], worker="far:1", lease=60)
    lifecycle.cancel([enqueue("refuse_guest").id], actor="ada")
    lifecycle.pause("cpu", actor="ada")
    assert metrics.queue_status()._asdict() == {
        "waiting": 3,
        "active": 1,
        "completed": 1,
        "failed": 1,
        "delayed": 1,
        "paused": 2,
        "approximate": False,
    }


def test_depths_of_queues_stop_at_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics, "COUNT_LIMIT", 2)
    refuse(3)
    lifecycle.claim_these([enqueue("refuse_guest").id], worker="far:1", lease=60)
    depths = {queue.name: (queue.waiting, queue.running) for queue in metrics.with_depths(Queue.objects.all())}
    assert depths["cpu"] == (2, 1)
    assert depths["default"] == (0, 0)


def test_totals_have_every_status() -> None:
    for status in (Status.PENDING, Status.FAILED, Status.FAILED):
        job_in(status)
    totals = metrics.totals()
    assert {status: count.number for status, count in totals.items() if count.number} == {"pending": 1, "failed": 2}
    assert list(totals) == list(Status)


class TestFiguresOfAQueue:
    def of(self, name: str = "default") -> metrics.QueueFigures:
        return {figures.name: figures for figures in metrics.queue_figures()}[name]

    def test_without_jobs(self) -> None:
        figures = self.of("bgg")
        assert (figures.total, figures.completion_rate, figures.failure_rate) == (0, 100, 0)
        assert (figures.avg_run_ms, figures.oldest_wait_seconds) == (None, None)
        assert (figures.max_running, figures.workers, figures.approximate) == (3, [], False)

    def test_are_those_that_operators_of_other_systems_know(self) -> None:
        for status, count in ((Status.PENDING, 5), (Status.PROCESSING, 2), (Status.COMPLETED, 100), (Status.FAILED, 1)):
            for _ in range(count):
                job_at(minute(1), status, run_ms=1250)
        job_at(minute(1), Status.CANCELLED)
        figures = self.of()
        assert (figures.waiting, figures.active, figures.completed, figures.failed) == (5, 2, 100, 1)
        assert figures.total == 108  # cancelled ones left out
        assert (figures.completion_rate, figures.failure_rate) == (92.59, 0.93)
        assert figures.avg_run_ms == 1250

    def test_of_a_paused_one_are_of_jobs_that_are_held(self) -> None:
        job_in(Status.PENDING)
        job_in(Status.SCHEDULED)
        lifecycle.pause("default", actor="ann", reason="new machines")
        figures = self.of()
        assert (figures.waiting, figures.paused, figures.delayed, figures.total) == (0, 1, 1, 2)
        assert (figures.is_paused, figures.paused_reason) == (True, "new machines")

    def test_say_how_long_the_oldest_has_waited_whatever_its_priority(self) -> None:
        for priority, age in ((9, 10), (1, 500), (5, 100)):
            job_in(Status.PENDING, priority=priority)
            Job.objects.filter(priority=priority).update(scheduled_at=Now() - timedelta(seconds=age))
        assert self.of().oldest_wait_seconds == pytest.approx(500, abs=60)

    def test_name_the_workers_that_are_alive(self) -> None:
        for name, queues, age in (("a", ["cpu", "default"], 0), ("b", ["cpu"], 0), ("gone", ["default"], 999)):
            at = Now() - timedelta(seconds=age)
            Worker.objects.create(name=name, pool="solo", queues=queues, concurrency=1, heartbeat_at=at)
        assert (self.of("default").workers, self.of("cpu").workers) == (["a"], ["a", "b"])

    def test_of_many_jobs_come_from_roll_ups_and_the_planner(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(metrics, "COUNT_LIMIT", 2)
        monkeypatch.setattr(metrics.count, "__defaults__", (2,))
        for ago in (2, 3, 60, 100):
            job_at(minute(ago), run_ms=100)
            job_at(minute(ago), Status.FAILED, run_ms=300)
        job_at(minute(60 * 30))  # longer ago than completed jobs are kept
        for _ in range(3):
            job_in(Status.PENDING)
            job_in(Status.SCHEDULED)
        rolled_up(minute(60 * 31))
        while roll_up(timedelta(days=2)):
            pass
        with connection.cursor() as cursor:
            cursor.execute("ANALYZE jobs_job")
        figures = self.of()
        assert figures.approximate
        assert (figures.completed, figures.failed, figures.avg_run_ms) == (4, 4, 200)
        assert figures.waiting == pytest.approx(3, abs=1)
        assert figures.delayed == pytest.approx(3, abs=1)


def test_the_oldest_waiting_job_is_that_of_a_queue_that_runs() -> None:
    assert metrics.oldest_waiting() is None
    held, waiting = job_in(Status.PENDING, queue="cpu"), job_in(Status.PENDING)
    Job.objects.filter(id=held).update(scheduled_at=Now() - timedelta(hours=1))
    Job.objects.filter(id=waiting).update(scheduled_at=Now() - timedelta(minutes=1))
    lifecycle.pause("cpu", actor="ann")
    oldest = metrics.oldest_waiting()
    assert oldest is not None
    assert (oldest.id, oldest.type, oldest.queue) == (waiting, "improvise", "default")
    assert oldest.seconds == pytest.approx(60, abs=30)
    lifecycle.resume("cpu", actor="ann")
    oldest = metrics.oldest_waiting()
    assert oldest is not None
    assert oldest.id == held


class Warmed(BaseModel):
    hits: int
    misses: int


def test_the_hit_rate_is_of_the_latest_results_that_tell_of_it() -> None:
    assert metrics.cache_hit_rate({"warm": Warmed}) is None
    for number in range(25):
        job_at(minute(30 - number), type="warm", result={"hits": 0 if number < 5 else 3, "misses": 1})
    job_at(minute(1), type="other", result={"hits": 100, "misses": 0})
    job_at(minute(1), type="warm", result={"hits": "many", "misses": 0})
    assert metrics.cache_hit_rate({"warm": Warmed, "other": str, "none": None}) == 75
    assert metrics.cache_hit_rate({"other": str}) is None
