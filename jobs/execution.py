"""One run of a job where its body runs: a pool's thread or child, or a test. From a claimed row to an `Outcome`.

Everything that can go wrong with a job's code, its payload or its result ends here, as plain data: what leaves
can always be stored, and always be sent through a pipe.
"""

import json
import logging
import time
import traceback
from datetime import datetime
from functools import cached_property
from typing import Any
from uuid import UUID

from billiard.common import terminate_handler_fired  # type: ignore[attr-defined]
from billiard.einfo import ExceptionInfo
from celery.exceptions import Ignore, Reject, SoftTimeLimitExceeded
from celery.exceptions import Retry as CeleryRetry
from django.conf import settings
from django.utils import timezone
from pydantic import BaseModel

from jobs import lifecycle, logs
from jobs.calling import Processor
from jobs.context import JobContext
from jobs.encoding import encode, storable
from jobs.errors import Cancelled, Discard, InvalidResult, JobError, JobTimeout, Retry, Snooze
from jobs.lifecycle import Claimed, Error, Outcome, Verb
from jobs.payload import Backoff, secrets, without

log = logging.getLogger("jobs")

LONGEST = 10 * 365 * 86400.0  # seconds of a delay: what a job asks for must be a time that Postgres knows


def run(task: Processor, job: Claimed, request: dict[str, Any]) -> Outcome:
    """Run the body under Celery's tracer and say what became of it. Never raises for what a job does."""
    redact = Redactor(task, job)
    context = JobContext(job.id, job.run, job.attempt, job.max_attempts, redact)
    token = logs.begin_run(job, redact)
    try:
        outcome = _run(task, job, request, context)
        context.end()
    finally:
        logs.end_run(token)
    outcome.progress = context.latest
    return outcome


def _run(task: Processor, job: Claimed, request: dict[str, Any], context: JobContext) -> Outcome:
    started = time.monotonic()
    payload: Any = None
    try:
        payload = json.loads(job.payload)
        args, kwargs = task.arguments(payload)
        if job.members is not None:
            members = json.loads(job.members)
            _take(args, kwargs, members["takes"], lifecycle.member_results(UUID(members["group"])))
        traced = task.__trace__(request["id"], args, kwargs, {**request, "job_context": context})
        seconds = time.monotonic() - started
        if isinstance(traced.retval, ExceptionInfo):
            # The error as it was raised: for its own, Celery puts a base class in place of one that it cannot pickle.
            error: Any = traced.info.retval if traced.info else traced.retval.exception
            outcome = of_error(task, job, error, "".join(traceback.format_exception(error)), payload)
        else:
            outcome = Outcome(job.id, job.run, Verb.COMPLETE, result=_encode(traced.retval))
    except BaseException as refused:  # a payload that is not what was enqueued, a result that is not JSON, sys.exit()
        if terminate_handler_fired():
            raise  # this process was told to end, by our parent: no doing of the job
        seconds = time.monotonic() - started
        outcome = of_error(task, job, refused, "".join(traceback.format_exception(refused)), payload)
    outcome.seconds = seconds
    return outcome


def _take(args: Any, kwargs: Any, takes: str, value: Any) -> None:
    if takes == "":
        args.insert(0, value)
    else:
        kwargs[takes] = value


def _encode(result: Any) -> str:
    try:
        return encode(result, settings.JOBS_MAX_PAYLOAD)
    except ValueError as error:
        raise InvalidResult(f"the result is {error}") from None


def of_error(task: Processor, job: Claimed, error: BaseException, trace: str, payload: Any) -> Outcome:
    """What an exception means for the job: the one place where errors become verbs."""
    verb, delay, shown = _verdict(task, job, error)
    delay = min(max(0.0, delay), LONGEST)
    if verb in (Verb.SNOOZE, Verb.CANCEL, Verb.GIVE_BACK):
        return Outcome(job.id, job.run, verb, delay=delay)
    hide = secrets(task.payload_model, payload) if task.payload_model and payload is not None else set()
    told = storable(without(_message(shown), hide)), storable(without(trace, hide))
    return Outcome(
        job.id,
        job.run,
        verb,
        delay=delay,
        result=_kept(error),
        error=Error(type(shown).__name__, *told, _classification(shown, verb)),
        max_attempts=getattr(error, "max_attempts", None) if isinstance(error, CeleryRetry) else None,
    )


def _kept(error: BaseException) -> str | None:
    """What a job that ends so has nevertheless."""
    if not isinstance(error, Discard | Retry) or error.result is None:
        return None
    result = error.result
    try:
        return _encode(result.model_dump(mode="json", by_alias=True) if isinstance(result, BaseModel) else result)
    except InvalidResult as refused:  # the job failed for another reason: that is what it says
        log.warning("what a failed job would keep was left out: %s", refused)
        return None


class Redactor:
    """Takes the payload's secrets out of a text. They are looked for when the first text comes: most jobs have none."""

    def __init__(self, task: Processor, job: Claimed) -> None:
        self.task = task
        self.job = job

    def __call__(self, text: str) -> str:
        return without(text, self.hidden)

    @cached_property
    def hidden(self) -> set[str]:
        return secrets(self.task.payload_model, json.loads(self.job.payload)) if self.task.payload_model else set()


def _message(error: BaseException) -> str:
    try:
        return str(error)
    except Exception:
        return f"a {type(error).__name__} that cannot be shown"


def _verdict(task: Processor, job: Claimed, error: BaseException) -> tuple[Verb, float, BaseException]:
    """Verb, delay in seconds, and the error to show."""
    match error:
        case CeleryRetry():
            return Verb.RETRY, _seconds(error.when), error.exc or error
        case Snooze():
            return Verb.SNOOZE, error.after, error
        case Cancelled():
            return Verb.CANCEL, 0.0, error
        case Ignore():
            return Verb.CANCEL, 0.0, error
        case Reject():
            requeue: bool = error.requeue  # type: ignore[attr-defined]
            return (Verb.GIVE_BACK if requeue else Verb.FAIL), 0.0, error
        case Retry() if error.after is not None:
            return Verb.RETRY, error.after, error
        case Retry() | JobTimeout() | SoftTimeLimitExceeded():
            return _another(task), _backoff(task, job, error), error
        case JobError():
            return Verb.FAIL, 0.0, error
        case _ if task.payload_model is None:  # a plain task asks for its retries itself
            return Verb.FAIL, 0.0, error
        case _:
            return Verb.RETRY, _backoff(task, job, error), error


def _another(task: Processor) -> Verb:
    return Verb.RETRY if task.payload_model is not None else Verb.FAIL


def _backoff(task: Processor, job: Claimed, error: BaseException) -> float:
    own = Backoff(**json.loads(job.backoff)) if job.backoff else task.backoff
    if isinstance(own, Backoff):
        return own.delay(job.attempt)
    try:
        return float(own(job.attempt, error))
    except Exception:
        log.exception("the backoff of %s failed: using the default", task.name)
        return Backoff().delay(job.attempt)


def _seconds(when: Any) -> float:
    """Celery's `when`: seconds, or a time."""
    if isinstance(when, datetime):
        aware = timezone.make_aware(when) if timezone.is_naive(when) else when
        return (aware - timezone.now()).total_seconds()
    return float(when or 0)


def _classification(error: BaseException, verb: Verb) -> str:
    if isinstance(error, JobError):
        return error.classification
    if isinstance(error, SoftTimeLimitExceeded):
        return JobTimeout.classification
    return "permanent" if verb is Verb.FAIL else "retryable"
