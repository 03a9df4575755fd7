"""What log lines carry beside their message: the request, and in a worker the job, whose code writes them.

The values are structlog's context variables, which `settings.LOGGING` merges into every line of whatever logger. Each
thread, and each child of a prefork worker, has its own.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from uuid import uuid4

from structlog.contextvars import bind_contextvars, get_contextvars, reset_contextvars

_SANE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/+=@-]{0,99}")


def new_request_id() -> str:
    return uuid4().hex


def sane(request_id: str) -> str:
    """A request's id as somebody sent it, or "" if it is not one that should be stored and shown."""
    return request_id if _SANE.fullmatch(request_id) else ""


def request_id() -> str | None:
    """Of the HTTP request that is being answered, or that the running job comes from."""
    found: str | None = get_contextvars().get("request_id")
    return found


@contextmanager
def bound(**fields: object) -> Iterator[None]:
    """Log lines of this thread carry these, without those that are None."""
    tokens = bind_contextvars(**{name: value for name, value in fields.items() if value is not None})
    try:
        yield
    finally:
        reset_contextvars(**tokens)
