"""Jobs that were enqueued and ended at given times, for tests of what is kept of them in numbers."""

from datetime import datetime, timedelta
from typing import Any

from jobs.models import TERMINAL, Failure, Job, RolledUp, Status
from jobs.rollups import floor, roll_up
from tests.jobs.rows import now


def minute(ago: int = 0) -> datetime:
    """The begin of the current minute, or of one so many minutes before."""
    return floor(now(), 60) - timedelta(minutes=ago)


def job_at(
    at: datetime,
    status: Status = Status.COMPLETED,
    *,
    wait_ms: float | None = 10,
    run_ms: float = 100,
    type: str = "improvise",  # noqa: A002
    queue: str = "default",
    **fields: Any,
) -> Job:
    """A job that ended then (one that is active: was enqueued then). `wait_ms` None: it never ran."""
    run = timedelta(milliseconds=run_ms) if wait_ms is not None else timedelta()
    due = at - run - timedelta(milliseconds=wait_ms or 0) if status in TERMINAL else at
    times: dict[str, Any] = {"created_at": due, "scheduled_at": due}
    if status in TERMINAL:
        times |= {"finished_at": at, "started_at": at - run if wait_ms is not None else None}
    if status == Status.PROCESSING:
        times |= {"started_at": at, "lease_expires_at": at + timedelta(days=1)}
    return Job.objects.create(type=type, queue=queue, status=status, **{**times, **fields})


def failure_at(
    at: datetime, fingerprint: str = "f" * 32, job: Job | None = None, run: int = 1, **fields: Any
) -> Failure:
    """A run that failed then."""
    job = job or job_at(at, Status.FAILED)
    plain = {"error": "ValueError", "message": "the set fell down", "classification": "retryable", "attempt": run}
    return Failure.objects.create(job=job, run=run, fingerprint=fingerprint, failed_at=at, **{**plain, **fields})


def rolled_up(until: datetime) -> None:
    """Say that roll-ups are as far as that."""
    RolledUp.objects.update_or_create(id=1, defaults={"until": until})


def roll_up_all(since: datetime) -> None:
    """Derive everything from then on."""
    rolled_up(since)
    while roll_up():
        pass
