"""Which job types there are, and what each takes and gives."""

from typing import Any

from django.conf import settings
from django.http import HttpRequest
from pydantic import TypeAdapter

from jobs.api import auth
from jobs.api.platform import BackoffOut, JobTypeOut
from jobs.api.problems import declared
from jobs.api.routing import Router
from jobs.models import Priority
from jobs.processor import Backoff, Processor, processors

router = Router("platform")

# The payload of a Celery task that declares no model.
PLAIN_TASK: dict[str, Any] = {
    "type": "object",
    "properties": {"args": {"type": "array"}, "kwargs": {"type": "object"}},
    "additionalProperties": False,
}


@router.get("/types", auth=auth.READ, response={200: list[JobTypeOut], **declared()})
def job_types(request: HttpRequest) -> list[JobTypeOut]:
    """Every job type: its queue, priority and retry policy, and the JSON Schemas of its payload and result."""
    return [_job_type(name, processor) for name, processor in sorted(processors().items())]


def payload_schema(processor: Processor) -> dict[str, Any]:
    """JSON Schema of the payload, camelCase."""
    return processor.payload_model.model_json_schema() if processor.payload_model else PLAIN_TASK


def _job_type(name: str, processor: Processor) -> JobTypeOut:
    backoff, result = processor.backoff, processor.result_model
    return JobTypeOut(
        type=name,
        description=processor.description,
        queue=processor.queue or settings.CELERY_TASK_DEFAULT_QUEUE,
        priority=processor.priority or Priority.NORMAL,
        max_attempts=processor.max_attempts_by_default(),
        backoff=BackoffOut(**backoff.as_dict()) if isinstance(backoff, Backoff) else None,
        timeout=None if callable(processor.timeout) else processor.timeout_of("{}"),
        payload_schema=payload_schema(processor),
        result_schema=None if result is None else TypeAdapter(result).json_schema(),
    )
