"""/api/jobs/admin: the whole platform in one answer, and what may be done to many jobs at once."""

from typing import Annotated, Any, Literal

from django.conf import settings
from django.http import HttpRequest
from pydantic import ConfigDict, Field, RootModel

from jobs import lifecycle, metrics, statistics
from jobs.api import auth
from jobs.api.administration.queues import check_until, queues_out
from jobs.api.administration.schemas import PauseIn, QueueOut, WorkerOut
from jobs.api.administration.workers import workers_out
from jobs.api.auth import ApiRequest
from jobs.api.fields import Camel, Word
from jobs.api.problems import FieldError, declared, invalid
from jobs.api.routing import Router
from jobs.metrics import COUNT_LIMIT
from jobs.models import ACTIVE, TERMINAL, Job, Queue, Status
from jobs.processor import processors
from jobs.sessions import fetch

router = Router("jobs")

MOST = 10_000


class CountsOut(Camel):
    total: int
    pending: int
    processing: int
    completed: int
    failed: int
    cancelled: int
    scheduled: int
    approximate: bool = Field(description="A number above 10,000 is an estimate.")


class TypeCountOut(Camel):
    type: str
    status: Status
    count: int
    avg_duration_seconds: float | None


class OldestWaitingOut(Camel):
    job_id: str
    type: str
    queue: str
    seconds: float = Field(description="Since it was due.")


class CountsDetailOut(CountsOut):
    by_type: list[TypeCountOut] = Field(
        description="Of all jobs that are kept; when `approximate`, of those that ended within 24 h and of up to "
        "10,000 that have not."
    )
    by_queue: list[QueueOut]
    workers: list[WorkerOut]
    oldest_waiting: OldestWaitingOut | None
    cache_hit_rate: float | None = Field(description="Percent; null when no job has told of its cache.")


@router.get("/admin", auth=auth.READ, response={200: CountsDetailOut | CountsOut, **declared(422)})
def job_counts(request: HttpRequest, details: bool = False) -> CountsOut:
    """How many jobs there are in each status; with `details=true` also by type and queue, and who works."""
    counts = metrics.totals()
    numbers: dict[str, Any] = {status.value: count.number for status, count in counts.items()}
    numbers |= {"total": sum(numbers.values()), "approximate": any(count.approximate for count in counts.values())}
    if not details:
        return CountsOut(**numbers)
    oldest = metrics.oldest_waiting()
    return CountsDetailOut(
        **numbers,
        by_type=_by_type(exact=not numbers["approximate"]),
        by_queue=queues_out(),
        workers=workers_out(),
        oldest_waiting=oldest
        and OldestWaitingOut(job_id=str(oldest.id), type=oldest.type, queue=oldest.queue, seconds=oldest.seconds),
        cache_hit_rate=metrics.cache_hit_rate({name: task.result_model for name, task in processors().items()}),
    )


# Each status by its own partial index, and no further than jobs are counted.
_ACTIVE = " UNION ALL ".join(
    f"(SELECT type, status FROM jobs_job WHERE status = '{status.value}' LIMIT %(limit)s)"  # noqa: S608
    for status in ACTIVE
)
_ACTIVE_BY_TYPE = f"SELECT type, status, count(*), NULL FROM ({_ACTIVE}) AS active GROUP BY 1, 2"  # noqa: S608
_ALL_BY_TYPE = """
SELECT type, status, count(*), round(avg(date_part('epoch', finished_at - started_at))::numeric, 3)::float8
FROM jobs_job GROUP BY 1, 2
"""


def _by_type(*, exact: bool) -> list[TypeCountOut]:
    rows = fetch(_ALL_BY_TYPE if exact else _ACTIVE_BY_TYPE, {"limit": COUNT_LIMIT})
    if not exact:
        rows += [
            (name, status, count, summary.avg_run_ms and round(summary.avg_run_ms / 1000, 3))
            for name, summary in statistics.by_type("24h").items()
            for status in TERMINAL
            if (count := getattr(summary, status.value))
        ]
    return [
        TypeCountOut(type=name, status=Status(status), count=count, avg_duration_seconds=seconds)
        for name, status, count, seconds in sorted(rows, key=lambda row: row[:2])
    ]


class RetryFailedIn(Camel):
    """Retry failed jobs, those that failed first."""

    model_config = ConfigDict(extra="forbid")

    action: Literal["retry_failed_jobs"]
    type: Word | None = None
    queue: Word | None = None
    limit: int = Field(1000, ge=1, le=MOST, strict=True)


class CleanupIn(Camel):
    """Delete jobs that have ended, those that ended first."""

    model_config = ConfigDict(extra="forbid")

    action: Literal["cleanup"]
    queue: Word | None = None
    status: Literal["completed", "failed", "cancelled"] | None = Field(None, description="Null: all three.")
    older_than: int | None = Field(
        None, ge=0, le=10**9, strict=True, description="Seconds since their end. Null: as long as jobs are kept."
    )
    limit: int = Field(1000, ge=1, le=MOST, strict=True)


class PauseAllIn(PauseIn):
    """Pause a queue, or all of them."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"action": "pause", "queue": "default"}]})

    action: Literal["pause"]
    queue: Word | None = None


class ResumeAllIn(Camel):
    """Resume a queue, or all of them."""

    model_config = ConfigDict(extra="forbid")

    action: Literal["resume"]
    queue: Word | None = None


class ActionIn(RootModel[RetryFailedIn | CleanupIn | PauseAllIn | ResumeAllIn]):
    model_config = ConfigDict(json_schema_extra={"examples": [{"action": "retry_failed_jobs"}]})

    root: Annotated[RetryFailedIn | CleanupIn | PauseAllIn | ResumeAllIn, Field(discriminator="action")]


class DoneOut(Camel):
    """What was done. What an action does not do is null."""

    action: str
    retried: int | None = None
    skipped: int | None = Field(None, description="Failed jobs that cannot be retried: their unique key is taken.")
    removed: int | None = None
    more: bool | None = Field(None, description="There are more than `limit`.")
    queues: list[str] | None = Field(None, description="Those that were paused, or resumed.")


PERMISSIONS = {
    "retry_failed_jobs": "jobs.retry_job",
    "cleanup": "jobs.delete_job",
    "pause": "jobs.pause_queue",
    "resume": "jobs.pause_queue",
}


@router.post("/admin", auth=auth.admin(*sorted(set(PERMISSIONS.values()))), response={200: DoneOut, **declared(400)})
def administer(request: ApiRequest, action: ActionIn) -> DoneOut:
    """Do something to many jobs or queues at once."""
    what = action.root
    request.auth.check(PERMISSIONS[what.action])
    queues = _queues(what.queue)
    match what:
        case RetryFailedIn():
            return _retry(what, queues, request.auth.name)
        case CleanupIn():
            return _clean(what, queues, request.auth.name)
        case PauseAllIn():
            check_until(what)
            paused = [
                name
                for name in queues
                if lifecycle.pause(name, actor=request.auth.name, reason=what.reason, until=what.until)
            ]
            return DoneOut(action=what.action, queues=paused)
        case ResumeAllIn():
            resumed = [name for name in queues if lifecycle.resume(name, actor=request.auth.name)]
            return DoneOut(action=what.action, queues=resumed)


def _queues(name: str | None) -> list[str]:
    """The queue that was named, or all."""
    names = list(Queue.objects.values_list("name", flat=True))
    if name is None:
        return names
    found = name.replace("-", "_")
    if found not in names:
        raise invalid([FieldError(loc=["body", "queue"], msg=f"unknown queue: the queues are {', '.join(names)}")])
    return [found]


def _retry(what: RetryFailedIn, queues: list[str], actor: str) -> DoneOut:
    failed = Job.objects.filter(status=Status.FAILED, run__gt=0)  # what never ran comes back with the job before it
    if what.queue is not None:
        failed = failed.filter(queue__in=queues)
    if what.type is not None:
        failed = failed.filter(type=what.type.replace("-", "_"))
    ids = list(failed.order_by("finished_at").values_list("id", flat=True)[: what.limit + 1])
    done = lifecycle.retry(ids[: what.limit], actor=actor)
    return DoneOut(action=what.action, retried=len(done.retried), skipped=len(done.skipped), more=len(ids) > what.limit)


def _clean(what: CleanupIn, queues: list[str], actor: str) -> DoneOut:
    removed = 0
    for status in [Status(what.status)] if what.status else TERMINAL:
        age = settings.JOBS_RETENTION[status.value] if what.older_than is None else what.older_than
        for queue in queues:
            if removed < what.limit:
                removed += lifecycle.clean(queue, status, age, what.limit - removed, actor=actor)
    return DoneOut(action=what.action, removed=removed, more=removed == what.limit)
