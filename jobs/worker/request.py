"""Celery's view of a run: what `inspect`, Flower, signals and the tracer know of it.

Built by us from a claimed row, so there is no message, nothing to acknowledge and no strategy that would
wrap it. What becomes of the run goes to the feed first; only then Celery is told.
"""

import json
import logging
import time
from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

from celery.worker.request import Request
from celery.worker.state import task_ready, task_reserved

from jobs.calling import Processor
from jobs.errors import InvalidPayload
from jobs.lifecycle import Claimed, Outcome
from jobs.models import Status

if TYPE_CHECKING:
    from jobs.worker.held import Held
    from jobs.worker.taskevents import TaskEvents

log = logging.getLogger("jobs.worker")

SHOWN = 1000  # characters of arguments, results and messages in events
LAST = 5000  # of tracebacks


class JobRequest(Request):
    """A run in Celery's pool. One is made for each run, so what only an onlooker asks for is worked out then.

    Celery's own would copy all of a message's headers: a third of what a short job costs.
    """

    acknowledged = True  # there is nothing to acknowledge
    _eta = _expires = None
    _ignore_result = True
    _args: tuple[Any, ...] = ()  # not for onlookers: see `shown`
    _kwargs: Mapping[str, Any] = {}

    def __init__(self, job: Claimed, task: Processor, hostname: str, events: "TaskEvents") -> None:
        self.job = job
        self.id = str(job.id)
        self.name = self._type = task.name  # type: ignore[misc]  # a plain attribute: its stub is wrong
        self.time_limits = job.timeout, task.soft_time_limit
        self._task = task
        self._hostname = hostname
        self._eventer = events

    @cached_property
    def shown(self) -> tuple[str, str]:
        """Arguments as they may be shown."""
        payload = self._task.redact(json.loads(self.job.payload))
        try:
            args, kwargs = self._task.arguments(payload)
        except InvalidPayload:  # the run fails for it
            args, kwargs = (), payload
        return repr(tuple(args))[:SHOWN], repr(kwargs)[:SHOWN]

    def info(self, safe: bool = True) -> Any:
        """For `inspect active`, and so for Flower. Always with the arguments as they may be shown."""
        return super().info(safe=True)

    # What Celery's properties read.
    _app = property(lambda self: self._task.app)
    _root_id = property(lambda self: self.id)
    _parent_id = property(lambda self: str(self.job.parent) if self.job.parent else None)
    _argsrepr = property(lambda self: self.shown[0])
    _kwargsrepr = property(lambda self: self.shown[1])
    _delivery_info = property(lambda self: delivery_info(self.job))
    _request_dict = property(
        lambda self: {
            "id": self.id,
            "task": self.name,
            "delivery_info": self.delivery_info,
            "correlation_id": self.id,
            "reply_to": None,
        }
    )

    def received(self) -> None:
        """Tell Flower that it is here."""
        if self.eventer.enabled:
            self.send_event(
                "task-received",
                name=self.name,
                args=self.argsrepr,
                kwargs=self.kwargsrepr,
                root_id=self.root_id,
                parent_id=self.parent_id,
                retries=self.job.attempt - 1,
            )

    def cancel(self, pool: Any, signal: Any = None, emit_retry: bool = True) -> None:
        """Celery's cold shutdown would end what runs, one by one. Ours comes after it, and gives everything back."""

    def _announce_revoked(self, reason: str, terminated: bool, signum: Any, expired: bool) -> None:
        """Celery's would write to the result backend."""
        task_ready(self)
        self._already_revoked = True
        self.send_event("task-revoked", terminated=terminated, signum=str(signum), expired=expired)

    def tell(self, outcome: Outcome, status: Status) -> None:
        """Tell Flower what became of it, once that is committed."""
        error = outcome.error
        told = {"exception": f"looks again in {outcome.delay:g} s", "traceback": ""}
        if error:
            told = {"exception": f"{error.name}: {error.message}"[:SHOWN], "traceback": error.traceback[-LAST:]}
        match status:
            case Status.COMPLETED:
                self.send_event("task-succeeded", result=(outcome.result or "")[:SHOWN], runtime=outcome.seconds)
            case Status.FAILED:
                self.send_event("task-failed", **told)
            case Status.CANCELLED:
                self.send_event("task-revoked", terminated=True, signum="", expired=False)
            case Status.PENDING if not error:  # given back
                self.send_event("task-rejected", requeue=True)
            case _:
                self.send_event("task-retried", **told)


def build(held: "Held", task: Processor, hostname: str, events: "TaskEvents") -> JobRequest:
    """The request of a run that starts now."""
    request = JobRequest(held.job, task, hostname, events)
    request.received()
    task_reserved(request)
    return request


def for_tracer(job: Claimed, task: Processor, hostname: str) -> dict[str, Any]:
    """What `self.request` knows inside the body. Small: it goes through a pipe for each job in prefork."""
    job_id = str(job.id)
    return {
        "id": job_id,
        "task": task.name,
        "root_id": job_id,
        "parent_id": str(job.parent) if job.parent else None,
        "group": str(job.group) if job.group else None,
        "retries": job.attempt - 1,
        "timelimit": (job.timeout, task.soft_time_limit),
        "hostname": hostname,
        "is_eager": False,
        "ignore_result": True,
        "headers": {},  # else Celery looks for those that are not its own
        "delivery_info": delivery_info(job),
    }


def delivery_info(job: Claimed) -> dict[str, Any]:
    """What a broker would say of a job."""
    return {"routing_key": job.queue, "exchange": "", "priority": job.priority, "redelivered": job.losses > 0}


def accept(held: "Held", pid: int) -> None:
    """It starts in the thread or process `pid`."""
    if held.request is not None:
        held.request.on_accepted(pid, time.monotonic())  # type: ignore[arg-type]
