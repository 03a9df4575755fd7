"""What the API reads and writes about jobs: camelCase outside, snake_case accepted in bodies.

How a row becomes an answer is `jobs.api.answers`.
"""

from datetime import UTC, datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    WithJsonSchema,
    model_validator,
)
from pydantic.alias_generators import to_camel

from jobs.models import Failure, Priority, Status

PRIORITY_NAMES = {name.lower(): value for name, value in Priority.__members__.items()}
MAX_ATTEMPTS = 1000
MAX_DELAY = 30 * 24 * 3600 * 1000  # ms


class Camel(BaseModel):
    """camelCase names in JSON; both spellings are read."""

    model_config = ConfigDict(alias_generator=to_camel, validate_by_name=True, validate_by_alias=True)


def _number(priority: Any) -> Any:
    if isinstance(priority, str):
        if priority not in PRIORITY_NAMES:
            raise ValueError(f"a number from 1 to 10 or one of {', '.join(PRIORITY_NAMES)}")
        return PRIORITY_NAMES[priority].value
    return priority


def _written(moment: Any) -> Any:
    if not isinstance(moment, str):
        raise ValueError("a date and time in ISO 8601 with its UTC offset, as a string")
    return moment


def _in_utc(moment: datetime) -> datetime:
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise ValueError("outside the years 1 to 9999") from None


PriorityIn = Annotated[
    int,
    Field(strict=True, ge=1, le=10),
    BeforeValidator(_number),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "integer", "minimum": 1, "maximum": 10},
                {"type": "string", "enum": list(PRIORITY_NAMES)},
            ],
            "description": "10 runs first.",
        }
    ),
]
Moment = Annotated[AwareDatetime, BeforeValidator(_written), AfterValidator(_in_utc)]
Line = Annotated[str, StringConstraints(min_length=1, max_length=255, pattern=r"^[^\x00]*$")]
Tag = Annotated[str, StringConstraints(min_length=1, max_length=100, pattern=r"^[^\x00]*$")]


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


class EnqueuedOut(Camel):
    job_id: UUID
    status: Status
    created: bool = Field(description="False when a unique key found this active job.")


class StatusOut(Camel):
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


class BackoffOut(Camel):
    """Seconds. `base · factor ^ (attempt - 1)`, at most `max`; with jitter a random part of that."""

    base: float
    max: float
    factor: float
    jitter: bool


class JobTypeOut(Camel):
    type: str
    description: str
    queue: str
    priority: int
    max_attempts: int
    backoff: BackoffOut | None
    timeout: float | None = Field(description="Seconds; null when it depends on the payload.")
    payload_schema: dict[str, Any]
    result_schema: dict[str, Any] | None


class PartOut(Camel):
    """One part of the platform."""

    healthy: bool
    issues: list[str]


class QueuesOut(PartOut):
    total: int
    unhealthy: int


class WorkersOut(PartOut):
    total: int
    active: int = Field(description="Of these, taking jobs.")


class SchedulerOut(PartOut):
    total: int
    running: int
    stopped: int


class QueueStatusOut(Camel):
    """Jobs by what they are doing."""

    waiting: int = Field(description="Pending, in a running queue.")
    active: int
    completed: int
    failed: int
    delayed: int = Field(description="Scheduled.")
    paused: int = Field(description="Pending, in a paused queue.")
    approximate: bool = Field(description="A number above 10,000 is an estimate.")


class DetailsOut(Camel):
    queue_status: QueueStatusOut


class HealthOut(Camel):
    healthy: bool
    queues: QueuesOut
    workers: WorkersOut
    scheduler: SchedulerOut
    database: PartOut
    broker: PartOut
    issues: list[str] = Field(description="Everything that is wrong, and what is only odd.")
    details: DetailsOut
