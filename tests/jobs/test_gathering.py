"""Enqueuing for many coroutines at once."""

import asyncio
from collections.abc import Coroutine, Iterator
from typing import Any

import pytest
from django.db import connection

from jobs.errors import InvalidPayload
from jobs.models import Job
from jobs.processor import Enqueued, aenqueue, get_processor

pytestmark = pytest.mark.django_db(transaction=True)


def end_its_session() -> int:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity "
            "WHERE pid <> pg_backend_pid() AND datname = current_database() AND query LIKE %s",
            ["%INSERT INTO jobs_job%"],
        )
        return len(cursor.fetchall())


@pytest.fixture(autouse=True)
def no_session_of_its_own_is_left() -> Iterator[None]:
    """The database could not be dropped."""
    yield
    end_its_session()


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
