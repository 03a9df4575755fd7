"""What people and clients may see of a job's row, wherever they look: API, admin, dashboard."""

from collections.abc import Collection, Sequence
from typing import Any
from uuid import UUID

from django.utils import timezone

from jobs.errors import UnknownProcessor
from jobs.models import Failure, Job, Status
from jobs.payload import REDACTED, is_secret
from jobs.processor import get_processor, processors


def payload(job: Job) -> Any:
    """The payload with secret fields hidden; every value when the code that knows which is gone."""
    try:
        return get_processor(job.type).redact(job.payload)
    except UnknownProcessor:
        return dict.fromkeys(job.payload, REDACTED)


def is_hidden(path: Sequence[str]) -> bool:
    """Whether some job type has a secret there in its payload: whoever asks for a value would learn it by and by."""
    models = [task.payload_model for task in processors().values() if task.payload_model is not None]
    return any(is_secret(model, path) for model in models)


def percent(job: Job) -> int:
    """Progress of the latest run, 0 to 100."""
    if job.status == Status.COMPLETED:
        return 100
    return max(0, min(100, int((job.progress or {}).get("percent") or 0)))


def last_failures(ids: Collection[UUID]) -> dict[UUID, Failure]:
    """The latest failed run of each of these jobs that has one, without tracebacks."""
    latest = Failure.objects.filter(job_id__in=ids).order_by("job_id", "-run").distinct("job_id").defer("traceback")
    return {failure.job_id: failure for failure in latest}


def run_seconds(job: Job) -> float | None:
    """How long the latest run took, or has taken so far; None where none is known."""
    end = job.finished_at or (timezone.now() if job.status == Status.PROCESSING else None)
    return None if job.started_at is None or end is None else max(0.0, (end - job.started_at).total_seconds())


def seconds_left(job: Job, usual: float | None = None) -> float | None:
    """Until a running job is done: by its progress, else by the `usual` seconds of its type. None: nobody knows."""
    so_far = run_seconds(job)
    if job.status != Status.PROCESSING or so_far is None:
        return None
    if done := percent(job):
        return so_far * (100 - done) / done
    return usual - so_far if usual is not None and usual > so_far else None


def duration(seconds: float) -> str:
    """`450 ms`, `12.3 s`, `4 min 5 s`, `2 h 10 min`, `3 d 4 h`."""
    if seconds < 1:
        return f"{max(0, seconds) * 1000:.0f} ms"
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, seconds = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    if days:
        return f"{days} d {hours} h"
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {seconds} s"


def rough(seconds: float) -> str:
    """`8 s`, `4 min`, `3 h`, `12 d`: how long ago, for people."""
    for size, unit in ((86_400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{int(seconds // size)} {unit}"
    return f"{int(max(0, seconds))} s"
