"""What django-celery-beat 2.9 gets wrong with its own scheduler, one test for each fault, and ours does not.

That crons lose a run when the clocks change is tested with `jobs.duetimes`.
"""

from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection
from django.utils import timezone
from django_celery_beat.models import CrontabSchedule, IntervalSchedule, PeriodicTask

from config.celery import app
from jobs import scheduling
from jobs.models import Job, Leader, ScheduleRun
from jobs.scheduler import Scheduler
from jobs.schedules import rows

HOUR = timedelta(hours=1)


def beat() -> Scheduler:
    """One that leads from now on."""
    Leader.objects.all().delete()
    return Scheduler(app, lazy=True)


def hourly(ago: timedelta = timedelta(seconds=1)) -> PeriodicTask:
    """A schedule that was due so long ago for the first time."""
    interval = IntervalSchedule.objects.get_or_create(every=1, period="hours")[0]
    task = PeriodicTask.objects.create(name="hourly", task="smoke", interval=interval, start_time=timezone.now() - ago)
    PeriodicTask.objects.update(date_changed=task.start_time - HOUR)
    task.refresh_from_db()
    return task


def fired() -> list[datetime]:
    return list(ScheduleRun.objects.filter(outcome="enqueued").order_by("due_at").values_list("due_at", flat=True))


def daily_at(moment: datetime) -> CrontabSchedule:
    return CrontabSchedule.objects.create(minute=str(moment.minute), hour=str(moment.hour), timezone=UTC)


@pytest.mark.django_db
class TestFaults:
    def test_a_change_by_update_or_bulk_create_is_not_seen(self) -> None:
        scheduler = beat()
        scheduler.look()
        every_second = IntervalSchedule.objects.create(every=1, period="seconds")
        created = timezone.now() - timedelta(seconds=3)
        PeriodicTask.objects.bulk_create([PeriodicTask(name="bulk", task="smoke", interval=every_second)])
        PeriodicTask.objects.update(date_changed=created)
        scheduler.look()
        assert 2 <= len(fired()) <= 4
        PeriodicTask.objects.update(enabled=False)
        scheduler.look()
        seen = len(fired())
        scheduler.look()
        assert len(fired()) == seen

    @pytest.mark.parametrize("hours", [3, 9, 22])
    def test_a_cron_further_than_two_hours_from_now_is_not_read(self, hours: int) -> None:
        due = timezone.now().replace(second=0, microsecond=0) - hours * HOUR
        PeriodicTask.objects.create(name="daily", task="smoke", crontab=daily_at(due))
        PeriodicTask.objects.update(date_changed=due - HOUR)
        beat().look()
        assert fired() == [due]

    def test_a_last_run_that_was_not_saved_fires_again(self) -> None:
        task = hourly()
        beat().look()
        PeriodicTask.objects.update(last_run_at=None, total_run_count=0)
        beat().look()
        assert fired() == [task.start_time]

    def test_a_last_run_from_the_future_stops_it(self) -> None:
        task = hourly()
        PeriodicTask.objects.update(last_run_at=timezone.now() + 24 * HOUR)
        beat().look()
        assert fired() == [task.start_time]

    def test_a_run_overwrites_what_somebody_changed_meanwhile(self) -> None:
        hourly()
        scheduler = beat()
        (task,) = rows()
        watched = scheduler.watch(task)
        PeriodicTask.objects.update(description="Written after beat had read it.", priority=9)
        scheduler.settle(task, watched)
        assert len(fired()) == 1
        after = PeriodicTask.objects.get()
        assert (after.description, after.priority) == ("Written after beat had read it.", 9)

    def test_switching_off_forgets_when_it_ran_last(self) -> None:
        hourly()
        beat().look()
        ran = PeriodicTask.objects.get().last_run_at
        scheduling.stop("hourly", actor="ada")
        assert PeriodicTask.objects.get().last_run_at == ran

    def test_switching_on_fires_what_was_due_meanwhile(self) -> None:
        hourly(ago=5 * HOUR)
        scheduling.stop("hourly", actor="ada")
        scheduling.start("hourly", actor="ada")
        beat().look()
        assert fired() == []


@pytest.mark.django_db(transaction=True)
def test_a_run_whose_enqueueing_failed_is_lost() -> None:
    task = hourly()
    scheduler = beat()
    other = connection.copy()
    with other.cursor() as cursor:
        cursor.execute("BEGIN")
        cursor.execute("LOCK TABLE jobs_job IN ACCESS EXCLUSIVE MODE")
        assert scheduler.tick() == 1.0  # seconds until it tries again: the lock timeout is the database's fault
        cursor.execute("ROLLBACK")
    other.close()
    assert fired() == []
    scheduler.tick()
    assert fired() == [task.start_time]
    assert Job.objects.count() == 1
