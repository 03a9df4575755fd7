"""The job types through the real lifecycle, against the sandbox over real HTTP."""

import threading
import time
from datetime import timedelta

import pytest
from django.db.models import F

from jobs.context import stop_requests
from jobs.errors import Cancelled
from jobs.models import Failure, Job, Status
from jobs.testing import perform
from processors.bgg import cache
from processors.bgg.models import Game
from processors.bgg.tasks import bgg_bulk_sync, bgg_sync, cache_warmup
from tests.processors.bgg.conftest import SandboxControl

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def no_games(db: None) -> None:
    """A worker of another test may have stored some."""
    Game.objects.all().delete()


UNKNOWN = ["999999998", "999999999"]


def ids(count: int, first: int = 100_000) -> list[str]:
    return [str(game_id) for game_id in range(first, first + count)]


def asked(sandbox: SandboxControl) -> list[int]:
    """How many ids each call asked for."""
    return [query.split("&")[0].count("%2C") + 1 for query in sandbox.queries("thing")]


def test_a_game_is_synchronised(bgg: SandboxControl) -> None:
    job = perform(bgg_sync.enqueue({"gameId": "13"}))
    assert (job.status, job.attempt) == (Status.COMPLETED, 1)
    assert job.result == {"gameId": "13", "name": "CATAN", "year": 1995, "details": True, "skipped": False}
    game = Game.objects.get(pk=13)
    assert (game.name, game.year, game.rank, game.designers) == ("CATAN", 1995, 600, ["Klaus Teuber"])
    assert (game.synced_by, game.details_synced_at) == (job.id, game.synced_at)


def test_a_fresh_game_is_asked_for_only_when_forced(bgg: SandboxControl) -> None:
    perform(bgg_sync.enqueue({"gameId": "13"}))
    assert (perform(bgg_sync.enqueue({"gameId": 13})).result or {})["skipped"] is True
    assert asked(bgg) == [1]
    assert (perform(bgg_sync.enqueue({"gameId": "13", "forceUpdate": True})).result or {})["skipped"] is False
    assert asked(bgg) == [1, 1]


def test_a_day_old_game_is_asked_for_again(bgg: SandboxControl) -> None:
    perform(bgg_sync.enqueue({"gameId": "13"}))
    Game.objects.update(
        synced_at=F("synced_at") - timedelta(days=1), details_synced_at=F("synced_at") - timedelta(days=1)
    )
    perform(bgg_sync.enqueue({"gameId": "13"}))
    assert asked(bgg) == [1, 1]


def test_basics_are_enough_for_basics_only(bgg: SandboxControl) -> None:
    perform(bgg_sync.enqueue({"gameId": "13", "includeDetails": False}))
    assert (Game.objects.get().name, Game.objects.get().details_synced_at) == ("CATAN", None)
    assert (perform(bgg_sync.enqueue({"gameId": "13", "includeDetails": False})).result or {})["skipped"] is True
    assert (perform(bgg_sync.enqueue({"gameId": "13"})).result or {})["skipped"] is False
    assert bgg.queries("thing") == ["id=13", "id=13&stats=1"]
    assert Game.objects.get().rank == 600


def test_an_unknown_game_fails_at_once(bgg: SandboxControl) -> None:
    job = perform(bgg_sync.enqueue({"gameId": UNKNOWN[0]}))
    failure = Failure.objects.get(job=job)
    assert (job.status, job.attempt, failure.classification) == (Status.FAILED, 1, "permanent")
    assert failure.message == "BoardGameGeek knows no game 999999998"


def test_trouble_of_the_service_is_tried_again(bgg: SandboxControl) -> None:
    bgg.fail("503")
    job = perform(bgg_sync.enqueue({"gameId": "13"}))
    assert (job.status, Failure.objects.get().classification) == (Status.SCHEDULED, "retryable")
    job = perform(job)
    assert (job.status, job.attempt) == (Status.COMPLETED, 2)


def test_a_429_keeps_every_job_away(bgg: SandboxControl) -> None:
    bgg.fail("429")
    job = perform(bgg_sync.enqueue({"gameId": "13"}))
    assert (job.status, job.attempt, Failure.objects.get().classification) == (Status.SCHEDULED, 1, "rate-limited")
    other = perform(bgg_sync.enqueue({"gameId": "9209"}))
    assert (other.status, other.attempt) == (Status.SCHEDULED, 0)  # no attempt is used
    assert bgg.received()["total"] == 1


def test_60_games_take_3_calls_and_the_missing_are_named(bgg: SandboxControl) -> None:
    job = perform(bgg_bulk_sync.enqueue({"gameIds": [*ids(58), *UNKNOWN]}))
    assert job.status == Status.COMPLETED
    assert job.result == {"requested": 60, "synced": 58, "missing": UNKNOWN, "calls": 3}
    assert asked(bgg) == [20, 20, 20]
    assert Game.objects.filter(synced_by=job.id).count() == 58
    assert (job.progress or {})["percent"] == 100


def test_smaller_batches_and_a_delay_are_honoured(bgg: SandboxControl) -> None:
    perform(bgg_bulk_sync.enqueue({"gameIds": ids(5), "batchSize": 3, "delayBetweenBatches": 1500}))
    assert asked(bgg) == [3, 2]
    first, second = (request["at"] for request in bgg.received()["requests"])
    assert second - first >= 1.5


def test_the_next_attempt_asks_for_what_is_left(bgg: SandboxControl) -> None:
    bgg.fail("503", after=2)
    job = perform(bgg_bulk_sync.enqueue({"gameIds": ids(50)}))
    assert (job.status, Game.objects.count()) == (Status.SCHEDULED, 40)
    job = perform(job)
    assert job.result == {"requested": 50, "synced": 50, "missing": [], "calls": 1}
    assert asked(bgg) == [20, 20, 10, 10]


def test_a_cancel_is_heard_between_two_batches(bgg: SandboxControl) -> None:
    enqueued = bgg_bulk_sync.enqueue({"gameIds": ids(4), "batchSize": 2, "delayBetweenBatches": 60_000})

    def cancel_after_the_first_call() -> None:
        deadline = time.monotonic() + 50
        while not bgg.received()["total"] and time.monotonic() < deadline:
            time.sleep(0.05)
        stop_requests[enqueued.id, 1] = Cancelled()

    thread = threading.Thread(target=cancel_after_the_first_call)
    thread.start()
    job = perform(enqueued)
    thread.join()
    del stop_requests[enqueued.id, 1]
    assert (job.status, asked(bgg), Game.objects.count()) == (Status.CANCELLED, [2], 2)


def test_a_warm_up_fills_rows_and_cache_and_counts(bgg: SandboxControl) -> None:
    payload = {"gameIds": ["13", "100100", UNKNOWN[0]], "searchQueries": ["Catan", "wingspan"]}
    job = perform(cache_warmup.enqueue(payload))
    # 50 popular games, of which 13 is one; the hot list and two searches
    assert job.result == {"hits": 0, "misses": 55, "games": 51, "searches": 2, "missing": [UNKNOWN[0]]}
    assert asked(bgg) == [20, 20, 12]
    assert bgg.received()["total"] == 6
    assert [game["id"] for game in cache.hot() or []][:3] == [13, 9209, 266192]
    assert cache.search("catan") == [{"id": 13, "name": "CATAN", "year": 1995}]
    assert Game.objects.filter(details_synced_at__isnull=False).count() == 51

    again = perform(cache_warmup.enqueue(payload))
    assert again.result == {"hits": 54, "misses": 1, "games": 51, "searches": 2, "missing": [UNKNOWN[0]]}
    assert asked(bgg) == [20, 20, 12, 1]


def test_a_warm_up_takes_no_more_popular_games_than_asked(bgg: SandboxControl) -> None:
    job = perform(cache_warmup.enqueue({"limit": 2}))
    assert job.result == {"hits": 0, "misses": 3, "games": 2, "searches": 0, "missing": []}
    assert set(Game.objects.values_list("pk", flat=True)) == {13, 9209}


def test_a_warm_up_without_popular_games_does_not_ask_for_them(bgg: SandboxControl) -> None:
    perform(cache_warmup.enqueue({"popularGames": False, "gameIds": ["13"]}))
    assert bgg.queries("hot") == []


def test_what_was_warm_last_night_is_warmed_tonight(bgg: SandboxControl) -> None:
    perform(cache_warmup.enqueue({"limit": 1}))
    Game.objects.update(details_synced_at=F("details_synced_at") - timedelta(hours=23))
    assert (perform(cache_warmup.enqueue({"limit": 1})).result or {})["misses"] == 1


def test_a_refused_token_fails_the_job_for_good(bgg: SandboxControl) -> None:
    bgg.fail("401")
    job = perform(bgg_sync.enqueue({"gameId": "13"}))
    assert (job.status, Job.objects.get().attempt) == (Status.FAILED, 1)
    assert "BGG_TOKEN" in Failure.objects.get().message
