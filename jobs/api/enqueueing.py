"""Jobs come in: one wrapped, one flat, many at once."""

from typing import Any

from ninja.responses import Status as Answer

from jobs import lifecycle
from jobs.api import auth, problems, throttling
from jobs.api.auth import ApiRequest
from jobs.api.problems import FieldError, Place, Problem, declared
from jobs.api.routing import Router
from jobs.api.schemas import BackoffIn, BulkIn, BulkOut, EnqueuedOut, FlatJobIn, NewJobIn, Options
from jobs.errors import UnknownProcessor
from jobs.lifecycle import NewJob
from jobs.models import Status
from jobs.processor import Backoff, get_processor, processors

MOST_ERRORS = 100  # of a bulk that are told

router = Router("jobs")  # `jobs.api.jobs` adds to it: an address belongs to one router


@router.post("/enqueue", auth=auth.ENQUEUE, response={202: EnqueuedOut, **declared(400)})
def enqueue_job(request: ApiRequest, job: NewJobIn) -> Answer[EnqueuedOut]:
    """Enqueue a job."""
    return _enqueue(_new_job(request, job.type, job.payload, job, ()))


@router.post("", auth=auth.ENQUEUE, response={202: EnqueuedOut, **declared(400)})
def create_job(request: ApiRequest, job: FlatJobIn) -> Answer[EnqueuedOut]:
    """Enqueue a job, the fields of its payload flat beside `type`, or under `payload`."""
    if job.payload is not None:
        return _enqueue(_new_job(request, job.type, job.payload, job, ()))
    return _enqueue(_new_job(request, job.type, job.model_extra or {}, job, (), payload_at=()))


@router.post("/bulk", auth=auth.ENQUEUE, throttle=[throttling.BULKS], response={202: BulkOut, **declared(400)})
def enqueue_jobs(request: ApiRequest, bulk: BulkIn) -> Answer[BulkOut]:
    """Enqueue up to 10,000 jobs, all or none. Errors name the index of the job."""
    rows: list[NewJob] = []
    errors: list[FieldError] = []
    for index, job in enumerate(bulk.jobs):
        try:
            rows.append(_new_job(request, job.type, job.payload, job, ("jobs", index)))
        except Problem as problem:
            errors += problem.errors
            if len(errors) >= MOST_ERRORS:
                break
    if errors:
        raise problems.invalid(errors[:MOST_ERRORS])
    return Answer(202, BulkOut(job_ids=[job.id for job in lifecycle.enqueue(rows)]))


def _enqueue(job: NewJob) -> Answer[EnqueuedOut]:
    found = lifecycle.enqueue([job])[0]
    return Answer(202, EnqueuedOut(job_id=found.id, status=Status(found.status), created=found.created))


def _new_job(
    request: ApiRequest,
    name: str,
    payload: dict[str, Any],
    options: Options,
    at: Place,
    payload_at: Place = ("payload",),
) -> NewJob:
    """The row, or a 422 about the fields of the object that is `at` this place of the body."""
    with problems.of_the_body(*at, payload=payload_at):
        processor = get_processor(name)
        if processor.name not in processors():
            raise UnknownProcessor(f"unknown job type {name!r}")  # Celery's own tasks are nobody's to call
        given = {"created_by": request.auth.name, **_options(options)}
        return processor.new_job(processor.encode_row_payload(payload), given)


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
