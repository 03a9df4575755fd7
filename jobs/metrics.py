"""Numbers about jobs, none of them an unbounded count.

A count is exact up to a limit and the planner's estimate beyond it, and says which.
"""

import json
from typing import Any, NamedTuple

from django.db import models
from django.db.models import OuterRef, QuerySet, Subquery
from django.db.models.expressions import RawSQL
from django.db.models.functions import Coalesce

from jobs.models import Job, Queue, Status

COUNT_LIMIT = 10_000


class Count(NamedTuple):
    number: int
    approximate: bool


def count(rows: QuerySet[Any], limit: int = COUNT_LIMIT) -> Count:
    """How many rows: exact up to `limit`."""
    found = rows.order_by().values("pk")[: limit + 1].count()
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
