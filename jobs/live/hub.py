"""The hub: it hears Redis, looks at Postgres, and tells all who watch in one event loop."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from typing import Any, TypeVar
from uuid import UUID
from weakref import WeakKeyDictionary

import redis.asyncio
from django.conf import settings
from django.db import DatabaseError, InterfaceError, close_old_connections, connections

from jobs import events
from jobs.live.reading import activity, read
from jobs.live.watching import Watched, Watcher

log = logging.getLogger("jobs.live")
T = TypeVar("T")

LOOK = 3.0  # seconds between two looks at everything that is watched
PAUSE = 0.1  # seconds between two reads: what changes meanwhile is read at once
SILENCE = 30.0  # seconds without a message after which the subscription is made anew: it may be dead


class Hub:
    """All who watch in one event loop. It works while there are any."""

    def __init__(self) -> None:
        self.jobs: dict[UUID, Watched] = {}
        self.dashboards: set[asyncio.Event] = set()
        self.activity = 0
        self.dirty: set[UUID] = set()  # to be read
        self.asked = asyncio.Event()
        self.subscribed = asyncio.Event()
        self.tasks: list[asyncio.Task[None]] = []
        self.thread: ThreadPoolExecutor

    @asynccontextmanager
    async def watching(self, job: UUID, after: int | None) -> AsyncIterator[Watcher]:
        """Within this block the watcher gets news: the job as it is first, then each change."""
        watcher = Watcher(after)
        watched = self.jobs.setdefault(job, Watched())
        watched.watchers.add(watcher)
        try:
            await self._ready()
            self._ask([job])
            yield watcher
        finally:
            watched.watchers.discard(watcher)
            if not watched.watchers:
                del self.jobs[job]
            self._rest()

    @asynccontextmanager
    async def watching_all(self) -> AsyncIterator[asyncio.Event]:
        """Within this block the event is set when anything changes that a dashboard shows."""
        news = asyncio.Event()
        self.dashboards.add(news)
        try:
            await self._ready()
            yield news
        finally:
            self.dashboards.discard(news)
            self._rest()

    async def _ready(self) -> None:
        """Work, and hear, if Redis answers soon."""
        if not self.tasks:
            self.thread = ThreadPoolExecutor(1, "jobs-live")
            self.tasks = [asyncio.create_task(self._listen()), asyncio.create_task(self._look())]
        with suppress(TimeoutError):
            async with asyncio.timeout(1):
                await self.subscribed.wait()

    def _rest(self) -> None:
        """Without watchers there is nothing to do, and nothing is kept."""
        if self.tasks and not self.jobs and not self.dashboards:
            for task in self.tasks:
                task.cancel()
            self.tasks.clear()
            self.subscribed.clear()
            self.thread.submit(connections.close_all)
            self.thread.shutdown(wait=False)

    def _ask(self, jobs: Iterable[UUID]) -> None:
        self.dirty.update(jobs)
        if self.dirty:
            self.asked.set()

    # --- Redis -------------------------------------------------------------------------------------------------------

    async def _listen(self) -> None:
        while True:
            try:
                await self._hear_all()
            except (redis.RedisError, OSError) as error:
                log.debug("no live changes from Redis, only by looking: %s", error)
            except Exception:
                log.exception("what Redis said was not understood")
            self.subscribed.clear()
            await asyncio.sleep(1)

    async def _hear_all(self) -> None:
        """Until there is nothing to hear, or Redis goes away."""
        client = redis.asyncio.Redis.from_url(settings.REDIS_URL, socket_connect_timeout=2, retry=None)
        async with client, client.pubsub(ignore_subscribe_messages=True) as messages:
            await messages.subscribe(events.CHANGED, events.PROGRESS, events.LOGGED)
            self.subscribed.set()
            self._ask(self.jobs)
            heard = asyncio.get_running_loop().time()
            while asyncio.get_running_loop().time() < heard + SILENCE:
                message = await messages.get_message(timeout=SILENCE)
                if message is not None:
                    heard = asyncio.get_running_loop().time()
                    self._hear(message["channel"].decode(), message["data"])

    def _hear(self, channel: str, data: bytes) -> None:
        if channel == events.PROGRESS:
            job, run, progress = json.loads(data)
            if (watched := self.jobs.get(UUID(job))) is not None:
                watched.hear(run, json.loads(progress))
            return
        if channel == events.CHANGED:
            self._tell_dashboards()
        jobs = self.jobs if data == events.MANY else events.unpacked(data)
        self._ask(job for job in jobs if job in self.jobs)

    def _tell_dashboards(self) -> None:
        for news in self.dashboards:
            news.set()

    # --- Postgres ----------------------------------------------------------------------------------------------------

    async def _look(self) -> None:
        loop = asyncio.get_running_loop()
        next_look = loop.time()
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout_at(next_look):
                    await self.asked.wait()
            everything = loop.time() >= next_look
            if everything:
                next_look = loop.time() + LOOK
                self.dirty.update(self.jobs)
            self.asked.clear()
            jobs = self.dirty & self.jobs.keys()
            self.dirty.clear()
            try:
                await self._read(jobs)
                if everything and self.dashboards:
                    await self._look_for_activity()
            except (DatabaseError, InterfaceError) as error:
                log.warning("watched jobs not read, trying again: %s", str(error).strip().partition("\n")[0])
                await asyncio.sleep(1)
                self._ask(jobs)
            except Exception:
                log.exception("what is watched was not shown, trying again")
                await asyncio.sleep(1)
            await asyncio.sleep(PAUSE)

    async def _read(self, jobs: Iterable[UUID]) -> None:
        if afters := {job: self.jobs[job].after for job in jobs}:
            seen, lines = await self._in_thread(read, afters)
            for job in afters.keys() & self.jobs.keys():
                self.jobs[job].look(seen.get(job), lines.get(job, []))

    async def _look_for_activity(self) -> None:
        before = self.activity
        self.activity = await self._in_thread(activity)
        if before and self.activity != before:
            self._tell_dashboards()

    async def _in_thread(self, call: Callable[..., T], *args: Any) -> T:
        return await asyncio.get_running_loop().run_in_executor(self.thread, _with_a_sound_connection, call, *args)


def _with_a_sound_connection(call: Callable[..., T], *args: Any) -> T:
    close_old_connections()
    try:
        return call(*args)
    finally:
        close_old_connections()


_hubs: WeakKeyDictionary[asyncio.AbstractEventLoop, Hub] = WeakKeyDictionary()


def hub() -> Hub:
    """The one of the running event loop."""
    return _hubs.setdefault(asyncio.get_running_loop(), Hub())
