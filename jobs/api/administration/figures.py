"""The platform in numbers: statistics, metrics, health, errors."""

from datetime import UTC, datetime
from http import HTTPStatus
from typing import Annotated, Any, Literal

from django.http import HttpRequest
from ninja import Query
from ninja.responses import Status as Answer
from pydantic import AfterValidator, BeforeValidator

from jobs import health, metrics, statistics
from jobs.api import auth
from jobs.api.administration.schemas import (
    ErrorGroupOut,
    ErrorsOut,
    HealthQueuesOut,
    HealthScheduleOut,
    HealthWorkersOut,
    MetricsOut,
    PointOut,
    QueueMetricsOut,
    SeriesOut,
    StatsOut,
    SummaryOut,
    SystemHealthOut,
)
from jobs.api.fields import Word
from jobs.api.problems import declared
from jobs.api.routing import Router
from jobs.metrics import QueueFigures
from jobs.models import Status, Worker
from jobs.statistics import SeenError

router = Router("administration")

Range = Literal["15m", "1h", "6h", "24h", "7d", "30d"]


@router.get("/stats", auth=auth.WATCH, response={200: StatsOut, **declared()})
def job_stats(request: HttpRequest) -> StatsOut:
    """How many jobs there are, how many succeed, how long they take."""
    counts = metrics.totals()
    number = {status: count.number for status, count in counts.items()}
    pending = number[Status.PENDING] + number[Status.SCHEDULED]
    total = pending + number[Status.PROCESSING] + number[Status.COMPLETED] + number[Status.FAILED]
    average = statistics.summary("24h").avg_run_ms or 0.0
    return StatsOut(
        total=total,
        pending=pending,
        processing=number[Status.PROCESSING],
        completed=number[Status.COMPLETED],
        failed=number[Status.FAILED],
        success_rate=f"{statistics.percent(total - number[Status.FAILED], total, empty=100):.1f}%",
        avg_processing_time=f"{average / 1000:.1f}s",
        queue_length=number[Status.PENDING],
        concurrency=sum(Worker.objects.alive().values_list("concurrency", flat=True)),
        approximate=any(count.approximate for count in counts.values()),
    )


@router.get("/metrics", auth=auth.WATCH, response={200: MetricsOut, **declared()})
def job_metrics(request: HttpRequest) -> MetricsOut:
    """Each queue, and all of them together."""
    queues = metrics.queue_figures()
    total, completed, failed = (sum(getattr(q, name) for q in queues) for name in ("total", "completed", "failed"))
    return MetricsOut(
        queues=[QueueMetricsOut(**metrics_of(queue)) for queue in queues],
        total_jobs=total,
        active_jobs=sum(queue.active for queue in queues),
        completed_jobs=completed,
        failed_jobs=failed,
        waiting_jobs=sum(queue.waiting for queue in queues),
        overall_completion_rate=statistics.percent(completed, total, empty=100),
        overall_failure_rate=statistics.percent(failed, total, empty=0),
        approximate=any(queue.approximate for queue in queues),
    )


def metrics_of(queue: QueueFigures) -> dict[str, Any]:
    """The fields of a queue that every answer about queues has."""
    names = ("waiting", "active", "completed", "failed", "delayed", "paused", "total", "completion_rate")
    shared = {name: getattr(queue, name) for name in (*names, "failure_rate", "approximate")}
    return {**shared, "queue_name": queue.name, "avg_processing_time": round(queue.avg_run_ms or 0.0, 2)}


@router.get("/metrics/series", auth=auth.WATCH, response={200: SeriesOut, **declared(422)})
def job_series(
    request: HttpRequest,
    range_: Annotated[Range, Query(alias="range")] = "24h",
    of_type: Annotated[Word | None, Query(alias="type")] = None,
    queue: Word | None = None,
) -> SeriesOut:
    """What happened over time, of all jobs or of a type or queue; and the same range summed by type and by queue."""
    points = statistics.series(range_, of_type, queue)
    return SeriesOut(
        range=range_,
        points=[PointOut.model_validate(point, from_attributes=True) for point in points],
        by_type={name: _summary(one) for name, one in statistics.by_type(range_).items()},
        by_queue={name: _summary(one) for name, one in statistics.by_queue(range_).items()},
    )


def _summary(summary: statistics.Summary) -> SummaryOut:
    return SummaryOut.model_validate(summary, from_attributes=True)


@router.get("/health", auth=auth.WATCH, response={200: SystemHealthOut, **declared(), 503: SystemHealthOut})
def system_health(request: HttpRequest) -> Answer[SystemHealthOut]:
    """200 when everything that jobs need is there, 503 when not."""
    report = health.report()
    queues, scheduler, workers = report.queues, report.scheduler, report.workers
    answer = SystemHealthOut(
        healthy=report.healthy,
        queues=HealthQueuesOut(
            total=queues.total,
            healthy=queues.total - queues.unhealthy,
            unhealthy=queues.unhealthy,
            issues=queues.issues + queues.warnings + report.database.issues + report.broker.issues,
        ),
        scheduled_jobs=HealthScheduleOut(
            total=scheduler.total,
            running=scheduler.running,
            stopped=scheduler.stopped,
            issues=scheduler.issues + scheduler.warnings,
        ),
        workers=HealthWorkersOut(total=workers.total, active=workers.active, issues=workers.issues + workers.warnings),
    )
    return Answer(HTTPStatus.OK if report.healthy else HTTPStatus.SERVICE_UNAVAILABLE, answer)


def _whole_day(moment: Any) -> Any:
    return f"{moment}T00:00:00Z" if isinstance(moment, str) and len(moment) == len("2024-01-01") else moment


def _in_utc(moment: datetime) -> datetime:
    if not 1970 <= moment.year <= 2200:
        raise ValueError("outside the years 1970 to 2200")
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment


Day = Annotated[datetime, BeforeValidator(_whole_day), AfterValidator(_in_utc)]


@router.get("/errors", auth=auth.WATCH, response={200: ErrorsOut, **declared(422)})
def error_statistics(request: HttpRequest, start: Day | None = None, end: Day | None = None) -> ErrorsOut:
    """What went wrong between two times, in UTC unless they say otherwise: by type, by class and by kind of error."""
    found = statistics.error_statistics(start, end)
    return ErrorsOut(
        total=found.total,
        by_type=found.by_type,
        by_class=found.by_class,
        by_classification=found.by_classification,
        by_fingerprint=[_group(seen) for seen in found.by_fingerprint],
    )


def _group(seen: SeenError) -> ErrorGroupOut:
    group = seen.group
    return ErrorGroupOut(
        fingerprint=group.fingerprint,
        type=group.type,
        error=group.error,
        message=group.message,
        count=seen.seen,
        first_seen=group.first_seen_at,
        last_seen=group.last_seen_at,
        sample_job_id=group.sample,
        resolved=group.resolved_at is not None,
    )
