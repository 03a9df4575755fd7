"""The job types that are measured."""

import time

from celery import shared_task

from benchmarks.marks import mark
from jobs.processor import JobContext, Payload, batch_process, processor

measured = shared_task(name="benchmarks.mark")(mark)


@shared_task
def noop() -> None:
    """Nothing: what is left is the platform's own cost."""


class Stroll(Payload):
    seconds: float
    steps: int


@processor()
def stroll(payload: Stroll, job: JobContext) -> None:
    """Get on step by step, and say so."""
    for step in range(payload.steps):
        job.progress(step, payload.steps, f"step {step}")
        time.sleep(payload.seconds / payload.steps)


class SideBySide(Payload):
    items: int
    seconds: float
    size: int


@processor()
def side_by_side(payload: SideBySide, job: JobContext) -> None:
    """Items that each wait for an upstream, so many at a time."""
    batch_process(range(payload.items), lambda _: time.sleep(payload.seconds), job=job, size=payload.size)
