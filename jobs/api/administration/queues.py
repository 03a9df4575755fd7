"""Queues: their figures and jobs, pausing and cleaning them."""

from typing import Annotated, Any
from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from ninja import Path
from ninja.responses import Status as Answer

from jobs import lifecycle, metrics
from jobs.api import answers, auth
from jobs.api.administration.figures import metrics_of
from jobs.api.administration.schemas import CleanedOut, CleanIn, PausedOut, PauseIn, QueueOut, RemovedOut, Shown
from jobs.api.auth import ApiRequest
from jobs.api.fields import Word
from jobs.api.jobs import JobId, retried
from jobs.api.paging import LINKED, Cursor, Limit, link, page
from jobs.api.problems import FieldError, Problem, declared, invalid
from jobs.api.routing import Router
from jobs.api.schemas import JobOut, StatusOut
from jobs.metrics import QueueFigures
from jobs.models import Job, Queue, Status

router = Router("administration")

QueueName = Annotated[Word, Path(alias="queueName")]

STATUSES = {
    "waiting": Status.PENDING,
    "paused": Status.PENDING,
    "delayed": Status.SCHEDULED,
    "active": Status.PROCESSING,
    "completed": Status.COMPLETED,
    "failed": Status.FAILED,
    "cancelled": Status.CANCELLED,
}
ORDERS = {  # as they come to be claimed or due, or ended last
    Status.PENDING: ("-priority", "scheduled_at", "id"),
    Status.SCHEDULED: ("scheduled_at", "id"),
    Status.PROCESSING: ("-id",),
    Status.COMPLETED: ("-finished_at", "-id"),
    Status.FAILED: ("-finished_at", "-id"),
}


@router.get("/queues", auth=auth.WATCH, response={200: list[QueueOut], **declared()})
def list_queues(request: HttpRequest) -> list[QueueOut]:
    """Every queue: its figures, its state, its workers."""
    return queues_out()


def queues_out() -> list[QueueOut]:
    return [_queue_out(queue) for queue in metrics.queue_figures()]


def _queue_out(queue: QueueFigures) -> QueueOut:
    own: dict[str, Any] = {
        "is_paused": queue.is_paused,
        "paused_reason": queue.paused_reason,
        "paused_until": queue.paused_until,
        "max_running": queue.max_running,
        "workers": queue.workers,
        "oldest_waiting_seconds": queue.oldest_wait_seconds,
    }
    return QueueOut(**metrics_of(queue), **own)


@router.get("/queues/{queueName}", auth=auth.WATCH, response={200: QueueOut, **declared(404, 422)})
def get_queue(request: HttpRequest, name: QueueName) -> QueueOut:
    """One queue."""
    wanted = _the_queue(name).name
    return next(found for found in queues_out() if found.queue_name == wanted)


def _the_queue(name: str) -> Queue:
    found = Queue.objects.filter(name__in=(name, name.replace("-", "_"))).first()
    if found is None:
        raise Problem(404, f"There is no queue {name}.")
    return found


def _of_queue(name: str, job_id: UUID) -> None:
    if not Job.objects.filter(id=job_id, queue=_the_queue(name).name).exists():
        raise Problem(404, f"There is no job {job_id} in queue {name}; finished jobs are kept for a while only.")


@router.get(
    "/queues/{queueName}/jobs",
    auth=auth.WATCH,
    response={200: list[JobOut], **declared(404, 422)},
    openapi_extra=LINKED,
)
def queue_jobs(
    request: HttpRequest,
    response: HttpResponse,
    name: QueueName,
    status: Shown = "waiting",
    limit: Limit = 10,
    cursor: Cursor = None,
) -> list[JobOut]:
    """Jobs of a queue: waiting and delayed ones in the order of their turn, ended ones the last first.

    What waits in a paused queue is `paused`. The next page is in `Link`.
    """
    queue = _the_queue(name)
    jobs = Job.objects.filter(queue=queue.name, status=STATUSES[status])
    if _is_elsewhere(queue, status):
        jobs = jobs.none()
    found = page(jobs, ORDERS[STATUSES[status]], limit, cursor)
    link(request, response, found.next)
    return answers.jobs_out(found.rows)


def _is_elsewhere(queue: Queue, status: str) -> bool:
    """Pending jobs are either `waiting` or `paused`."""
    return status == ("waiting" if queue.paused_at else "paused")


@router.post(
    "/queues/{queueName}/jobs/{jobId}/retry",
    auth=auth.admin("jobs.retry_job"),
    response={202: StatusOut, **declared(404)},
)
def retry_queue_job(request: ApiRequest, name: QueueName, job_id: JobId) -> Answer[StatusOut]:
    """Run a failed or cancelled job of the queue again, with all its attempts."""
    _of_queue(name, job_id)
    return retried(request, job_id)


@router.delete(
    "/queues/{queueName}/jobs/{jobId}",
    auth=auth.admin("jobs.delete_job"),
    response={200: RemovedOut, **declared(404, 409, 422)},
)
def remove_queue_job(request: ApiRequest, name: QueueName, job_id: JobId) -> RemovedOut:
    """Delete a job with all that is kept of it. A running one has to be cancelled first."""
    _of_queue(name, job_id)
    removed = lifecycle.remove([job_id], actor=request.auth.name)
    if job_id in removed.skipped:
        raise Problem(409, f"The job cannot be removed: {removed.skipped[job_id]}.")
    return RemovedOut(job_id=job_id, removed=True)


@router.post(
    "/queues/{queueName}/pause",
    auth=auth.admin("jobs.pause_queue"),
    response={200: PausedOut, **declared(400, 404)},
)
def pause_queue(request: ApiRequest, name: QueueName, pause: PauseIn | None = None) -> PausedOut:
    """Let no worker take jobs of the queue; running ones finish. A queue that is paused already stays as it is."""
    pause = pause or PauseIn()
    check_until(pause)
    queue = _the_queue(name)
    lifecycle.pause(queue.name, actor=request.auth.name, reason=pause.reason, until=pause.until)
    return _paused(queue)


def check_until(pause: PauseIn) -> None:
    if pause.until is not None and pause.until <= timezone.now():
        raise invalid([FieldError(loc=["body", "until"], msg="is in the past")])


@router.post(
    "/queues/{queueName}/resume", auth=auth.admin("jobs.pause_queue"), response={200: PausedOut, **declared(404)}
)
def resume_queue(request: ApiRequest, name: QueueName) -> PausedOut:
    """Let workers take its jobs again."""
    queue = _the_queue(name)
    lifecycle.resume(queue.name, actor=request.auth.name)
    return _paused(queue)


def _paused(queue: Queue) -> PausedOut:
    queue.refresh_from_db()
    return PausedOut(
        queue_name=queue.name,
        paused=queue.paused_at is not None,
        paused_at=queue.paused_at,
        paused_by=queue.paused_by,
        reason=queue.reason,
        until=queue.paused_until,
    )


@router.post(
    "/queues/{queueName}/clean",
    auth=auth.admin("jobs.delete_job"),
    response={200: CleanedOut, **declared(400, 404)},
)
def clean_queue(request: ApiRequest, name: QueueName, what: CleanIn) -> CleanedOut:
    """Delete the oldest jobs of the queue in this status, up to `limit`, with all that is kept of them."""
    queue = _the_queue(name)
    if _is_elsewhere(queue, what.status):
        return CleanedOut(removed=0)
    removed = lifecycle.clean(queue.name, STATUSES[what.status], what.grace / 1000, what.limit, actor=request.auth.name)
    return CleanedOut(removed=removed)
