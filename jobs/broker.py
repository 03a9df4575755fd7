"""Hints to workers, through Redis: there is work on this queue, stop this job.

A hint may be lost at no cost but time, so it is sent from a thread of its own and never makes a
caller wait or fail. A wake-up is a token that one worker takes from a short list per queue.
"""

import logging
import queue
import threading
import time
from collections.abc import Callable, Iterable
from functools import cache, partial
from typing import Any

import redis
from celery.app.control import Control
from django.conf import settings

log = logging.getLogger("jobs.broker")

TOKENS = 32  # as many as workers could use at once; more would only be looked at in vain
TOKEN_LIFE = 60  # seconds
AWAY = 5.0  # seconds without hints after Redis failed

_outbox: queue.SimpleQueue[Callable[[redis.Redis], object]] = queue.SimpleQueue()


def wake_key(name: str) -> str:
    return f"jobs:wake:{name}"


@cache
def client() -> redis.Redis:
    """This process's connection pool for short commands."""
    return redis.Redis.from_url(settings.REDIS_URL, socket_timeout=2, socket_connect_timeout=2, retry=None)


def wake(queues: Iterable[str]) -> None:
    """Tell one worker for each queue that it has work."""
    names = sorted(set(queues))
    if names:
        _send(lambda redis: _push(redis, names))


def _push(redis: redis.Redis, names: list[str]) -> None:
    with redis.pipeline(transaction=False) as pipe:
        for key in map(wake_key, names):
            pipe.lpush(key, 1).ltrim(key, 0, TOKENS - 1).expire(key, TOKEN_LIFE)  # type: ignore[attr-defined]
        pipe.execute()


def ask_to_stop(jobs: Iterable[tuple[str, str, int]]) -> None:
    """Ask workers to stop running jobs: (worker name, job id, run) each."""
    from celery import current_app  # the broadcast goes through whichever app this process runs

    for worker, job_id, run in jobs:
        order = {"arguments": {"job_id": job_id, "run": run}, "destination": [worker.rpartition(":")[0]]}
        _send(partial(_broadcast, current_app.control, order))


def _broadcast(control: Control, order: dict[str, Any], _: redis.Redis) -> None:
    control.broadcast("stop_job", **order)


def _send(hint: Callable[[redis.Redis], object]) -> None:
    _sender()
    _outbox.put(hint)


def _sender() -> None:
    """Start the sending thread of this process, once; a forked child has none yet."""
    global _thread
    if _thread is None or not _thread.is_alive():
        with _starting:
            if _thread is None or not _thread.is_alive():
                _thread = threading.Thread(target=_deliver, name="jobs-broker", daemon=True)
                _thread.start()


_thread: threading.Thread | None = None
_starting = threading.Lock()


def _deliver() -> None:
    away_until = 0.0
    while True:
        hint = _outbox.get()
        if time.monotonic() < away_until:
            continue
        try:
            hint(client())
        except Exception as error:
            away_until = time.monotonic() + AWAY
            log.warning("no wake-ups for %.0f s: Redis does not answer (%s)", AWAY, error)
