"""The job types that are measured."""

import time

from celery import shared_task


@shared_task
def noop() -> None:
    """Nothing: what is left is the platform's own cost."""


@shared_task
def wait(seconds: float) -> None:
    """A call to a slow upstream."""
    time.sleep(seconds)
