"""Numbers about jobs, without counting them all."""

from typing import Any

import pytest
from django.db import connection

from jobs import lifecycle, metrics
from jobs.models import Job, Queue
from jobs.processor import enqueue
from jobs.testing import perform
from tests.jobs import stand_ins as stand_ins  # registers the job types

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
