"""What changed, told to whoever looks at this moment: a hint through Redis that may be lost.

Said by the code that changes something, heard by `jobs.live` in the web processes. It is sent from a thread of its
own, a few times a second, and never makes a caller wait or fail. While nobody listens it is one small message a
second, whatever the platform does.

Messages: on `CHANGED` the ids of jobs, 16 bytes each, or `MANY`, or nothing when it was something else than a job;
on `PROGRESS` a job's id and run with its progress as JSON; on `LOGGED` ids of jobs that have new log lines.
"""

import json
import logging
import os
import threading
import time
from collections.abc import Iterable
from itertools import islice
from uuid import UUID

import redis

from jobs import broker

log = logging.getLogger("jobs.events")

CHANGED = "jobs:changed"
PROGRESS = "jobs:progress"
LOGGED = "jobs:logged"

MANY = b"*"  # too many to name
MOST = 2000  # ids that one message names
PAUSE = 0.2  # seconds between two sendings: so a job's progress is sent up to five times a second
UNHEARD = 1.0  # seconds of rest after a message that nobody heard


def changed(jobs: Iterable[UUID] = ()) -> None:
    """These jobs changed, or without any: a queue, a schedule, a worker did. Call it after the commit."""
    with _lock:
        _waiting.something = True
        if len(_waiting.jobs) <= MOST:
            _waiting.jobs.update(islice(jobs, MOST + 1))
    _send()


def progressed(job: UUID, run: int, progress: str) -> None:
    """A run got on: `progress` is JSON as the row has it. Only the latest of a job is sent."""
    with _lock:
        if job in _waiting.progress or len(_waiting.progress) < MOST:
            _waiting.progress[job] = run, progress
    _send()


def logged(jobs: Iterable[UUID]) -> None:
    """These jobs have new log lines, committed."""
    with _lock:
        _waiting.logged.update(jobs)
    _send()


class _Waiting:
    """What is to be sent next."""

    def __init__(self) -> None:
        self.something = False
        self.jobs: set[UUID] = set()
        self.progress: dict[UUID, tuple[int, str]] = {}
        self.logged: set[UUID] = set()

    def messages(self) -> Iterable[tuple[str, bytes]]:
        if self.something:
            yield CHANGED, MANY if len(self.jobs) > MOST else _packed(self.jobs)
        for job, (run, progress) in self.progress.items():
            yield PROGRESS, json.dumps([str(job), run, progress]).encode()
        if self.logged:
            yield LOGGED, _packed(self.logged)


def _packed(jobs: Iterable[UUID]) -> bytes:
    return b"".join(job.bytes for job in jobs)


def unpacked(message: bytes) -> Iterable[UUID]:
    """The ids in a message."""
    return (UUID(bytes=message[start : start + 16]) for start in range(0, len(message), 16))


_lock = threading.Lock()
_waiting = _Waiting()
_asked = threading.Event()
_thread: threading.Thread | None = None


def _forget_parent() -> None:
    """A forked child has neither the thread nor a say in what state its locks were copied."""
    global _lock, _waiting, _asked, _thread
    _lock, _waiting, _asked, _thread = threading.Lock(), _Waiting(), threading.Event(), None


os.register_at_fork(after_in_child=_forget_parent)


def _send() -> None:
    """Wake the sending thread of this process."""
    global _thread
    if _thread is None:
        with _lock:
            if _thread is None:
                _thread = threading.Thread(target=_deliver, name="jobs-events", daemon=True)
                _thread.start()
    _asked.set()


def _deliver() -> None:
    global _waiting
    while True:
        _asked.wait()
        with _lock:
            _asked.clear()
            now, _waiting = _waiting, _Waiting()
        try:
            pause = PAUSE if _publish(now) else UNHEARD
        except redis.RedisError as error:
            pause = broker.AWAY
            log.debug("nothing sent: Redis does not answer (%s)", error)
        except Exception:
            pause = broker.AWAY
            log.exception("what changed could not be told, going on")
        time.sleep(pause)


def _publish(waiting: _Waiting) -> bool:
    """Send it. False: nobody listens."""
    with broker.client().pipeline(transaction=False) as pipe:
        for channel, message in waiting.messages():
            pipe.publish(channel, message)
        return any(pipe.execute())
