"""What each pool does alike with jobs that are in order, by one worker of each for all of these tests."""

import statistics
from pathlib import Path

import pytest
from django.db import transaction

from jobs.models import Job, Status
from tests.integration.jobtypes.tasks import flaky, noop, tell
from tests.integration.workers import wait_for, wait_for_end, wait_for_status

pytestmark = pytest.mark.usefixtures("shared_worker", "db")


def test_jobs_run_once_each() -> None:
    ids = [noop.enqueue({"number": number}).id for number in range(100)]
    wait_for_end(ids)
    assert list(Job.objects.filter(id__in=ids).order_by("id").values_list("result", "run", "status")) == [
        (number, 1, Status.COMPLETED) for number in range(100)
    ]


def test_failed_attempts_are_followed_by_others() -> None:
    passing, failing = flaky.enqueue({"times": 2}).id, flaky.enqueue({"times": 3}).id
    wait_for_end([passing, failing])
    row = Job.objects.get(id=passing)
    assert (row.status, row.result, row.attempt) == (Status.COMPLETED, 3, 3)
    row = Job.objects.get(id=failing)
    assert (row.status, row.attempt) == (Status.FAILED, 3)
    assert [failure.message for failure in row.failures.all()] == [f"attempt {n} fails" for n in (1, 2, 3)]


def test_a_due_job_starts_on_time() -> None:
    ids = [noop.enqueue({}, delay=1 + number * 0.3).id for number in range(9)]
    wait_for_end(ids)
    late = [(row.started_at - row.scheduled_at).total_seconds() for row in Job.objects.all() if row.started_at]
    assert min(late) >= 0
    assert statistics.median(late) < 0.25


def test_a_lost_wake_up_costs_about_a_second() -> None:
    waits = []
    for _ in range(5):
        with transaction.atomic():
            job = noop.enqueue({}).id
            transaction.get_connection().run_on_commit.clear()  # nobody is told
        row = wait_for_status(job, Status.COMPLETED)
        assert row.started_at
        waits.append((row.started_at - row.created_at).total_seconds())
    assert statistics.median(waits) < 1.5


def test_progress_is_seen_from_inside_an_open_transaction(gate: Path) -> None:
    job = tell.enqueue({"until": str(gate)}).id
    wait_for(lambda: Job.objects.get(id=job).progress, "its progress")
    told = {"run": 1, "done": 1, "total": 4, "percent": 25, "note": "in the middle"}
    assert Job.objects.get(id=job).progress == told
    assert Job.objects.get(id=job).status == Status.PROCESSING
    gate.touch()
    assert wait_for_status(job, Status.COMPLETED).progress == told
    assert not Job.objects.filter(tags=["rolled back"]).exists()
