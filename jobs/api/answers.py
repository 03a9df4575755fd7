"""Rows as the API shows them."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from jobs import shown
from jobs.api.schemas import AttemptOut, EventOut, JobHistoryOut, JobOut, ProgressOut
from jobs.models import Event, Failure, Job, Status


def job_out(job: Job) -> JobOut:
    return jobs_out([job])[0]


def jobs_out(jobs: Sequence[Job]) -> list[JobOut]:
    last = last_failures(jobs)
    return [job_out_of(job, last.get(job.id)) for job in jobs]


def job_out_of(job: Job, last: Failure | None) -> JobOut:
    """A job whose last failure is known, without a look at the database."""
    return JobOut(**_fields(job, last))


def last_failures(jobs: Sequence[Job]) -> dict[UUID, Failure]:
    """The last failure of each of these jobs that has not made up for it."""
    return shown.last_failures([job.id for job in jobs if job.status != Status.COMPLETED])


def job_history_out(job: Job) -> JobHistoryOut:
    failures = list(job.failures.order_by("run"))
    last = failures[-1] if failures and job.status != Status.COMPLETED else None
    attempts = [_failed(failure) for failure in failures]
    if job.status in (Status.COMPLETED, Status.PROCESSING):
        attempts.append(_latest(job))
    events = [_event(event) for event in job.events.order_by("id")]
    return JobHistoryOut(**_fields(job, last), attempts=attempts, events=events)


def _fields(job: Job, last: Failure | None) -> dict[str, Any]:
    return {
        "id": job.id,
        "type": job.type,
        "status": job.status,
        "queue": job.queue,
        "priority": job.priority,
        "payload": shown.payload(job),
        "result": job.result,
        "error": last and last.message,
        "progress": shown.percent(job),
        "progress_detail": job.progress and ProgressOut.model_validate(job.progress),
        "attempt": job.attempt,
        "max_attempts": job.max_attempts,
        "created_at": job.created_at,
        "scheduled_for": job.scheduled_at,
        "started_at": job.started_at,
        "finished_at": job.finished_at,
    }


def _failed(failure: Failure) -> AttemptOut:
    cancelled = failure.classification == Failure.Classification.CANCELLED
    return AttemptOut(
        run=failure.run,
        attempt=failure.attempt,
        outcome="cancelled" if cancelled else "failed",
        error=failure.error,
        message=failure.message,
        traceback=failure.traceback,
        classification=Failure.Classification(failure.classification),
        worker=failure.worker,
        started_at=failure.started_at,
        finished_at=failure.failed_at,
    )


def _latest(job: Job) -> AttemptOut:
    """The run that the row itself tells of: a success writes nothing else."""
    return AttemptOut(
        run=job.run,
        attempt=job.attempt,
        outcome="completed" if job.status == Status.COMPLETED else "processing",
        worker=job.worker,
        started_at=job.started_at,
        finished_at=job.finished_at,
    )


def _event(event: Event) -> EventOut:
    return EventOut(
        kind=event.kind, actor=event.actor, before=event.before, after=event.after, reason=event.reason, at=event.at
    )
