"""Celery's result backend over Job rows: AsyncResult and GroupResult read what the feed wrote.

Built on django-celery-results, whose GroupResult keeps saved groups and whose table keeps the states of
what is not a job. For a job nothing is written here.
"""

import builtins
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import Any
from uuid import UUID

from celery import current_app, states
from celery.exceptions import TaskRevokedError
from celery.exceptions import TimeoutError as CeleryTimeoutError
from celery.utils.serialization import create_exception_cls
from django.db import DatabaseError, InterfaceError, connection
from django_celery_results.backends import DatabaseBackend

from jobs import lifecycle
from jobs.models import Failure, Job, Status
from jobs.sessions import fetch

POLL = 0.2  # seconds between two looks at rows that somebody waits for


class JobFailed(Exception):
    """A job failed with an error whose class is not known here."""


class JobBackend(DatabaseBackend):
    """Reads rows. Shapes are Celery's: `{"status", "result", "traceback", "children", "date_done", "task_id"}`."""

    supports_native_join = True
    subpolling_interval = POLL

    def exception_safe_to_retry(self, exc: Exception) -> bool:
        """A lost connection: drop it, and read again."""
        if isinstance(exc, DatabaseError | InterfaceError):
            connection.close()
            return True
        return False

    def store_result(self, task_id: str, result: Any, state: str, **kwargs: Any) -> Any:
        """Nothing, for a job: the worker's parent wrote its outcome."""
        return result

    def on_chord_part_return(self, request: Any, state: str, result: Any, **kwargs: Any) -> None:
        """Nothing: chords are closed in the transaction that ends their last member."""

    def _get_task_meta_for(self, task_id: str) -> dict[str, Any]:
        (meta,) = self._metas([task_id])
        return meta

    def _metas(self, task_ids: Iterable[str]) -> list[dict[str, Any]]:
        wanted = {task_id: _uuid(task_id) for task_id in task_ids}
        rows = Job.objects.in_bulk([job for job in wanted.values() if job])
        failed = [job.id for job in rows.values() if job.status in (Status.FAILED, Status.SCHEDULED)]
        failures = {f.job_id: f for f in Failure.objects.filter(job__in=failed).order_by("run")}
        children = _children(list(rows))
        found = {task_id: rows.get(job) if job else None for task_id, job in wanted.items()}
        return [
            _meta(task_id, job, failures.get(job.id), children.get(job.id, [])) if job else _unknown(task_id)
            for task_id, job in found.items()
        ]

    def get_many(
        self,
        task_ids: Iterable[str],
        timeout: float | None = None,
        interval: float = POLL,
        no_ack: bool = True,
        on_message: Any = None,
        on_interval: Any = None,
        max_iterations: int | None = None,
        READY_STATES: frozenset[str] = states.READY_STATES,  # noqa: N803 (Celery's name)
    ) -> Iterator[tuple[str, dict[str, Any]]]:
        """(id, meta) of each as it ends: one query for all that are left, each `interval` seconds."""
        left = {str(getattr(task, "id", task)) for task in task_ids}
        end = None if timeout is None else time.monotonic() + timeout
        while left:
            for meta in self._metas(sorted(left)):
                if meta["status"] in READY_STATES:
                    left.discard(meta["task_id"])
                    if on_message is not None:
                        on_message(meta)
                    yield meta["task_id"], meta
            if left:
                if end is not None and time.monotonic() >= end:
                    raise CeleryTimeoutError(f"{len(left)} jobs have not ended")
                if on_interval:
                    on_interval()
                time.sleep(interval)

    def _forget(self, task_id: str) -> None:
        """Delete the row of a job that has ended; one that is active stays."""
        if (job := _uuid(task_id)) is not None:
            lifecycle.forget(job)

    def cleanup(self) -> None:
        """Nothing: retention is upkeep's."""


def _uuid(task_id: str) -> UUID | None:
    try:
        return UUID(str(task_id))
    except ValueError:
        return None


def _unknown(task_id: str) -> dict[str, Any]:
    return {"task_id": task_id, "status": states.PENDING, "result": None, "traceback": None, "children": []}


def _meta(task_id: str, job: Job, failure: Failure | None, children: list[str]) -> dict[str, Any]:
    state = _state(job, failure)
    result: Any = job.result
    if state in states.EXCEPTION_STATES or state == states.RETRY:
        result = _exception(state, failure)
    return {
        "task_id": task_id,
        "status": state,
        "result": result,
        "traceback": failure.traceback if failure and state != states.SUCCESS else None,
        "children": [current_app.AsyncResult(child) for child in children],
        "date_done": job.finished_at,
        "name": job.type,
        **_arguments(job.payload),
        "worker": job.worker,
        "retries": max(0, job.attempt - 1),
        "queue": job.queue,
    }


def _arguments(payload: Any) -> dict[str, Any]:
    if isinstance(payload, dict) and payload.keys() == {"args", "kwargs"}:
        return payload
    return {"args": [], "kwargs": payload}


def _state(job: Job, failure: Failure | None) -> str:
    if job.status == Status.SCHEDULED and failure is not None:
        return str(states.RETRY)
    return {
        Status.SCHEDULED: states.PENDING,
        Status.PENDING: states.PENDING,
        Status.PROCESSING: states.STARTED,
        Status.COMPLETED: states.SUCCESS,
        Status.FAILED: states.FAILURE,
        Status.CANCELLED: states.REVOKED,
    }[Status(job.status)]


def _exception(state: str, failure: Failure | None) -> BaseException:
    """The error as an exception of the name it had: the class itself, if not Python's own, may not exist here."""
    if state == states.REVOKED:
        return TaskRevokedError("cancelled")
    if failure is None:
        return JobFailed("no error was recorded")
    builtin = getattr(builtins, failure.error, None)
    if isinstance(builtin, type) and issubclass(builtin, Exception):
        with suppress(TypeError):  # UnicodeDecodeError is made of more than a message
            return builtin(failure.message)
    made: BaseException = create_exception_cls(failure.error, "jobs.results", JobFailed)(failure.message)
    return made


_CHILDREN = """
SELECT parent, id FROM unnest(%(parents)s::uuid[]) AS p(parent)
CROSS JOIN LATERAL (SELECT id FROM jobs_job j WHERE j.parent = p.parent ORDER BY id LIMIT 100) AS child
"""


def _children(parents: list[UUID]) -> dict[UUID, list[str]]:
    """The first jobs that each of these has enqueued."""
    found: dict[UUID, list[str]] = {}
    for parent, child in fetch(_CHILDREN, {"parents": parents}) if parents else ():
        found.setdefault(parent, []).append(str(child))
    return found
