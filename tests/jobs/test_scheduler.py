from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from celery import shared_task
from django.db import connection
from django.db.models.functions import Now
from django.utils import timezone
from django_celery_beat.models import ClockedSchedule, CrontabSchedule, IntervalSchedule, PeriodicTask

from config.celery import app
from jobs import leadership
from jobs.models import Event, Job, Leader, ScheduleRun
from jobs.processor import JobContext, Payload, processor
from jobs.scheduler import Scheduler
from jobs.schedules import rows

LONG_AGO = timedelta(days=30)
HOUR = timedelta(hours=1)


class Chime(Payload):
    bell_name: str = "great"
    strokes: int = 1


@processor(queue="bgg", priority="low")
def scheduled_chime(payload: Chime, job: JobContext) -> None:
    """Ring a bell."""


@shared_task(name="scheduled_plain")
def scheduled_plain(first: int, second: int = 0) -> None:
    """A plain task."""


@pytest.fixture
def beat(db: None) -> Scheduler:
    return new_beat()


def new_beat() -> Scheduler:
    return Scheduler(app, lazy=True)


def schedule(name: str = "bell", *, late: timedelta = HOUR, **fields: Any) -> PeriodicTask:
    """A daily schedule made long ago, whose latest due time was so long ago."""
    timing = {"interval", "crontab", "clocked", "solar"} & fields.keys()
    if not timing:
        fields["interval"] = IntervalSchedule.objects.get_or_create(every=1, period="days")[0]
        fields.setdefault("start_time", timezone.now() - late)
    task = PeriodicTask.objects.create(**{"name": name, "task": "scheduled_chime", **fields})
    made(task, LONG_AGO)
    return task


def made(task: PeriodicTask, ago: timedelta) -> None:
    PeriodicTask.objects.filter(pk=task.pk).update(date_changed=timezone.now() - ago)


def daily_at(moment: datetime) -> CrontabSchedule:
    return CrontabSchedule.objects.create(minute=str(moment.minute), hour=str(moment.hour), timezone=UTC)


def runs() -> list[tuple[str, datetime]]:
    """The due times with a job."""
    enqueued = ScheduleRun.objects.filter(outcome="enqueued", job__isnull=False)
    return list(enqueued.order_by("due_at", "schedule").values_list("schedule", "due_at"))


def failures() -> list[tuple[str, str]]:
    events = Event.objects.filter(kind="schedule-failed", actor="beat").order_by("id")
    return list(events.values_list("schedule", "reason"))


class TestFiring:
    def test_enqueues_a_due_time_once(self, beat: Scheduler) -> None:
        task = schedule()
        beat.look()
        beat.look()
        job = Job.objects.get()
        assert runs() == [("bell", task.start_time)]
        assert ScheduleRun.objects.get().job == job.id
        assert (job.type, job.schedule, job.created_by, job.status) == ("scheduled_chime", "bell", "beat", "pending")
        assert (job.queue, job.priority, job.payload) == ("bgg", 3, {"bellName": "great", "strokes": 1})

    def test_once_also_for_the_beat_that_takes_over(self, beat: Scheduler) -> None:
        schedule()
        beat.look()
        beat.close()
        new_beat().look()
        assert len(runs()) == Job.objects.count() == 1

    def test_follows_the_row(self, beat: Scheduler) -> None:
        schedule(kwargs='{"strokes": 3}', queue="default", priority=9, expire_seconds=7200)
        beat.look()
        job = Job.objects.get()
        assert (job.payload, job.queue, job.priority) == ({"bellName": "great", "strokes": 3}, "default", 9)
        assert job.expires_at == ScheduleRun.objects.get().due_at + timedelta(hours=2)

    def test_gives_a_plain_task_its_arguments(self, beat: Scheduler) -> None:
        schedule(task="scheduled_plain", args="[1]", kwargs='{"second": 2}')
        beat.look()
        assert Job.objects.get().payload == {"args": [1], "kwargs": {"second": 2}}

    def test_notes_when_and_how_often_it_ran(self, beat: Scheduler) -> None:
        before = schedule()
        beat.look()
        after = PeriodicTask.objects.get()
        assert (after.total_run_count, after.last_run_at > before.start_time) == (1, True)

    def test_waits_for_the_next_due_time_at_most_a_pace(self, beat: Scheduler) -> None:
        schedule()
        assert beat.look() == 2.0
        schedule("soon", start_time=timezone.now() + timedelta(seconds=1), interval=IntervalSchedule.objects.get())
        assert 0 < beat.look() <= 1.0

    def test_one_off_runs_once(self, beat: Scheduler) -> None:
        schedule(one_off=True, start_time=timezone.now() - timedelta(seconds=25), interval=seconds(10))
        beat.look()
        beat.look()
        assert len(runs()) == 1
        assert not PeriodicTask.objects.get().enabled

    def test_a_clocked_time_runs_once(self, beat: Scheduler) -> None:
        clocked = ClockedSchedule.objects.create(clocked_time=timezone.now() - HOUR)
        schedule(clocked=clocked, one_off=True)
        beat.look()
        beat.look()
        assert runs() == [("bell", clocked.clocked_time)]

    def test_keeps_to_start_and_end(self, beat: Scheduler) -> None:
        now, interval = timezone.now(), seconds(10)
        schedule("early", interval=interval, start_time=now + HOUR)
        schedule("late", interval=interval, expires=now - HOUR)
        schedule("too late for this one", expire_seconds=60)
        beat.look()
        assert runs() == []
        assert beat.look() > 0.05  # and does not spin over it

    def test_leaves_disabled_ones(self, beat: Scheduler) -> None:
        schedule(enabled=False)
        beat.look()
        assert runs() == []


def seconds(every: int) -> IntervalSchedule:
    return IntervalSchedule.objects.create(every=every, period="seconds")


class TestMissed:
    """What was due while no beat ran."""

    def test_the_latest_is_made_up_for(self, beat: Scheduler) -> None:
        latest = timezone.now().replace(second=0, microsecond=0) - timedelta(hours=9)
        schedule(crontab=daily_at(latest))  # django-celery-beat reads only crons within two hours of now
        beat.look()
        assert runs() == [("bell", latest)]


class TestLeading:
    def test_a_standby_enqueues_nothing_until_it_leads(self, beat: Scheduler) -> None:
        schedule()
        leadership.lead("beat", "another", 60)
        beat.look()
        assert runs() == []
        Leader.objects.update(expires_at=timezone.now() - HOUR)
        beat.look()
        assert len(runs()) == 1
        assert Leader.objects.get().holder == beat.holder

    def test_a_beat_that_stops_resigns(self, beat: Scheduler) -> None:
        beat.look()
        assert Leader.objects.filter(expires_at__gt=Now()).exists()
        beat.close()
        assert not Leader.objects.filter(expires_at__gt=Now()).exists()

    def test_a_leader_by_mistake_enqueues_nothing_twice(self, beat: Scheduler) -> None:
        schedule()
        (task,) = rows()
        new_beat().look()
        beat.settle(task, beat.watch(task))  # as one that was frozen after it had read the schedules
        assert len(runs()) == Job.objects.count() == 1
        assert PeriodicTask.objects.get().total_run_count == 1

    @pytest.mark.parametrize("change", [{"enabled": False}, {"date_changed": Now()}])
    def test_a_schedule_changed_since_it_was_read_waits_for_the_next_look(
        self, beat: Scheduler, change: dict[str, Any]
    ) -> None:
        schedule()
        (task,) = rows()
        PeriodicTask.objects.update(**change)
        beat.settle(task, beat.watch(task))
        assert runs() == []


class TestEditing:
    """A change of a schedule never enqueues what was due before it."""

    @pytest.fixture
    def looked(self, beat: Scheduler) -> Scheduler:
        """A beat that knows a schedule, due in an hour, that was never due since it was made."""
        made(schedule(crontab=daily_at(timezone.now() + HOUR)), 12 * HOUR)
        beat.look()
        assert runs() == []
        return beat

    @pytest.fixture(autouse=True)
    def nothing_ran(self, looked: Scheduler) -> Iterator[None]:
        yield
        looked.look()
        looked.look()
        assert runs() == []
        looked.close()
        new_beat().look()  # the next one knows too
        assert runs() == []

    def test_by_saving_it(self) -> None:
        task = PeriodicTask.objects.get()
        task.crontab = daily_at(timezone.now() - HOUR)
        task.save()

    def test_by_update(self) -> None:
        PeriodicTask.objects.update(crontab=daily_at(timezone.now() - HOUR))

    def test_in_the_row_of_its_crontab(self) -> None:
        CrontabSchedule.objects.update(hour=str((timezone.now() - HOUR).hour))

    def test_by_enabling_it_again(self, looked: Scheduler) -> None:
        task = PeriodicTask.objects.get()
        task.crontab = daily_at(timezone.now() - timedelta(minutes=20))
        task.enabled = False
        task.save()
        made(task, HOUR)
        looked.look()
        task.enabled = True
        task.save()

    def test_by_enabling_it_with_update(self, looked: Scheduler) -> None:
        PeriodicTask.objects.update(enabled=False, crontab=daily_at(timezone.now() - timedelta(minutes=20)))
        looked.look()
        made(PeriodicTask.objects.get(), HOUR)
        looked.look()
        PeriodicTask.objects.update(enabled=True)


class TestChanges:
    def test_a_new_schedule_is_due_as_any_other(self, beat: Scheduler) -> None:
        beat.look()
        task = schedule(late=timedelta(seconds=1))
        made(task, timedelta(seconds=2))
        beat.look()
        assert runs() == [("bell", task.start_time)]

    def test_another_description_loses_no_due_time(self, beat: Scheduler) -> None:
        beat.look()
        task = schedule(start_time=timezone.now() + timedelta(seconds=0.2), interval=seconds(3600))
        beat.look()
        while timezone.now() <= task.start_time:
            pass
        task.description = "saved just after it was due"
        task.save()
        beat.look()
        assert runs() == [("bell", task.start_time)]

    def test_a_clock_ahead_of_the_databases_stops_nothing(self, beat: Scheduler) -> None:
        task = schedule(start_time=timezone.now() + timedelta(seconds=0.2), interval=seconds(3600))
        made(task, -HOUR)
        beat.look()
        while timezone.now() <= task.start_time:
            pass
        beat.look()
        assert runs() == [("bell", task.start_time)]

    def test_a_deleted_schedule_is_forgotten(self, beat: Scheduler) -> None:
        task = schedule()
        beat.look()
        task.delete()
        beat.look()
        assert beat._watched == {}


class TestFaults:
    """One schedule that cannot be run stops no other, and is told once for each due time."""

    @pytest.mark.parametrize(
        ("fields", "reason"),
        [
            ({"task": "no_such_type"}, "UnknownProcessor: unknown job type 'no_such_type'"),
            (
                {"kwargs": '{"strokes": "many"}'},
                "InvalidPayload: scheduled_chime: strokes: ",
            ),
            ({"kwargs": "{"}, "InvalidPayload: the schedule's payload is not JSON: "),
            ({"kwargs": "[1]"}, "InvalidPayload: the schedule's payload is not a JSON object"),
            ({"queue": "nowhere"}, "UnknownQueue: unknown queue 'nowhere'"),
            ({"priority": 11}, "InvalidOption: priority: expected 1 to 10"),
        ],
    )
    def test_of_the_job(self, beat: Scheduler, fields: dict[str, Any], reason: str) -> None:
        schedule("bad", **fields)
        schedule("good")
        for scheduler in (beat, beat, new_beat()):
            Leader.objects.all().delete()
            scheduler.look()
        assert [name for name, _ in runs()] == ["good"]
        ((name, told),) = failures()
        assert name == "bad"
        assert told.startswith(reason)
        assert Event.objects.get().after == {"due_at": PeriodicTask.objects.get(name="bad").start_time.isoformat()}

    @pytest.mark.parametrize(
        ("crontab", "reason"),
        [
            ({"minute": "61"}, "bad minute '61': Invalid end range: 61 > 59."),
            ({"timezone": "Mars/Olympus"}, "no time zone 'Mars/Olympus'"),
        ],
    )
    def test_of_the_rule(self, beat: Scheduler, crontab: dict[str, str], reason: str) -> None:
        task = schedule("bad", crontab=CrontabSchedule.objects.create())
        ((column, value),) = crontab.items()
        with connection.cursor() as cursor:
            cursor.execute(f"UPDATE django_celery_beat_crontabschedule SET {column} = %s", [value])  # noqa: S608
        schedule("good")
        for scheduler in (beat, beat, new_beat()):
            Leader.objects.all().delete()
            scheduler.look()
        assert [name for name, _ in runs()] == ["good"]
        assert failures() == [("bad", reason)]
        PeriodicTask.objects.filter(pk=task.pk).update(crontab=None, interval=seconds(3600), date_changed=Now())
        beat.look()
        assert len(failures()) == 1

    def test_a_failed_due_time_is_tried_again_by_the_next_beat(self, beat: Scheduler) -> None:
        task = schedule(task="no_such_type")
        beat.look()
        PeriodicTask.objects.update(task="scheduled_chime")  # as when the missing code is deployed
        new_beat().look()
        assert runs() == []  # the first still leads
        beat.close()
        new_beat().look()
        assert runs() == [("bell", task.start_time)]


def test_no_row_is_made_at_start(db: None) -> None:
    Scheduler(app)
    assert not PeriodicTask.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_a_lost_connection_is_made_anew() -> None:
    beat = new_beat()
    beat.tick()
    schedule()
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        (backend,) = cursor.fetchone()
    other = connection.copy()
    with other.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(%s)", [backend])
    other.close()
    beat.tick()
    assert len(runs()) == 1


@pytest.mark.django_db(transaction=True)
def test_a_schedule_that_somebody_has_locked_holds_no_other_up() -> None:
    beat = new_beat()
    locked = schedule("locked")
    schedule("free")
    somebody = connection.copy()
    with somebody.cursor() as cursor:
        cursor.execute("BEGIN")
        cursor.execute("UPDATE django_celery_beat_periodictask SET description = '' WHERE id = %s", [locked.pk])
        beat.tick()
        assert [name for name, _ in runs()] == ["free"]
        cursor.execute("ROLLBACK")
    somebody.close()
    beat.tick()
    assert sorted(name for name, _ in runs()) == ["free", "locked"]
