"""What the API reads and writes about jobs. How a row becomes an answer is `jobs.api.answers`."""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import ConfigDict, Field, model_validator

from jobs.api.fields import Camel, Line, Moment, PriorityIn, Tag
from jobs.models import Failure, Status

MAX_ATTEMPTS = 1000
ID = "01a20364-58e1-77c7-806d-0f89c360e0fe"  # of examples
MOST_JOBS = 10_000  # in one bulk
MAX_DELAY = 30 * 24 * 3600 * 1000  # ms


class BackoffIn(Camel):
    """How long to wait before the next attempt."""

    model_config = ConfigDict(extra="forbid")

    type: Literal["exponential", "fixed"] = "exponential"
    delay: Annotated[int, Field(ge=0, le=MAX_DELAY, strict=True)] = Field(
        description="ms; of the first retry when exponential"
    )


class Options(Camel):
    """What may be said about a job beside its type and payload."""

    priority: PriorityIn | None = None
    scheduled_for: Moment | None = Field(None, description="Not before this time.")
    max_retries: Annotated[int, Field(ge=0, lt=MAX_ATTEMPTS, strict=True)] | None = Field(
        None, description="Runs after the first: `maxRetries: n` means `maxAttempts: n + 1`."
    )
    max_attempts: Annotated[int, Field(ge=1, le=MAX_ATTEMPTS, strict=True)] | None = Field(
        None, description="Runs in all."
    )
    attempts: Annotated[int, Field(ge=1, le=MAX_ATTEMPTS, strict=True)] | None = Field(
        None, description="The same as `maxAttempts`."
    )
    backoff: BackoffIn | None = None
    queue: Line | None = None
    unique_key: Line | None = Field(
        None, description="At most one active job per type and key; a second call finds the first."
    )
    tags: Annotated[list[Tag], Field(max_length=50)] = []

    @model_validator(mode="after")
    def said_once(self) -> "Options":
        counts = {"maxRetries": self.max_retries, "maxAttempts": self.max_attempts, "attempts": self.attempts}
        given = [name for name, count in counts.items() if count is not None]
        if len(given) > 1:
            raise ValueError(f"give one of {' and '.join(given)}, they say the same thing")
        return self

    @property
    def runs(self) -> int | None:
        """The most runs, however it was said."""
        return self.max_retries + 1 if self.max_retries is not None else self.max_attempts or self.attempts


class NewJobIn(Options):
    """A job to enqueue."""

    model_config = ConfigDict(extra="forbid")

    type: str = Field(description="The job type. A hyphen means an underscore.")
    payload: dict[str, Any] = {}


class FlatJobIn(Options):
    """A job to enqueue, its payload under `payload` or flat beside `type`."""

    model_config = ConfigDict(extra="allow")

    type: str = Field(description="The job type. A hyphen means an underscore.")
    payload: dict[str, Any] | None = None

    @model_validator(mode="after")
    def payload_once(self) -> "FlatJobIn":
        if self.payload is not None and self.model_extra:
            raise ValueError(f"not beside payload: {', '.join(self.model_extra)}")
        return self


class BulkIn(Camel):
    """Jobs to enqueue, all or none."""

    model_config = ConfigDict(extra="forbid")

    jobs: Annotated[list[NewJobIn], Field(min_length=1, max_length=MOST_JOBS)]


class BulkOut(Camel):
    job_ids: list[UUID] = Field(description="In the order of the jobs; an active job's that had the unique key.")


class RerunIn(Camel):
    """What shall be different."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"payload": {"gameId": "13"}}]})

    payload: dict[str, Any] | None = None


class EnqueuedOut(Camel):
    model_config = ConfigDict(json_schema_extra={"examples": [{"jobId": ID, "status": "pending", "created": True}]})

    job_id: UUID
    status: Status
    created: bool = Field(description="False when a unique key found this active job.")


class StatusOut(Camel):
    model_config = ConfigDict(json_schema_extra={"examples": [{"jobId": ID, "status": "pending"}]})

    job_id: UUID
    status: Status


class ProgressOut(Camel):
    done: float | None
    total: float | None
    note: str


class AttemptOut(Camel):
    """One run of the job."""

    run: int
    attempt: int
    outcome: Literal["completed", "failed", "cancelled", "processing"]
    error: str | None = Field(None, description="The exception's class.")
    message: str | None = None
    traceback: str | None = None
    classification: Failure.Classification | None = None
    worker: str | None
    started_at: datetime | None
    finished_at: datetime | None


class LogLineOut(Camel):
    """A line that the job wrote with `job.log`."""

    id: int
    run: int
    at: datetime
    level: str = Field(description="`DEBUG`, `INFO`, `WARNING`, `ERROR`, `CRITICAL`.")
    message: str


class LogOut(Camel):
    items: list[LogLineOut]
    next: int | None = Field(description="As `after` of the next call; null: these were the last for now.")


class EventOut(Camel):
    """What a person or a sweep did to the job."""

    kind: str
    actor: str
    before: Any
    after: Any
    reason: str
    at: datetime


class JobOut(Camel):
    id: UUID
    type: str
    status: Status
    queue: str
    priority: int
    payload: Any = Field(description="Fields marked secret read `***`.")
    result: Any
    error: str | None = Field(description="The last failure's message; null once the job has completed.")
    progress: int = Field(ge=0, le=100)
    progress_detail: ProgressOut | None
    attempt: int
    max_attempts: int
    created_at: datetime
    scheduled_for: datetime = Field(description="Not before this time.")
    started_at: datetime | None = Field(description="Of the latest run.")
    finished_at: datetime | None


class JobHistoryOut(JobOut):
    """A job with `?include=history`."""

    attempts: list[AttemptOut]
    events: list[EventOut]


class QueueStatusOut(Camel):
    """Jobs by what they are doing."""

    waiting: int = Field(description="Pending, in a running queue.")
    active: int
    completed: int
    failed: int
    delayed: int = Field(description="Scheduled.")
    paused: int = Field(description="Pending, in a paused queue.")
    approximate: bool = Field(description="A number above 10,000 is an estimate.")


class JobListOut(QueueStatusOut):
    items: list[JobOut]
    next: str | None = Field(description="The `cursor` of the next page.")
