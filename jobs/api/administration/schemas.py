"""What the administration reads and writes about jobs, queues and workers."""

from datetime import datetime
from typing import Literal
from uuid import UUID

from pydantic import ConfigDict, Field

from jobs.api.fields import Camel, Moment, Text
from jobs.api.schemas import ID, ProgressOut

Removable = Literal["waiting", "paused", "delayed", "completed", "failed", "cancelled"]
Shown = Literal["waiting", "active", "completed", "failed", "delayed", "paused"]


class StatsOut(Camel):
    """Jobs that are kept; `pending` includes scheduled ones, `total` leaves out cancelled ones."""

    total: int
    pending: int
    processing: int
    completed: int
    failed: int
    success_rate: str = Field(description="(total - failed) / total", examples=["98.2%"])
    avg_processing_time: str = Field(description="Of the last 24 h.", examples=["1.2s"])
    queue_length: int = Field(description="Jobs that are due.")
    concurrency: int = Field(description="Of all workers that are alive.")
    approximate: bool = Field(description="A number above 10,000 is an estimate.")


class FailedOut(Camel):
    id: UUID
    job_id: UUID
    type: str
    queue_name: str
    status: str
    retry_count: int = Field(description="Retries that were started.")
    attempts_made: int = Field(description="Runs that failed.")
    error_message: str | None
    failed_reason: str | None
    created_at: datetime
    finished_at: datetime


class ActiveOut(Camel):
    id: UUID
    job_id: UUID
    type: str
    queue_name: str
    status: str
    priority: int
    progress: int
    progress_detail: ProgressOut | None
    worker: str | None
    attempt: int
    max_attempts: int
    created_at: datetime
    started_at: datetime | None


class RetryIn(Camel):
    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"jobId": ID}]})

    job_id: UUID


class RemovedOut(Camel):
    job_id: UUID
    removed: bool


class QueueMetricsOut(Camel):
    """A queue in numbers, over the jobs that are kept. Rates are percent of `total`, without cancelled jobs."""

    queue_name: str
    waiting: int
    active: int
    completed: int
    failed: int
    delayed: int
    paused: int = Field(description="Jobs that wait while the queue is paused.")
    total: int
    completion_rate: float
    failure_rate: float
    avg_processing_time: float = Field(description="ms; 0 without any.")
    approximate: bool = Field(description="A number above 10,000 is an estimate.")


class QueueOut(QueueMetricsOut):
    is_paused: bool
    paused_reason: str
    paused_until: datetime | None
    max_running: int | None = Field(description="Jobs that may run at once; null: any number.")
    workers: list[str] = Field(description="Those that are alive.")
    oldest_waiting_seconds: float | None


class MetricsOut(Camel):
    queues: list[QueueMetricsOut]
    total_jobs: int
    active_jobs: int
    completed_jobs: int
    failed_jobs: int
    waiting_jobs: int
    overall_completion_rate: float
    overall_failure_rate: float
    approximate: bool


class PercentilesOut(Camel):
    """ms; null where there is nothing to take them of."""

    p50: float | None
    p95: float | None
    p99: float | None


class PointOut(Camel):
    at: datetime = Field(description="Its begin.")
    enqueued: int
    completed: int
    failed: int
    cancelled: int
    wait: PercentilesOut
    run: PercentilesOut


class SummaryOut(Camel):
    enqueued: int
    completed: int
    failed: int
    cancelled: int
    completion_rate: float
    failure_rate: float
    avg_run_ms: float | None
    avg_wait_ms: float | None
    per_hour: float
    wait: PercentilesOut
    run: PercentilesOut


class SeriesOut(Camel):
    range: str
    points: list[PointOut] = Field(description="By the minute up to 6 h, by the hour up to 7 d, else by day.")
    by_type: dict[str, SummaryOut]
    by_queue: dict[str, SummaryOut]


class ErrorGroupOut(Camel):
    fingerprint: str = Field(description="Equal for errors of one kind.")
    type: str
    error: str = Field(description="The exception's class.")
    message: str
    count: int
    first_seen: datetime
    last_seen: datetime
    sample_job_id: UUID
    resolved: bool


class ErrorsOut(Camel):
    """Runs that failed: each failed attempt of a job is one."""

    total: int
    by_type: dict[str, int]
    by_class: dict[str, int]
    by_classification: dict[str, int]
    by_fingerprint: list[ErrorGroupOut] = Field(description="The 50 most frequent.")


class WorkerOut(Camel):
    name: str
    pool: str
    concurrency: int
    queues: list[str]
    running: bool = Field(description="It has sent a heartbeat of late.")
    active_jobs: int
    processed: int = Field(description="Runs that ended since it started.")
    failed: int = Field(description="Of these, not completed.")
    active: int = Field(description="The same as `activeJobs`.")
    heartbeat_at: datetime
    draining: bool


class HealthQueuesOut(Camel):
    total: int
    healthy: int
    unhealthy: int
    issues: list[str]


class HealthScheduleOut(Camel):
    total: int
    running: int
    stopped: int
    issues: list[str]


class HealthWorkersOut(Camel):
    total: int
    active: int
    issues: list[str]


class SystemHealthOut(Camel):
    healthy: bool
    queues: HealthQueuesOut
    scheduled_jobs: HealthScheduleOut
    workers: HealthWorkersOut


class PauseIn(Camel):
    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"reason": "the upstream moves", "until": None}]}
    )

    reason: Text = ""
    until: Moment | None = Field(None, description="It is resumed then; without it a person has to.")


class PausedOut(Camel):
    queue_name: str
    paused: bool
    paused_at: datetime | None
    paused_by: str
    reason: str
    until: datetime | None


class CleanIn(Camel):
    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"grace": 3_600_000, "status": "completed", "limit": 1000}]},
    )

    grace: int = Field(0, ge=0, le=10**12, strict=True, description="ms since their end, or since they were made.")
    status: Removable = "completed"
    limit: int = Field(1000, ge=1, le=10_000, strict=True)


class CleanedOut(Camel):
    removed: int
