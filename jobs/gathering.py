"""Enqueuing for callers that run side by side: jobs of many coroutines in one commit.

A batch is whatever was asked for while the commit before it ran, so a caller who is alone waits for its own commit
only. For async code: it has no transaction that a job could be part of.
"""

import asyncio
import logging
import os
import threading
from collections import defaultdict
from typing import NamedTuple

from asgiref.sync import sync_to_async
from django.db import DEFAULT_DB_ALIAS, DatabaseError, InterfaceError, connections

from jobs import lifecycle
from jobs.lifecycle import Enqueued, NewJob
from jobs.sessions import beside, is_away, own_session, was_ended

log = logging.getLogger("jobs")

MOST = 1000  # jobs in one commit


class Asked(NamedTuple):
    """A job that is to be inserted, and who waits for it."""

    job: NewJob
    loop: asyncio.AbstractEventLoop
    answer: "asyncio.Future[Enqueued]"


async def enqueue(job: NewJob) -> Enqueued:
    """Insert a job; returns once it is committed. Cancelled while it waits, it may have been inserted."""
    if not beside():
        return (await sync_to_async(lifecycle.enqueue)([job]))[0]
    loop = asyncio.get_running_loop()
    asked = Asked(job, loop, loop.create_future())
    if (together := _asked.get(loop)) is None:
        together = _asked[loop] = []
        loop.call_soon(_hand_over, loop)  # after all that are about to run
    together.append(asked)
    return await asked.answer


_asked: dict[asyncio.AbstractEventLoop, list[Asked]] = {}  # in this turn of a loop


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
            self.wanted.wait()
            with self.lock:
                batch, self.waiting = self.waiting[:MOST], self.waiting[MOST:]
                if not self.waiting:
                    self.wanted.clear()
            batch = [asked for asked in batch if not asked.answer.cancelled()]
            try:
                if not connected or was_ended(connections[DEFAULT_DB_ALIAS]):
                    own_session(lock_timeout=5_000, statement_timeout=30_000)
                    connected = True
                answers = _insert([asked.job for asked in batch])
            except Exception as error:
                connected = False
                answers = [error] * len(batch)
            _tell(batch, answers)


def _insert(jobs: list[NewJob]) -> list[Enqueued | Exception]:
    try:
        return [*lifecycle.enqueue(jobs)]
    except (DatabaseError, InterfaceError, RuntimeError) as error:
        if is_away(error):
            raise
        if len(jobs) == 1:
            return [error]
    return [_insert([job])[0] for job in jobs]  # what Postgres refuses is refused to its caller alone


def _tell(batch: list[Asked], answers: list[Enqueued | Exception]) -> None:
    """One visit to each event loop."""
    by_loop: dict[asyncio.AbstractEventLoop, list[tuple[asyncio.Future[Enqueued], Enqueued | Exception]]]
    by_loop = defaultdict(list)
    for asked, answer in zip(batch, answers, strict=True):
        by_loop[asked.loop].append((asked.answer, answer))
    for loop, told in by_loop.items():
        try:
            loop.call_soon_threadsafe(_answer, told)
        except RuntimeError:
            log.warning("an event loop ended before it was told of %d jobs", len(told))


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
