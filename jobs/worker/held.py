"""A run that this worker answers for, and the line that says how it ended."""

import logging
import time
from dataclasses import dataclass
from enum import Enum
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
    """The one line that says how a run ended."""
    fields: dict[str, Any] = {"job_id": str(outcome.id), "run": outcome.run, "type": held.job.type if held else None}
    if status is None:
        log.warning("job %s: late report of run %d ignored", outcome.id, outcome.run, extra=fields)
    elif status is Status.COMPLETED:
        log.debug("job %s completed", outcome.id, extra=fields)
    elif outcome.error:
        told = f"{outcome.error.name}: {outcome.error.message[:200]}"
        log.warning("job %s %s: %s", outcome.id, status.value, told, extra=fields)
    elif outcome.verb is Verb.GIVE_BACK:
        log.debug("job %s given back", outcome.id, extra=fields)
    else:
        log.info("job %s %s", outcome.id, status.value, extra=fields)
