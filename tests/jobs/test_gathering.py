"""Enqueuing for many coroutines at once."""

import asyncio
import threading
from collections.abc import Coroutine, Iterator
from datetime import timedelta
from typing import Any

import pytest
from asgiref.sync import async_to_sync, sync_to_async
from django.db import connection, connections, transaction
from django.utils import timezone

from jobs import gathering
from jobs.errors import InvalidOption, InvalidPayload
from jobs.gathering import LARGEST, Asked, Gatherer
from jobs.models import Job
from jobs.processor import Enqueued, aenqueue, enqueue, get_processor
from jobs.sessions import fetch
from tests.integration.workers import wait_for

pytestmark = pytest.mark.django_db(transaction=True)


ITS = (
    "FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND datname = current_database() "
    "AND query LIKE '%%INSERT INTO jobs_job%%'"
)


def end_its_session() -> int:
    return len(fetch(f"SELECT pg_terminate_backend(pid, 5000) {ITS}", {}))


def sessions() -> int:
    return int(fetch(f"SELECT count(*) {ITS}", {})[0][0])


@pytest.fixture(autouse=True)
def no_session_is_left() -> Iterator[None]:
    """The database could not be dropped."""
    yield
    end_its_session()
    asyncio.run(sync_to_async(connections.close_all)())


def together(*calls: Coroutine[Any, Any, Enqueued]) -> list[Enqueued | BaseException]:
    async def gather() -> list[Enqueued | BaseException]:
        return await asyncio.gather(*calls, return_exceptions=True)

    return asyncio.run(gather())


def commits() -> int:
    """How many transactions have inserted the jobs there are."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(DISTINCT xmin::text) FROM jobs_job")
        return int(cursor.fetchone()[0])


def test_each_caller_is_told_of_its_own_job() -> None:
    told = together(*(aenqueue("smoke", {"message": str(n)}) for n in range(100)))
    messages = {job.id: job.payload["message"] for job in Job.objects.all()}
    mine = [messages[each.id] for each in told if isinstance(each, Enqueued)]
    assert mine == [str(n) for n in range(100)]
    assert commits() < 100


def test_by_its_processor_and_with_options() -> None:
    (told,) = together(get_processor("smoke").aenqueue({"message": "hello"}, priority="high", unique_key="one"))
    assert isinstance(told, Enqueued)
    assert (told.status, told.created) == ("pending", True)
    job = Job.objects.get(id=told.id)
    assert (job.payload["message"], job.unique_key) == ("hello", "one")
    (again,) = together(aenqueue("smoke", {"message": "hello"}, unique_key="one"))
    assert again == told._replace(created=False)


def test_what_is_wrong_is_said_at_once() -> None:
    told = together(aenqueue("smoke", {"message": 1}), aenqueue("smoke", {"message": "right"}))
    assert isinstance(told[0], InvalidPayload)
    assert isinstance(told[1], Enqueued)


def test_what_postgres_refuses_is_refused_to_its_caller_alone() -> None:
    with connection.cursor() as cursor:
        cursor.execute('ALTER TABLE jobs_job ADD CONSTRAINT no_nineteen CHECK (NOT payload @> \'{"message": "19"}\')')
    try:
        told = together(*(aenqueue("smoke", {"message": str(n)}) for n in range(40)))
    finally:
        with connection.cursor() as cursor:
            cursor.execute("ALTER TABLE jobs_job DROP CONSTRAINT no_nineteen")
    assert [n for n, each in enumerate(told) if not isinstance(each, Enqueued)] == [19]
    assert "no_nineteen" in str(told[19])
    assert Job.objects.count() == 39


def test_nobody_waits_for_the_key_of_somebody_else() -> None:
    held, freed = threading.Event(), threading.Event()

    def hold() -> None:
        with transaction.atomic():
            enqueue("smoke", {"message": "first"}, unique_key="k")
            held.set()
            freed.wait(60)
        connection.close()

    async def ask() -> tuple[bool, Enqueued]:
        contested = asyncio.create_task(aenqueue("smoke", {"message": "second"}, unique_key="k"))
        await asyncio.sleep(0.1)
        await asyncio.gather(*(aenqueue("smoke", {"message": str(n)}) for n in range(3)))
        waits = not contested.done()
        freed.set()
        return waits, await contested

    holder = threading.Thread(target=hold)
    holder.start()
    try:
        assert held.wait(60)
        waited, told = asyncio.run(ask())
    finally:
        freed.set()
        holder.join()
    assert waited
    assert not told.created
    assert Job.objects.count() == 4


def test_called_from_synchronous_code_it_takes_part_in_its_transaction() -> None:
    async def task() -> list[Enqueued]:
        first = await aenqueue("smoke", {"message": "awaited"})
        return [first, await asyncio.create_task(aenqueue("smoke", {"message": "in a task"}))]

    with transaction.atomic():
        told = async_to_sync(task)()
        assert {job.id for job in Job.objects.all()} == {each.id for each in told}
        transaction.set_rollback(True)
    assert not Job.objects.exists()


def test_times_that_the_database_judges() -> None:
    past = timezone.now() - timedelta(minutes=1)
    (told,) = together(aenqueue("smoke", {"message": "late"}, expires=past))
    assert isinstance(told, InvalidOption)


def test_a_batch_has_bounds() -> None:
    loop = asyncio.new_event_loop()
    job = get_processor("smoke").new_job("x" * (LARGEST // 4), {})
    gatherer = Gatherer()
    gatherer.waiting = [Asked(job, loop, loop.create_future()) for _ in range(9)]
    assert [len(gatherer._next()) for _ in range(4)] == [4, 4, 1, 0]
    loop.close()


def test_a_session_that_nobody_needs_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gathering, "IDLE", 0.01)
    together(aenqueue("smoke", {"message": "alone"}))
    wait_for(lambda: sessions() == 0, "its session to be closed")
    (told,) = together(aenqueue("smoke", {"message": "again"}))
    assert isinstance(told, Enqueued)


def test_a_session_that_was_ended_is_made_anew() -> None:
    together(aenqueue("smoke", {"message": "before"}))
    assert end_its_session() == 1
    (told,) = together(aenqueue("smoke", {"message": "after"}))
    assert isinstance(told, Enqueued)


def test_a_caller_that_has_left_takes_nobody_with_it() -> None:
    async def leave() -> Enqueued:
        leaving = asyncio.create_task(aenqueue("smoke", {"message": "left"}))
        staying = asyncio.create_task(aenqueue("smoke", {"message": "stayed"}))
        await asyncio.sleep(0)
        leaving.cancel()
        return await staying

    (told,) = together(leave())
    assert isinstance(told, Enqueued)
