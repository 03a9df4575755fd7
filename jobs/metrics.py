"""How many jobs there are now, with no unbounded count: what happened over time is `jobs.statistics`' business.

A count is exact up to a limit and an estimate beyond it, and says which: the planner's, or where it would have to be by
queue, what roll-ups have of the time for which such jobs are kept.
"""

import json
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

from django.conf import settings
from django.db import models
from django.db.models import OuterRef, QuerySet, Subquery, Value
from django.db.models.expressions import RawSQL
from django.db.models.functions import Coalesce, Now

from jobs import statistics
from jobs.models import Job, Queue, Status, Worker
from jobs.sessions import fetch

COUNT_LIMIT = 10_000


class Count(NamedTuple):
    number: int
    approximate: bool


def count(rows: QuerySet[Any], limit: int = COUNT_LIMIT) -> Count:
    """How many rows: exact up to `limit`."""
    found = rows.order_by().values(one=Value(1))[: limit + 1].count()  # no column: an index may do without its rows
    return Count(found, False) if found <= limit else Count(max(limit, estimate(rows)), True)


def estimate(rows: QuerySet[Any]) -> int:
    """How many rows the planner expects."""
    plan = json.loads(rows.order_by().explain(format="json"))
    return int(plan[0]["Plan"]["Plan Rows"])


class QueueStatus(NamedTuple):
    """Jobs by what they are doing, in the words of the API."""

    waiting: int
    active: int
    completed: int
    failed: int
    delayed: int
    paused: int
    approximate: bool  # one of the numbers is an estimate


def queue_status() -> QueueStatus:
    """The jobs of all queues together."""
    paused = list(Queue.objects.filter(paused_at__isnull=False).values_list("name", flat=True))
    pending = Job.objects.filter(status=Status.PENDING)
    counts = {
        "waiting": count(pending.exclude(queue__in=paused)),
        "active": count(Job.objects.filter(status=Status.PROCESSING)),
        "completed": count(Job.objects.filter(status=Status.COMPLETED)),
        "failed": count(Job.objects.filter(status=Status.FAILED)),
        "delayed": count(Job.objects.filter(status=Status.SCHEDULED)),
        "paused": count(pending.filter(queue__in=paused)),
    }
    numbers = {word: counted.number for word, counted in counts.items()}
    return QueueStatus(**numbers, approximate=any(counted.approximate for counted in counts.values()))


# A backlog is counted no further than the limit, by the index of what is ready.
_WAITING = """(SELECT count(*) FROM (SELECT 1 FROM jobs_job j
    WHERE j.status = 'pending' AND j.queue = jobs_queue.name LIMIT %s) AS bounded)"""


def with_depths(queues: QuerySet[Queue]) -> QuerySet[Any]:
    """The queues with `waiting`, at most COUNT_LIMIT, and `running`."""
    running = Job.objects.filter(status=Status.PROCESSING, queue=OuterRef("name")).order_by().values("queue")
    return queues.annotate(
        waiting=RawSQL(_WAITING, [COUNT_LIMIT]),  # noqa: S611 (a constant)
        running=Coalesce(Subquery(running.annotate(number=models.Count("*")).values("number")), 0),
    )


def totals() -> dict[Status, Count]:
    """How many jobs there are in each status."""
    return {status: count(Job.objects.filter(status=status)) for status in Status}


class Backlog(NamedTuple):
    """What waits in a queue, and who serves it."""

    queue: Queue
    pending: Count  # whether it is paused or not
    oldest_wait_seconds: float | None  # of pending ones, since they were due; None without any
    workers: list[str]  # those that are alive


class QueueFigures(NamedTuple):
    """A queue in numbers. Rates are percent of `total`, where cancelled jobs are left out; without jobs 100 and 0."""

    name: str
    waiting: int  # pending, while the queue runs
    active: int
    completed: int  # these two of the jobs that are still kept
    failed: int
    delayed: int
    paused: int  # pending, while it is paused
    total: int
    completion_rate: float
    failure_rate: float
    avg_run_ms: float | None  # of completed and failed ones; None without any
    oldest_wait_seconds: float | None  # of pending ones, since they were due; None without any
    is_paused: bool
    paused_reason: str
    paused_until: datetime | None
    max_running: int | None
    workers: list[str]  # those that are alive
    approximate: bool  # one of the numbers is an estimate


# How far a backlog is counted, and the oldest of each priority: as the index of what is ready has them.
_PENDING = """
SELECT q.name, (SELECT count(*) FROM (
        SELECT 1 FROM jobs_job j WHERE j.status = 'pending' AND j.queue = q.name LIMIT %(limit)s) AS bounded),
    (SELECT date_part('epoch', statement_timestamp() - min(scheduled_at)) FROM generate_series(1, 10) AS p(priority)
        CROSS JOIN LATERAL (SELECT scheduled_at FROM jobs_job j WHERE j.status = 'pending' AND j.queue = q.name
            AND j.priority = p.priority ORDER BY scheduled_at LIMIT 1) AS oldest)
FROM jobs_queue q
"""
_ENDED = """
SELECT queue, count(*) FILTER (WHERE status = 'completed'), count(*) FILTER (WHERE status = 'failed'),
    avg(date_part('epoch', finished_at - started_at)) * 1000
FROM jobs_job WHERE status IN ('completed', 'failed') GROUP BY queue
"""


def backlogs() -> list[Backlog]:
    """Every queue, by name. Cheaper than `queue_figures`."""
    pending = {name: (number, age) for name, number, age in fetch(_PENDING, {"limit": COUNT_LIMIT + 1})}
    alive = Worker.objects.filter(heartbeat_at__gt=Now() - timedelta(seconds=settings.JOBS_LEASE))
    workers = [(worker.name, worker.queues) for worker in alive]
    found = []
    for queue in Queue.objects.all():
        number, oldest = pending.get(queue.name, (0, None))
        if over := number > COUNT_LIMIT:
            number = max(number, estimate(Job.objects.filter(queue=queue.name, status=Status.PENDING)))
        takers = [name for name, queues in workers if queue.name in queues]
        found.append(Backlog(queue, Count(number, over), oldest, takers))
    return found


def queue_figures() -> list[QueueFigures]:
    """Every queue, by name."""
    running = dict(_per_queue(Status.PROCESSING))
    scheduled = count(Job.objects.filter(status=Status.SCHEDULED))
    delayed = {} if scheduled.approximate else dict(_per_queue(Status.SCHEDULED))
    ended, exact = _ended()
    return [
        _figures(
            backlog,
            active=running.get(backlog.queue.name, 0),
            delayed=None if scheduled.approximate else delayed.get(backlog.queue.name, 0),
            ended=ended.get(backlog.queue.name, statistics.Ended(0, 0, None)),
            exact=exact,
        )
        for backlog in backlogs()
    ]


def _figures(
    backlog: Backlog,
    *,
    active: int,
    delayed: int | None,
    ended: statistics.Ended,
    exact: bool,
) -> QueueFigures:
    queue, pending = backlog.queue, backlog.pending.number
    exact = exact and delayed is not None and not backlog.pending.approximate
    if delayed is None:
        delayed = estimate(Job.objects.filter(queue=queue.name, status=Status.SCHEDULED))
    total = pending + active + ended.completed + ended.failed + delayed
    is_paused = queue.paused_at is not None
    return QueueFigures(
        name=queue.name,
        waiting=0 if is_paused else pending,
        active=active,
        completed=ended.completed,
        failed=ended.failed,
        delayed=delayed,
        paused=pending if is_paused else 0,
        total=total,
        completion_rate=statistics.percent(ended.completed, total, empty=100),
        failure_rate=statistics.percent(ended.failed, total, empty=0),
        avg_run_ms=ended.avg_run_ms,
        oldest_wait_seconds=backlog.oldest_wait_seconds,
        is_paused=is_paused,
        paused_reason=queue.reason,
        paused_until=queue.paused_until,
        max_running=queue.max_running,
        workers=backlog.workers,
        approximate=not exact,
    )


def _per_queue(status: Status) -> list[tuple[str, int]]:
    rows = Job.objects.filter(status=status).order_by().values_list("queue")
    return list(rows.annotate(number=models.Count("*")))


def _ended() -> tuple[dict[str, statistics.Ended], bool]:
    """What ended and is still kept, by queue: counted while that is little."""
    ends = (Status.COMPLETED, Status.FAILED)
    if any(count(Job.objects.filter(status=status)).approximate for status in ends):
        ages = {status.value: timedelta(seconds=settings.JOBS_RETENTION[status.value]) for status in ends}
        return statistics.ended_by_queue(ages), False
    return {name: statistics.Ended(*numbers) for name, *numbers in fetch(_ENDED, {})}, True


class OldestWaiting(NamedTuple):
    """The job that has been pending longest in a queue that runs."""

    id: UUID
    type: str
    queue: str
    since: datetime  # when it was due
    seconds: float


_OLDEST = """
SELECT oldest.id, oldest.type, q.name, oldest.scheduled_at,
    date_part('epoch', statement_timestamp() - oldest.scheduled_at)
FROM jobs_queue q CROSS JOIN generate_series(1, 10) AS p(priority) CROSS JOIN LATERAL (
    SELECT id, type, scheduled_at FROM jobs_job j WHERE j.status = 'pending' AND j.queue = q.name
        AND j.priority = p.priority ORDER BY scheduled_at, id LIMIT 1) AS oldest
WHERE q.paused_at IS NULL ORDER BY oldest.scheduled_at LIMIT 1
"""


def oldest_waiting() -> OldestWaiting | None:
    """Who has waited longest; None while nobody waits."""
    rows = fetch(_OLDEST, {})
    return OldestWaiting(*rows[0]) if rows else None


_HITS = """
SELECT sum((result ->> 'hits')::float8) AS hits, sum((result ->> 'misses')::float8) AS misses FROM (
    SELECT result FROM unnest(%(types)s::text[]) AS t(type) CROSS JOIN LATERAL (
        SELECT result FROM jobs_job j WHERE j.type = t.type AND j.status = 'completed'
        ORDER BY finished_at DESC LIMIT 20) AS latest) AS results
WHERE jsonb_typeof(result -> 'hits') = 'number' AND jsonb_typeof(result -> 'misses') = 'number'
"""


def cache_hit_rate(results: Mapping[str, Any]) -> float | None:
    """Percent of hits in the latest results of the types that tell of `hits` and `misses`; None without any.

    `results` has the result model of each type.
    """
    types = [name for name, model in results.items() if {"hits", "misses"} <= getattr(model, "model_fields", {}).keys()]
    ((hits, misses),) = fetch(_HITS, {"types": types})
    return statistics.percent(hits, hits + misses, empty=0) if hits is not None and hits + misses else None
