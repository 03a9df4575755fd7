"""Schedules as they are shown."""

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from django_celery_beat.models import IntervalSchedule, PeriodicTask

from jobs import lifecycle, scheduling
from jobs.models import Job, ScheduleRun
from jobs.scheduling import Overdue, Run, ScheduleFields
from jobs.scheduling.states import HISTORY

pytestmark = pytest.mark.django_db
HOUR = timedelta(hours=1)


@pytest.fixture
def hourly() -> PeriodicTask:
    """A schedule made a day ago that was due half an hour ago."""
    task = PeriodicTask.objects.create(
        name="hourly",
        task="bgg_sync",
        kwargs='{"gameId": "13"}',
        interval=IntervalSchedule.objects.create(every=1, period="hours"),
        start_time=timezone.now() - 24 * HOUR - HOUR / 2,
    )
    PeriodicTask.objects.update(date_changed=timezone.now() - 24 * HOUR)
    return task


def test_a_new_schedule() -> None:
    new = ScheduleFields("nightly", "0 2 * * *", "bgg_sync", "Europe/London", {"gameId": "13"}, "high", description="!")
    found = scheduling.create(new, actor="ada")
    assert found == scheduling.state("nightly")
    assert (found.name, found.cron, found.timezone, found.words) == (
        "nightly",
        "0 2 * * *",
        "Europe/London",
        "At 02:00",
    )
    assert (found.type, found.payload, found.priority, found.description) == ("bgg_sync", {"gameId": "13"}, 8, "!")
    assert (found.enabled, found.exists, found.running, found.error) == (True, True, True, "")
    assert (found.overlap, found.missed_runs) == ("allow", "one")
    assert (found.last_run, found.last_job_id, found.last_status, found.history) == (None, None, None, [])
    assert found.next_runs == scheduling.next_runs("0 2 * * *", 5, "Europe/London")
    assert found.next_run == found.next_runs[0]


def test_history_is_what_became_of_due_times_newest_first(hourly: PeriodicTask) -> None:
    job = scheduling.run("hourly", actor="ada").id
    lifecycle.cancel([job], actor="ada")
    pruned = uuid4()
    due = [hourly.start_time + HOUR * n for n in range(3)]
    ScheduleRun.objects.create(schedule="hourly", due_at=due[0], job=pruned)
    ScheduleRun.objects.create(schedule="hourly", due_at=due[1], outcome="skipped", reason="busy")
    ScheduleRun.objects.create(schedule="hourly", due_at=due[2], job=job)
    assert scheduling.state("hourly").history == [
        Run(due[2], "enqueued", "", job, "cancelled"),
        Run(due[1], "skipped", "busy", None, None),
        Run(due[0], "enqueued", "", pruned, None),
    ]


def test_history_goes_back_as_far_as_there_are_runs(hourly: PeriodicTask) -> None:
    due = [hourly.start_time + timedelta(minutes=n) for n in range(5)]
    ScheduleRun.objects.bulk_create(ScheduleRun(schedule="hourly", due_at=at, outcome="missed") for at in due)
    newest = scheduling.history("hourly", 3)
    assert [run.due_at for run in newest] == due[:1:-1]
    assert [run.due_at for run in scheduling.history("hourly", 3, newest[-1].due_at)] == due[1::-1]


def test_history_ends_somewhere(hourly: PeriodicTask) -> None:
    due = [hourly.start_time + timedelta(minutes=n) for n in range(HISTORY + 5)]
    ScheduleRun.objects.bulk_create(ScheduleRun(schedule="hourly", due_at=at, outcome="missed") for at in due)
    assert [run.due_at for run in scheduling.state("hourly").history] == due[:4:-1]


def test_the_last_run_may_be_by_hand(hourly: PeriodicTask) -> None:
    first = scheduling.run("hourly", actor="ada").id
    found = scheduling.state("hourly")
    assert (found.last_job_id, found.last_status) == (first, "pending")
    second = uuid4()
    ScheduleRun.objects.create(schedule="hourly", due_at=timezone.now(), job=second, created_at=timezone.now() + HOUR)
    found = scheduling.state("hourly")
    assert (found.last_job_id, found.last_status) == (second, None)
    assert found.last_run == ScheduleRun.objects.get().created_at


def test_a_last_run_without_history_is_known_by_the_row(hourly: PeriodicTask) -> None:
    PeriodicTask.objects.update(last_run_at=datetime(2026, 11, 20, tzinfo=UTC))
    assert scheduling.state("hourly").last_run == datetime(2026, 11, 20, tzinfo=UTC)


def test_a_wrong_rule_is_told(hourly: PeriodicTask) -> None:
    IntervalSchedule.objects.update(every=0)
    found = scheduling.state("hourly")
    assert (found.error, found.running, found.next_runs) == (
        "bad interval: 0 hours is not between one second and 100 years",
        False,
        [],
    )


@pytest.mark.parametrize(
    ("columns", "shown"),
    [
        ({"kwargs": "{"}, {}),
        ({"kwargs": "[1]"}, {}),
        ({"task": "no_such_type"}, {"gameId": "***"}),  # nobody knows what of it is secret
    ],
)
def test_a_payload_that_cannot_be_is_shown_with_care(
    hourly: PeriodicTask, columns: dict[str, str], shown: dict[str, str]
) -> None:
    PeriodicTask.objects.update(**columns)
    assert scheduling.state("hourly").payload == shown


def test_all_of_them_take_as_many_queries_as_one(hourly: PeriodicTask) -> None:
    def queries() -> int:
        with CaptureQueriesContext(connection) as captured:
            assert [state.name for state in scheduling.states()] == sorted(names)
        return len(captured)

    names = ["hourly"]
    job = scheduling.run("hourly", actor="ada").id
    ScheduleRun.objects.create(schedule="hourly", due_at=timezone.now(), job=job)
    few = queries()
    for name in ("b", "a", "c"):
        names.append(name)
        scheduling.create(ScheduleFields(name, "0 2 * * *", "bgg_sync", payload={"gameId": "13"}), actor="ada")
        ScheduleRun.objects.create(schedule=name, due_at=timezone.now(), job=job)
    assert queries() == few == 3


def test_some_of_them(hourly: PeriodicTask) -> None:
    for name, enabled in [("b", False), ("a", True), ("c", True)]:
        scheduling.create(ScheduleFields(name, "0 2 * * *", "smoke", enabled=enabled), actor="ada")
    ScheduleRun.objects.create(schedule="a", due_at=timezone.now())
    assert scheduling.counts() == (3, 1)
    assert [state.name for state in scheduling.states(enabled=True)] == ["a", "c", "hourly"]
    assert [state.name for state in scheduling.states(after="a", limit=2)] == ["b", "c"]
    assert [len(state.history) for state in scheduling.states(history=0)] == [0, 0, 0, 0]
    assert [len(state.history) for state in scheduling.states(history=1)] == [1, 0, 0, 0]


class TestOverdue:
    def test_is_what_was_due_and_did_not_fire(self, hourly: PeriodicTask) -> None:
        due = hourly.start_time + 24 * HOUR
        assert scheduling.overdue(60) == [Overdue("hourly", "bgg_sync", due, "")]
        assert scheduling.overdue(40 * 60) == [Overdue("hourly", "bgg_sync", due - HOUR, "")]

    def test_is_not_what_fired(self, hourly: PeriodicTask) -> None:
        ScheduleRun.objects.create(schedule="hourly", due_at=hourly.start_time + 24 * HOUR)
        assert scheduling.overdue(60) == []

    def test_is_what_failed(self, hourly: PeriodicTask) -> None:
        due = hourly.start_time + 24 * HOUR
        ScheduleRun.objects.create(schedule="hourly", due_at=due - HOUR)
        ScheduleRun.objects.create(schedule="hourly", due_at=due, outcome="failed", reason="No such thing")
        assert scheduling.overdue(60) == [Overdue("hourly", "bgg_sync", due, "No such thing")]

    def test_is_not_what_was_due_before_a_change_or_while_it_was_off(self, hourly: PeriodicTask) -> None:
        scheduling.stop("hourly", actor="ada")
        assert scheduling.overdue(60) == []
        scheduling.start("hourly", actor="ada")
        assert scheduling.overdue(60) == []

    def test_a_wrong_rule_is_never_due(self, hourly: PeriodicTask) -> None:
        IntervalSchedule.objects.update(every=0)
        assert scheduling.overdue(60) == []
        assert not Job.objects.exists()
