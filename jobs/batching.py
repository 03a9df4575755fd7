"""batch_process: many items inside one job, some at a time, each once whatever happens to the worker."""

import json
from collections.abc import Callable, Iterable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextvars import copy_context
from dataclasses import dataclass, field
from typing import Any, TypeVar

from django.conf import settings
from django.db import close_old_connections, connections
from django.db.backends.base.base import BaseDatabaseWrapper

from jobs.context import JobContext
from jobs.encoding import encode, storable
from jobs.errors import JobError
from jobs.models import BatchItem
from jobs.sessions import fetch, is_away, side_session

T = TypeVar("T")
LONGEST_KEY = 200  # characters, as the row has it

_RECORD = """
INSERT INTO jobs_batchitem (job, key, result, error)
SELECT %(job)s::uuid, key, result, error
FROM jsonb_to_recordset(%(rows)s::text::jsonb) AS r(key text, result jsonb, error text)
ON CONFLICT DO NOTHING
"""


@dataclass
class BatchResult:
    """What became of each item, by key."""

    succeeded: dict[str, Any] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)


def batch_process(
    items: Iterable[T], fn: Callable[[T], Any], *, job: JobContext, size: int = 50, key: Callable[[T], str] = str
) -> BatchResult:
    """Call `fn` for each item, `size` at a time in threads, and keep each outcome.

    An item whose `key` was recorded by an earlier attempt of this job is not called again. An error of one item is
    its own; Retry, Snooze and the other job errors, and a lost database, end the batch, and the next attempt goes on
    where it stopped.
    """
    if size < 1:
        raise ValueError("size: expected at least 1")
    todo = {_checked(key(item)): item for item in items}
    total = len(todo)
    outcome = BatchResult()
    for name, result, error in BatchItem.objects.filter(job=job.id).values_list("key", "result", "error"):
        if todo.pop(name, None) is not None:
            _keep(outcome, name, result, error)
    waiting = iter(todo.items())
    running: dict[Future[Any], str] = {}
    opened: set[BaseDatabaseWrapper] = set()
    pool = ThreadPoolExecutor(max_workers=min(size, max(1, len(todo))), thread_name_prefix="batch")
    try:
        while True:
            while len(running) < size and (following := next(waiting, None)) is not None:
                in_context = copy_context().run  # what it logs is this job's too
                running[pool.submit(in_context, _call, fn, following[1], opened)] = following[0]
            if not running:
                return outcome
            ended, _ = wait(running, timeout=0.5, return_when=FIRST_COMPLETED)
            _record(job, outcome, {running.pop(future): future for future in ended})
            job.progress(len(outcome.succeeded) + len(outcome.failed), total)
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
        for used in opened:  # else they stay open until Python collects the threads' garbage
            used.inc_thread_sharing()
            used.close()
        ended = {future for future in running if future.done() and not future.cancelled()}
        _record(job, outcome, {running[future]: future for future in ended})


def _checked(name: str) -> str:
    if not isinstance(name, str) or len(name) > LONGEST_KEY or storable(name) != name:
        raise ValueError(f"key: expected text of at most {LONGEST_KEY} characters, got {name!r}")
    return name


def _call(fn: Callable[[T], Any], item: T, opened: set[BaseDatabaseWrapper]) -> Any:
    close_old_connections()
    try:
        return fn(item)
    finally:
        close_old_connections()
        opened.update(connections.all(initialized_only=True))


def _record(job: JobContext, outcome: BatchResult, ended: dict[str, "Future[Any]"]) -> None:
    rows = []
    stop: BaseException | None = None
    for name, future in ended.items():
        error, result = future.exception(), None
        if error and (isinstance(error, JobError) or is_away(error)):
            stop = error
            continue
        try:
            result = None if error else json.loads(encode(future.result(), settings.JOBS_MAX_PAYLOAD))
        except ValueError as refused:
            error = refused
        told = storable(job.log.redact(f"{type(error).__name__}: {error}")) if error else ""
        _keep(outcome, name, result, told)
        rows.append({"key": name, "result": result, "error": told})
    if rows:
        with side_session():
            fetch(_RECORD, {"job": job.id, "rows": json.dumps(rows)})
    if stop is not None:
        raise stop


def _keep(outcome: BatchResult, name: str, result: Any, error: str) -> None:
    if error:
        outcome.failed[name] = error
    else:
        outcome.succeeded[name] = result
