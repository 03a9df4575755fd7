"""The facts that make the platform healthy or not."""

from datetime import timedelta
from typing import Any

import pytest
from django.conf import settings
from django.db.models.functions import Now
from django_celery_beat.models import CrontabSchedule, PeriodicTask
from pytest_django.fixtures import Settings

from jobs import broker, health, lifecycle
from jobs.models import Leader, Worker
from jobs.sessions import plain_connection

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def worker(db: None) -> Worker:
    """One that takes jobs of every queue."""
    return Worker.objects.create(name="here:1", pool="threads", queues=list(settings.JOBS_QUEUES), concurrency=4)


def change(worker: Worker, **fields: Any) -> health.Report:
    Worker.objects.filter(pk=worker.pk).update(**fields)
    return health.report()


def test_with_a_worker_all_is_well() -> None:
    report = health.report()
    assert (report.healthy, report.issues) == (True, [])
    assert (report.workers.total, report.workers.active) == (1, 1)


def test_a_worker_that_was_not_heard_of_for_a_lease_is_no_worker(worker: Worker) -> None:
    report = change(worker, heartbeat_at=Now() - timedelta(seconds=settings.JOBS_LEASE + 1))
    assert not report.healthy
    assert "no worker is alive" in report.issues


def test_a_queue_that_no_worker_serves_is_named(worker: Worker) -> None:
    report = change(worker, queues=[name for name in settings.JOBS_QUEUES if name != "cpu"])
    assert (report.healthy, report.issues) == (False, ["no worker takes jobs of queue cpu"])
    assert report.queues.unhealthy == 1


def test_a_worker_that_drains_serves_nothing(worker: Worker) -> None:
    report = change(worker, draining=True)
    assert (report.workers.total, report.workers.active) == (1, 0)
    assert report.queues.unhealthy == report.queues.total


def test_a_paused_queue_and_stuck_threads_are_told_but_not_unhealthy(worker: Worker) -> None:
    lifecycle.pause("cpu", actor="ada")
    report = change(worker, stuck=2)
    assert report.healthy
    assert report.issues == ["worker here:1 has 2 threads past their job's timeout", "queue cpu is paused"]


def test_schedules_need_a_beat() -> None:
    nightly = CrontabSchedule.objects.create(minute="0", hour="2")
    PeriodicTask.objects.create(name="a", task="refuse_guest", crontab=nightly)
    PeriodicTask.objects.create(name="b", task="refuse_guest", crontab=nightly, enabled=False)
    report = health.report()
    assert (report.healthy, report.issues) == (False, ["no beat is running, schedules do not fire"])
    assert (report.scheduler.total, report.scheduler.running, report.scheduler.stopped) == (2, 1, 1)

    leader = Leader.objects.create(duty="beat", holder="here", expires_at=Now() + timedelta(minutes=1))
    assert health.report().healthy
    Leader.objects.filter(pk=leader.pk).update(expires_at=Now() - timedelta(seconds=1))
    assert not health.report().healthy


def test_no_beat_is_needed_without_schedules() -> None:
    assert health.report().scheduler.healthy


def test_redis_that_does_not_answer_is_told(settings: Settings) -> None:
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    broker.client.cache_clear()
    try:
        report = health.report()
    finally:
        broker.client.cache_clear()
    assert not report.broker.healthy
    assert report.issues == ["Redis does not answer: jobs run, wake-ups and live progress do not"]


def test_an_old_snapshot_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "OLD_SNAPSHOT", 0.0)
    other = plain_connection()
    try:
        other.set_autocommit(False)
        with other.cursor() as cursor:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            cursor.execute("SELECT 1")
        report = health.report()
    finally:
        other.close()
    assert report.healthy
    assert [issue for issue in report.issues if issue.startswith("a transaction has kept its snapshot")]
