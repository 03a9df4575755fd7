"""A machine's clock is set by hours, forward or back: the platform goes by Postgres' clock, by Redis' or by none."""

import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from celery import shared_task
from django.utils import timezone
from django_celery_beat.models import IntervalSchedule, PeriodicTask

from config.celery import app
from jobs import leadership, lifecycle
from jobs.errors import InvalidOption, Snooze
from jobs.lifecycle import Verb
from jobs.models import Job, ScheduleOptions, ScheduleRun, Status, Worker
from jobs.processor import JobContext, Upstream
from jobs.scheduler import Scheduler
from jobs.sessions import without_side_session
from jobs.testing import drain, perform
from jobs.worker.held import Held, State
from tests.jobs.jobtypes import improvise, part
from tests.jobs.rows import ended, enqueued, now, row, started

pytestmark = pytest.mark.django_db
HOUR = timedelta(hours=1)
MINUTE = timedelta(minutes=1)
Step = Callable[[timedelta], None]


@pytest.fixture
def step(monkeypatch: pytest.MonkeyPatch) -> Step:
    """Set the clock of this machine: by so much off the right time."""
    right_seconds, right_time = time.time, timezone.now

    def set_clock(off: timedelta) -> None:
        monkeypatch.setattr(time, "time", lambda: right_seconds() + off.total_seconds())
        monkeypatch.setattr(timezone, "now", lambda: right_time() + off)

    return set_clock


@pytest.fixture(params=[-3, 3], ids=["back", "forward"])
def hours(request: pytest.FixtureRequest) -> timedelta:
    return timedelta(hours=request.param)


@pytest.fixture
def stepped(step: Step, hours: timedelta) -> None:
    step(hours)


def nothing(job: JobContext) -> None:
    """A part."""


@shared_task(bind=True, name="clock_retries", max_retries=5)
def clock_retries(self: Any) -> None:
    """A plain task that asks to be run again in a minute by its own clock."""
    raise self.retry(eta=timezone.now() + MINUTE)


@pytest.mark.usefixtures("stepped")
class TestAMachineThatEnqueues:
    def test_delays_by_the_databases_clock(self) -> None:
        assert row(improvise.enqueue(part(nothing), countdown=60).id).scheduled_at == now() + MINUTE

    def test_expires_by_the_databases_clock(self) -> None:
        assert row(improvise.enqueue(part(nothing), expires=60).id).expires_at == now() + MINUTE

    def test_is_not_told_that_a_moment_to_come_is_past(self) -> None:
        job = improvise.enqueue(part(nothing), expires=now() + HOUR).id
        assert lifecycle.expire() == 0
        assert perform(job).status == Status.COMPLETED


@pytest.mark.parametrize("off", [timedelta(0), timedelta(hours=3)])
def test_a_moment_that_is_past_is_refused(step: Step, off: timedelta) -> None:
    step(off)
    with pytest.raises(InvalidOption, match="is in the past"):
        improvise.enqueue(part(nothing), expires=now() - HOUR)


def test_a_moment_that_is_past_and_that_a_slow_clock_takes_ends_the_job_unrun(step: Step) -> None:
    step(timedelta(hours=-3))
    job = improvise.enqueue(part(nothing), expires=now() - HOUR)
    assert drain() == []
    assert lifecycle.expire() == 1
    assert row(job.id).finished_at is not None


class TestAWorker:
    @pytest.mark.usefixtures("stepped")
    def test_keeps_and_loses_its_runs_by_the_databases_clock(self) -> None:
        held, lost = started(), started()
        lifecycle.renew([held.key], 30.0)
        assert lifecycle.rescue() == 0
        Job.objects.filter(id=lost.id).update(lease_expires_at=now() - timedelta(seconds=1))
        assert lifecycle.rescue() == 1
        assert ended(lost) is None
        assert [ended(held), ended(held)] == [Status.COMPLETED, None]

    def test_times_no_run_out(self, step: Step, hours: timedelta) -> None:
        def body(job: JobContext) -> str:
            step(hours)
            job.check()
            return "done"

        job = perform(improvise.enqueue(part(body), timeout=60).id)
        assert (job.status, job.result, job.attempt) == (Status.COMPLETED, "done", 1)
        assert job.started_at is not None
        assert now() - MINUTE < job.started_at <= now()

    def test_counts_a_runs_time_without_a_clock(self, step: Step, hours: timedelta) -> None:
        claimed = started(timeout=60.0)
        held = Held(claimed, State.RUNNING, started=time.monotonic())
        step(hours)
        assert not held.overdue

    @pytest.mark.usefixtures("stepped")
    def test_backs_off_by_the_databases_clock(self) -> None:
        job = started()
        ended(job, Verb.RETRY, delay=60.0)
        assert row(job).scheduled_at == now() + MINUTE

    @pytest.mark.usefixtures("stepped")
    def test_retries_at_the_right_time_what_asks_for_one_of_its_own_clock(self) -> None:
        job = perform(clock_retries.apply_async().id)
        assert timedelta(seconds=50) < job.scheduled_at - now() <= MINUTE

    @pytest.mark.usefixtures("stepped")
    def test_is_alive_by_the_databases_clock(self) -> None:
        Worker.objects.create(name="stage:1", pool="threads", concurrency=1)
        assert Worker.objects.alive().count() == 1

    @pytest.mark.usefixtures("stepped")
    def test_promotes_what_is_due_and_nothing_else(self) -> None:
        enqueued(delay=60.0)
        assert lifecycle.promote() == 0
        Job.objects.update(scheduled_at=now() - timedelta(seconds=1))
        assert lifecycle.promote() == 1


def test_no_duty_has_two_leaders(step: Step, hours: timedelta) -> None:
    assert leadership.lead("upkeep", "right", 60)
    step(hours)
    assert not leadership.lead("upkeep", "stepped", 60)
    assert leadership.lead("upkeep", "right", 60)


def test_a_pace_grants_no_turn_twice(step: Step, hours: timedelta) -> None:
    upstream = Upstream("slow", interval=60)
    with without_side_session():
        upstream.acquire()
        step(hours)
        with pytest.raises(Snooze) as told:
            upstream.acquire()
    assert 0 < told.value.after <= 60


class TestABeat:
    """A schedule of an hourly due time, the last one ten seconds ago by the database's clock."""

    @pytest.fixture
    def task(self) -> PeriodicTask:
        hourly = IntervalSchedule.objects.create(every=1, period="hours")
        begin = now() - timedelta(seconds=10)
        task = PeriodicTask.objects.create(
            name="bell", task="improvise", kwargs='{"part": ""}', interval=hourly, start_time=begin, expire_seconds=600
        )
        PeriodicTask.objects.update(date_changed=begin - HOUR)
        ScheduleOptions.objects.create(schedule=task, missed_runs="all")
        return task

    @pytest.mark.usefixtures("stepped")
    def test_fires_once(self, task: PeriodicTask) -> None:
        beat = Scheduler(app, lazy=True)
        beat.look()
        beat.look()
        assert list(ScheduleRun.objects.values_list("due_at", "outcome")) == [(task.start_time, "enqueued")]
        assert Job.objects.get().expires_at == task.start_time + timedelta(minutes=10)

    def test_fires_once_when_the_clock_is_set_between_two_looks(
        self, task: PeriodicTask, step: Step, hours: timedelta
    ) -> None:
        beat = Scheduler(app, lazy=True)
        beat.look()
        for off in (hours, timedelta(0), -hours):
            step(off)
            beat.look()
            Scheduler(app, lazy=True).look()
        assert Job.objects.count() == ScheduleRun.objects.count() == 1

    def test_has_nothing_to_make_up_for_of_a_schedule_made_elsewhere(self, step: Step, hours: timedelta) -> None:
        beat = Scheduler(app, lazy=True)
        beat.look()
        step(hours)
        minutely = IntervalSchedule.objects.create(every=1, period="minutes")
        task = PeriodicTask.objects.create(name="new", task="improvise", kwargs='{"part": ""}', interval=minutely)
        ScheduleOptions.objects.create(schedule=task, missed_runs="all")
        task.refresh_from_db()
        assert abs(task.date_changed - now()) < MINUTE
        beat.look()
        assert ScheduleRun.objects.count() <= 1  # of a minute that ended meanwhile
