"""A job's life as a bar: when it waited for its time, when for a worker, and when it ran."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import NamedTuple

from django.utils import timezone

from jobs import shown
from jobs.models import Failure, Job, Status

WIDTH = 1000  # of the bar, in units of its own
LEAST = 4  # of a part


class Part(NamedTuple):
    """A stretch of time. `kind` is scheduled, waiting, earlier (an attempt that failed) or running."""

    kind: str
    start: datetime
    end: datetime


class Drawn(NamedTuple):
    kind: str
    x: float
    width: float
    seconds: float

    @property
    def words(self) -> str:
        return _words(self.kind, self.seconds)


def timeline(job: Job, failures: Sequence[Failure]) -> list[Drawn]:
    """The parts of a job's life up to now, for a bar WIDTH wide. `failures` in the order of their runs."""
    parts = [part for part in _parts(job, failures) if part.end > part.start]
    if not parts:
        return []
    begin = parts[0].start
    whole = (max(part.end for part in parts) - begin).total_seconds()
    drawn = []
    for part in parts:
        width = max(LEAST, WIDTH * (part.end - part.start).total_seconds() / whole)
        x = min(WIDTH - width, WIDTH * (part.start - begin).total_seconds() / whole)
        drawn.append(Drawn(part.kind, round(x, 1), round(width, 1), (part.end - part.start).total_seconds()))
    return drawn


def legend(drawn: Sequence[Drawn]) -> list[tuple[str, str]]:
    """Each kind that there is, and how long it took in all."""
    seconds: dict[str, float] = {}
    for part in drawn:
        seconds[part.kind] = seconds.get(part.kind, 0.0) + part.seconds
    return [(kind, _words(kind, total)) for kind, total in seconds.items()]


def _words(kind: str, seconds: float) -> str:
    return f"{'earlier attempts' if kind == 'earlier' else kind} {shown.duration(seconds)}"


def _parts(job: Job, failures: Sequence[Failure]) -> Iterator[Part]:
    now = timezone.now()
    at = job.created_at
    for failure in failures:
        if failure.started_at is None or failure.started_at < at or (failure.run == job.run and job.is_terminal):
            continue
        yield Part("waiting", at, failure.started_at)
        yield Part("earlier", failure.started_at, failure.failed_at)
        at = failure.failed_at
    runs = job.started_at is not None and job.started_at >= at and job.status not in (Status.SCHEDULED, Status.PENDING)
    until = (job.started_at if runs else job.finished_at) or now
    due = min(max(job.scheduled_at, at), until)
    yield Part("scheduled", at, due)
    yield Part("waiting", due, until)
    if runs and job.started_at is not None:
        yield Part("running", job.started_at, job.finished_at or now)
