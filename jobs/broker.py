"""Hints to workers, through Redis: there is work on this queue, stop this job.

A hint may be lost at no cost but time, so it is sent from a thread of its own and never makes a
caller wait or fail. A wake-up is a token that one worker takes from a short list per queue.
"""

import atexit
import logging
import os
import threading
import time
from collections.abc import Iterable
from functools import cache

import redis
from django.conf import settings

log = logging.getLogger("jobs.broker")

TOKENS = 32  # as many as workers could use at once; more would only be looked at in vain
TOKEN_LIFE = 60  # seconds
AWAY = 5.0  # seconds without hints after Redis failed
PAUSE = 0.002  # seconds between two sendings: what many commits ask for meanwhile goes out as one
LONG_PAUSE = 0.02  # seconds where no worker waits: each list is full of tokens


def wake_key(name: str) -> str:
    return f"jobs:wake:{name}"


@cache
def client() -> redis.Redis:
    """This process's connection pool for short commands."""
    return redis.Redis.from_url(settings.REDIS_URL, socket_timeout=2, socket_connect_timeout=2, retry=None)


def wake(queues: Iterable[str]) -> None:
    """Tell one worker for each queue that it has work."""
    with _lock:
        _queues.update(queues)
        _sent.clear()
    _send()


def ask_to_stop(jobs: Iterable[tuple[str, str, int]]) -> None:
    """Ask workers to stop running jobs: (worker name, job id, run) each."""
    with _lock:
        _stops.extend(jobs)
        _sent.clear()
    _send()


_lock = threading.Lock()
_queues: set[str] = set()
_stops: list[tuple[str, str, int]] = []
_asked = threading.Event()
_sent = threading.Event()  # nothing is left to send
_thread: threading.Thread | None = None


def _forget_parent() -> None:
    """A forked child has neither the thread nor a say in what state its locks were copied."""
    global _lock, _asked, _sent, _thread
    _lock, _asked, _sent, _thread = threading.Lock(), threading.Event(), threading.Event(), None
    _queues.clear()
    _stops.clear()


os.register_at_fork(after_in_child=_forget_parent)


def _send() -> None:
    """Wake the sending thread of this process."""
    global _thread
    if _thread is None:
        with _lock:
            if _thread is None:
                _thread = threading.Thread(target=_deliver, name="jobs-broker", daemon=True)
                _thread.start()
    _asked.set()


def flush(seconds: float = 0.5) -> bool:
    """Wait until the hints asked for were sent, or dropped: the last thing of a process that ends.

    False when they were not in this time.
    """
    return _thread is None or _sent.wait(seconds)


atexit.register(flush)


def _deliver() -> None:
    away_until = 0.0
    pause = PAUSE
    while True:
        _asked.wait()
        with _lock:
            _asked.clear()
            queues, stops = sorted(_queues), _stops.copy()
            _queues.clear()
            _stops.clear()
        if time.monotonic() >= away_until:
            try:
                pause = PAUSE if _push(queues) else LONG_PAUSE
                _stop(stops)
            except Exception as error:
                away_until = time.monotonic() + AWAY
                log.warning("no wake-ups for %.0f s: Redis does not answer (%s)", AWAY, error)
        with _lock:
            if not _queues and not _stops:
                _sent.set()
        time.sleep(pause)


def _push(queues: list[str]) -> bool:
    """Whether there was room for a token, so whether workers take them.

    One command is the rule where there is much to do. A list that a worker has emptied is gone, so the first token of
    one sets its life.
    """
    full = 0
    for key in map(wake_key, queues):
        tokens = client().lpush(key, 1)
        if tokens == 1:
            client().expire(key, TOKEN_LIFE)
        elif tokens > TOKENS:
            client().ltrim(key, 0, TOKENS - 1)
            full += 1
    return not queues or full < len(queues)


def _stop(jobs: list[tuple[str, str, int]]) -> None:
    from celery import current_app  # the broadcast goes through whichever app this process runs

    for worker, job_id, run in jobs:
        node = worker.rpartition(":")[0]
        current_app.control.broadcast("stop_job", arguments={"job_id": job_id, "run": run}, destination=[node])
