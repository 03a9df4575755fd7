"""The load: jobs of every kind, enqueued in transactions that commit and in some that roll back.

Remembers what it was told: which ids exist, and which must not.
"""

import heapq
import random
import threading
import time
from collections import Counter
from collections.abc import Callable
from functools import partial
from uuid import UUID

from celery import chain
from django.db import Error as DatabaseError
from django.db import connection, transaction

from jobs import lifecycle
from jobs.processor import Enqueued
from tests.chaos.checks import STEPS
from tests.chaos.tasks import chaos_call, chaos_step, chaos_work

KEYS = 5
# How often each kind comes. It is also the tag of its jobs.
KINDS = {
    "short": 30,
    "long": 6,
    "retrying": 6,
    "failing": 4,
    "scheduled": 6,
    "unique": 8,
    "chained": 5,
    "cancelled": 5,
    "paced": 8,
    "narrow": 5,
    "committed": 8,
    "rolled back": 5,
}


class Load(threading.Thread):
    """Enqueues so many jobs a second until it is stopped, through whatever happens to the servers."""

    def __init__(self, seed: int, journal: str, rate: float) -> None:
        super().__init__(name="chaos-load", daemon=True)
        self.random = random.Random(seed)
        self.journal = journal
        self.pause = 1 / rate
        self.ended = threading.Event()
        self.kept: dict[UUID, str] = {}  # the kind of each job that we were told exists
        self.undone: set[UUID] = set()  # enqueued in transactions that rolled back
        self.refused: Counter[str] = Counter()  # calls that raised, so that nothing is known, by kind
        self._cancels: list[tuple[float, UUID]] = []  # when to cancel which

    def run(self) -> None:
        kinds, weights = list(KINDS), list(KINDS.values())
        while not self.ended.wait(self.pause):
            self._try("cancelled", self._cancel_due)
            kind = self.random.choices(kinds, weights)[0]
            self._try(kind, partial(self._enqueue, kind))
        while self._cancels:  # without waiting for their times
            self._cancels = [(0, job) for _, job in self._cancels]
            self._try("cancelled", self._cancel_due)
            time.sleep(self.pause)
        connection.close()

    def _try(self, kind: str, act: Callable[[], object]) -> None:
        try:
            act()
        except DatabaseError:
            self.refused[kind] += 1
            connection.close()

    def _enqueue(self, kind: str) -> None:
        work, number = {"journal": self.journal}, self.random
        match kind:
            case "long":
                self._keep(kind, chaos_work.enqueue({**work, "seconds": number.uniform(0.5, 3)}, tags=[kind]))
            case "retrying":
                self._keep(kind, chaos_work.enqueue({**work, "fails": 2}, tags=[kind]))
            case "failing":
                self._keep(kind, chaos_work.enqueue({**work, "hopeless": True}, tags=[kind]))
            case "scheduled":
                self._keep(kind, chaos_work.enqueue(work, tags=[kind], countdown=number.uniform(1, 10)))
            case "unique":
                key = f"key-{number.randrange(KEYS)}"
                seconds = number.uniform(0, 0.5)
                self._keep(kind, chaos_work.enqueue({**work, "seconds": seconds}, tags=[kind], unique_key=key))
            case "chained":
                steps = [{"letter": letter, "journal": self.journal} for letter in STEPS]
                steps[0]["text"] = ""
                last = chain(*(chaos_step.signature(kwargs=step, options={"tags": [kind]}) for step in steps))()
                self.kept[UUID(last.id)] = kind
            case "cancelled":
                job = chaos_work.enqueue({**work, "seconds": 5}, tags=[kind])
                self._keep(kind, job)
                heapq.heappush(self._cancels, (time.monotonic() + number.uniform(0, 3), job.id))
            case "paced":
                self._keep(kind, chaos_call.enqueue(work, tags=[kind]))
            case "narrow":
                self._keep(kind, chaos_work.enqueue({**work, "seconds": 0.2}, tags=[kind], queue="narrow"))
            case "rolled back":
                with transaction.atomic():
                    self.undone.add(chaos_work.enqueue(work, tags=[kind]).id)
                    transaction.set_rollback(True)
            case "committed":
                with transaction.atomic():
                    job = chaos_work.enqueue(work, tags=[kind])
                self._keep(kind, job)
            case _:
                self._keep(kind, chaos_work.enqueue(work, tags=[kind]))

    def _keep(self, kind: str, job: Enqueued) -> None:
        if job.created:
            self.kept[job.id] = kind

    def _cancel_due(self) -> None:
        while self._cancels and self._cancels[0][0] <= time.monotonic():
            lifecycle.cancel([self._cancels[0][1]], actor="chaos")
            heapq.heappop(self._cancels)
