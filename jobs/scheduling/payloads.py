"""A schedule's payload: as its job's row would have it, and as it may be shown."""

import json
from contextlib import suppress
from typing import Any

from django_celery_beat.models import PeriodicTask

from jobs.calling import get_processor
from jobs.errors import InvalidPayload, UnknownProcessor
from jobs.payload import REDACTED


def payload_of(task: PeriodicTask) -> dict[str, Any]:
    """In the shape a job's row has. InvalidPayload if there is no JSON, or no object, in the schedule's row."""
    try:
        args, kwargs = json.loads(task.args or "[]"), json.loads(task.kwargs or "{}")
    except ValueError as error:
        raise InvalidPayload(f"the schedule's payload is not JSON: {error}") from None
    if not (isinstance(args, list) and isinstance(kwargs, dict)):
        raise InvalidPayload("the schedule's payload is not a JSON object")
    with suppress(UnknownProcessor):
        if get_processor(task.task).payload_model is None and (args or kwargs):
            return {"args": args, "kwargs": kwargs}
    return kwargs


def known_payload(task: PeriodicTask) -> dict[str, Any]:
    """The same; empty if it cannot be read."""
    try:
        return payload_of(task)
    except InvalidPayload:
        return {}


def shown_payload(task: PeriodicTask) -> dict[str, Any]:
    """Without secret values; without any where the code that knows which is gone; empty if it cannot be read."""
    payload = known_payload(task)
    try:
        return dict(get_processor(task.task).redact(payload))
    except UnknownProcessor:
        return dict.fromkeys(payload, REDACTED)
