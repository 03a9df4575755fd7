"""A schedule's payload: as its job's row would have it, as it may be shown, and with its secrets kept at a change."""

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


def shown_payload(task: PeriodicTask) -> dict[str, Any]:
    """Without secret values; without any where the code that knows which is gone; empty if it cannot be read."""
    try:
        payload = payload_of(task)
        return dict(get_processor(task.task).redact(payload))
    except UnknownProcessor:
        return dict.fromkeys(payload, REDACTED)
    except InvalidPayload:
        return {}


def with_secrets(new: Any, shown: Any, old: Any) -> Any:
    """`new` with the values of `old` wherever it is what was shown of them."""
    if new == shown:
        return old
    if isinstance(new, dict) and isinstance(shown, dict) and isinstance(old, dict):
        return {
            key: with_secrets(value, shown.get(key), old[key]) if key in old else value for key, value in new.items()
        }
    if isinstance(new, list) and isinstance(shown, list) and isinstance(old, list):
        known = list(zip(shown, old, strict=True))
        return [with_secrets(value, *known[i]) if i < len(known) else value for i, value in enumerate(new)]
    return new
