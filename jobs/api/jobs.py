"""Jobs that are there: the list, one of them, and what becomes of it."""

from typing import Annotated, Literal
from uuid import UUID

from django.http import HttpRequest
from ninja import Path, Query
from ninja.responses import Status as Answer

from jobs import lifecycle, metrics, search
from jobs.api import answers, auth, problems
from jobs.api.auth import ApiRequest
from jobs.api.enqueueing import router as router  # the one that these are added to
from jobs.api.fields import Word
from jobs.api.paging import Cursor, Limit, opened, sealed
from jobs.api.problems import FieldError, Problem, declared
from jobs.api.readers import READ_ONE, Reader
from jobs.api.schemas import EnqueuedOut, JobHistoryOut, JobListOut, JobOut, RerunIn, StatusOut
from jobs.errors import UnknownProcessor
from jobs.models import TERMINAL, Job, Status
from jobs.payload import uncovered
from jobs.processor import get_processor

JobId = Annotated[UUID, Path(alias="jobId")]


@router.get("", auth=auth.READ, response={200: JobListOut, **declared(422)})
def list_jobs(
    request: HttpRequest,
    status: Status | None = None,
    of_type: Annotated[Word | None, Query(alias="type")] = None,
    queue: Word | None = None,
    q: Annotated[str, Query(description="A query as on the dashboard's page of jobs, such as `attempt:>1`.")] = "",
    limit: Limit = 50,
    cursor: Cursor = None,
) -> JobListOut:
    """How many jobs wait, run and have ended; and a page of jobs.

    The newest come first, of one status those that ended last or whose turn is next. A page may have fewer than
    `limit` jobs and still a next one, where it takes a long look to find them.
    """
    given = {
        "status": status,
        "type": of_type and of_type.replace("-", "_"),
        "queue": queue and queue.replace("-", "_"),
    }
    terms = [f"{name}:{search.quoted(value)}" for name, value in given.items() if value]
    try:
        wanted = search.understand(" ".join([*terms, q]))
        found = search.find(wanted, opened(cursor, str(wanted)), limit, whole=True)
    except search.InvalidQuery as error:
        raise problems.invalid([FieldError(loc=["query", "q"], msg=str(error))]) from error
    counts = metrics.queue_status()._asdict()
    return JobListOut(**counts, items=answers.jobs_out(found.jobs), next=sealed(found.next, str(wanted)))


@router.get("/status/{jobId}", auth=READ_ONE, response={200: JobHistoryOut | JobOut, **declared(404, 422)})
def job_status(request: ApiRequest, job_id: JobId, include: Literal["history"] | None = None) -> JobOut:
    """A job. The same as `GET /api/jobs/{jobId}`."""
    job = the_job(job_id)
    if include and isinstance(request.auth, Reader):
        raise Problem(403, "A read token does not show the history.")
    return answers.job_history_out(job) if include else answers.job_out(job)


@router.get("/{jobId}", auth=READ_ONE, response={200: JobHistoryOut | JobOut, **declared(404, 422)})
def get_job(request: ApiRequest, job_id: JobId, include: Literal["history"] | None = None) -> JobOut:
    """A job; with `include=history` its attempts, the successful one too, and what people and sweeps did to it."""
    return job_status(request, job_id, include)


def the_job(job_id: UUID) -> Job:
    """The job, or a 404."""
    job = Job.objects.filter(id=job_id).first()
    if job is None:
        raise Problem(404, f"There is no job {job_id}; finished jobs are kept for a while only.")
    return job


@router.delete("/{jobId}", auth=auth.CANCEL, response={200: StatusOut, 202: StatusOut, **declared(404, 409, 422)})
def cancel_job(request: ApiRequest, job_id: JobId) -> Answer[StatusOut]:
    """Cancel a job: 200 when it waited, 202 when it runs and was asked to end."""
    became = lifecycle.cancel([job_id], actor=request.auth.name).get(job_id)
    if became is None:
        raise Problem(409, f"The job is {the_job(job_id).status} already.")
    return Answer(200 if became == Status.CANCELLED else 202, StatusOut(job_id=job_id, status=became))


@router.post("/{jobId}/retry", auth=auth.RETRY, response={202: StatusOut, **declared(404)})
def retry_job(request: ApiRequest, job_id: JobId) -> Answer[StatusOut]:
    """Run a failed or cancelled job again, with all its attempts."""
    return retried(request, job_id)


def retried(request: ApiRequest, job_id: UUID) -> Answer[StatusOut]:
    """The answer of every address that retries."""
    answer = lifecycle.retry([job_id], actor=request.auth.name)
    if job_id not in answer.retried:
        the_job(job_id)
        raise Problem(409, f"The job cannot be retried: {answer.skipped[job_id]}.")
    return Answer(202, StatusOut(job_id=job_id, status=Status.PENDING))


@router.post("/{jobId}/rerun", auth=auth.ENQUEUE, response={202: EnqueuedOut, **declared(400, 404)})
def rerun_job(request: ApiRequest, job_id: JobId, changes: RerunIn | None = None) -> Answer[EnqueuedOut]:
    """Enqueue a new job like this one, which has ended; with another payload if one is given.

    Where that still reads `***`, as secrets are shown, they stay what they were.
    """
    job = the_job(job_id)
    payload = None
    if changes is not None and changes.payload is not None:
        with problems.of_the_body():
            try:
                processor = get_processor(job.type)
                new_payload = uncovered(processor.payload_model, changes.payload, job.payload)
                payload = processor.encode_row_payload(new_payload)
            except UnknownProcessor as error:
                raise Problem(409, f"The job cannot be run with another payload: {error}") from error
    new = lifecycle.rerun([job_id], actor=request.auth.name, payload=payload).get(job_id)
    if new is None:
        why = f"it is {job.status}" if job.status not in TERMINAL else f"its unique key {job.unique_key!r} is taken"
        raise Problem(409, f"The job cannot be run again: {why}.")
    return Answer(202, EnqueuedOut(job_id=new, status=Status.PENDING, created=True))
