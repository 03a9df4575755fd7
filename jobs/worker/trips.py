"""How jobs get into a pool of processes: a trip each, or one for several that are measured to be short.

A trip has one fate: a child that dies, or is killed for one of its jobs, ends it for all of them.
"""

import logging
import os
import signal
import threading
import time
from collections.abc import Collection
from itertools import islice, takewhile
from typing import Any

from billiard.common import TERM_SIGNAL
from billiard.einfo import ExceptionInfo
from billiard.exceptions import Terminated

from jobs import execution
from jobs.calling import Processor, get_processor
from jobs.errors import Cancelled, JobError, JobTimeout
from jobs.lifecycle import Claimed, Error, Outcome, Verb
from jobs.sessions import tidy
from jobs.worker.held import Held
from jobs.worker.request import accept, for_tracer
from jobs.worker.slots import TERM_GRACE, Slots

log = logging.getLogger("jobs.worker")

SHORT = 0.005  # seconds: jobs measured to be this short go to a child several at a time
CHUNK = 10


class ProcessSlots(Slots):
    """One job for each trip to a child, or a chunk of jobs that were measured to be short."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.lock = threading.Lock()
        self.trips: set[Trip] = set()

    def free(self) -> int:
        with self.lock:
            return self.size - len(self.trips)

    def fill(self) -> None:
        while True:
            with self.lock:
                if len(self.trips) >= self.size:
                    return
                taken = self.feed.take(self._together())
                if not taken:
                    return
                trip = Trip(self, taken)
                self.trips.add(trip)
            trip.go()

    def _together(self) -> int:
        """How many of the next jobs go in one trip: one that has lost a worker before goes alone."""
        with self.feed.lock:
            following = list(islice(self.feed.buffer, CHUNK))
            many = self.feed.cost < SHORT and len(self.feed.buffer) > self.size
        unharmed = takewhile(lambda held: not held.job.losses, following)
        return max(1, len(list(unharmed))) if many else 1

    def back(self, trip: "Trip") -> None:
        with self.lock:
            self.trips.discard(trip)
        self.feed.kick.set()
        self.fill()

    def stop(self, held: "Held") -> None:
        trip = self._trip_of(held)
        if trip is not None and trip.pid is not None:
            self.pool.terminate_job(trip.pid, signal.SIGKILL if isinstance(held.stop, JobTimeout) else TERM_SIGNAL)

    def tick(self) -> None:
        """SIGKILL for children that were told to stop and have not."""
        for trip in list(self.trips):
            late = [held for held in trip.all if held.stop and time.monotonic() - held.stopped > TERM_GRACE]
            if late and trip.pid is not None:
                _kill(trip.pid)

    def late(self, held: "Held", error: JobError) -> Outcome:
        """Nobody knows which of several jobs took the time: each runs again, alone."""
        trip = self._trip_of(held)
        if trip is None or len(trip.sent) == 1:
            return super().late(held, error)
        return trip.lost(held, f"the process that ran it with {len(trip.sent) - 1} others was stopped: {error}")

    def _trip_of(self, held: "Held") -> "Trip | None":
        with self.lock:
            return next((trip for trip in self.trips if held in trip.all), None)

    def kill(self) -> None:
        for trip in list(self.trips):
            if trip.pid is not None:
                _kill(trip.pid)


class Trip:
    """Jobs on their way to a child and back."""

    def __init__(self, slots: ProcessSlots, taken: list["Held"]) -> None:
        self.slots = slots
        self.all = taken
        self.sent: list[Held] = []
        self.pid: int | None = None

    def go(self) -> None:
        orders: list[tuple[str, Claimed, dict[str, Any]]] = []
        soft = None
        for held in self.all:
            try:
                task = self.slots.prepare(held)
            except Exception as error:
                self.slots.ended(held, self.slots.broken(held, error))
                continue
            if task is not None:
                orders.append((task.name, held.job, for_tracer(held.job, task, self.slots.hostname)))
                self.sent.append(held)
                soft = task.soft_time_limit
        if not orders:
            return self.slots.back(self)
        try:
            self.slots.pool.apply_async(
                run_in_child,
                args=(orders,),
                accept_callback=self.accepted,
                callback=self.returned,
                error_callback=self.failed,
                timeout_callback=lambda soft, timeout: None,
                soft_timeout=soft if len(orders) == 1 else None,
                correlation_id=str(self.sent[0].job.id),
            )
        except Exception as error:
            for held in self.sent:
                self.slots.ended(held, self.slots.broken(held, error))
            self.slots.back(self)

    def accepted(self, pid: int, _when: float) -> None:
        self.pid = pid
        for held in self.sent:
            held.started = time.monotonic()
            accept(held, pid)
        for held in self.sent:
            if held.stop is not None:  # told to while it was on its way
                self.slots.stop(held)

    def returned(self, outcomes: list[Outcome]) -> None:
        try:
            for held, outcome in zip(self.sent, outcomes, strict=True):
                self.slots.ended(held, outcome)
        finally:
            self.slots.back(self)

    def failed(self, info: ExceptionInfo) -> None:
        """The child died, or was killed by us for one of these jobs."""
        error: Any = getattr(info.exception, "exc", info.exception)
        ours = any(held.stop is not None for held in self.sent)
        try:
            for held in self.sent:
                self.slots.ended(held, self._end(held, error, ours))
        finally:
            self.slots.back(self)

    def _end(self, held: "Held", error: BaseException, ours: bool) -> Outcome:
        if isinstance(held.stop, Cancelled):
            return Outcome(*held.job.key, Verb.CANCEL)
        if ours or isinstance(error, Terminated):  # killed for another job, or by mistake
            return Outcome(*held.job.key, Verb.GIVE_BACK)
        return self.lost(held, f"the process that ran it died: {error}")

    def lost(self, held: Held, why: str) -> Outcome:
        verb = Verb.FAIL if get_processor(held.job.type).on_lost == "fail" else Verb.LOSE
        return Outcome(*held.job.key, verb, error=Error("WorkerLost", why, "", "worker-lost"))


def run_in_child(orders: Collection[tuple[str, Claimed, dict[str, Any]]]) -> list[Outcome]:
    """What a child runs. Celery's own target would give the parent only a repr of the result."""
    return [_run(get_processor(name), job, request) for name, job, request in orders]


def _run(task: Processor, job: Claimed, request: dict[str, Any]) -> Outcome:
    try:
        return execution.run(task, job, request)
    finally:
        tidy()


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        log.debug("process %d is gone already", pid)
