from datetime import timedelta
from uuid import UUID

import pytest
from django.db.models.functions import Now
from pytest_django.fixtures import Settings

from jobs.models import (
    ACTIVE,
    TERMINAL,
    ApiKey,
    BatchItem,
    Chord,
    Event,
    Failure,
    Job,
    Leader,
    Limit,
    Priority,
    Queue,
    ScheduleRun,
    Status,
    Worker,
)
from tests.jobs.rows import enqueued, job_in, row

AN_ID = UUID("01a00000-0000-7000-8000-000000000009")


@pytest.mark.django_db
class TestAdjectives:
    def test_active_and_terminal_are_all(self) -> None:
        jobs = {status: job_in(status) for status in Status}
        assert {job.id for job in Job.objects.active()} == {jobs[status] for status in ACTIVE}
        assert {job.id for job in Job.objects.terminal()} == {jobs[status] for status in TERMINAL}
        assert {job.is_terminal for job in Job.objects.terminal()} == {True}
        assert {job.is_terminal for job in Job.objects.active()} == {False}

    def test_due_is_what_was_scheduled_for_a_time_that_has_come(self) -> None:
        due = job_in(Status.SCHEDULED)
        later, others = job_in(Status.SCHEDULED), [job_in(status) for status in Status if status != Status.SCHEDULED]
        Job.objects.exclude(id=later).update(scheduled_at=Now() - timedelta(seconds=1))
        assert [job.id for job in Job.objects.due()] == [due]
        assert len(others) == 5

    def test_stalled_is_what_runs_past_its_lease(self) -> None:
        stalled, running = job_in(Status.PROCESSING), job_in(Status.PROCESSING)
        Job.objects.filter(id=stalled).update(lease_expires_at=Now() - timedelta(seconds=1))
        assert [job.id for job in Job.objects.stalled()] == [stalled]
        assert row(running).lease_expires_at is not None

    def test_expired_is_what_waits_past_its_time(self) -> None:
        jobs = {status: job_in(status) for status in Status}
        fresh = enqueued(expires_in=60.0)
        Job.objects.exclude(id=fresh.id).update(expires_at=Now() - timedelta(seconds=1))
        assert {job.id for job in Job.objects.expired()} == {jobs[Status.SCHEDULED], jobs[Status.PENDING]}

    def test_may_be_combined(self) -> None:
        assert list(Job.objects.active().filter(queue="cpu").due().expired()) == []


@pytest.mark.django_db
def test_a_row_made_by_sql_alone_has_the_defaults_of_a_new_job() -> None:
    job = Job.objects.create(type="improvise", queue="default")
    found = row(job)
    assert (found.status, found.priority, found.run, found.attempt, found.losses) == ("pending", 5, 0, 0, 0)
    assert (found.max_attempts, found.timeout, found.payload, found.tags) == (1, 300, {}, [])
    assert found.id.version == 7


@pytest.mark.django_db
def test_the_queues_of_the_settings_have_rows_and_keep_what_operators_change(settings: Settings) -> None:
    from django.core.management import call_command

    declared = {name: options.get("max_running") for name, options in settings.JOBS_QUEUES.items()}
    assert dict(Queue.objects.values_list("name", "max_running")) == declared
    Queue.objects.filter(name="cpu").delete()
    Queue.objects.filter(name="bgg").update(max_running=7)
    call_command("migrate", verbosity=0)
    assert dict(Queue.objects.values_list("name", "max_running")) == {**declared, "bgg": 7}


def test_every_row_says_what_it_is() -> None:
    run_at = ScheduleRun(schedule="nightly", due_at="2050-01-01")
    run_at.clean_fields(exclude=["job", "created_at"])
    told = [
        Job(id=AN_ID, type="improvise"),
        Queue(name="cpu"),
        Worker(name="io@host:1"),
        Chord(id=AN_ID),
        Failure(error="ValueError", message="no"),
        BatchItem(job=AN_ID, key="13"),
        Event(kind="retried", actor="ann"),
        Leader(duty="beat", holder="b:1"),
        Limit(name="bgg"),
        ApiKey(name="shop"),
        run_at,
    ]
    assert [str(model) for model in told] == [
        f"improvise {AN_ID}",
        "cpu",
        "io@host:1",
        str(AN_ID),
        "ValueError: no",
        f"{AN_ID} 13",
        "retried by ann",
        "beat: b:1",
        "bgg",
        "shop",
        "nightly at 2050-01-01 00:00:00",
    ]


def test_five_of_the_priorities_have_names() -> None:
    assert {priority.name.lower(): int(priority) for priority in Priority} == {
        "batch": 1,
        "low": 3,
        "normal": 5,
        "high": 8,
        "critical": 10,
    }


def test_no_index_has_a_field_that_progress_or_a_lease_changes() -> None:
    busy = {"progress", "lease_expires_at", "worker", "run", "attempt", "claimed_at", "started_at", "result"}
    fields = {name.lstrip("-") for index in Job._meta.indexes for name in index.fields}
    expressions = {str(part) for index in Job._meta.indexes for part in index.expressions}
    assert fields & busy == set()
    assert not any(name in part for name in busy for part in expressions)
