"""One job: enqueue it, look at it, cancel it, retry it."""

from typing import Annotated, Any, Literal
from uuid import UUID

from django.http import HttpRequest
from ninja import Path, Router
from ninja.responses import Status as Answer

from jobs import lifecycle
from jobs.api import auth, problems
from jobs.api.answers import job_history_out, job_out
from jobs.api.auth import ApiRequest
from jobs.api.problems import Place, Problem, declared
from jobs.api.schemas import BackoffIn, EnqueuedOut, FlatJobIn, JobHistoryOut, JobOut, NewJobIn, Options, StatusOut
from jobs.errors import UnknownProcessor
from jobs.models import Job, Status
from jobs.processor import Backoff, enqueue, get_processor, processors

router = Router(tags=["jobs"], by_alias=True)

JobId = Annotated[UUID, Path(alias="jobId")]


@router.post("/enqueue", auth=auth.ENQUEUE, response={202: EnqueuedOut, **declared(400, 413, 422)})
def enqueue_job(request: ApiRequest, job: NewJobIn) -> Answer[EnqueuedOut]:
    """Enqueue a job."""
    return _enqueue(request, job.type, job.payload, job, payload_at=("payload",))


@router.post("", auth=auth.ENQUEUE, response={202: EnqueuedOut, **declared(400, 413, 422)})
def create_job(request: ApiRequest, job: FlatJobIn) -> Answer[EnqueuedOut]:
    """Enqueue a job, the fields of its payload flat beside `type`, or under `payload`."""
    if job.payload is not None:
        return _enqueue(request, job.type, job.payload, job, payload_at=("payload",))
    return _enqueue(request, job.type, job.model_extra or {}, job, payload_at=())


def _enqueue(
    request: ApiRequest, name: str, payload: dict[str, Any], options: Options, payload_at: Place
) -> Answer[EnqueuedOut]:
    with problems.of_the_body(payload=payload_at):
        processor = get_processor(name)
        if processor.name not in processors():
            raise UnknownProcessor(f"unknown job type {name!r}")  # Celery's own tasks are nobody's to call
        found = enqueue(processor, payload, created_by=request.auth.name, **_options(options))
    return Answer(202, EnqueuedOut(job_id=found.id, status=Status(found.status), created=found.created))


def _options(options: Options) -> dict[str, Any]:
    """The options that were given, as the core names them."""
    given = {
        "priority": options.priority,
        "scheduled_at": options.scheduled_for,
        "max_attempts": options.runs,
        "backoff": options.backoff and _backoff(options.backoff),
        "queue": options.queue,
        "unique_key": options.unique_key,
        "tags": options.tags or None,
    }
    return {name: value for name, value in given.items() if value is not None}


def _backoff(given: BackoffIn) -> Backoff:
    base = given.delay / 1000
    if given.type == "fixed":
        return Backoff(base=base, max=base, factor=1.0, jitter=False)
    return Backoff(base=base, max=max(base, Backoff().max))


@router.get("/status/{jobId}", auth=auth.READ, response={200: JobHistoryOut | JobOut, **declared(404, 422)})
def job_status(request: HttpRequest, job_id: JobId, include: Literal["history"] | None = None) -> JobOut:
    """A job. The same as `GET /api/jobs/{jobId}`."""
    job = _job(job_id)
    return job_history_out(job) if include else job_out(job)


@router.get("/{jobId}", auth=auth.READ, response={200: JobHistoryOut | JobOut, **declared(404, 422)})
def get_job(request: HttpRequest, job_id: JobId, include: Literal["history"] | None = None) -> JobOut:
    """A job; with `include=history` its attempts, the successful one too, and what people and sweeps did to it."""
    return job_status(request, job_id, include)


def _job(job_id: UUID) -> Job:
    job = Job.objects.filter(id=job_id).first()
    if job is None:
        raise Problem(404, f"There is no job {job_id}; finished jobs are kept for a while only.")
    return job


@router.delete("/{jobId}", auth=auth.CHANGE, response={200: StatusOut, 202: StatusOut, **declared(404, 409, 422)})
def cancel_job(request: ApiRequest, job_id: JobId) -> Answer[StatusOut]:
    """Cancel a job: 200 when it waited, 202 when it runs and was asked to end."""
    became = lifecycle.cancel([job_id], actor=request.auth.name).get(job_id)
    if became is None:
        raise Problem(409, f"The job is {_job(job_id).status} already.")
    return Answer(200 if became == Status.CANCELLED else 202, StatusOut(job_id=job_id, status=became))


@router.post("/{jobId}/retry", auth=auth.CHANGE, response={202: StatusOut, **declared(404, 409, 422)})
def retry_job(request: ApiRequest, job_id: JobId) -> Answer[StatusOut]:
    """Run a failed or cancelled job again, with all its attempts."""
    answer = lifecycle.retry([job_id], actor=request.auth.name)
    if job_id not in answer.retried:
        _job(job_id)
        raise Problem(409, f"The job cannot be retried: {answer.skipped[job_id]}.")
    return Answer(202, StatusOut(job_id=job_id, status=Status.PENDING))
