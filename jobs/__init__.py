"""Durable background jobs for Django on Celery.

`jobs.enqueue`, `enqueue_many`, `retry` and `cancel` are here for callers; authors of job types import `jobs.processor`.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jobs.lifecycle import cancel, retry
    from jobs.processor import enqueue, enqueue_many

__all__ = ["cancel", "enqueue", "enqueue_many", "retry"]


def __getattr__(name: str) -> Any:
    """Resolved at use: this package is imported before Django's models are ready."""
    if name in ("enqueue", "enqueue_many"):
        from jobs import processor

        return getattr(processor, name)
    if name in ("cancel", "retry"):
        from jobs import lifecycle

        return getattr(lifecycle, name)
    raise AttributeError(f"module 'jobs' has no attribute {name!r}")
