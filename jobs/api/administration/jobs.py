"""Jobs across all queues: those that failed, those that run, a retry."""

from typing import Annotated

from django.http import HttpRequest, HttpResponse
from ninja import Query
from ninja.responses import Status as Answer

from jobs import shown
from jobs.api import auth
from jobs.api.administration.schemas import ActiveOut, FailedOut, RetryIn
from jobs.api.answers import last_failures
from jobs.api.auth import ApiRequest
from jobs.api.jobs import retried
from jobs.api.paging import LINKED, Cursor, Limit, link, page
from jobs.api.problems import declared
from jobs.api.routing import Router
from jobs.api.schemas import ProgressOut, StatusOut
from jobs.models import Failure, Job, Status

router = Router("administration")


@router.get("/failed", auth=auth.WATCH, response={200: list[FailedOut], **declared(422)}, openapi_extra=LINKED)
def failed_jobs(
    request: HttpRequest,
    response: HttpResponse,
    limit: Limit = 50,
    offset: Annotated[int, Query(ge=0, le=10_000)] = 0,
    cursor: Cursor = None,
) -> list[FailedOut]:
    """Failed jobs of all queues, the last first. The next page is in `Link`."""
    failed = Job.objects.filter(status=Status.FAILED)
    found = page(failed, ("-finished_at", "-id"), limit, cursor, offset)
    link(request, response, found.next)
    failures = last_failures(found.rows)
    return [_failed(job, failures.get(job.id)) for job in found.rows]


def _failed(job: Job, failure: Failure | None) -> FailedOut:
    message = failure and failure.message
    return FailedOut(
        id=job.id,
        job_id=job.id,
        type=job.type,
        queue_name=job.queue,
        status=job.status,
        retry_count=max(0, job.attempt - 1),
        attempts_made=job.attempt,
        error_message=message,
        failed_reason=message,
        created_at=job.created_at,
        finished_at=job.finished_at,
    )


@router.get("/active", auth=auth.WATCH, response={200: list[ActiveOut], **declared(422)}, openapi_extra=LINKED)
def active_jobs(
    request: HttpRequest, response: HttpResponse, limit: Limit = 50, cursor: Cursor = None
) -> list[ActiveOut]:
    """Running jobs of all queues, the newest first. The next page is in `Link`."""
    found = page(Job.objects.filter(status=Status.PROCESSING), ("-id",), limit, cursor)
    link(request, response, found.next)
    return [_active(job) for job in found.rows]


def _active(job: Job) -> ActiveOut:
    return ActiveOut(
        id=job.id,
        job_id=job.id,
        type=job.type,
        queue_name=job.queue,
        status=job.status,
        priority=job.priority,
        progress=shown.percent(job),
        progress_detail=job.progress and ProgressOut.model_validate(job.progress),
        worker=job.worker,
        attempt=job.attempt,
        max_attempts=job.max_attempts,
        created_at=job.created_at,
        started_at=job.started_at,
    )


@router.post("/retry", auth=auth.admin("jobs.retry_job"), response={202: StatusOut, **declared(400, 404)})
def retry_by_id(request: ApiRequest, job: RetryIn) -> Answer[StatusOut]:
    """Run a failed or cancelled job again, with all its attempts."""
    return retried(request, job.job_id)
