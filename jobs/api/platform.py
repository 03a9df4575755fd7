"""What the API writes about the platform: its job types and its health."""

from typing import Any

from pydantic import Field

from jobs.api.fields import Camel
from jobs.api.schemas import QueueStatusOut


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
