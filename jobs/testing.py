"""For tests of job types: run jobs in this thread, in the caller's transaction, through the real lifecycle.

    job = bgg_sync.enqueue({"game_id": 13})
    assert perform(job.id).result == {"stored": True}

Delivery itself (claims by many workers, leases, kills) needs real workers; this is not for that.
"""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from celery.app.trace import build_tracer
from django.db import connection, transaction
from psycopg.pq import TransactionStatus

from jobs import lifecycle
from jobs.execution import run
from jobs.lifecycle import Claimed, Enqueued
from jobs.models import Job, Queue, Status
from jobs.processor import Payload, get_processor
from jobs.sessions import without_side_session

WORKER = "testing:0"
LEASE = 3600.0  # seconds; nobody renews it


def perform(job: Job | Enqueued | UUID | str) -> Job:
    """Run one waiting job now, due or not, and return its row as it then is."""
    job_id = job.id if isinstance(job, Job | Enqueued) else UUID(str(job))
    claimed = lifecycle.claim_these([job_id], worker=WORKER, lease=LEASE)
    if not claimed:
        raise AssertionError(f"{job_id} is not waiting: {Job.objects.filter(id=job_id).values_list('status').first()}")
    _run(claimed)
    return Job.objects.get(id=job_id)


def drain(queue: str | None = None) -> list[UUID]:
    """Run pending jobs, best first, with all that they enqueue, until none is left. Returns ids in the order they ran.

    Scheduled jobs, retries after a backoff among them, stay; paused queues are passed over.
    """
    names = [queue] if queue else list(Queue.objects.values_list("name", flat=True))
    ran: list[UUID] = []
    while claimed := lifecycle.claim(dict.fromkeys(names, 100), 100, worker=WORKER, lease=LEASE, limited=names):
        ran += [job.id for job in claimed]
        _run(claimed)
    return ran


def _run(claimed: list[Claimed]) -> None:
    for job in claimed:
        task = get_processor(job.type)
        if task.__trace__ is None:
            task.__trace__ = build_tracer(task.name, task, app=task.app)
        before = transaction.savepoint() if connection.in_atomic_block else None
        with without_side_session():
            request = {"id": str(job.id), "retries": job.attempt - 1, "is_eager": False, "delivery_info": {}}
            outcome = run(task, job, request)
        if before is not None:
            # After an error of the database the caller's transaction takes no statement any more.
            if connection.needs_rollback or connection.connection.info.transaction_status is TransactionStatus.INERROR:
                transaction.set_rollback(False)
                transaction.savepoint_rollback(before)
            else:
                transaction.savepoint_commit(before)
        lifecycle.finish([outcome])


def assert_enqueued(
    type_: str, payload: Payload | Mapping[str, Any] | None = None, *, count: int | None = None, **fields: Any
) -> list[Job]:
    """Assert that waiting jobs of this type, payload and fields exist (`count` of them), and return them."""
    jobs = Job.objects.filter(type=type_, status__in=(Status.PENDING, Status.SCHEDULED), **fields).order_by("id")
    if payload is not None:
        expected = payload.model_dump(mode="json", by_alias=True) if isinstance(payload, Payload) else dict(payload)
        jobs = jobs.filter(payload__contains=expected)
    found = list(jobs)
    if len(found) != count if count is not None else not found:
        waiting = list(Job.objects.active().values_list("type", "payload", "status")[:20])
        wanted = "a job" if count is None else f"{count} jobs"
        asked = f"{wanted} of {type_} with {payload} {fields}"
        raise AssertionError(f"expected {asked}, found {len(found)}; active are {waiting}")
    return found
