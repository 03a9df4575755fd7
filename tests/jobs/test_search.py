from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.db import connection

from jobs import search
from jobs.lifecycle import Error, Verb
from jobs.models import Failure, Job, Status
from jobs.search import InvalidQuery, find, find_and_count, jobs_matching, pages, quoted, understand
from tests.jobs import jobtypes as jobtypes  # registers the job types
from tests.jobs.rows import ended, enqueued, job_in, now, started

pytestmark = pytest.mark.django_db


def matching(query: str) -> set[UUID]:
    return set(jobs_matching(query).values_list("id", flat=True))


def with_payload(payload: str) -> UUID:
    return enqueued(payload=payload).id


def moved(job: UUID, **fields: Any) -> UUID:
    """A job whose past is another."""
    Job.objects.filter(id=job).update(**fields)
    return job


def test_all_terms_hold() -> None:
    wanted = job_in(Status.FAILED, type="sing", queue="cpu", tags=["loud", "late"])
    job_in(Status.FAILED, type="sing", queue="default", tags=["loud", "late"])
    job_in(Status.COMPLETED, type="sing", queue="cpu", tags=["loud", "late"])
    job_in(Status.FAILED, type="sing", queue="cpu", tags=["loud"])
    assert matching("status:failed  type:sing queue:cpu tag:loud tag:late") == {wanted}
    assert len(matching("")) == 4


@pytest.mark.parametrize(
    ("query", "statuses"),
    [
        ("status:failed", {"failed"}),
        ("status:failed,cancelled", {"failed", "cancelled"}),
        ("status:waiting", {"pending"}),
        ("status:Active", {"processing"}),
        ("status:delayed", {"scheduled"}),
        ("-status:failed,completed -status:processing", {"scheduled", "pending", "cancelled"}),
        ("status:failed status:completed", set()),
    ],
)
def test_statuses(query: str, statuses: set[str]) -> None:
    for status in Status:
        job_in(status)
    assert set(jobs_matching(query).values_list("status", flat=True)) == statuses
    assert set(understand(query).statuses) == statuses


def test_a_hyphen_in_a_type_or_queue_means_an_underscore() -> None:
    wanted = enqueued(type="sing_along", queue="the_hall").id
    assert matching("type:sing-along queue:the-hall") == matching("sing-along") == {wanted}


def test_negation_keeps_jobs_without_a_value() -> None:
    tagged, plain = enqueued(tags=["a"], schedule="nightly").id, enqueued().id
    ran = moved(job_in(Status.COMPLETED), started_at=now() - timedelta(hours=1))
    assert matching("-tag:a") == matching("-schedule:nightly") == {plain, ran}
    assert matching("-run:>1m") == {tagged, plain}
    assert matching("-payload.x:1 -error:boom -worker:w tag:a") == {tagged}


@pytest.mark.parametrize(
    ("query", "payload"),
    [
        ("payload.gameId:13", '{"gameId": "13", "more": 1}'),
        ("payload.gameId:13", '{"gameId": 13}'),
        ("payload.game_id:13", '{"gameId": "13"}'),
        ("payload.kwargs.game_id:13", '{"args": [], "kwargs": {"game_id": 13}}'),
        ("payload.args:13", '{"args": [12, 13], "kwargs": {}}'),
        ("payload.force:true", '{"force": true}'),
        ("payload.force:null", '{"force": null}'),
        ("payload.rate:1.50", '{"rate": 1.5}'),
        ("payload.customer.address.city:Ghent", '{"customer": {"address": {"city": "Ghent"}}}'),
        ('payload.name:"Ann Other"', '{"name": "Ann Other"}'),
        (r'payload.name:"say \"hi\""', r'{"name": "say \"hi\""}'),
        ("payload.url:http://x/?a=1", '{"url": "http://x/?a=1"}'),
    ],
)
def test_a_field_of_the_payload(query: str, payload: str) -> None:
    wanted = with_payload(payload)
    with_payload('{"gameId": "131", "force": false, "rate": 1, "name": "Ann", "customer": {"city": "Ghent"}}')
    assert matching(query) == {wanted}


def test_numbers() -> None:
    first, second = enqueued(attempt=0, priority=3).id, enqueued(attempt=2, priority=8).id
    assert matching("attempt:2") == matching("attempt:>1") == matching("attempt:>=2") == {second}
    assert matching("attempt:<1") == matching("attempt:<=1") == matching("losses:0 -attempt:2") == {first}
    assert matching("priority:high") == matching("priority:>low") == matching("priority:8") == {second}


def test_ages_and_dates() -> None:
    old = moved(enqueued().id, created_at=datetime(2026, 1, 1, 12, tzinfo=UTC))
    older = moved(enqueued().id, created_at=datetime(2025, 12, 31, 23, 59, tzinfo=UTC))
    fresh = enqueued().id
    assert matching("created:<2h") == matching("created:<1h30m") == {fresh}
    assert matching("created:>2h") == {old, older}
    assert matching("created:2026-01-01") == matching("created:>=2026-01-01 created:<2026-01-02") == {old}
    assert matching("created:>2026-01-01") == {fresh}
    assert matching("created:<2026-01-01") == matching("created:<2026-01-01T00:00:00+00:00") == {older}
    assert matching("created:<=2026-01-01T12:00:00Z") == {old, older}
    assert matching("finished:<1d") == set()


def test_how_long_it_ran_and_waited() -> None:
    hour = timedelta(hours=1)
    running = moved(started().id, started_at=now() - hour, scheduled_at=now() - hour * 3)
    ran = moved(job_in(Status.COMPLETED), started_at=now() - hour, scheduled_at=now() - hour)
    job_in(Status.FAILED)
    waits = moved(enqueued().id, scheduled_at=now() - hour)
    later = enqueued(delay=5400.0).id
    assert matching("run:>30m") == {running, ran}
    assert matching("run:>30m status:processing") == {running}
    assert matching("wait:>30m") == {running, waits}
    assert matching("scheduled:<2h status:scheduled") == matching("scheduled:>1h") == {later}


def test_errors() -> None:
    failed = started()
    ended(failed, Verb.FAIL, error=Error("BrokenPipeError", "the pipe is blocked", "Trace", "retryable"))
    job_in(Status.FAILED)
    fingerprint = Failure.objects.get(job_id=failed.id).fingerprint
    wanted = {failed.id}
    assert (
        matching("error:BrokenPipeError") == matching('error:"Pipe is"') == matching(f"error:{fingerprint}") == wanted
    )
    assert matching("error:Broken") == set()  # a class is named whole


def test_by_what_it_belongs_to() -> None:
    parent, group = enqueued(), uuid4()
    child = enqueued(parent=parent.id, group=group, schedule="each night", unique_key="k/1", created_by="ann").id
    moved(child, worker="stage:1")
    for query in (
        f"parent:{parent.id}",
        f"group:{group}",
        'schedule:"each night"',
        "key:k/1",
        "by:ann",
        "worker:stage",
        "worker:stage:1",
        f"id:{child}",
        str(child),
        child.hex.upper(),
    ):
        assert matching(query) == {child}, query
    beginning = str(parent.id)[:9]
    assert parent.id in matching(beginning)
    assert parent.id in matching(f"id:{beginning}")


@pytest.mark.parametrize(
    ("query", "term", "expected"),
    [
        ("status:broken", "status:broken", "one of scheduled, pending"),
        ("colour:red", "colour:red", "one of attempt, by, created"),
        ("type:x status:", "status:", "a value"),
        ('error:"open', 'error:"open', 'a closing "'),
        ("attempt:many", "attempt:many", "a whole number from 0"),
        ("attempt:>99999999999999999999", "attempt:>99999999999999999999", "a whole number"),
        ("priority:11", "priority:11", "a whole number from 1 to 10"),
        ("run:1m", "run:1m", "a comparison"),
        ("run:>long", "run:>long", "a time such as 30s"),
        ("created:<9999999999w", "created:<9999999999w", "at most 3650d"),
        ("created:2h", "created:2h", "created:<2h (newer)"),
        ("created:>2026-13-01", "created:>2026-13-01", "a time such as"),
        ("parent:7", "parent:7", "a job's id"),
        ("id:xyz", "id:xyz", "a job's id, or 8"),
        ("payload..x:1", "payload..x:1", "names between the dots"),
        ("tag:>a", "tag:>a", "only numbers and times"),
        ("status:,", "status:,", "a value"),
        ('"two words"', '"two words"', "a job's id or type"),
        ("tag:a\x00", "", "none of them unprintable"),
        ("x" * 1001, "", "at most 1000 characters"),
        ("tag:a " * 51, "", "at most 50 terms"),
    ],
)
def test_what_cannot_be_understood(query: str, term: str, expected: str) -> None:
    with pytest.raises(InvalidQuery) as refused:
        jobs_matching(query)
    assert refused.value.term == term
    assert expected in str(refused.value)


@pytest.mark.parametrize("value", ["plain", "two words", 'a "quote"', "back\\slash", ">1", "a,b", "a:b"])
def test_a_quoted_value_is_read_as_it_was(value: str) -> None:
    wanted = enqueued(tags=[value]).id
    enqueued()
    assert matching(f"tag:{quoted(value)}") == {wanted}


@pytest.mark.parametrize("path", ["cardNumber", "card_number", "card.number"])
def test_secrets_are_not_looked_for(path: str) -> None:
    with pytest.raises(InvalidQuery, match="this one is a secret"):
        jobs_matching(f"payload.{path}:4242")
    assert matching("payload.card.holder:Ann payload.stageName:x") == set()


# --- pages -----------------------------------------------------------------------------------------------------


@contextmanager
def windows(size: int, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with monkeypatch.context() as patch:
        patch.setattr(pages, "WINDOW", size)
        yield


def all_pages(query: str, limit: int) -> list[UUID]:
    ids: list[UUID] = []
    page = find(understand(query), limit=limit)
    while True:
        ids += [job.id for job in page.jobs]
        if not page.next:
            return ids
        page = find(understand(query), page.next, limit)


def test_pages_hold_each_job_once_newest_first() -> None:
    ids = [enqueued(type=f"t{number % 2}").id for number in range(7)]
    assert all_pages("", 3) == ids[::-1]
    assert all_pages("type:t1", 2) == [ids[5], ids[3], ids[1]]
    assert all_pages("status:failed", 2) == []


def test_waiting_jobs_come_as_they_will_run() -> None:
    low, first, second, high = (
        enqueued(priority=p, queue=q).id for p, q in [(1, "cpu"), (5, "default"), (5, "cpu"), (9, "bgg")]
    )
    assert all_pages("status:pending", 1) == [high, first, second, low]
    assert all_pages("status:pending queue:cpu", 1) == [second, low]
    assert all_pages("status:pending -queue:cpu", 1) == [high, first]


def test_ended_jobs_come_by_their_end() -> None:
    first, second, third = (job_in(Status.FAILED, type="t") for _ in range(3))
    moved(first, finished_at=now() + timedelta(seconds=1))
    for query in ("status:failed", "status:failed type:t", "status:failed attempt:1"):
        assert all_pages(query, 1) == [first, third, second]


def test_a_page_looks_at_so_many_jobs_and_the_next_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = enqueued(queue="cpu").id
    for _ in range(5):
        enqueued()
    with windows(4, monkeypatch):
        page = find(understand("queue:cpu"))
        assert (page.jobs, page.looked_at) == ([], 4)
        rest = find(understand("queue:cpu"), page.next)
        assert ([job.id for job in rest.jobs], rest.next, rest.looked_at) == ([wanted], "", 0)
        assert all_pages("queue:default", 1) == all_pages("", 9)[:5]


def test_what_an_index_finds_is_exact(monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = enqueued(tags=["rare"]).id
    for _ in range(5):
        enqueued()
    with windows(2, monkeypatch):
        page = find(understand("tag:rare -type:other"))
    assert ([job.id for job in page.jobs], page.looked_at) == ([wanted], 0)


def test_a_page_begins_at_the_first_one_where_the_address_is_of_another_order() -> None:
    job = enqueued().id
    early = f"0001-01-01T00:00:00+23:59~{job}"
    for after in ("nonsense", "1~2", f"5~{now().isoformat()}~{job}", f"2026-01-01~{job}", early):
        assert [found.id for found in find(understand(""), after).jobs] == [job]


def test_a_search_that_takes_too_long_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pages, "PATIENCE", 1)

    def sleep() -> None:
        with search.patience(), connection.cursor() as cursor:
            cursor.execute("SELECT pg_sleep(60)")

    with pytest.raises(InvalidQuery, match="it took too long"):
        sleep()


def test_counts() -> None:
    for status in (Status.FAILED, Status.FAILED, Status.PENDING):
        job_in(status, tags=["a"])
    job_in(Status.COMPLETED)

    def numbers(query: str) -> dict[str, int] | None:
        _, counts = find_and_count(understand(query))
        if counts is None:
            return None
        return {status.value: count.number for status, count in counts.items() if count.number}

    assert numbers("") == {"failed": 2, "pending": 1, "completed": 1}
    assert numbers("tag:a status:failed") == {"failed": 2, "pending": 1}
    assert numbers("tag:a -attempt:1") == {"pending": 1}
    assert numbers("attempt:1") is None
