"""Keeping what is held: leases and heartbeat, and the deadlines of running jobs, each in a thread of its own."""

import logging
import os
import threading
import time
from typing import TYPE_CHECKING

from celery.worker import state as celery_state
from django.conf import settings
from django.db import Error as DatabaseError
from django.db.models.functions import Now

from jobs import lifecycle
from jobs.errors import Cancelled
from jobs.models import Worker
from jobs.sessions import own_session
from jobs.worker.feed import UNTAKEN
from jobs.worker.held import State

if TYPE_CHECKING:
    from jobs.worker.feed import Feed
    from jobs.worker.slots import Slots

log = logging.getLogger("jobs.worker")

TICK = 0.02  # seconds
EX_STUCK = 75  # exit status of a worker that leaves because its threads are stuck (sysexits: try again)


class Leases(threading.Thread):
    """Renews the leases of what the feed holds, and this worker's row, three times a lease."""

    def __init__(self, feed: "Feed", slots: "Slots", pool: str) -> None:
        super().__init__(name="jobs-leases", daemon=True)
        self.feed = feed
        self.slots = slots
        self.pool = pool
        self.ended = threading.Event()

    def run(self) -> None:
        connected = False
        while True:
            try:
                if not connected:
                    own_session(lock_timeout=2_000, statement_timeout=10_000)
                    connected = True
                self.renew()
                self.beat()
                wait = settings.JOBS_LEASE / 3
            except DatabaseError as error:
                log.warning("leases not renewed, trying again: %s", str(error).strip().partition("\n")[0])
                connected, wait = False, 1.0
            except Exception:  # without this thread every job that runs here would be given to another worker
                log.exception("leases stumbled, going on")
                connected, wait = False, 1.0
            if self.ended.wait(wait):
                break
        try:
            Worker.objects.filter(name=self.feed.name).delete()
        except DatabaseError:
            log.info("this worker's row stays until it is pruned")

    def renew(self) -> None:
        with self.feed.lock:
            held = [run for run, kept in self.feed.held.items()]
        if not held:
            return
        for run in lifecycle.renew(held, settings.JOBS_LEASE):
            self.feed.stop_run(run, Cancelled("cancelled"))
        for run in lifecycle.lost(held):
            # Unless its end is being written right now, another worker has it: this one is of no more use.
            if self.feed.stop_run(run, Cancelled("the job was given to another worker")) == "told to stop":
                log.warning("job %s: the lease of run %d was lost", *run)

    def beat(self) -> None:
        """Write this worker's row, and read whether an operator asked it to leave."""
        feed = self.feed
        row, _ = Worker.objects.update_or_create(
            name=feed.name,
            defaults={
                "pool": self.pool,
                "queues": sorted(feed.queues()),
                "concurrency": self.slots.size,
                "running": feed.count(State.RUNNING),
                "stuck": self.slots.stuck(),
                "processed": feed.processed,
                "failed": feed.failed,
                "heartbeat_at": Now(),
                "draining": feed.closing,
            },
        )
        if row.drain_requested_at is not None and not feed.closing:
            log.info("asked to drain: claims nothing more, and leaves when what runs has ended")
            feed.drain()


class Clock(threading.Thread):
    """Ends jobs at their timeout, and moves what is stuck. Asks no server anything."""

    def __init__(self, feed: "Feed", slots: "Slots") -> None:
        super().__init__(name="jobs-clock", daemon=True)
        self.feed = feed
        self.slots = slots

    def run(self) -> None:
        deadlines = 0.0
        while True:
            time.sleep(TICK)
            now = time.monotonic()
            try:
                self.slots.tick()
                if now >= deadlines:
                    deadlines = now + 0.1
                    self.end_overdue()
                    self.return_untaken(now)
                    self.leave_drained()
            except Exception:
                log.exception("the worker's clock stumbled, going on")

    def end_overdue(self) -> None:
        with self.feed.lock:
            overdue = [held for held in self.feed.held.values() if held.state is State.RUNNING and held.overdue]
        for held in overdue:
            self.feed.time_out(held)
        stuck = self.slots.stuck()
        if stuck and stuck * 2 >= self.slots.size and not self.feed.closing:
            log.error("%d of %d threads are stuck past their timeout: leaving", stuck, self.slots.size)
            self.feed.close()
            celery_state.should_stop = EX_STUCK  # type: ignore[assignment]

    def return_untaken(self, now: float) -> None:
        if self.feed.buffer and now - self.feed.taken > UNTAKEN:
            self.feed.forget_measure()

    def leave_drained(self) -> None:
        feed = self.feed
        if feed.draining and not feed.held and not feed.closed.is_set():
            log.info("drained: leaving")
            feed.close()
            celery_state.should_stop = os.EX_OK  # type: ignore[assignment]
