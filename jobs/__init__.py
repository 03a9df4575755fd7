"""Durable background jobs for Django on Celery.

`jobs.enqueue`, `enqueue_many`, `retry`, `cancel` and `read_token` are here for callers; authors of job types import
`jobs.processor`.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jobs.lifecycle import cancel, retry
    from jobs.processor import enqueue, enqueue_many
    from jobs.tokens import read_token

__all__ = ["cancel", "enqueue", "enqueue_many", "read_token", "retry"]


def __getattr__(name: str) -> Any:
    """Resolved at use: this package is imported before Django's models are ready."""
    if name in ("enqueue", "enqueue_many"):
        from jobs import processor

        return getattr(processor, name)
    if name in ("cancel", "retry"):
        from jobs import lifecycle

        return getattr(lifecycle, name)
    if name == "read_token":
        from jobs import tokens

        return tokens.read_token
    raise AttributeError(f"module 'jobs' has no attribute {name!r}")
