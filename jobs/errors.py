"""What can go wrong with a job, and what an author may say about it.

The docstring of an error is its message when none is given. `classification` says what follows:
`retryable` another attempt, `permanent` none, and the others name a cause that the core knows.
"""

from datetime import timedelta
from typing import ClassVar


class JobError(Exception):
    """Something is wrong with a job."""

    classification: ClassVar[str] = "permanent"

    def __init__(self, message: str = "") -> None:
        super().__init__(message or (self.__doc__ or "").splitlines()[0])


class UnknownProcessor(JobError):
    """No processor is registered under this name."""


class UnknownQueue(JobError, ValueError):
    """No queue has this name."""


class InvalidPayload(JobError, ValueError):
    """The payload does not fit the processor's model.

    `errors` is a list of `{"loc": [...], "msg": "..."}`, one for each wrong field.
    """

    def __init__(self, message: str = "", errors: list[dict[str, object]] | None = None) -> None:
        super().__init__(message)
        self.errors = errors or []


class InvalidOption(JobError, ValueError):
    """An option of a job is wrong: `field` names it."""

    def __init__(self, message: str, field: str) -> None:
        super().__init__(message)
        self.field = field


class InvalidCanvas(JobError, ValueError):
    """The chain, group or chord cannot be run."""


class InvalidResult(JobError):
    """The result cannot be stored as JSON."""


class UnknownSchedule(JobError):
    """No schedule has this name."""


class InvalidSchedule(JobError, ValueError):
    """The schedule cannot be made so.

    `errors` is a list of `{"loc": [...], "msg": "..."}`, one for each wrong field of `scheduling.ScheduleFields`.
    """

    def __init__(self, errors: list[dict[str, object]]) -> None:
        super().__init__("; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in errors))  # type: ignore[call-overload]
        self.errors = errors


class Discard(JobError):
    """The job can never succeed: no further attempt is made.

    `result` is what it has nevertheless: kept with the failed job, as JSON or a pydantic model.
    """

    def __init__(self, message: str = "", *, result: object = None) -> None:
        super().__init__(message)
        self.result = result


class Retry(JobError):
    """This attempt failed; make another one after `after` (the processor's backoff when None).

    `result` is kept as with `Discard` where no attempt is left.
    """

    classification = "retryable"

    def __init__(self, message: str = "", *, after: timedelta | float | None = None, result: object = None) -> None:
        super().__init__(message)
        self.after = seconds(after)
        self.result = result


class RateLimited(Retry):
    """The upstream asked us to slow down."""

    classification = "rate-limited"


class Snooze(JobError):
    """Not yet: look again after `after`. Uses no attempt."""

    classification = "retryable"

    def __init__(self, message: str = "", *, after: timedelta | float) -> None:
        super().__init__(message)
        self.after: float = seconds(after) or 0.0


class Cancelled(JobError):
    """The job was cancelled while it ran."""

    classification = "cancelled"


class JobTimeout(JobError):
    """The job ran longer than its timeout."""

    classification = "timeout"


class WorkerLost(JobError):
    """The worker that ran the job is gone."""

    classification = "worker-lost"


def seconds(delay: timedelta | float | None) -> float | None:
    """A delay in seconds, whether it was given as a number or a timedelta."""
    return delay.total_seconds() if isinstance(delay, timedelta) else None if delay is None else float(delay)
