"""The options of a job: ours and the ones Celery users know, checked and resolved to a `NewJob`."""

import json
import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID

from django.conf import settings
from django.utils import timezone

from jobs import logs
from jobs.encoding import storable
from jobs.errors import InvalidOption, UnknownQueue, seconds
from jobs.lifecycle import NewJob
from jobs.models import Priority
from jobs.payload import Backoff
from jobs.sessions import fetch

if TYPE_CHECKING:
    from jobs.calling import Processor

UNLIMITED = 32_767  # the row's largest number of attempts
LONGEST = 10 * 365 * 86400  # seconds of a delay

# What Celery passes along and a job has no use for: there is no message.
IGNORED = frozenset(
    "producer connection router exchange routing_key serializer compression delivery_mode mandatory immediate "
    "headers shadow add_to_parent group_index chord root_id parent_id ignore_result result_cls task_type publisher "
    "retry retry_policy reply_to time_limit soft_time_limit stamped_headers stamps replaced_task_nesting "
    "correlation_id result_extended argsrepr kwargsrepr route_name chain interval max_retries".split()
)


def resolve(processor: "Processor", payload: str, options: Mapping[str, Any]) -> NewJob:
    """The row of a job. Raises InvalidOption or UnknownQueue, naming what is wrong."""
    if options and (unknown := options.keys() - _READERS.keys() - IGNORED):
        raise InvalidOption(f"unknown option: {', '.join(sorted(unknown))}", field=min(unknown))
    job = NewJob(
        type=processor.name,
        payload=payload,
        queue=processor.queue or settings.CELERY_TASK_DEFAULT_QUEUE,
        priority=_given_or_usual(processor, payload, options.get("priority")),
        max_attempts=processor.max_attempts_by_default(),
        timeout=_timeout("timeout", processor.timeout_of(payload)),
        request_id=logs.request_id(),
    )
    if processor.expires is not None:
        _expires(job, "expires", processor.expires)
    for name, value in options.items():
        if value is not None and name in _READERS:
            _READERS[name](job, name, value)
    if job.queue not in settings.JOBS_QUEUES:
        raise UnknownQueue(f"unknown queue {job.queue!r}: the queues are {', '.join(sorted(settings.JOBS_QUEUES))}")
    job.max_attempts = max(job.max_attempts, min(job.attempt + 1, UNLIMITED))
    return job


def _given_or_usual(processor: "Processor", payload: str, given: Any) -> int:
    if given is None and processor.rank is not None:
        with suppress(LookupError):  # a step of a chain whose first field is still to come
            given = processor.rank(json.loads(payload))
    if given is None:
        given = processor.priority
    return int(Priority.NORMAL) if given is None else priority(given)


def priority(value: int | str) -> int:
    """1 to 10 from a number or a name."""
    if isinstance(value, str) and value.upper() in Priority.__members__:
        return int(Priority[value.upper()])
    if isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= 10:
        return int(value)
    names = ", ".join(name.lower() for name in Priority.__members__)
    raise InvalidOption(f"priority: expected 1 to 10 or one of {names}, got {value!r}", field="priority")


def job_id(value: Any, name: str = "task_id") -> UUID:
    try:
        return value if isinstance(value, UUID) else UUID(str(value))
    except ValueError:
        raise InvalidOption(f"{name}: expected a UUID, got {value!r}", field=name) from None


def _number(name: str, value: Any, low: float, high: float = math.inf) -> float:
    if isinstance(value, int | float) and not isinstance(value, bool) and low <= value <= high:
        with suppress(OverflowError):  # a whole number that is too large for a float
            if math.isfinite(number := float(value)):
                return number
    raise InvalidOption(f"{name}: expected a number from {low:g} to {high:g}, got {value!r}", field=name)


def _timeout(name: str, value: Any) -> float:
    return _number(name, value, 0.001, 7 * 86400)


def _whole(name: str, value: Any, low: int, high: int) -> int:
    if not isinstance(value, int):
        raise InvalidOption(f"{name}: expected a whole number, got {value!r}", field=name)
    return int(_number(name, value, low, high))


def _moment(name: str, value: Any) -> datetime:
    """A point in time. Celery takes naive ones as being in its own time zone; so do we."""
    moment = value
    if isinstance(value, str):
        with suppress(ValueError):
            moment = datetime.fromisoformat(value)
    if not isinstance(moment, datetime):
        raise InvalidOption(f"{name}: expected a date and time, got {value!r}", field=name)
    return timezone.make_aware(moment) if timezone.is_naive(moment) else moment


def _text(name: str, value: Any, longest: int) -> str:
    if not isinstance(value, str) or not 1 <= len(value) <= longest or storable(value) != value:
        raise InvalidOption(f"{name}: expected text of 1 to {longest} characters, got {value!r}", field=name)
    return value


def _delay(job: NewJob, name: str, value: Any) -> None:
    delay = seconds(value) if isinstance(value, timedelta) else value
    job.delay = max(0.0, _number(name, delay, -math.inf, LONGEST))


def _eta(job: NewJob, name: str, value: Any) -> None:
    job.scheduled_at = _moment(name, value)


def _expires(job: NewJob, name: str, value: Any) -> None:
    if isinstance(value, int | float | timedelta):
        left = _number(name, seconds(value) if isinstance(value, timedelta) else value, -math.inf, LONGEST)
        job.expires_in = left
    else:
        job.expires_at = _moment(name, value)
        left = (job.expires_at - timezone.now()).total_seconds()
        if left <= 0:  # by this machine's clock; what counts is the database's
            left = fetch("SELECT extract(epoch FROM %(at)s - clock_timestamp())::float8", {"at": job.expires_at})[0][0]
    if left <= 0:
        raise InvalidOption(f"{name}: {value} is in the past", field=name)


def _backoff(job: NewJob, name: str, value: Any) -> None:
    if not isinstance(value, Backoff):
        raise InvalidOption(f"{name}: expected a Backoff, got {value!r}", field=name)
    job.backoff = value.as_dict()


def _tags(job: NewJob, name: str, value: Any) -> None:
    if isinstance(value, str) or not isinstance(value, Sequence):
        raise InvalidOption(f"{name}: expected a list of texts, got {value!r}", field=name)
    job.tags = [_text(name, tag, 100) for tag in value]


def _set(attribute: str, read: Callable[[str, Any], Any]) -> Callable[[NewJob, str, Any], None]:
    return lambda job, name, value: setattr(job, attribute, read(name, value))


def _short(longest: int) -> Callable[[str, Any], str]:
    return lambda name, value: _text(name, value, longest)


_READERS: dict[str, Callable[[NewJob, str, Any], None]] = {
    "task_id": _set("id", lambda name, value: job_id(value, name)),
    "queue": _set("queue", lambda name, value: _text(name, getattr(value, "name", value), 100).replace("-", "_")),
    "priority": lambda job, name, value: None,  # `resolve` has read it
    "countdown": _delay,
    "delay": _delay,
    "eta": _eta,
    "scheduled_at": _eta,
    "expires": _expires,
    "expires_at": _expires,
    "retries": _set("attempt", lambda name, value: _whole(name, value, 0, UNLIMITED - 1)),
    "max_attempts": _set("max_attempts", lambda name, value: _whole(name, value, 1, UNLIMITED)),
    "backoff": _backoff,
    "timeout": _set("timeout", _timeout),
    "unique_key": _set("unique_key", _short(255)),
    "created_by": _set("created_by", lambda name, value: _text(name, str(value)[:150], 150) if value else ""),
    "tags": _tags,
    "schedule": _set("schedule", _short(200)),
    "parent": _set("parent", lambda name, value: job_id(value, name)),
    "group_id": _set("group", lambda name, value: job_id(value, name)),
    "link": lambda job, name, value: None,  # read by `jobs.processor`
    "link_error": lambda job, name, value: None,
}
