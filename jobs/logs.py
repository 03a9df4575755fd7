"""What log lines carry beside their message: the request, and in a worker the job, whose code writes them.

`settings.LOGGING` merges it into every line of whatever logger. Each thread, and each child of a prefork worker, has
its own. While a job's body runs, its secrets are taken out of lines.
"""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar, Token
from typing import Protocol
from uuid import UUID, uuid4

from structlog.contextvars import bound_contextvars, get_contextvars
from structlog.types import EventDict

_SANE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/+=@-]{0,99}")


class Running(Protocol):
    """What a line says of the job that runs."""

    @property
    def id(self) -> UUID: ...
    @property
    def attempt(self) -> int: ...
    @property
    def type(self) -> str: ...
    @property
    def request_id(self) -> str | None: ...


# A variable of our own: structlog's would cost one each for job, attempt, type and request, for every job there is.
_run: ContextVar[tuple[Running, Callable[[str], str]] | None] = ContextVar("run", default=None)


def new_request_id() -> str:
    return uuid4().hex


def sane(request_id: str) -> str:
    """A request's id as somebody sent it, or "" if it is not one that should be stored and shown."""
    return request_id if _SANE.fullmatch(request_id) else ""


def request_id() -> str | None:
    """Of the HTTP request that is being answered, or that the running job comes from."""
    if run := _run.get():
        return run[0].request_id
    found: str | None = get_contextvars().get("request_id")
    return found


@contextmanager
def of_request(request_id: str) -> Iterator[None]:
    """Lines of this thread are about this request."""
    with bound_contextvars(request_id=request_id):
        yield


def begin_run(job: Running, redact: Callable[[str], str]) -> Token[tuple[Running, Callable[[str], str]] | None]:
    """Lines of this thread are about this job until `end_run`. `redact` takes its payload's secrets out of a text."""
    return _run.set((job, redact))


def end_run(token: Token[tuple[Running, Callable[[str], str]] | None]) -> None:
    _run.reset(token)


_OURS = frozenset({"level", "logger", "job_id", "job_type", "request_id"})  # whatever short secret they may contain


def redactor() -> Callable[[str], str] | None:
    """Takes the secrets of the job that runs here out of a text; None where none runs."""
    run = _run.get()
    return run[1] if run else None


# --- for structlog ----------------------------------------------------------------------------------------------


def add_job(logger: object, method: str, line: EventDict) -> EventDict:
    """The job that runs here."""
    if run := _run.get():
        job, _ = run
        for name, value in (("job_id", str(job.id)), ("attempt", job.attempt), ("job_type", job.type)):
            line.setdefault(name, value)
        if job.request_id:
            line.setdefault("request_id", job.request_id)
    return line


def without_secrets(logger: object, method: str, line: EventDict) -> EventDict:
    """A line with nothing in it that its job's payload marks as secret."""
    if run := _run.get():
        _, redact = run
        for name, value in line.items():
            if name not in _OURS and not isinstance(value, bool | int | float | None):
                text = value if isinstance(value, str) else repr(value)
                if (told := redact(text)) != text:
                    line[name] = told
    return line
