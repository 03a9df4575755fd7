"""Remote commands: stop one run, Celery's `revoke` made to cancel rows, and its `conf` made to keep secrets.

Celery's own `revoke` would remember the id for hours and discard the job when it is retried. Its `conf` answers with
all of Django's settings, and so shows Redis's password on Flower's page of a worker.
"""

import logging
from typing import Any
from uuid import UUID

from celery.utils.functional import maybe_list
from celery.worker import control
from celery.worker.control import control_command, inspect_command
from django.db import close_old_connections

from jobs import lifecycle
from jobs.errors import Cancelled
from jobs.worker import step

log = logging.getLogger("jobs.worker")

_revoke: Any = control.revoke  # type: ignore[attr-defined]  # Celery's, for what is not a job
_conf: Any = control.conf  # type: ignore[attr-defined]


@control_command(args=[("job_id", str), ("run", int)], signature="<job_id> <run>")
def stop_job(state: Any, job_id: str, run: int) -> dict[str, str]:
    """End a run of a job that was asked to be cancelled."""
    if step.FEED is None:
        return {"error": "this worker has no feed"}
    return {"ok": step.FEED.stop_run((UUID(job_id), run), Cancelled("cancelled"))}


@control_command(name="revoke", variadic="task_id", signature="[id1 [id2 [... [idN]]]]")
def revoke(state: Any, task_id: Any, terminate: bool = False, signal: Any = None, **kwargs: Any) -> Any:
    """Cancel jobs by id."""
    jobs, others = split(maybe_list(task_id) or [])
    answer: Any = {"ok": "no jobs"}
    if jobs:
        try:
            close_old_connections()
            cancelled = lifecycle.cancel(jobs, actor="revoke")
        finally:
            close_old_connections()
        answer = {"ok": f"{len(cancelled)} of {len(jobs)} jobs cancelled or asked to end"}
    if others:
        answer = _revoke(state, others, terminate=terminate, signal=signal, **kwargs)
    return answer


@inspect_command(name="conf", alias="dump_conf", args=[("with_defaults", bool)], signature="[include_defaults=False]")
def conf(state: Any, with_defaults: bool = False, **kwargs: Any) -> dict[str, Any]:
    """Celery's own settings."""
    shown = _conf(state, with_defaults=with_defaults)
    return {name: value for name, value in shown.items() if name.startswith("CELERY_") and name != "CELERY_BROKER_URL"}


def split(task_ids: list[str]) -> tuple[list[UUID], list[str]]:
    """Ids of jobs, and ids that no job can have."""
    jobs, others = [], []
    for task_id in task_ids:
        try:
            jobs.append(UUID(str(task_id)))
        except ValueError:
            others.append(task_id)
    return jobs, others
