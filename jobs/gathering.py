"""Enqueuing for callers that run side by side: jobs of many coroutines in one commit.

A batch is whatever was asked for while the commit before it ran, so a caller who is alone waits for its own commit
only. Nothing that could have to wait for somebody else's transaction comes here: all callers would wait with it.
"""

import asyncio
import logging
import os
import threading
from collections import defaultdict
from collections.abc import MutableMapping, Sequence
from typing import NamedTuple
from weakref import WeakKeyDictionary

from asgiref.sync import AsyncToSync
from django.db import DEFAULT_DB_ALIAS, InterfaceError, OperationalError, connections

from jobs import lifecycle
from jobs.lifecycle import Enqueued, NewJob
from jobs.sessions import own_session, was_ended

log = logging.getLogger("jobs")

MOST = 1000  # jobs in one commit
LARGEST = 16 * 2**20  # characters of payloads in one commit, unless a single job has more
IDLE = 5.0  # seconds after which a session that nobody needs is closed


class Asked(NamedTuple):
    """A job that is to be inserted, and who waits for it."""

    job: NewJob
    loop: asyncio.AbstractEventLoop
    answer: "asyncio.Future[Enqueued]"


def has_caller() -> bool:
    """Whether synchronous code waits for this coroutine: in its thread there may be a transaction.

    Asks what asgiref asks itself when it looks for the thread of `sync_to_async`.
    """
    loop = asyncio.get_running_loop()
    return bool(getattr(AsyncToSync.executors, "current", None)) or loop in AsyncToSync.loop_thread_executors


async def enqueue(job: NewJob) -> Enqueued:
    """Insert a job; returns once it is committed. Cancelled while it waits, it may have been inserted."""
    loop = asyncio.get_running_loop()
    asked = Asked(job, loop, loop.create_future())
    if (together := _asked.get(loop)) is None:
        together = _asked[loop] = []
        loop.call_soon(_hand_over, loop)  # after all that are about to run
    together.append(asked)
    return await asked.answer


_asked: MutableMapping[asyncio.AbstractEventLoop, list[Asked]] = WeakKeyDictionary()  # in this turn of a loop


def _hand_over(loop: asyncio.AbstractEventLoop) -> None:
    _gatherer.ask(_asked.pop(loop))


class Gatherer(threading.Thread):
    """Inserts what is asked for, in a session of its own."""

    def __init__(self) -> None:
        super().__init__(name="jobs-gathering", daemon=True)
        self.lock = threading.Lock()
        self.wanted = threading.Event()
        self.waiting: list[Asked] = []

    def ask(self, asked: list[Asked]) -> None:
        with self.lock:
            self.waiting += asked
            if self.ident is None:
                self.start()
        self.wanted.set()

    def run(self) -> None:
        connected = False
        while True:
            if not self.wanted.wait(IDLE):
                connections[DEFAULT_DB_ALIAS].close()
                connected = False
                self.wanted.wait()
            batch = [asked for asked in self._next() if not asked.answer.cancelled()]
            try:
                if not connected or was_ended(connections[DEFAULT_DB_ALIAS]):
                    own_session()
                    connected = True
                answers = _insert([asked.job for asked in batch])
            except Exception as error:
                connected = False
                answers = [error] * len(batch)
            _tell(batch, answers)

    def _next(self) -> list[Asked]:
        with self.lock:
            count = size = 0
            for asked in self.waiting[:MOST]:
                size += len(asked.job.payload)
                if count and size > LARGEST:
                    break
                count += 1
            batch, self.waiting = self.waiting[:count], self.waiting[count:]
            if not self.waiting:
                self.wanted.clear()
        return batch


def _insert(jobs: list[NewJob]) -> Sequence[Enqueued | Exception]:
    try:
        return lifecycle.enqueue(jobs)
    except (OperationalError, InterfaceError):
        raise  # it is so for all of them
    except Exception as error:
        if len(jobs) == 1:
            return [error]
    answers: list[Enqueued | Exception] = []
    for job in jobs:  # what Postgres refuses is refused to its caller alone
        try:
            answers += lifecycle.enqueue([job])
        except Exception as error:
            answers.append(error)
    return answers


def _tell(batch: list[Asked], answers: Sequence[Enqueued | Exception]) -> None:
    """One visit to each event loop."""
    by_loop: dict[asyncio.AbstractEventLoop, list[tuple[asyncio.Future[Enqueued], Enqueued | Exception]]]
    by_loop = defaultdict(list)
    for asked, answer in zip(batch, answers, strict=True):
        by_loop[asked.loop].append((asked.answer, answer))
    for loop, told in by_loop.items():
        try:
            loop.call_soon_threadsafe(_answer, told)
        except Exception as error:  # it is closed, or not as it should be: the other loops' callers wait
            log.warning("an event loop could not be told of %d jobs: %s", len(told), error)


def _answer(told: list[tuple["asyncio.Future[Enqueued]", Enqueued | Exception]]) -> None:
    for future, answer in told:
        if future.cancelled():
            continue
        if isinstance(answer, Exception):
            future.set_exception(answer)
        else:
            future.set_result(answer)


def _forget_parent() -> None:
    """A forked child has neither the thread nor a say in what state its lock was copied."""
    global _gatherer
    _gatherer = Gatherer()
    _asked.clear()


_gatherer = Gatherer()
os.register_at_fork(after_in_child=_forget_parent)
