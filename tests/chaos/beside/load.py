"""The load of a run beside others: drawn from the seed before it begins, so that every system gets the same calls.

Of the kinds of jobs those that every system has words for. A call is made at its time or, when earlier calls took long,
as soon as they are over.
"""

import random
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Protocol
from uuid import UUID

from django.db import Error as DatabaseError
from django.db import connection, transaction

from tests.chaos import load
from tests.chaos.faults import Refused

OURS_ALONE = ("unique", "cancelled", "paced", "narrow")
KINDS = {kind: weight for kind, weight in load.KINDS.items() if kind not in OURS_ALONE}
IN_TRANSACTION = ("committed", "rolled back")
STEPS = 3  # of a chain
ORDERS = "CREATE TABLE chaos_order (id uuid PRIMARY KEY)"  # what an application writes in its transactions


@dataclass(frozen=True)
class Item:
    """A job: what its body is to do, in seconds and attempts, and after how many seconds."""

    id: UUID
    seconds: float = 0.0
    fails: int = 0
    hopeless: bool = False
    delay: float = 0.0


@dataclass(frozen=True)
class Call:
    """One call of the application: a job or the steps of a chain, so many seconds after the beginning."""

    at: float
    kind: str
    items: Sequence[Item]
    after_commit: bool  # for systems whose jobs are no part of the transaction; else within it


class System(Protocol):
    """What enqueues. Both raise Refused or a database error when a call fails."""

    transactional: bool  # an enqueue is part of the caller's transaction

    def enqueue(self, item: Item) -> None: ...

    def chain(self, items: Sequence[Item]) -> None: ...


def calls(seed: int, seconds: float, rate: float) -> Iterator[Call]:
    """All of a run."""
    number = random.Random(seed)
    for place in range(int(seconds * rate)):
        kind = number.choices(list(KINDS), list(KINDS.values()))[0]
        length, delay, after_commit = number.uniform(0.5, 3), number.uniform(1, 10), number.random() < 0.5
        ids = [UUID(int=number.getrandbits(128), version=4) for _ in range(STEPS if kind == "chained" else 1)]
        items = [
            Item(
                each,
                seconds=length if kind == "long" else 0.0,
                fails=2 if kind == "retrying" else 0,
                hopeless=kind == "failing",
                delay=delay if kind == "scheduled" else 0.0,
            )
            for each in ids
        ]
        yield Call(place / rate, kind, items, after_commit)


class Load(threading.Thread):
    """Makes the calls, through whatever happens to the servers, and remembers which ones returned."""

    def __init__(self, system: System, plan: Sequence[Call]) -> None:
        super().__init__(name="chaos-load", daemon=True)
        self.system = system
        self.plan = plan
        self.told: set[UUID] = set()  # the call returned, and was in no transaction
        self.refused = 0  # calls and transactions that raised

    def run(self) -> None:
        begin = time.monotonic()
        for call in self.plan:
            time.sleep(max(0.0, begin + call.at - time.monotonic()))
            try:
                self._make(call)
            except (DatabaseError, Refused):
                self.refused += 1
                connection.close()
        connection.close()

    def _make(self, call: Call) -> None:
        if call.kind in IN_TRANSACTION:
            self._transact(call)
        elif call.kind == "chained":
            self.system.chain(call.items)
            self.told.update(item.id for item in call.items)
        else:
            self.system.enqueue(call.items[0])
            self.told.add(call.items[0].id)

    def _transact(self, call: Call) -> None:
        (item,) = call.items
        with transaction.atomic():
            with connection.cursor() as cursor:
                cursor.execute("INSERT INTO chaos_order (id) VALUES (%s)", [item.id])
            if call.after_commit and not self.system.transactional:
                transaction.on_commit(partial(self.system.enqueue, item))
            else:
                self.system.enqueue(item)
            transaction.set_rollback(call.kind == "rolled back")


def orders() -> set[UUID]:
    """The jobs whose transactions have committed."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT id FROM chaos_order")
        return {order for (order,) in cursor.fetchall()}
