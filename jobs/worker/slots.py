"""How jobs get from the feed's buffer into Celery's pool, one class for each kind of pool.

Whatever happens between taking a job and reporting it, a report is made: an exception in a pool's thread
would vanish in its executor.
"""

import logging
import threading
import time
import traceback
from typing import TYPE_CHECKING, Any, cast
from uuid import UUID

from celery import current_app
from celery.worker.state import task_ready

from jobs import execution
from jobs.calling import get_processor
from jobs.context import stop_requests
from jobs.encoding import storable
from jobs.errors import Cancelled, JobError
from jobs.lifecycle import Error, Outcome, Verb
from jobs.sessions import tidy
from jobs.worker.held import Held, Key
from jobs.worker.request import accept, build, for_tracer

if TYPE_CHECKING:
    from celery.concurrency.base import BasePool

    from jobs.calling import Processor
    from jobs.worker.feed import Feed
    from jobs.worker.taskevents import TaskEvents

log = logging.getLogger("jobs.worker")

UNKNOWN = 30.0  # seconds that a job of an unknown type is put off, and as many more each time
UNKNOWN_MOST = 600.0
TERM_GRACE = 3.0  # seconds that a stopped body has to end: then SIGKILL for a child, and a thread counts as stuck
QUICK = 0.02  # seconds in which the threads that were started should empty the buffer


class Slots:
    """Takes jobs for a pool, reports their outcomes, and stops them."""

    def __init__(self, feed: "Feed", pool: "BasePool", hostname: str, events: "TaskEvents") -> None:
        self.feed = feed
        self.pool = pool
        self.hostname = hostname
        self.events = events

    @property
    def size(self) -> int:
        """How many jobs the pool runs at once; `pool grow` and `pool shrink` change it."""
        return int(self.pool.num_processes)

    def free(self) -> int:
        raise NotImplementedError

    def fill(self) -> None:
        """Start what the buffer holds and there is room for."""
        raise NotImplementedError

    def stop(self, held: "Held") -> None:
        """End a running job, as far as this pool can."""
        raise NotImplementedError

    def late(self, held: "Held", error: JobError) -> Outcome:
        """The outcome of a run that has had its time."""
        outcome = execution.of_error(get_processor(held.job.type), held.job, error, "", None)
        outcome.seconds = held.job.timeout
        return outcome

    def zombies(self) -> list[UUID]:
        """Jobs whose body still runs though their run has been reported or lost: not to be claimed here."""
        return []

    def stuck(self) -> int:
        """How many slots run a body past its timeout that does not stop."""
        return 0

    def tick(self) -> None:
        """Now and then, from the lease thread."""

    def kill(self) -> None:
        """End what still runs at the end of the grace."""

    # --- for both kinds -------------------------------------------------------------------------------------------

    def prepare(self, held: "Held") -> "Processor | None":
        """Make Celery's request. A job whose type this worker does not know is put off for one that does."""
        task = cast("Processor | None", current_app.tasks.get(held.job.type))
        if task is None:
            message = f"this worker has no job type {held.job.type!r}"
            error = Error("UnknownProcessor", message, "", "retryable")
            delay = min(UNKNOWN * held.job.run, UNKNOWN_MOST)
            self.feed.report(Outcome(*held.job.key, Verb.SNOOZE, delay=delay, error=error))
            return None
        held.request = build(held, task, self.hostname, self.events)
        return task

    def ended(self, held: "Held", outcome: Outcome) -> None:
        """Report. Celery's view of what runs changes now, Flower's when the outcome is written."""
        self.feed.report(outcome)
        stop_requests.pop(held.job.key, None)
        if held.request is not None:
            task_ready(held.request)

    def broken(self, held: "Held", error: BaseException) -> Outcome:
        """The outcome of a run that our own code failed to run."""
        message, trace = self._shown(held, error)
        log.error("could not run job %s: %s\n%s", held.job.id, message, trace)
        told = Error(type(error).__name__, message, trace, "retryable")
        return Outcome(*held.job.key, Verb.RETRY, delay=5.0, error=told)

    def _shown(self, held: "Held", error: BaseException) -> tuple[str, str]:
        """Message and traceback without the job's secrets; nothing when it is just those that cannot be found."""
        try:
            redact = execution.Redactor(cast("Processor", current_app.tasks[held.job.type]), held.job)
            return storable(redact(str(error))), storable(redact("".join(traceback.format_exception(error))))
        except Exception:
            return "it cannot be shown", ""


class ThreadSlots(Slots):
    """Pool threads pull from the buffer until it is empty: no hand-over for each job."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.lock = threading.Lock()
        self.pulling = 0  # threads at work or about to be
        self.running: dict[Key, Held] = {}  # bodies that have not returned

    def free(self) -> int:
        with self.lock:
            return self.size - len(self.running)

    def zombies(self) -> list[UUID]:
        with self.lock:
            return [held.job.id for held in self.running.values() if held.stop is not None]

    def stuck(self) -> int:
        with self.lock:
            patience = time.monotonic() - TERM_GRACE
            told = [held for held in self.running.values() if held.stop is not None and held.stopped < patience]
            return sum(held.overdue for held in told)

    def fill(self) -> None:
        self._start(int(len(self.feed.buffer) * self.feed.cost / QUICK) + 1)

    def tick(self) -> None:
        if self.feed.buffer and time.monotonic() - self.feed.taken > QUICK:
            self._start(self.size)  # one of those at work got a long one

    def _start(self, enough: int) -> None:
        with self.lock:
            count = min(enough, len(self.feed.buffer), self.size - self.pulling) if self.feed.buffer else 0
            self.pulling += max(0, count)
        for _ in range(count):
            self.submit()

    def submit(self) -> None:
        self.pool.apply_async(self.pull, callback=lambda _: None)

    def pull(self) -> None:
        """What a pool thread does."""
        try:
            while taken := self.feed.take(1):
                self._run(taken[0])
        except BaseException:
            log.exception("a pool thread ended")
            raise
        finally:
            with self.lock:
                self.pulling -= 1
            self.feed.kick.set()
        if self.feed.buffer:
            self._start(1)  # put in after our last look and before our count was down

    def _run(self, held: "Held") -> None:
        with self.lock:
            self.running[held.job.key] = held
        try:
            task = self.prepare(held)
            if task is None:
                return
            accept(held, threading.get_ident())
            if held.stop is not None:
                raise held.stop
            outcome = execution.run(task, held.job, for_tracer(held.job, task, self.hostname))
        except BaseException as error:
            outcome = Outcome(*held.job.key, Verb.CANCEL) if isinstance(error, Cancelled) else self.broken(held, error)
        finally:
            tidy()
            with self.lock:
                self.running.pop(held.job.key, None)
        self.ended(held, outcome)

    def stop(self, held: "Held") -> None:
        """Nothing more: `job.check` finds the request. The row of one that is out of time fails now."""


class SoloSlots(ThreadSlots):
    """One thread of our own, in which Celery's solo pool runs its target."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.asked = threading.Semaphore(0)
        threading.Thread(target=self._loop, name="jobs-solo", daemon=True).start()

    def submit(self) -> None:
        self.asked.release()

    def _loop(self) -> None:
        while True:
            self.asked.acquire()
            self.pool.apply_async(self.pull, callback=lambda _: None)
