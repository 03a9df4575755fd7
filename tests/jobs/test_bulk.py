from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from django.utils import timezone

from jobs import bulk, lifecycle
from jobs.context import stop_requests
from jobs.errors import Cancelled
from jobs.models import ACTIVE, BatchItem, Event, Job, Status
from jobs.processor import Enqueued, enqueue
from jobs.search import InvalidQuery
from jobs.testing import perform
from tests.jobs.rows import job_in, row, started, statuses

pytestmark = pytest.mark.django_db


def done(action: str, query: str, actor: str = "ada", **options: Any) -> dict[str, Any]:
    """The result of a bulk operation."""
    job = perform(bulk.start(action, query, actor, **options))
    assert job.status == Status.COMPLETED, job.failures.values()
    return dict(job.result or {})


def changed(operation: Enqueued) -> int:
    """How many jobs an operation that is started now changes."""
    return int((perform(operation).result or {})["changed"])


def events(job: UUID) -> list[tuple[str, str, str]]:
    return list(Event.objects.filter(job=job).order_by("id").values_list("kind", "actor", "reason"))


def one_of_each() -> dict[Status, UUID]:
    return {status: job_in(status, tags=["mine"]) for status in Status}


def test_retry() -> None:
    jobs = one_of_each()
    other = job_in(Status.FAILED)
    assert done("retry", "tag:mine", reason="mended") == {"changed": 2, "skipped": 0, "reasons": {}}
    assert statuses(jobs[Status.FAILED], jobs[Status.CANCELLED], other) == ["pending", "pending", "failed"]
    assert events(jobs[Status.FAILED]) == [("retried", "ada", "mended")]


def test_cancel() -> None:
    jobs = one_of_each()
    assert done("cancel", "tag:mine", reason="not wanted") == {"changed": 3, "skipped": 0, "reasons": {}}
    assert statuses(*(jobs[status] for status in ACTIVE)) == ["cancelled", "cancelled", "processing"]
    assert row(jobs[Status.PROCESSING]).cancel_requested_at is not None
    assert events(jobs[Status.PENDING]) == [("cancelled", "ada", "not wanted")]


def test_delete() -> None:
    jobs = one_of_each()
    assert done("delete", "tag:mine") == {"changed": 5, "skipped": 0, "reasons": {}}
    assert set(Job.objects.filter(tags=["mine"]).values_list("id", flat=True)) == {jobs[Status.PROCESSING]}


def test_priority() -> None:
    jobs = one_of_each()
    assert done("priority", "tag:mine", new_priority=9) == {"changed": 2, "skipped": 0, "reasons": {}}
    assert {row(job).priority for job in jobs.values()} == {5, 9}
    assert events(jobs[Status.SCHEDULED]) == [("priority", "ada", "")]


def test_what_is_skipped_is_told_with_the_reasons() -> None:
    for number in (1, 2):
        job_in(Status.FAILED, unique_key=f"key {number}", tags=["mine"])
        job_in(Status.PENDING, unique_key=f"key {number}")
    job_in(Status.FAILED, tags=["mine"])
    assert done("retry", "tag:mine") == {
        "changed": 1,
        "skipped": 2,
        "reasons": {"another job has its unique key": 2},
    }


def test_the_operation_itself_says_who_wanted_what() -> None:
    operation = bulk.start("retry", "status:failed", "ada", "mended")
    job = row(operation)
    assert (job.type, job.created_by, job.payload["query"]) == ("bulk_operation", "ada", "status:failed")
    event = Event.objects.get(job=operation.id)
    assert (event.kind, event.actor, event.reason, event.after) == (
        "bulk retry",
        "ada",
        "mended",
        {"query": "status:failed"},
    )


def test_chunks_and_progress(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bulk, "CHUNK", 2)
    for _ in range(5):
        job_in(Status.FAILED)
    operation = perform(bulk.start("retry", "status:failed", "ada"))
    assert operation.result == {"changed": 5, "skipped": 0, "reasons": {}}
    assert operation.progress is not None
    assert (operation.progress["done"], operation.progress["total"]) == (5, 5)
    assert operation.progress["note"] == "5 changed, 0 skipped"


def test_jobs_that_come_or_end_later_are_left_alone() -> None:
    now = timezone.now()
    job_in(Status.FAILED)
    later, failed_again = job_in(Status.FAILED), job_in(Status.FAILED)
    operation = bulk.start("retry", "status:failed created:<2h", "ada")
    Job.objects.filter(id=later).update(created_at=now + timedelta(minutes=1))
    Job.objects.filter(id=failed_again).update(finished_at=now + timedelta(minutes=1))
    assert changed(operation) == 1
    assert statuses(later, failed_again) == ["failed", "failed"]


def test_an_age_is_counted_from_the_start() -> None:
    job = job_in(Status.FAILED)
    operation = bulk.start("retry", "created:<1h", "ada")
    Job.objects.filter(id=job).update(created_at=timezone.now() - timedelta(minutes=61))
    assert changed(operation) == 0


def test_another_attempt_goes_on_where_the_last_one_stopped() -> None:
    first, second = sorted(job_in(Status.FAILED) for _ in range(2))
    operation = bulk.start("retry", "status:failed", "ada")
    so_far = {"after": str(first), "changed": 7, "skipped": 1, "reasons": {"why": 1}}
    BatchItem.objects.create(job=operation.id, key="position", result=so_far)
    assert perform(operation).result == {"changed": 8, "skipped": 1, "reasons": {"why": 1}}
    assert statuses(first, second) == ["failed", "pending"]


def test_a_cancelled_operation_stops_between_chunks() -> None:
    job = job_in(Status.FAILED)
    operation = bulk.start("retry", "status:failed", "ada")
    stop_requests[operation.id, 1] = Cancelled()
    try:
        assert perform(operation).status == Status.CANCELLED
    finally:
        del stop_requests[operation.id, 1]
    assert statuses(job) == ["failed"]
    lifecycle.retry([operation.id], actor="ada")
    assert changed(operation) == 1


def test_an_operation_never_touches_itself() -> None:
    waiting = job_in(Status.PENDING)
    assert done("cancel", "")["changed"] == 1
    assert statuses(waiting) == ["cancelled"]


def test_nobody_else_can_make_one() -> None:
    job = job_in(Status.FAILED)
    real = row(bulk.start("retry", "status:failed", "ada"))
    forged = {**real.payload, "actor": "root", "action": "delete"}
    for payload in (real.payload, forged, {**real.payload, "signature": ""}):
        copy = perform(enqueue("bulk_operation", payload))
        assert copy.status == Status.FAILED
        assert "does nothing" in copy.failures.get().message
    assert statuses(job) == ["failed"]


def test_preview() -> None:
    one_of_each()
    job_in(Status.FAILED)
    whole = bulk.preview("tag:mine")
    assert (whole.count, whole.approximate, len(whole.sample)) == (6, False, 6)
    assert bulk.preview("tag:mine", "retry").count == 2
    assert {job.status for job in bulk.preview("tag:mine", "retry").sample} == {"failed", "cancelled"}
    assert bulk.preview("status:completed", "retry").count == 0


def test_what_cannot_be_understood_starts_nothing() -> None:
    started()
    with pytest.raises(InvalidQuery):
        bulk.preview("colour:red")
    with pytest.raises(InvalidQuery):
        bulk.start("retry", "colour:red", "ada")
    with pytest.raises(ValueError, match="explode"):
        bulk.start("explode", "", "ada")
    with pytest.raises(ValueError, match="priority"):
        bulk.start("priority", "", "ada")
    assert Job.objects.count() == 1
