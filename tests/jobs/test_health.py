"""The facts that make the platform healthy or not."""

from datetime import timedelta
from typing import Any

import pytest
from django.conf import settings
from django.db.models.functions import Now
from django.utils import timezone
from django_celery_beat.models import CrontabSchedule, IntervalSchedule, PeriodicTask
from pytest_django.fixtures import Settings

from jobs import broker, health, lifecycle
from jobs.models import Leader, ScheduleRun, Worker
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


@pytest.fixture
def late() -> PeriodicTask:
    """A schedule that was due five minutes ago, while a beat led."""
    task = PeriodicTask.objects.create(
        name="late",
        task="bgg_sync",
        interval=IntervalSchedule.objects.create(every=1, period="hours"),
        start_time=timezone.now() - timedelta(minutes=5),
    )
    PeriodicTask.objects.update(date_changed=timezone.now() - timedelta(hours=1))
    earlier = timezone.now() - timedelta(minutes=10)
    Leader.objects.create(
        duty="beat", holder="here", expires_at=timezone.now() + timedelta(minutes=1), unbroken_since=earlier
    )
    return task


class TestLateSchedules:
    def test_are_told(self, late: PeriodicTask) -> None:
        due = f"{late.start_time:%Y-%m-%d %H:%M:%S}"
        assert health.report().scheduler.issues == [f"schedule late was due at {due} UTC"]

    @pytest.mark.parametrize("outcome", ["enqueued", "skipped", "buffered", "missed"])
    def test_are_not_when_something_became_of_the_due_time(self, late: PeriodicTask, outcome: str) -> None:
        ScheduleRun.objects.create(schedule="late", due_at=late.start_time, outcome=outcome)
        assert health.report().scheduler.healthy

    def test_warn_when_the_job_could_not_be(self, late: PeriodicTask) -> None:
        ScheduleRun.objects.create(schedule="late", due_at=late.start_time, outcome="failed", reason="No such thing")
        found = health.report().scheduler
        assert (found.issues, found.warnings) == ([], ["schedule late could not enqueue its job: No such thing"])

    def test_are_given_time_when_a_beat_has_just_begun(self, late: PeriodicTask) -> None:
        Leader.objects.update(unbroken_since=Now())
        assert health.report().scheduler.healthy

    @pytest.mark.parametrize("change", [{"enabled": False}, {"date_changed": Now()}])
    def test_are_those_that_were_due_since_they_were_changed(self, late: PeriodicTask, change: dict[str, Any]) -> None:
        PeriodicTask.objects.update(**change)
        assert health.report().scheduler.healthy


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
