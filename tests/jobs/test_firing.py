"""What becomes of due times while an earlier one's job is active, and of those that passed while no beat ran."""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from django.db.models.functions import Now
from django.utils import timezone
from django_celery_beat.models import IntervalSchedule, PeriodicTask

from config.celery import app
from jobs import lifecycle, scheduling
from jobs.lifecycle import Verb
from jobs.models import Event, Job, Leader, ScheduleOptions, ScheduleRun
from jobs.processor import JobContext, Payload, processor
from jobs.scheduler import AT_ONCE, Scheduler
from jobs.schedules import rows
from tests.jobs.rows import ended, started

pytestmark = pytest.mark.django_db

HOUR = timedelta(hours=1)


class Note(Payload):
    pitch: str = "c"


@processor(queue="cpu")
def fired_note(payload: Note, job: JobContext) -> None:
    """Sound a note."""


@pytest.fixture
def beat() -> Scheduler:
    return new_beat()


def new_beat() -> Scheduler:
    """A beat that has just been started, after the one before it has gone."""
    Leader.objects.all().delete()
    return Scheduler(app, lazy=True)


def schedule(every: timedelta = HOUR, *, due: int = 0, ago: timedelta = timedelta(seconds=1), **fields: Any) -> str:
    """A schedule with so many due times behind it, the latest so long ago; its name."""
    policies = {key: fields.pop(key) for key in ("overlap", "missed_runs") if key in fields}
    interval = IntervalSchedule.objects.get_or_create(every=every.total_seconds(), period="seconds")[0]
    start = timezone.now() - ago - every * (due - 1)
    values = {"name": "note", "task": "fired_note", "interval": interval, "start_time": start, **fields}
    task = PeriodicTask.objects.create(**values)
    PeriodicTask.objects.update(date_changed=start - HOUR)
    if policies:
        ScheduleOptions.objects.create(schedule=task, **policies)
    return str(task.name)


def sooner(by: timedelta = HOUR) -> None:
    """Let time pass: what is due in an hour is due now."""
    for task in PeriodicTask.objects.all():
        earlier = {"start_time": task.start_time - by, "date_changed": task.date_changed - by}
        PeriodicTask.objects.filter(pk=task.pk).update(**earlier)
    for run in ScheduleRun.objects.order_by("due_at"):
        ScheduleRun.objects.filter(pk=run.pk).update(due_at=run.due_at - by)


def look() -> None:
    """What a beat does that takes over now."""
    new_beat().look()


def runs() -> list[str]:
    """What became of each due time, in order."""
    return list(ScheduleRun.objects.order_by("due_at").values_list("outcome", flat=True))


def reasons() -> list[str]:
    return list(ScheduleRun.objects.order_by("due_at").values_list("reason", flat=True))


def job_of(place: int) -> UUID:
    job = ScheduleRun.objects.order_by("due_at")[place].job
    assert job
    return job


def end(job: UUID) -> None:
    ended(started(job), Verb.COMPLETE, result="null")


class TestOverlap:
    def test_is_allowed_unless_the_schedule_says_else(self) -> None:
        schedule(due=1)
        look()
        sooner()
        look()
        assert runs() == ["enqueued", "enqueued"]
        assert Job.objects.active().count() == 2

    def test_is_skipped(self) -> None:
        schedule(due=1, overlap="skip")
        look()
        sooner()
        look()
        assert runs() == ["enqueued", "skipped"]
        assert reasons()[1] == f"job {job_of(0)} was active"
        end(job_of(0))
        sooner()
        look()
        assert runs() == ["enqueued", "skipped", "enqueued"]

    @pytest.mark.parametrize("verb", [Verb.RETRY, Verb.SNOOZE])
    def test_a_job_that_will_run_again_is_active(self, verb: Verb) -> None:
        schedule(due=1, overlap="skip")
        look()
        ended(started(job_of(0)), verb, delay=3600.0)
        sooner()
        look()
        assert runs() == ["enqueued", "skipped"]

    def test_a_job_by_hand_counts_too(self) -> None:
        name = schedule(overlap="skip")
        job = scheduling.run(name, actor="ada").id
        sooner()
        look()
        assert (runs(), reasons()) == (["skipped"], [f"job {job} was active"])

    def test_of_other_schedules_does_not_count(self) -> None:
        schedule(due=1, overlap="skip")
        schedule(due=1, overlap="skip", name="other")
        look()
        assert runs() == ["enqueued", "enqueued"]


class TestBuffer:
    @pytest.fixture(autouse=True)
    def buffered(self) -> None:
        """The job of the first due time is active, the second waits for its end, the third found it waiting."""
        schedule(due=1, overlap="buffer-one")
        look()
        for _ in range(2):
            sooner()
            look()
        assert runs() == ["enqueued", "buffered", "skipped"]

    def test_says_what_it_waits_for(self) -> None:
        earlier = job_of(0)
        waits, skipped = reasons()[1:]
        assert waits == f"waits for the end of job {earlier}"
        assert skipped == f"job {earlier} was active, and another due time waited for its end"

    def test_one_is_enqueued_when_the_earlier_job_has_ended(self, beat: Scheduler) -> None:
        assert beat.look() <= 2.0  # seconds until it looks again
        end(job_of(0))
        beat.look()
        beat.look()
        assert runs() == ["enqueued", "enqueued", "skipped"]
        assert Job.objects.get(id=job_of(1)).created_by == "beat"
        assert reasons()[1] == "it waited for the end of an earlier job"
        enqueued, skipped = ScheduleRun.objects.order_by("due_at")[1:]
        assert scheduling.state("note").last_run == enqueued.created_at > skipped.created_at
        assert Job.objects.count() == PeriodicTask.objects.get().total_run_count == 2

    def test_also_when_it_is_cancelled(self, beat: Scheduler) -> None:
        lifecycle.cancel([job_of(0)], actor="ada")
        beat.look()
        assert runs() == ["enqueued", "enqueued", "skipped"]

    def test_the_next_one_waits_for_that(self) -> None:
        end(job_of(0))
        look()
        sooner()
        look()
        assert runs() == ["enqueued", "enqueued", "skipped", "buffered"]

    def test_a_second_leader_enqueues_nothing_twice(self, beat: Scheduler) -> None:
        end(job_of(0))
        for scheduler in (beat, new_beat(), beat):
            Leader.objects.all().delete()
            scheduler.look()
        assert Job.objects.count() == 2

    @pytest.mark.parametrize(
        "change",
        [
            {"enabled": False},
            {"enabled": False, "date_changed": Now()},
            {"start_time": datetime.fromisoformat("2026-01-01T00:00:07Z"), "date_changed": Now()},
        ],
    )
    def test_a_change_lets_it_wait_no_longer(self, beat: Scheduler, change: dict[str, Any]) -> None:
        beat.look()
        PeriodicTask.objects.update(**change)
        beat.look()
        PeriodicTask.objects.update(enabled=True)
        end(job_of(0))
        beat.look()
        assert runs() == ["enqueued", "skipped", "skipped"]
        assert reasons()[1] == "the schedule was changed or switched off before the earlier job ended"

    def test_a_deleted_schedule_waits_for_nothing(self, beat: Scheduler) -> None:
        PeriodicTask.objects.get().delete()
        end(job_of(0))
        beat.look()
        assert runs() == ["enqueued", "skipped", "skipped"]

    def test_what_came_too_late_to_start_is_missed(self, beat: Scheduler) -> None:
        PeriodicTask.objects.update(expire_seconds=60)
        end(job_of(0))
        beat.look()
        assert (runs()[1], reasons()[1]) == ("missed", "it came too late for its job to start")

    def test_after_the_end_of_the_schedule_it_is_missed(self, beat: Scheduler) -> None:
        beat.look()
        ScheduleRun.objects.filter(outcome="buffered").update(due_at=timezone.now() + HOUR)  # later than the change
        PeriodicTask.objects.update(expires=timezone.now() - timedelta(seconds=1))
        end(job_of(0))
        beat.look()
        assert set(runs()) == {"enqueued", "missed", "skipped"}

    def test_a_job_that_cannot_be_is_a_failure(self, beat: Scheduler) -> None:
        PeriodicTask.objects.update(task="no_such_type")
        end(job_of(0))
        beat.look()
        beat.look()
        assert (runs()[1], reasons()[1]) == ("failed", "UnknownProcessor: unknown job type 'no_such_type'")
        assert Event.objects.filter(schedule="note", kind="schedule-failed").count() == 1


class TestOutage:
    """A beat that was away for three hours."""

    POLICIES = {
        "skip": ["missed", "missed", "missed"],
        "one": ["missed", "missed", "enqueued"],
        "all": ["enqueued", "enqueued", "enqueued"],
    }

    @pytest.mark.parametrize("policy", POLICIES)
    def test_follows_the_policy(self, beat: Scheduler, policy: str) -> None:
        schedule(due=3, ago=HOUR / 2, missed_runs=policy)
        beat.look()
        new_beat().look()
        assert runs() == self.POLICIES[policy]
        assert Job.objects.count() == self.POLICIES[policy].count("enqueued")
        assert set(reasons()) <= {"", "no beat ran then"}

    def test_makes_up_for_the_latest_unless_the_schedule_says_else(self, beat: Scheduler) -> None:
        schedule(due=3, ago=HOUR / 2)
        beat.look()
        assert runs() == self.POLICIES["one"]

    @pytest.mark.parametrize(
        ("overlap", "outcomes"),
        [("skip", ["enqueued", "skipped", "skipped"]), ("buffer-one", ["enqueued", "buffered", "skipped"])],
    )
    def test_with_overlap(self, beat: Scheduler, overlap: str, outcomes: list[str]) -> None:
        schedule(due=3, ago=HOUR / 2, missed_runs="all", overlap=overlap)
        beat.look()
        assert runs() == outcomes

    def test_many_are_made_up_for_in_several_looks(self, beat: Scheduler) -> None:
        schedule(timedelta(minutes=1), due=50, ago=timedelta(seconds=40), missed_runs="all")
        assert beat.look() == 0.05
        assert len(runs()) == AT_ONCE
        beat.look()
        new_beat().look()
        assert runs() == 50 * ["enqueued"]
        assert Job.objects.count() == 50

    def test_what_is_beyond_a_thousand_is_told_in_one_event(self, beat: Scheduler) -> None:
        schedule(timedelta(minutes=1), due=1203, ago=timedelta(seconds=40), missed_runs="one")
        start = PeriodicTask.objects.get().start_time
        beat.look()
        new_beat().look()
        assert runs() == 999 * ["missed"] + ["enqueued"]
        event = Event.objects.get(schedule="note")
        last = start + timedelta(minutes=202)
        assert (event.kind, event.actor) == ("schedule-missed", "beat")
        assert event.after == {"first_due_at": start.isoformat(), "last_due_at": last.isoformat()}

    def test_what_is_told_of_those_is_told_once(self, beat: Scheduler) -> None:
        schedule(timedelta(minutes=1), due=1203, ago=timedelta(seconds=40), missed_runs="skip")
        (task,) = rows()
        watched = beat.watch(task)
        look()
        beat.settle(task, watched)
        assert Event.objects.filter(kind="schedule-missed").count() == 1

    def test_another_policy_fires_nothing(self, beat: Scheduler) -> None:
        schedule(due=3, ago=HOUR / 2, missed_runs="skip")
        beat.look()
        scheduling.update("note", {"missed_runs": "all", "overlap": "buffer-one"}, actor="ada")
        beat.look()
        new_beat().look()
        assert runs() == self.POLICIES["skip"]

    def test_starting_it_again_fires_nothing(self, beat: Scheduler) -> None:
        name = schedule(due=3, ago=HOUR / 2, missed_runs="all", enabled=False)
        beat.look()
        scheduling.start(name, actor="ada")
        beat.look()
        new_beat().look()
        assert runs() == []

    @pytest.mark.parametrize("policy", POLICIES)
    def test_a_leader_by_mistake_changes_nothing(self, beat: Scheduler, policy: str) -> None:
        schedule(due=3, ago=HOUR / 2, missed_runs=policy)
        (task,) = rows()
        watched = beat.watch(task)
        look()
        beat.settle(task, watched)  # as one that was frozen after it had read the schedules
        assert runs() == self.POLICIES[policy]
        assert Job.objects.count() == PeriodicTask.objects.get().total_run_count == runs().count("enqueued")


def test_a_due_time_that_fails_is_in_the_history(beat: Scheduler) -> None:
    schedule(due=1, ago=timedelta(minutes=5), kwargs='{"pitch": 5}')
    beat.look()
    assert runs() == ["failed"]
    assert reasons()[0].startswith("InvalidPayload: fired_note: pitch: ")
    PeriodicTask.objects.update(kwargs="{}")
    beat.look()
    assert runs() == ["failed"]
    look()  # the next beat tries again
    assert (runs(), reasons()) == (["enqueued"], [""])
