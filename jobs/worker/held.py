"""A run that this worker answers for, and the line that says how it ended."""

import logging
import time
from dataclasses import dataclass
from enum import Enum
from functools import cache
from typing import TYPE_CHECKING, Any
from uuid import UUID

from jobs.errors import JobError
from jobs.lifecycle import Claimed, Outcome, Verb
from jobs.models import Status

if TYPE_CHECKING:
    from jobs.worker.request import JobRequest

log = logging.getLogger("jobs.worker")

Key = tuple[UUID, int]


class State(Enum):
    BUFFERED = 1  # claimed, not yet in the pool
    RUNNING = 2
    REPORTED = 3  # its outcome waits to be written


@dataclass(slots=True, eq=False)
class Held:
    """A run that is this worker's to answer for."""

    job: Claimed
    state: State = State.BUFFERED
    request: "JobRequest | None" = None
    started: float | None = None  # monotonic
    stop: JobError | None = None  # it was told to stop, and why
    stopped: float = 0.0  # when it was told

    @property
    def overdue(self) -> bool:
        return self.started is not None and time.monotonic() > self.started + self.job.timeout


def log_end(outcome: Outcome, held: Held | None, status: Status | None) -> None:
    """The one line that says how a run ended: on the logger `<type>-job`, with what it is found and counted by."""
    if held is None or status is None:
        log.warning("job %s: late report of run %d ignored", outcome.id, outcome.run)
    elif outcome.verb is Verb.GIVE_BACK:
        log.debug("job %s given back", outcome.id)
    else:
        logger, level = _logger(held.job.type), _LEVELS.get(status, _level_of_attempt(outcome))
        if logger.isEnabledFor(level):
            logger.log(
                level, "job %s %s%s", outcome.id, status.value, _why(outcome), extra=_fields(outcome, held, status)
            )


_LEVELS = {Status.COMPLETED: logging.INFO, Status.CANCELLED: logging.INFO, Status.FAILED: logging.ERROR}


@cache
def _logger(job_type: str) -> logging.Logger:
    return logging.getLogger(f"{job_type}-job")


def _level_of_attempt(outcome: Outcome) -> int:
    return logging.WARNING if outcome.error else logging.INFO


def _why(outcome: Outcome) -> str:
    if outcome.error is None:
        return ""
    return f": {outcome.error.name}: {' '.join(outcome.error.message[:200].split())}"


def _fields(outcome: Outcome, held: Held, status: Status) -> dict[str, Any]:
    job = held.job
    return {
        "category": "job_metrics",
        "job_type": job.type,
        "status": status.value,
        "duration_ms": None if outcome.seconds is None else round(outcome.seconds * 1000, 1),
        "job_id": str(outcome.id),
        "run": outcome.run,
        "attempt": job.attempt,
        "queue": job.queue,
        "request_id": job.request_id,
    }
