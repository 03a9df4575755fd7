"""Celery's view of a run: what `inspect`, Flower, signals and the tracer know of it.

Built by us from a claimed row, so there is no message, nothing to acknowledge and no strategy that would
wrap it. What becomes of the run goes to the feed first; only then Celery is told.
"""

import json
import logging
import time
from typing import TYPE_CHECKING, Any

from celery.worker.request import Request
from celery.worker.state import task_ready, task_reserved
from kombu.message import Message

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
    """A run in Celery's pool."""

    def info(self, safe: bool = True) -> Any:
        """For `inspect active`, and so for Flower. Always with the arguments as they may be shown."""
        return super().info(safe=True)

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
    headers = _headers(held.job, task)
    message = Message(
        headers=headers,
        content_type="application/json",
        content_encoding="utf-8",
        delivery_tag=headers["id"],
        properties={},
        delivery_info={"routing_key": held.job.queue, "exchange": "", "priority": held.job.priority},
    )
    request = JobRequest(
        message,
        app=task.app,
        hostname=hostname,
        eventer=events,
        task=task,
        connection_errors=(),
        body=((), {}, {}),  # the pool is given the payload by us
        decoded=True,
    )
    request.send_event(
        "task-received",
        name=task.name,
        args=request.argsrepr,
        kwargs=request.kwargsrepr,
        root_id=request.root_id,
        parent_id=request.parent_id,
        retries=headers["retries"],
    )
    task_reserved(request)
    return request


def _headers(job: Claimed, task: Processor) -> dict[str, Any]:
    """What a message would carry."""
    job_id = str(job.id)
    payload = task.redact(json.loads(job.payload))
    try:
        args, kwargs = task.arguments(payload)
    except InvalidPayload:  # the run fails for it
        args, kwargs = (), payload
    return {
        "id": job_id,
        "task": task.name,
        "lang": "py",
        "root_id": job_id,
        "parent_id": str(job.parent) if job.parent else None,
        "group": str(job.group) if job.group else None,
        "retries": job.attempt - 1,
        "timelimit": (job.timeout, task.soft_time_limit),
        "argsrepr": repr(tuple(args))[:SHOWN],
        "kwargsrepr": repr(kwargs)[:SHOWN],
        "origin": "",
        "ignore_result": True,
    }


def for_tracer(job: Claimed, task: Processor, hostname: str) -> dict[str, Any]:
    """What `self.request` knows inside the body. Small: it goes through a pipe for each job in prefork."""
    return {
        "id": str(job.id),
        "task": task.name,
        "root_id": str(job.id),
        "parent_id": str(job.parent) if job.parent else None,
        "group": str(job.group) if job.group else None,
        "retries": job.attempt - 1,
        "timelimit": (job.timeout, task.soft_time_limit),
        "hostname": hostname,
        "is_eager": False,
        "ignore_result": True,
        "delivery_info": {"routing_key": job.queue, "exchange": "", "priority": job.priority},
    }


def accept(held: "Held", pid: int) -> None:
    """It starts in the thread or process `pid`."""
    if held.request is not None:
        held.request.on_accepted(pid, time.monotonic())  # type: ignore[arg-type]
