"""Rows to test with, made and moved as the platform does it."""

from datetime import datetime
from typing import Any
from uuid import UUID

from jobs import lifecycle
from jobs.lifecycle import Claimed, Enqueued, Error, NewJob, Outcome, Verb
from jobs.models import Job, Status
from jobs.sessions import fetch

WORKER = "stage:1"
BROKEN = Error("ValueError", "the set fell down", "Traceback …", "retryable")


def new(**fields: Any) -> NewJob:
    """A job that is not a row yet."""
    plain: dict[str, Any] = {"queue": "default", "priority": 5, "max_attempts": 3, "timeout": 60.0}
    return NewJob(**{"type": "improvise", "payload": "{}", **plain, **fields})


def enqueued(**fields: Any) -> Enqueued:
    """A job that waits."""
    return lifecycle.enqueue([new(**fields)])[0]


def claim(count: int = 100, *queues: str, **options: Any) -> list[Claimed]:
    """What a worker of these queues gets."""
    caps = dict.fromkeys(queues or ("default", "cpu"), count)
    return lifecycle.claim(caps, count, **{"worker": WORKER, "lease": 30.0, **options})


def started(job: Enqueued | UUID | None = None, **fields: Any) -> Claimed:
    """A job that runs."""
    job = job or enqueued(**fields)
    (claimed,) = lifecycle.claim_these([job if isinstance(job, UUID) else job.id], worker=WORKER, lease=30.0)
    return claimed


def ended(claimed: Claimed, verb: Verb = Verb.COMPLETE, **fields: Any) -> Status | None:
    """Report a run; None when the report is not taken."""
    if verb in (Verb.FAIL, Verb.RETRY, Verb.LOSE):
        fields = {"error": BROKEN, **fields}
    return lifecycle.finish([Outcome(*claimed.key, verb, **fields)]).get(claimed.key)


def now() -> datetime:
    """When this transaction began: the time of all that is written in it."""
    moment: datetime = fetch("SELECT now()", {})[0][0]
    return moment


def row(job: Claimed | Enqueued | Job | UUID) -> Job:
    """The job as it now is."""
    return Job.objects.get(id=job if isinstance(job, UUID) else job.id)


def values(job: Claimed | Enqueued | Job | UUID) -> dict[str, Any]:
    """Everything in its row, to be compared."""
    found: Any = Job.objects.values().get(id=job if isinstance(job, UUID) else job.id)
    return dict(found)


def statuses(*jobs: Claimed | Enqueued | UUID) -> list[str]:
    return [row(job).status for job in jobs]


def job_in(status: Status, **fields: Any) -> UUID:
    """A job that came to this status by the usual way."""
    match status:
        case Status.SCHEDULED:
            return enqueued(delay=3600.0, **fields).id
        case Status.PENDING:
            return enqueued(**fields).id
    claimed = started(**fields)
    match status:
        case Status.COMPLETED:
            ended(claimed, Verb.COMPLETE, result='"done"')
        case Status.FAILED:
            ended(claimed, Verb.FAIL)
        case Status.CANCELLED:
            ended(claimed, Verb.CANCEL)
    return claimed.id
