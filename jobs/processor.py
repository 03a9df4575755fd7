"""What authors of job types import: @processor, Payload, JobContext, enqueue, and the outcomes a job may raise.

Here a job type is declared and jobs of any type are enqueued; what its task then is and does is `jobs.calling`'s.
"""

import functools
import inspect
from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta
from typing import Any, cast, get_type_hints
from uuid import UUID

from celery import shared_task
from django.db.models.functions import Now
from pydantic import BaseModel, ValidationError

from jobs import lifecycle, options
from jobs.batching import batch_process
from jobs.calling import Body, Processor, errors_of, get_processor, invalid_payload, processors
from jobs.context import JobContext
from jobs.encoding import storable
from jobs.errors import (
    Cancelled,
    Discard,
    InvalidPayload,
    JobTimeout,
    RateLimited,
    Retry,
    Snooze,
    UnknownProcessor,
)
from jobs.lifecycle import Enqueued, NewJob
from jobs.limits import Upstream
from jobs.models import TERMINAL, Job
from jobs.payload import Backoff, Payload, Secret
from jobs.schedules import CRON_EXPRESSIONS, Schedule

__all__ = [
    "CRON_EXPRESSIONS",
    "Backoff",
    "Cancelled",
    "Discard",
    "Enqueued",
    "JobContext",
    "JobTimeout",
    "Payload",
    "Processor",
    "RateLimited",
    "Retry",
    "Schedule",
    "Secret",
    "Snooze",
    "Upstream",
    "aenqueue",
    "batch_process",
    "count_old_jobs",
    "enqueue",
    "enqueue_many",
    "get_processor",
    "pause_queue",
    "processor",
    "processors",
    "prune_jobs",
    "wake",
]

declare_task: Any = shared_task  # its stubs know Celery's own options only


def processor(
    *,
    queue: str = "default",
    priority: int | str | Callable[[Any], int] = "normal",
    max_attempts: int | None = None,
    backoff: Backoff | Callable[[int, BaseException], float] | None = None,
    timeout: float | timedelta | Callable[[Any], float] | None = None,
    retention: Mapping[str, float] | None = None,
    name: str | None = None,
) -> Callable[[Body], Processor]:
    """Declare a job type: `def name(payload: SomePayload, job: JobContext) -> SomeResult`.

    `max_attempts` counts runs; `timeout` is in seconds, or a function of the payload, as `priority` may be; `backoff`
    may be a function of attempt and error that gives seconds. Everything is checked here, at import.
    """

    def declare(body: Body) -> Processor:
        hints = get_type_hints(body)
        type_name = name or body.__name__
        model = next(iter(hints.values()), None)
        if not (isinstance(model, type) and issubclass(model, Payload)):
            raise TypeError(f"processor {type_name}: the first parameter must be annotated with a Payload model")
        if not type_name.isidentifier() or type_name != type_name.lower():
            raise TypeError(f"processor {type_name}: the name must be snake_case")
        if clash := _OPTION_NAMES & {n for key, field in model.model_fields.items() for n in (key, field.alias or key)}:
            raise TypeError(f"processor {type_name}: payload field {min(clash)!r} is the name of an option")
        if max_attempts is not None and max_attempts < 1:
            raise TypeError(f"processor {type_name}: max_attempts must be at least 1")
        returns = hints.get("return")

        def run(self: Processor, *args: Any, **fields: Any) -> Any:
            try:
                payload = model.model_validate(fields)
            except ValidationError as error:
                raise invalid_payload(type_name, errors_of(error)) from None
            return _plain(body(payload, _context(self)))

        declared: Processor = declare_task(
            bind=True,
            name=type_name,
            queue=queue,
            priority=None if callable(priority) else options.priority(priority),
            rank=_unbound(priority) if callable(priority) else None,
            payload_model=model,
            result_model=None if returns is type(None) else returns,
            max_attempts=max_attempts,
            backoff=_unbound(backoff or Backoff()),
            timeout=_unbound(timeout.total_seconds() if isinstance(timeout, timedelta) else timeout),
            retention=retention,
            body=staticmethod(body),
            typing=False,
        )(functools.wraps(body, assigned=("__module__", "__name__", "__qualname__", "__doc__"), updated=())(run))
        return declared

    return declare


def _unbound(value: Any) -> Any:
    """A function that would otherwise become a method of the task."""
    return staticmethod(value) if inspect.isfunction(value) else value


# What the API takes beside a payload's fields in one flat object.
_OPTION_NAMES = frozenset(
    "type payload priority scheduledFor scheduled_for maxRetries max_retries maxAttempts max_attempts attempts backoff "
    "queue uniqueKey unique_key tags".split()
)


def _context(task: Processor) -> JobContext:
    context = task.request.get("job_context")
    if context is None:
        raise RuntimeError(f"{task.name} runs as a job only: enqueue it, or use jobs.testing.perform")
    return cast("JobContext", context)


def _plain(result: Any) -> Any:
    """What JSON can say of a result."""
    return result.model_dump(mode="json", by_alias=True) if isinstance(result, BaseModel) else result


def _found(type_: "str | Processor") -> Processor:
    return get_processor(type_) if isinstance(type_, str) else type_


def _new_job(type_: "str | Processor", payload: Any, opts: Mapping[str, Any]) -> NewJob:
    found = _found(type_)
    return found.new_job(found.encode_row_payload(payload), opts)


def enqueue(type_: "str | Processor", payload: Payload | Mapping[str, Any] | None = None, **opts: Any) -> Enqueued:
    """Insert a job in the caller's transaction.

    Raises UnknownProcessor, InvalidPayload, InvalidOption or UnknownQueue. Options: `jobs.options`.
    """
    return _found(type_).enqueue(payload, **opts)


async def aenqueue(
    type_: "str | Processor", payload: Payload | Mapping[str, Any] | None = None, **opts: Any
) -> Enqueued:
    """The same for async code; see `Processor.aenqueue`."""
    return await _found(type_).aenqueue(payload, **opts)


def enqueue_many(jobs: Iterable[tuple[Any, ...]]) -> list[Enqueued]:
    """Insert many jobs in one statement, all or none: (type, payload) or (type, payload, options) each."""
    rows: list[NewJob] = []
    usual: dict[Any, tuple[Processor, NewJob]] = {}
    for index, (type_, payload, *rest) in enumerate(jobs):
        try:
            rows.append(_new_job(type_, payload, rest[0]) if rest else _usual_job(type_, payload, usual))
        except InvalidPayload as error:
            wrong = [{**e, "loc": [index, *cast("list[Any]", e["loc"])]} for e in error.errors]
            raise InvalidPayload(f"job {index}: {error}", wrong) from None
        except (UnknownProcessor, ValueError) as error:
            error.args = (f"job {index}: {error}",)
            raise
    return lifecycle.enqueue(rows)


def _usual_job(type_: "str | Processor", payload: Any, made: dict[Any, tuple[Processor, NewJob]]) -> NewJob:
    """A job without options of its own. Its type's are resolved once, unless they follow from the payload."""
    if type_ in made:
        found, first = made[type_]
        return first.like(found.encode_row_payload(payload))
    found = _found(type_)
    job = found.new_job(found.encode_row_payload(payload), {})
    if not (callable(found.timeout) or found.rank or found.expires):
        made[type_] = found, job
    return job


def pause_queue(name: str, *, reason: str) -> bool:
    """Stop a queue whose every job would fail, such as after a refused token, until a person resumes it."""
    return lifecycle.pause(name, actor="processor", reason=storable(reason)[:500])  # often an error's text


def wake(job_ids: Iterable[UUID]) -> None:
    """Let jobs that sleep (`Snooze`) run at once: what they look for has happened. Others are left as they are."""
    if ids := list(job_ids):
        lifecycle.run_now(ids, actor="processor")


def count_old_jobs(age: timedelta) -> int:
    """How many jobs ended longer ago than `age`."""
    return Job.objects.terminal().filter(finished_at__lt=Now() - age).count()


def prune_jobs(age: timedelta, limit: int = 1000) -> int:
    """Delete up to `limit` jobs that ended longer ago than `age`, with what is kept of them, and return how many.

    Upkeep does so by the settings; this is for a room that is asked to keep less.
    """
    left = limit
    for status in TERMINAL:
        left -= lifecycle.prune(status, age.total_seconds(), left) if left else 0
    return limit - left
