"""What people and clients may see of a job's row, wherever they look: API, admin, dashboard."""

from typing import Any

from jobs.errors import UnknownProcessor
from jobs.models import Job, Status
from jobs.payload import REDACTED
from jobs.processor import get_processor


def payload(job: Job) -> Any:
    """The payload with secret fields hidden; every value when the code that knows which is gone."""
    try:
        return get_processor(job.type).redact(job.payload)
    except UnknownProcessor:
        return dict.fromkeys(job.payload, REDACTED)


def percent(job: Job) -> int:
    """Progress of the latest run, 0 to 100."""
    if job.status == Status.COMPLETED:
        return 100
    return max(0, min(100, int((job.progress or {}).get("percent") or 0)))
