"""The demo: jobs that show what the platform does, and how they ended.

Each app may have a module `demo` with `load()`, which enqueues jobs and returns what it enqueued. A
job that is meant to end failed has the tag `fails`.
"""

import json
import time
from collections.abc import Iterator
from importlib import import_module
from statistics import quantiles
from typing import NamedTuple
from uuid import UUID

from django.apps import apps
from django.utils.module_loading import module_has_submodule

from jobs.management.development import HOME
from jobs.models import ACTIVE, Job, Status

LOADED = HOME / "demo.json"  # the ids of the latest load


class Line(NamedTuple):
    """How the jobs of one type ended."""

    type: str
    jobs: int
    completed: int
    failed_as_intended: int
    otherwise: int  # than it should: failed, cancelled, completed against all odds, or not at all
    p50: float  # seconds of the last run
    p95: float


def load() -> int:
    """Enqueue every app's demo jobs; return how many."""
    ids = [
        str(enqueued.id)
        for config in apps.get_app_configs()
        if config.module and module_has_submodule(config.module, "demo")
        for enqueued in import_module(f"{config.name}.demo").load()
    ]
    LOADED.write_text(json.dumps(ids))
    return len(ids)


def loaded() -> list[UUID]:
    return [UUID(job_id) for job_id in json.loads(LOADED.read_text())] if LOADED.exists() else []


def follow(every: float = 1.0) -> Iterator[tuple[int, int]]:
    """How many jobs of the load have ended, of how many, until all have."""
    ids = loaded()
    while active := Job.objects.filter(id__in=ids, status__in=ACTIVE).count():
        yield len(ids) - active, len(ids)
        time.sleep(every)
    yield len(ids), len(ids)


def report() -> list[Line]:
    """How the load ended, by type."""
    by_type: dict[str, list[Job]] = {}
    for job in Job.objects.filter(id__in=loaded()).order_by("type"):
        by_type.setdefault(job.type, []).append(job)
    return [_line(name, jobs) for name, jobs in by_type.items()]


def _line(name: str, jobs: list[Job]) -> Line:
    completed = sum(job.status == Status.COMPLETED and "fails" not in job.tags for job in jobs)
    failed = sum(job.status == Status.FAILED and "fails" in job.tags for job in jobs)
    times = [(job.finished_at - job.started_at).total_seconds() for job in jobs if job.finished_at and job.started_at]
    centiles = quantiles(times, n=100, method="inclusive") if len(times) > 1 else (times or [0.0]) * 99
    return Line(name, len(jobs), completed, failed, len(jobs) - completed - failed, centiles[49], centiles[94])


def table(lines: list[Line]) -> str:
    """For people."""
    heads = ("type", "count", "completed", "failed as intended", "otherwise", "p50", "p95")
    rows = [heads, *((*map(str, line[:5]), f"{line.p50:.3f} s", f"{line.p95:.3f} s") for line in lines)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(cell.rjust(w) if n else cell.ljust(w) for n, (cell, w) in enumerate(zip(row, widths, strict=True)))
        for row in rows
    )
