"""The run beside others counts what it is there to count."""

from collections.abc import Sequence
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from django.db import connection

from tests.chaos.beside.load import IN_TRANSACTION, KINDS, ORDERS, Call, Item, Load, calls, orders
from tests.chaos.beside.run import Bodies, tally
from tests.chaos.faults import Refused
from tests.integration.jobtypes import journal


@pytest.fixture
def bodies(tmp_path: Path) -> Bodies:
    return Bodies(tmp_path / "journal")


def ran(bodies: Bodies, *events: str) -> UUID:
    """A job whose bodies wrote this."""
    job = uuid4()
    for event in events:
        journal.write(str(bodies.path), job, 1, event)
    return job


def call(job: UUID, kind: str = "short") -> Call:
    return Call(0.0, kind, [Item(job)], after_commit=False)


def test_the_same_seed_makes_the_same_calls_of_every_kind() -> None:
    first, again, other = (list(calls(seed, 60, 15)) for seed in (1, 1, 2))
    assert first == again != other
    assert {call.kind for call in first} == KINDS.keys()
    assert len({item.id for call in first for item in call.items}) > len(first) == 900


def test_what_becomes_of_jobs(bodies: Bodies) -> None:
    well, failed, twice = ran(bodies, "start", "end"), ran(bodies, "start", "fail"), ran(bodies, "end", "end")
    lost, given_up, refused = ran(bodies, "start"), ran(bodies), ran(bodies)
    committed, undone, phantom, gone = ran(bodies, "end"), ran(bodies), ran(bodies, "start"), ran(bodies)
    plan = [call(job) for job in (well, failed, twice, lost, given_up, refused)]
    plan += [call(job, "committed") for job in (committed, gone)] + [
        call(job, "rolled back") for job in (undone, phantom)
    ]
    ran(bodies, "start", "end")  # a probe
    bodies.read()
    assert tally(plan, {well, failed, twice, lost, given_up}, {committed, gone}, bodies, {given_up}) == {
        "accepted": 7,
        "ended": 4,
        "given up": 1,
        "lost, told": 1,
        "lost, committed": 1,
        "phantom": 1,
        "twice": 1,
    }


def test_a_line_that_is_half_there_is_read_when_it_is_whole(bodies: Bodies) -> None:
    job = ran(bodies, "start")
    whole = bodies.path.read_bytes()
    bodies.path.write_bytes(whole[:-10])
    assert bodies.read() == 0
    bodies.path.write_bytes(whole)
    assert bodies.read() == 1
    assert bodies.begun == {job: 1}


class Broker:
    """A queue outside of the database, that takes nothing while it is away."""

    transactional = False

    def __init__(self) -> None:
        self.taken: list[UUID] = []
        self.is_away = False

    def enqueue(self, item: Item) -> None:
        if self.is_away:
            raise Refused("away")
        self.taken.append(item.id)

    def chain(self, items: Sequence[Item]) -> None:
        for item in items:
            self.enqueue(item)


@pytest.mark.django_db(transaction=True)
def test_what_the_load_knows() -> None:
    broker, job = Broker(), [uuid4() for _ in range(6)]
    late = [
        Call(0.0, kind, [Item(each)], after_commit=True) for kind, each in zip(IN_TRANSACTION, job[3:5], strict=True)
    ]
    plan = [call(job[0]), call(job[1], "committed"), call(job[2], "rolled back"), *late]
    with connection.cursor() as cursor:
        cursor.execute(ORDERS)
    try:
        load = Load(broker, plan)
        load.run()
        broker.is_away = True
        load.plan = [call(job[5])]
        load.run()
        assert orders() == {job[1], job[3]}
    finally:
        with connection.cursor() as cursor:
            cursor.execute("DROP TABLE chaos_order")
    assert broker.taken == job[:4]  # the one of a transaction that rolled back too, where it was enqueued in it
    assert (load.told, load.refused) == ({job[0]}, 1)
