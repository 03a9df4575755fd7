"""What authors of job types import: @processor, Payload, JobContext, enqueue, and the outcomes a job may raise.

Every Celery task is a `Processor`: its `delay`, `apply_async` and place in a canvas insert rows. One
declared with @processor has a payload model too; a plain @shared_task's payload is its args and kwargs.
"""

import functools
import json
from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta
from typing import Any, cast
from uuid import UUID

from celery import Signature, Task, current_app, current_task, shared_task
from celery.exceptions import Ignore
from celery.exceptions import Retry as CeleryRetry
from celery.utils.functional import head_from_fun
from django.conf import settings
from pydantic import BaseModel, TypeAdapter, ValidationError

from jobs import lifecycle, options
from jobs.batching import batch_process
from jobs.canvas import Planner, Step
from jobs.context import JobContext
from jobs.encoding import encode
from jobs.errors import (
    Cancelled,
    Discard,
    InvalidCanvas,
    InvalidOption,
    InvalidPayload,
    JobTimeout,
    RateLimited,
    Retry,
    Snooze,
    UnknownProcessor,
)
from jobs.lifecycle import Enqueued, NewJob
from jobs.limits import Upstream
from jobs.payload import Backoff, Payload, Secret, redact
from jobs.schedules import Schedule

__all__ = [
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
    "batch_process",
    "enqueue",
    "enqueue_many",
    "get_processor",
    "pause_queue",
    "processor",
    "processors",
]

Body = Callable[[Any, JobContext], Any]


class Processor(Task):
    """The code of a job type, and the class of every Celery task of this application."""

    queue: str | None = None
    payload_model: type[Payload] | None = None
    result_model: Any = None  # what the result is: a type that pydantic knows
    max_attempts: int | None = None
    backoff: Backoff | Callable[[int, BaseException], float] = Backoff()
    timeout: float | Callable[[Any], float] | None = None  # seconds
    on_lost: str = "retry"  # or "fail": what becomes of a plain task whose worker was lost
    retention: Mapping[str, float] | None = None  # status → seconds; the settings' where missing
    body: Body | None = None

    # --- calling it -------------------------------------------------------------------------------------------

    def enqueue(self, payload: Payload | Mapping[str, Any] | None = None, **opts: Any) -> Enqueued:
        """Insert a job in the caller's transaction. Options: `jobs.options`."""
        return lifecycle.enqueue([self.new_job(self.encode_payload((), payload or {}), opts)])[0]

    def apply_async(
        self,
        args: Iterable[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        task_id: str | None = None,
        producer: Any = None,
        link: Any = None,
        link_error: Any = None,
        shadow: str | None = None,
        **opts: Any,
    ) -> Any:
        """Celery's call: insert a job and return its AsyncResult. Works inside a transaction, and without Redis."""
        if self.app.conf.task_always_eager:
            return super().apply_async(
                args, kwargs, task_id, producer, link=link, link_error=link_error, shadow=shadow, **opts
            )
        opts = {**self._get_exec_options(), **opts}
        job = self.new_job(self.encode_payload(tuple(args or ()), kwargs or {}), {**opts, "task_id": task_id})
        if link or link_error:
            job.canvas = Planner(self.app, resolve_step).callbacks(link, link_error, [])
        enqueued = lifecycle.enqueue([job])[0]
        return self.AsyncResult(str(enqueued.id))

    def new_job(self, payload: str, opts: Mapping[str, Any]) -> NewJob:
        """The row for this payload (JSON) and these options; a child of the job that asks for it."""
        job = options.resolve(self, payload, opts)
        if job.parent is None and (caller := current_job()) is not None:
            job.parent = caller
        return job

    def encode_payload(self, args: tuple[Any, ...], kwargs: Any, *, takes: str | None = None) -> str:
        """Validated JSON. `takes` names what arrives only when the job before it has ended."""
        if self.payload_model is None:
            if takes is None and self.typing:
                self._check_arguments(args, kwargs)
            payload: Any = {"args": list(args), "kwargs": dict(kwargs)}
        else:
            payload = self._validated(args, kwargs, takes)
        try:
            return encode(payload, settings.JOBS_MAX_PAYLOAD)
        except ValueError as error:
            raise InvalidPayload(f"{self.name}: payload {error}", [{"loc": [], "msg": str(error)}]) from None

    def _check_arguments(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        try:
            self.__header__(*args, **kwargs)
        except TypeError as error:
            raise TypeError(f"{self.name}: {error}") from None

    def _validated(self, args: tuple[Any, ...], kwargs: Any, takes: str | None) -> dict[str, Any]:
        model = cast("type[Payload]", self.payload_model)
        if isinstance(kwargs, Payload):
            if not isinstance(kwargs, model):
                raise InvalidPayload(f"{self.name}: expected {model.__name__}, got {type(kwargs).__name__}")
            return kwargs.model_dump(mode="json", by_alias=True)
        names = list(model.model_fields)
        if len(args) > len(names):
            raise InvalidPayload(f"{self.name}: {len(args)} positional values for {len(names)} fields")
        fields = dict(zip(names, args, strict=False)) | dict(kwargs)
        try:
            return model.model_validate(fields).model_dump(mode="json", by_alias=True)
        except ValidationError as error:
            wrong = [e for e in _errors(error) if not (takes and e["loc"] == [takes] and e["type"] == "missing")]
            if wrong:
                raise invalid_payload(self.name, wrong) from None
            return {model.model_fields[name].alias or name if name in names else name: v for name, v in fields.items()}

    def first_field(self) -> str:
        """Where the result of the job before goes: the first declared field, "" for a plain task's first argument."""
        if self.payload_model is None:
            return ""
        for name, field in self.payload_model.model_fields.items():
            return field.alias or name
        raise InvalidCanvas(f"{self.name} has no field that could take the result before it: use .si()")

    def apply(self, *args: Any, **kwargs: Any) -> Any:
        """Run it here and now, untracked, as Celery does in eager mode."""
        return super().apply(*args, **kwargs)

    # --- running it -------------------------------------------------------------------------------------------

    def retry(
        self,
        args: Any = None,
        kwargs: Any = None,
        exc: BaseException | None = None,
        throw: bool = True,
        eta: Any = None,
        countdown: float | None = None,
        max_retries: int | None = None,
        **opts: Any,
    ) -> CeleryRetry:
        """Celery's `self.retry`: ends this attempt; the row waits for the next."""
        request = self.request
        if request.called_directly or request.is_eager:
            return super().retry(args, kwargs, exc, throw, eta, countdown, max_retries, **opts)
        if args is not None or kwargs is not None or opts:
            raise InvalidOption(
                "a job keeps its payload and options between attempts: enqueue another one instead", field="args"
            )
        limit = self.max_retries if max_retries is None else max_retries
        if limit is not None and request.retries >= limit:
            raise exc or self.MaxRetriesExceededError(f"Can't retry {self.name}[{request.id}]: {limit} retries are used up")
        when = eta if eta is not None else self.default_retry_delay if countdown is None else countdown
        retry = CeleryRetry(exc=exc, when=when)
        if throw:
            raise retry
        return retry

    def replace(self, sig: Signature) -> Any:
        """Celery's `self.replace` would hand this job's id to another task: refused."""
        raise InvalidCanvas("replace() is not supported: enqueue a child, or make the task part of a chain")

    def max_attempts_by_default(self) -> int:
        if self.max_attempts is not None:
            return self.max_attempts
        if self.payload_model is not None:
            return int(settings.JOBS_MAX_ATTEMPTS)
        return options.UNLIMITED if self.max_retries is None else min(self.max_retries + 1, options.UNLIMITED)

    def timeout_of(self, payload: str) -> float:
        """Seconds this payload (JSON) may take."""
        if callable(self.timeout):
            return float(self.timeout(json.loads(payload)))
        return float(self.timeout or self.time_limit or settings.JOBS_TIMEOUT)

    def redact(self, payload: Any) -> Any:
        """The payload as it may be shown."""
        return payload if self.payload_model is None else redact(self.payload_model, payload)

    @property
    def description(self) -> str:
        """The first paragraph of the function's docstring."""
        return " ".join((self.__doc__ or "").strip().partition("\n\n")[0].split())


def processor(
    *,
    queue: str = "default",
    priority: int | str = "normal",
    max_attempts: int | None = None,
    backoff: Backoff | Callable[[int, BaseException], float] | None = None,
    timeout: float | timedelta | Callable[[Any], float] | None = None,
    retention: Mapping[str, float] | None = None,
    name: str | None = None,
) -> Callable[[Body], Processor]:
    """Declare a job type: `def name(payload: SomePayload, job: JobContext) -> SomeResult`.

    `max_attempts` counts runs; `timeout` is in seconds, or a function of the payload; `backoff` may be a function
    of attempt and error that gives seconds. Everything is checked here, at import.
    """

    def declare(body: Body) -> Processor:
        hints = _hints(body)
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
                raise invalid_payload(type_name, _errors(error)) from None
            return _plain(body(payload, _context(self)))

        declared = shared_task(
            bind=True,
            name=type_name,
            queue=queue,
            priority=options.priority(priority),
            payload_model=model,
            result_model=None if returns is type(None) else returns,
            max_attempts=max_attempts,
            backoff=backoff or Backoff(),
            timeout=timeout.total_seconds() if isinstance(timeout, timedelta) else timeout,
            retention=retention,
            body=staticmethod(body),
            typing=False,
        )(functools.wraps(body, assigned=("__module__", "__name__", "__qualname__", "__doc__"), updated=())(run))
        return cast("Processor", declared)

    return declare


# What the API takes beside a payload's fields in one flat object.
_OPTION_NAMES = frozenset(
    "type payload priority scheduledFor scheduled_for maxRetries max_retries maxAttempts max_attempts backoff queue "
    "uniqueKey unique_key tags".split()
)


def _hints(body: Body) -> dict[str, Any]:
    import typing

    return typing.get_type_hints(body)


def _context(task: Processor) -> JobContext:
    context = task.request.get("job_context")
    if context is None:
        raise RuntimeError(f"{task.name} runs as a job only: enqueue it, or use jobs.testing.perform")
    return cast("JobContext", context)


def _plain(result: Any) -> Any:
    """What JSON can say of a result."""
    return TypeAdapter(type(result)).dump_python(result, mode="json", by_alias=True) if isinstance(result, BaseModel) else result


def _errors(error: ValidationError) -> list[dict[str, Any]]:
    return [{"loc": list(e["loc"]), "msg": e["msg"], "type": e["type"]} for e in error.errors(include_url=False, include_input=False)]


def invalid_payload(name: str, errors: list[dict[str, Any]]) -> InvalidPayload:
    """The error that names each wrong field and what was expected."""
    wrong = [{"loc": e["loc"], "msg": e["msg"]} for e in errors]
    told = "; ".join(f"{'.'.join(map(str, e['loc'])) or 'payload'}: {e['msg']}" for e in wrong)
    return InvalidPayload(f"{name}: {told}", wrong)


def current_job() -> UUID | None:
    """The job that this thread runs."""
    request = current_task.request if current_task else None
    if request is None or request.called_directly or request.is_eager or not request.id:
        return None
    return UUID(request.id)


def processors() -> dict[str, Processor]:
    """Every job type by name, without Celery's own tasks."""
    return {name: task for name, task in sorted(current_app.tasks.items()) if not name.startswith("celery.")}


def get_processor(name: str) -> Processor:
    """The job type of this name; a hyphen means an underscore."""
    tasks = current_app.tasks
    found = tasks.get(name) or tasks.get(name.replace("-", "_"))
    if found is None:
        raise UnknownProcessor(f"unknown job type {name!r}")
    return cast("Processor", found)


def _new_job(type_: "str | Processor", payload: Any, opts: Mapping[str, Any]) -> NewJob:
    found = get_processor(type_) if isinstance(type_, str) else type_
    return found.new_job(found.encode_payload((), payload if payload is not None else {}), opts)


def enqueue(type_: "str | Processor", payload: Payload | Mapping[str, Any] | None = None, **opts: Any) -> Enqueued:
    """Insert a job in the caller's transaction. Raises UnknownProcessor, InvalidPayload, InvalidOption, UnknownQueue."""
    return lifecycle.enqueue([_new_job(type_, payload, opts)])[0]


def enqueue_many(jobs: Iterable[tuple[Any, ...]]) -> list[Enqueued]:
    """Insert many jobs in one statement, all or none: (type, payload) or (type, payload, options) each."""
    rows = []
    for index, (type_, payload, *rest) in enumerate(jobs):
        try:
            rows.append(_new_job(type_, payload, rest[0] if rest else {}))
        except InvalidPayload as error:
            wrong = [{**e, "loc": [index, *cast("list[Any]", e["loc"])]} for e in error.errors]
            raise InvalidPayload(f"job {index}: {error}", wrong) from None
        except (UnknownProcessor, ValueError) as error:
            error.args = (f"job {index}: {error}",)
            raise
    return lifecycle.enqueue(rows)


def resolve_step(signature: Signature, takes_result: bool) -> Step:
    """A canvas's signature as a step: type, payload and options resolved now, not when its turn comes."""
    task = get_processor(signature.task)
    takes = task.first_field() if takes_result else None
    opts = {k: v for k, v in signature.options.items() if k not in ("link", "link_error", "group_id")}
    if opts.get("unique_key"):
        raise InvalidOption("unique_key: a job inside a canvas cannot have one", field="unique_key")
    kwargs = dict(signature.kwargs)
    if takes and (takes in kwargs or signature.args):
        raise InvalidCanvas(f"{task.name}: {takes} is given and would also take the result before it: use .si()")
    job = task.new_job(task.encode_payload(tuple(signature.args), kwargs, takes=takes), opts)
    step: Step = {
        "id": str(job.id),
        "type": job.type,
        "payload": json.loads(job.payload),
        "queue": job.queue,
        "priority": job.priority,
        "max_attempts": job.max_attempts,
        "timeout": job.timeout,
        "backoff": job.backoff,
        "delay": job.delay,
        "scheduled_at": job.scheduled_at and job.scheduled_at.isoformat(),
        "expires_in": job.expires_in,
        "expires_at": job.expires_at and job.expires_at.isoformat(),
        "tags": list(job.tags),
        "takes": takes,
    }
    return {key: value for key, value in step.items() if value is not None and value != []}


def pause_queue(name: str, *, reason: str) -> bool:
    """Stop a queue whose every job would fail, such as after a refused token, until a person resumes it."""
    return lifecycle.pause(name, actor="processor", reason=reason)
