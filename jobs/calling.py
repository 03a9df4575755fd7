"""Processor: the class of every Celery task. Its `delay`, `apply_async` and place in a canvas insert rows.

One that @processor declares (`jobs.processor`) has a payload model; a plain @shared_task's payload is its args and
kwargs.
"""

import json
import warnings
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from datetime import datetime
from typing import Any, cast
from uuid import UUID

from asgiref.sync import sync_to_async
from celery import Celery, Signature, Task, current_app, current_task
from celery.exceptions import CDeprecationWarning
from celery.exceptions import Retry as CeleryRetry
from django.conf import settings
from pydantic import ValidationError

from jobs import gathering, lifecycle, options
from jobs.canvas import Planner, Step, check_size, planning
from jobs.context import JobContext
from jobs.encoding import encode
from jobs.errors import InvalidCanvas, InvalidOption, InvalidPayload, JobError, UnknownProcessor
from jobs.lifecycle import Enqueued, NewJob
from jobs.payload import Backoff, Payload, redact

Body = Callable[[Any, JobContext], Any]

# Options by which a job may have to wait for another transaction, and those that ask for the database's time.
ALONE = frozenset(("unique_key", "task_id", "expires", "expires_at"))


class Processor(Task[..., Any]):
    """The code of a job type, and the class of every Celery task of this application."""

    throws = (JobError,)  # what a job says of itself is no surprise: Celery logs it without a traceback
    queue: str | None = None
    payload_model: type[Payload] | None = None
    result_model: Any = None  # what the result is: a type that pydantic knows
    max_attempts: int | None = None
    rank: Callable[[Any], int] | None = None  # the priority of a payload, where it is not the type's own
    backoff: Backoff | Callable[[int, BaseException], float] = Backoff()
    timeout: float | Callable[[Any], float] | None = None  # seconds
    on_lost: str = "retry"  # or "fail": what becomes of a plain task whose worker was lost
    retention: Mapping[str, float] | None = None  # status → seconds; the settings' where missing
    body: Body | None = None

    @classmethod
    def bind(cls, app: Celery) -> Any:
        """Without Celery's advice against `queue` and `priority` on a task: here they are the job's own."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", CDeprecationWarning)
            return super().bind(app)

    # --- calling it -------------------------------------------------------------------------------------------

    def enqueue(self, payload: Payload | Mapping[str, Any] | None = None, **opts: Any) -> Enqueued:
        """Insert a job in the caller's transaction. Options: `jobs.options`."""
        return lifecycle.enqueue([self.new_job(self.encode_row_payload(payload), opts)])[0]

    async def aenqueue(self, payload: Payload | Mapping[str, Any] | None = None, **opts: Any) -> Enqueued:
        """The same for async code.

        Called from synchronous code (`async_to_sync`, a test) it inserts the job in that thread and its transaction,
        as `sync_to_async` would. Else it returns once the job is committed, in a commit shared with others that wait;
        a job whose options may make Postgres wait, or be asked, has one of its own.
        """
        if gathering.has_caller() or not ALONE.isdisjoint(opts):
            return await sync_to_async(self.enqueue)(payload, **opts)
        return await gathering.enqueue(self.new_job(self.encode_row_payload(payload), opts))

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
                tuple(args or ()), dict(kwargs or {}), task_id, producer, link, link_error, shadow, **opts
            )
        opts = {**self._get_exec_options(), **opts}  # type: ignore[attr-defined]
        job = self.new_job(self.encode_payload(tuple(args or ()), kwargs or {}), {**opts, "task_id": task_id})
        if link or link_error:
            with planning():
                job.canvas = Planner(self.app, resolve_step).callbacks(link, link_error, [])
            check_size(job.canvas)
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

    def encode_row_payload(self, payload: Any) -> str:
        """The same of a payload in the shape its row has: a plain task's is `{"args": [...], "kwargs": {...}}`."""
        payload = {} if payload is None else payload
        if not isinstance(payload, Mapping | Payload):
            raise self._invalid(f"expected an object, got {type(payload).__name__}")
        if self.payload_model is not None:
            return self.encode_payload((), payload)
        if isinstance(payload, Payload):
            raise self._invalid(f"it is a plain task, {type(payload).__name__} is a processor's payload")
        args, kwargs = self.arguments(payload)
        try:
            return self.encode_payload(tuple(args), kwargs)
        except TypeError as error:
            raise InvalidPayload(str(error), [{"loc": [], "msg": str(error)}]) from None

    def arguments(self, payload: Any) -> tuple[Any, Any]:
        """Positional and keyword arguments of a call, out of a payload in the shape its row has."""
        if not isinstance(payload, Mapping):
            raise self._invalid(f"expected an object, got {type(payload).__name__}")
        if self.payload_model is not None:
            return [], payload
        args, kwargs = payload.get("args", []), payload.get("kwargs", {})
        if payload.keys() - {"args", "kwargs"} or not isinstance(args, list | tuple) or not isinstance(kwargs, dict):
            raise self._invalid('expected {"args": [...], "kwargs": {...}}')
        return args, kwargs

    def _invalid(self, message: str) -> InvalidPayload:
        return InvalidPayload(f"{self.name}: {message}", [{"loc": [], "msg": message}])

    def _check_arguments(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        try:
            self.__header__(*args, **kwargs)  # type: ignore[attr-defined]
        except TypeError as error:
            raise TypeError(f"{self.name}: {error}") from None

    def _validated(self, args: tuple[Any, ...], kwargs: Any, takes: str | None) -> dict[str, Any]:
        model = cast("type[Payload]", self.payload_model)
        if isinstance(kwargs, Payload):
            if not isinstance(kwargs, model):
                raise self._invalid(f"expected {model.__name__}, got {type(kwargs).__name__}")
            return kwargs.model_dump(mode="json", by_alias=True)
        names = list(model.model_fields)
        if len(args) > len(names):
            raise self._invalid(f"{len(args)} positional values for {len(names)} fields")
        fields = dict(zip(names, args, strict=False)) | dict(kwargs)
        try:
            return model.model_validate(fields).model_dump(mode="json", by_alias=True)
        except ValidationError as error:
            wrong = [e for e in errors_of(error) if not (takes and e["loc"] == [takes] and e["type"] == "missing")]
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

    # --- running it -------------------------------------------------------------------------------------------

    def retry(
        self,
        args: Any = None,
        kwargs: Any = None,
        exc: Exception | None = None,
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
            raise exc or self.MaxRetriesExceededError(
                f"Can't retry {self.name}[{request.id}]: {limit} retries are used up"
            )
        if eta is not None and not isinstance(eta, datetime):
            raise InvalidOption(f"eta: expected a date and time, got {eta!r}", field="eta")
        when: Any = eta or float(self.default_retry_delay if countdown is None else countdown)
        retry = CeleryRetry(exc=exc, when=when)
        if max_retries is not None:
            retry.max_attempts = min(max_retries + 1, options.UNLIMITED)  # type: ignore[attr-defined]
        if throw:
            raise retry
        return retry

    def replace(self, sig: Signature[Any]) -> Any:
        """Celery's `self.replace` would hand this job's id to another task: refused."""
        raise InvalidCanvas("replace() is not supported: enqueue a child, or make the task part of a chain")

    def max_attempts_by_default(self) -> int:
        if self.max_attempts is not None:
            return self.max_attempts
        if self.payload_model is not None:
            return int(settings.JOBS_MAX_ATTEMPTS)
        retries = getattr(self, "retry_kwargs", {}).get("max_retries", self.max_retries)  # of `autoretry_for`
        return options.UNLIMITED if retries is None else min(retries + 1, options.UNLIMITED)

    def timeout_of(self, payload: str) -> float:
        """Seconds this payload (JSON) may take."""
        if callable(self.timeout):
            with suppress(LookupError):  # a step of a chain whose first field is still to come
                return float(self.timeout(json.loads(payload)))
            return float(settings.JOBS_TIMEOUT)
        return float(self.timeout or self.time_limit or settings.JOBS_TIMEOUT)

    def redact(self, payload: Any) -> Any:
        """The payload as it may be shown."""
        return payload if self.payload_model is None else redact(self.payload_model, payload)

    @property
    def description(self) -> str:
        """The first paragraph of the function's docstring."""
        return " ".join((self.__doc__ or "").strip().partition("\n\n")[0].split())


def errors_of(error: ValidationError) -> list[dict[str, Any]]:
    """Each wrong field, without the value that was given: it may be a secret."""
    errors = error.errors(include_url=False, include_input=False)
    return [{"loc": list(e["loc"]), "msg": e["msg"].removeprefix("Value error, "), "type": e["type"]} for e in errors]


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
    tasks = cast("dict[str, Processor]", current_app.tasks)
    return {name: task for name, task in sorted(tasks.items()) if not name.startswith("celery.")}


def get_processor(name: str) -> Processor:
    """The job type of this name; a hyphen means an underscore."""
    tasks = current_app.tasks
    found = tasks.get(name) or tasks.get(name.replace("-", "_"))
    if found is None:
        raise UnknownProcessor(f"unknown job type {name!r}")
    return cast("Processor", found)


def resolve_step(signature: Signature[Any], takes_result: bool) -> Step:
    """A canvas's signature as a step: type, payload and options resolved now, not when its turn comes."""
    task = get_processor(str(signature.task))
    takes = task.first_field() if takes_result else None
    opts = {k: v for k, v in signature.options.items() if k not in ("link", "link_error", "group_id")}
    if opts.get("unique_key"):
        raise InvalidOption("unique_key: a job inside a canvas cannot have one", field="unique_key")
    kwargs = dict(signature.kwargs)
    first = {takes, *list(task.payload_model.model_fields)[:1]} if task.payload_model else set()
    if takes and (first & kwargs.keys() or signature.args):
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
        "scheduled_at": job.scheduled_at and str(job.scheduled_at),
        "expires_in": job.expires_in,
        "expires_at": job.expires_at and str(job.expires_at),
        "tags": list(job.tags),
        "request_id": job.request_id,
        "takes": takes,
    }
    return {key: value for key, value in step.items() if value is not None and value != []}
