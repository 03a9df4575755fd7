"""What the job types declare: payloads, refusals that store nothing, options, the schedule."""

from typing import Any

import pytest

from jobs.errors import InvalidPayload
from jobs.models import Job
from jobs.processor import Backoff, enqueue, get_processor
from processors.bgg.tasks import SCHEDULES, bgg_bulk_sync, bgg_sync, cache_warmup

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("given", ["13", 13, "013"])
def test_an_id_is_digits_as_text_or_a_number(given: object) -> None:
    bgg_sync.enqueue({"gameId": given})
    assert Job.objects.get().payload == {"gameId": "13", "forceUpdate": False, "includeDetails": True}


def test_payloads_may_be_written_in_snake_case_and_by_delay() -> None:
    result = bgg_bulk_sync.delay(game_ids=["13", 9209, "13"], batch_size=3, delay_between_batches=2000)
    assert Job.objects.get(id=result.id).payload == {
        "gameIds": ["13", "9209"],
        "batchSize": 3,
        "delayBetweenBatches": 2000,
    }


def test_a_warm_up_needs_no_payload() -> None:
    cache_warmup.enqueue()
    assert Job.objects.get().payload == {"popularGames": True, "limit": 50, "gameIds": [], "searchQueries": []}


@pytest.mark.parametrize(
    "wrong", ["", "0", 0, -1, "-1", "abc", "13 ", "1234567890", 10**9, 1.5, True, None, "\uff11\uff13"]
)
def test_a_wrong_id_is_refused_and_nothing_is_stored(wrong: object) -> None:
    with pytest.raises(InvalidPayload) as refused:
        enqueue("bgg_sync", {"gameId": wrong})
    assert [error["loc"] for error in refused.value.errors] == [["gameId"]]
    assert not Job.objects.exists()


@pytest.mark.parametrize(
    ("type_", "payload", "where"),
    [
        ("bgg_sync", {}, ["gameId"]),
        ("bgg_sync", {"gameId": "13", "gameName": "Catan"}, ["gameName"]),
        ("bgg_bulk_sync", {"gameIds": []}, ["gameIds"]),
        ("bgg_bulk_sync", {"gameIds": ["13", "0"]}, ["gameIds", 1]),
        ("bgg_bulk_sync", {"gameIds": list(range(1, 1002))}, ["gameIds"]),
        ("bgg_bulk_sync", {"gameIds": ["13"], "batchSize": 0}, ["batchSize"]),
        ("bgg_bulk_sync", {"gameIds": ["13"], "batchSize": 21}, ["batchSize"]),
        ("bgg_bulk_sync", {"gameIds": ["13"], "delayBetweenBatches": -1}, ["delayBetweenBatches"]),
        ("cache_warmup", {"limit": 51}, ["limit"]),
        ("cache_warmup", {"searchQueries": [" "]}, ["searchQueries", 0]),
        ("cache_warmup", {"popularGames": False}, []),
    ],
)
def test_a_wrong_payload_is_refused_where_it_is_wrong(type_: str, payload: dict[str, Any], where: list[Any]) -> None:
    with pytest.raises(InvalidPayload) as refused:
        enqueue(type_, payload)
    assert [error["loc"] for error in refused.value.errors] == [where]
    assert not Job.objects.exists()


def test_each_type_has_the_queue_priority_and_patience_it_is_meant_to_have() -> None:
    declared = {name: get_processor(name) for name in ("bgg_sync", "bgg_bulk_sync", "cache_warmup")}
    assert {name: (found.queue, found.priority, found.max_attempts) for name, found in declared.items()} == {
        "bgg_sync": ("bgg", 5, 4),
        "bgg_bulk_sync": ("bgg", 5, 4),
        "cache_warmup": ("bgg", 3, 4),
    }
    assert {found.backoff for found in declared.values()} == {Backoff(base=1, max=60)}


@pytest.mark.parametrize(
    ("ids", "size", "delay", "seconds"),
    [(60, 20, 0, 300), (1000, 20, 0, 300), (1000, 1, 0, 3020), (100, 10, 30_000, 630.2)],
)
def test_a_bulk_job_may_take_twice_what_its_ids_need(ids: int, size: int, delay: int, seconds: float) -> None:
    bgg_bulk_sync.enqueue({"gameIds": list(range(1, ids + 1)), "batchSize": size, "delayBetweenBatches": delay})
    assert Job.objects.get().timeout == pytest.approx(seconds)


def test_the_cache_is_warmed_up_daily_at_two() -> None:
    (schedule,) = SCHEDULES
    assert (schedule.cron, schedule.timezone, schedule.enabled) == ("0 2 * * *", "UTC", True)
    enqueue(schedule.type, schedule.payload)
    assert Job.objects.get().type == "cache_warmup"
