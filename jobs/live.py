"""Live changes in a web process: one subscription to Redis and one look at the rows for all who watch there.

Who watches is registered before the row is read, so that no change gets lost between. Messages only say where to
look, and how far a run is; every `LOOK` seconds all watched rows are read in any case. So without Redis everything
comes a little later. How a job looks to a client is `jobs.api`'s business.
"""

import asyncio
import copy
import json
import logging
from collections.abc import AsyncIterator, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID
from weakref import WeakKeyDictionary

import redis.asyncio
from django.conf import settings
from django.db import DatabaseError, InterfaceError, close_old_connections, connections

from jobs import events
from jobs.models import TERMINAL, Failure, Job, LogLine, Status
from jobs.sessions import fetch

log = logging.getLogger("jobs.live")

LOOK = 3.0  # seconds between two looks at everything that is watched
PAUSE = 0.1  # seconds between two reads: what changes meanwhile is read at once
SILENCE = 30.0  # seconds without a message after which the subscription is made anew: it may be dead


@dataclass(frozen=True)
class Seen:
    """A job as it was seen, with what its last failed run said."""

    job: Job
    failure: Failure | None

    @property
    def ended(self) -> bool:
        return self.job.status in TERMINAL


class Watcher:
    """One who watches a job. `after` is the last log line that they have; None: they get none."""

    def __init__(self, after: int | None) -> None:
        self.after = after
        self.lines: list[LogLine] = []
        self.seen: Seen | None = None  # the latest that was not taken
        self.gone = False  # there is no such job, or no more
        self.news = asyncio.Event()

    def tell(self, seen: Seen | None, lines: Iterable[LogLine] = ()) -> None:
        self.seen, self.gone = seen, seen is None
        if self.after is not None:
            new = [line for line in lines if line.id > self.after]
            self.after = new[-1].id if new else self.after
            self.lines += new
        self.news.set()

    def take(self) -> tuple[list[LogLine], Seen | None]:
        """What is new: log lines, and the job."""
        self.news.clear()
        lines, seen, self.lines, self.seen = self.lines, self.seen, [], None
        return lines, seen


@dataclass
class Watched:
    """A job that is watched."""

    watchers: set[Watcher] = field(default_factory=set)
    read: Seen | None = None  # as its row was read last
    told: tuple[int, Any] | None = None  # run and progress, by Redis: ahead of the row
    heard: bool = False  # something was, since the row was read

    @property
    def after(self) -> int | None:
        """The log line after which one of the watchers wants more."""
        return min((watcher.after for watcher in self.watchers if watcher.after is not None), default=None)

    def look(self, read: Seen | None, lines: Iterable[LogLine]) -> None:
        before, self.read = self.read, read
        if read is not None and self.told is not None:
            over = read.job.status != Status.PROCESSING or read.job.run != self.told[0]
            # The row got on, and Redis did not say so: it is the one that is behind.
            behind = before is not None and before.job.progress != read.job.progress and not self.heard
            if over or behind:
                self.told = None
        self.heard = False
        self.tell(lines)

    def hear(self, run: int, progress: Any) -> None:
        self.told, self.heard = (run, progress), True
        if self.read is not None and self.read.job.run == run and self.read.job.status == Status.PROCESSING:
            self.tell()

    def tell(self, lines: Iterable[LogLine] = ()) -> None:
        seen = self.read
        if seen is not None and self.told is not None:
            job = copy.copy(seen.job)
            job.progress = self.told[1]
            seen = Seen(job, seen.failure)
        for watcher in self.watchers:
            watcher.tell(seen, lines)


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
            seen, lines = await asyncio.get_running_loop().run_in_executor(self.thread, read, afters)
            for job in afters.keys() & self.jobs.keys():
                self.jobs[job].look(seen.get(job), lines.get(job, []))

    async def _look_for_activity(self) -> None:
        before = self.activity
        self.activity = await asyncio.get_running_loop().run_in_executor(self.thread, activity)
        if before and self.activity != before:
            self._tell_dashboards()


_hubs: WeakKeyDictionary[asyncio.AbstractEventLoop, Hub] = WeakKeyDictionary()


def hub() -> Hub:
    """The one of the running event loop."""
    return _hubs.setdefault(asyncio.get_running_loop(), Hub())


_LINE = ("id", "job", "run", "level", "message", "at")
_LINES = """
SELECT l.id, l.job, l.run, l.level, l.message, l.at FROM unnest(%(jobs)s::uuid[], %(afters)s::bigint[]) AS w(job, after)
JOIN jobs_logline l ON l.job = w.job AND l.id > w.after ORDER BY l.id
"""


def read(afters: Mapping[UUID, int | None]) -> tuple[dict[UUID, Seen], dict[UUID, list[LogLine]]]:
    """These jobs, and of those with a number the log lines after it: three statements for any number of jobs."""
    close_old_connections()
    try:
        jobs = Job.objects.in_bulk(afters)
        broken = [job.id for job in jobs.values() if job.run and job.status != Status.COMPLETED]
        failures = Failure.objects.filter(job__in=broken).order_by("job_id", "-run").distinct("job_id")
        failure_of = {failure.job_id: failure for failure in failures} if broken else {}
        wanted = {job: after for job, after in afters.items() if after is not None}
        parameters = {"jobs": list(wanted), "afters": list(wanted.values())}
        lines: dict[UUID, list[LogLine]] = {}
        for row in fetch(_LINES, parameters) if wanted else ():
            line = LogLine(**dict(zip(_LINE, row, strict=True)))
            lines.setdefault(line.job, []).append(line)
        return {job.id: Seen(job, failure_of.get(job.id)) for job in jobs.values()}, lines
    finally:
        close_old_connections()


# A worker's heartbeats are not news, its coming and going is.
_ACTIVITY = """
SELECT coalesce(sum(n_tup_ins + n_tup_del + CASE WHEN relname = 'jobs_worker' THEN 0 ELSE n_tup_upd END), 0)::bigint
FROM pg_stat_user_tables
WHERE schemaname = current_schema() AND relname IN ('jobs_job', 'jobs_queue', 'jobs_worker', 'jobs_event',
    'jobs_alert', 'jobs_alertrule', 'jobs_errorgroup', 'django_celery_beat_periodictask')
"""


def activity() -> int:
    """A number that grows with every change that a dashboard shows, within seconds."""
    close_old_connections()
    try:
        return int(fetch(_ACTIVITY, {})[0][0])
    finally:
        close_old_connections()
