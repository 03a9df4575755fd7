"""The EVE companion by two workers: each queue's limit holds over both, and a collection outlives one of them."""

from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from itertools import pairwise
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.db import connection
from django.db.models import Max, Min
from django.db.models.functions import Now
from django.utils import timezone

from jobs.models import Job, Limit, Status
from jobs.processor import enqueue, enqueue_many
from processors.eve.models import Character, EsiAnswer, Grant, JournalEntry
from tests.integration.servers import Server
from tests.integration.workers import Start, Worker, wait_for, wait_for_end, wait_for_status
from tests.processors.eve.rows import logged_in
from tests.processors.eve.sandbox import EveSandbox

QUEUES = "token_refresh,esi_refresh,historical_data,cache_cleanup"
LIMITS = {"v2/oauth/token": 5, "ship": 10, "wallet/journal": 3}  # what each queue's jobs ask for → at once
FIRST = 95_000_000
# Taking an answer away takes as long as this, so that two clean-ups at once would show.
SLOW_CLEANUP = """
CREATE FUNCTION slow_cleanup() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(0.2); RETURN OLD; END $$;
CREATE TRIGGER slow_cleanup BEFORE DELETE ON eve_esianswer FOR EACH ROW EXECUTE FUNCTION slow_cleanup();
"""
USUAL_CLEANUP = "DROP TRIGGER slow_cleanup ON eve_esianswer; DROP FUNCTION slow_cleanup;"


@pytest.fixture(autouse=True)
def _rows(db: None) -> Iterator[None]:
    with connection.cursor() as cursor:
        cursor.execute(SLOW_CLEANUP)
    yield
    with connection.cursor() as cursor:
        cursor.execute(USUAL_CLEANUP)
    EsiAnswer.objects.all().delete()
    get_user_model().objects.filter(username="pilot").delete()


@pytest.fixture
def upstream(upstreams: tuple[Server, dict[str, Any]], _rows: None) -> Iterator[tuple[EveSandbox, dict[str, Any]]]:
    """And the environment of a worker that is to call it."""
    server, environment = upstreams
    eve = EveSandbox(server.url)
    yield eve, environment
    eve.http.close()


def test_two_workers_keep_each_queues_limit_and_one_goes_on_where_the_other_was_killed(
    start: Start, upstream: tuple[EveSandbox, dict[str, Any]]
) -> None:
    eve, environment = upstream
    workers = [start(queues=QUEUES, concurrency=12, **environment) for _ in range(2)]
    characters = [logged_in(eve, FIRST + number) for number in range(22)]
    Grant.objects.update(refreshed_at=timezone.now() - timedelta(hours=2))

    every_limit_is_reached_and_kept(eve, characters)
    a_420_stops_both_workers(eve, characters)
    a_collection_goes_on(eve, characters[-1], workers)


def of(character: Character, **more: Any) -> dict[str, Any]:
    return {"characterId": character.pk, "userId": character.user_id, **more}


def every_limit_is_reached_and_kept(eve: EveSandbox, characters: list[Character]) -> None:
    """Answers are held back until as many are asked for as may be."""
    EsiAnswer.objects.bulk_create(
        EsiAnswer(key=f"esi:old:{n}", body=[], expires_at=timezone.now() - timedelta(days=1)) for n in range(4)
    )
    eve.control(hold=f"^({'|'.join(LIMITS)})$").raise_for_status()
    ship = "/latest/characters/{character_id}/ship/"
    jobs = enqueue_many(
        [
            *(("token_refresh", of(character)) for character in characters[14:]),
            *(("esi_refresh", of(character, endpoint=ship)) for character in characters[:14]),
            *(("historical_data", of(character, dataType="wallet_journal")) for character in characters[:6]),
            *(("cache_cleanup", {"mode": "pattern", "pattern": f"esi:old:{n}"}) for n in range(4)),
        ]
    )
    wait_for(lambda: eve.told()["busy"] == LIMITS, f"{LIMITS} at once")
    running = Job.objects.filter(status=Status.PROCESSING).exclude(type="cache_cleanup")
    assert len(set(running.values_list("worker", flat=True))) == 2
    eve.control(hold=None, latency_ms=50).raise_for_status()
    wait_for_end([job.id for job in jobs])

    ended = Job.objects.filter(id__in=[job.id for job in jobs])
    assert [(job.type, str(job.failures.last())) for job in ended if job.status != Status.COMPLETED] == []
    assert {route: eve.told()["busiest"][route] for route in LIMITS} == LIMITS
    cleanups = ended.filter(type="cache_cleanup").order_by("started_at")
    assert all(one.finished_at <= other.started_at for one, other in pairwise(cleanups))  # type: ignore[operator]


def a_420_stops_both_workers(eve: EveSandbox, characters: list[Character]) -> None:
    """Six calls are under way when the errors are used up. None comes after them until the time is over."""
    eve.forget()
    eve.control(hold="^orders$", error_limit=(1, 5), fault="404", path="^orders$", latency_ms=0).raise_for_status()
    orders, skills = ("/characters/{character_id}/orders", "/characters/{character_id}/skills")
    first = enqueue_many(("esi_refresh", of(each, endpoint=orders)) for each in characters[:6])
    wait_for(lambda: eve.told()["busy"] == {"orders": 6}, "six calls at once")
    eve.control(hold=None)
    wait_for(lambda: len(eve.received(status=420)) == 5, "the others to be refused")
    wait_for(lambda: Limit.objects.filter(name="esi", next_at__gt=Now()).exists(), "somebody to have noticed")
    eve.control(error_limit=(100, 60))
    others = enqueue_many(("esi_refresh", of(each, endpoint=skills)) for each in characters[6:14])
    wait_for_end([job.id for job in (*first, *others)])

    told = eve.told()
    assert (told["too_soon"], told["early"], told["statuses"]) == (0, 0, {"404": 1, "420": 5, "200": 13})
    ended = Job.objects.filter(id__in=[job.id for job in (*first, *others)])
    assert Counter(job.status for job in ended) == {Status.FAILED: 1, Status.COMPLETED: 13}
    assert {job.attempt for job in ended} == {1}
    assert all(job.run > 1 for job in ended.filter(id__in=[job.id for job in first], status=Status.COMPLETED))


def a_collection_goes_on(eve: EveSandbox, character: Character, workers: list[Worker]) -> None:
    """The sixth of twelve pages is not answered, and the worker that waits for it is killed."""
    eve.forget()
    eve.control(sizes={"wallet/journal": 20}, latency_ms=0, fault="slow", path="^wallet/journal$", after=5)
    payload = {"characterId": character.pk, "userId": character.user_id, "dataType": "wallet_journal"}
    job_id = enqueue("historical_data", payload).id
    wait_for(lambda: len(eve.received(route="wallet/journal")) == 6, "the sixth page")
    runner = str(wait_for_status(job_id, Status.PROCESSING).worker)
    next(worker for worker in workers if runner.startswith(f"{worker.node}:")).kill()
    wait_for_end([job_id])

    job = Job.objects.get(id=job_id)
    result: Any = job.result
    assert (job.status, job.run, job.attempt, result["stored"]) == (Status.COMPLETED, 2, 1, 240)
    pages = [int(request["query"]["page"]) for request in eve.received(route="wallet/journal")]
    assert pages == [1, 2, 3, 4, 5, 6, 6, 7, 8, 9, 10, 11, 12]
    rows = JournalEntry.objects.filter(character=character)
    assert set(rows.values_list("entry_id", flat=True)) == set(range(20_000_000_000, 20_000_000_240))
    ends = rows.aggregate(first=Min("date"), last=Max("date"))
    assert ends["last"] - ends["first"] == timedelta(days=30) * 239 / 240
