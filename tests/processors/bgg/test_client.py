"""The client against the sandbox, over real HTTP: answers, each fault and what a job is told, the pace."""

import logging
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import httpx2
import pytest
from pytest_django import Settings
from pytest_httpserver import HTTPServer

from jobs.errors import Discard, JobError, RateLimited, Retry, Snooze
from jobs.models import Limit, Queue
from processors.bgg.client import Client, Unauthorized, client
from processors.bgg.sandbox import TOKEN
from tests.processors.bgg.conftest import SandboxControl

pytestmark = pytest.mark.django_db(transaction=True)  # limits are written beside the caller's transaction


def failure(call: object, *args: object) -> JobError:
    with pytest.raises(JobError) as raised:
        call(*args)  # type: ignore[operator]
    return raised.value


def test_games_are_asked_for_by_id_with_our_name_and_token(bgg: SandboxControl, settings: Settings) -> None:
    settings.UPSTREAM_CONTACT = "ops@jobs.example"
    games = client().things([13, 9209, 266192])
    assert [(game.name, game.year) for game in games] == [("CATAN", 1995), ("Ticket to Ride", 2004), ("Wingspan", 2019)]
    (request,) = bgg.received()["requests"]
    assert (request["path"], request["query"]) == ("/xmlapi2/thing", "id=13%2C9209%2C266192&stats=1")
    assert request["agent"] == "Jobyard (ops@jobs.example)"


def test_without_details_no_statistics_are_asked_for(bgg: SandboxControl) -> None:
    (game,) = client().things([13], stats=False)
    assert game.ratings is None
    assert bgg.queries("thing") == ["id=13"]


def test_the_hot_list_and_a_search(bgg: SandboxControl) -> None:
    assert len(client().hot()) == 50
    assert [game.id for game in client().search("wingspan")] == [266192]
    assert bgg.queries("search") == ["query=wingspan&type=boardgame%2Cboardgameexpansion"]


@pytest.mark.parametrize("fault", ["202", "500", "502", "503", "504", "html", "exception", "cut", "reset"])
def test_trouble_that_passes_is_worth_another_attempt(bgg: SandboxControl, fault: str) -> None:
    bgg.fail(fault)
    error = failure(client().things, [13])
    assert (type(error), error.classification) == (Retry, "retryable")
    assert Limit.objects.get(name="bgg").failures == 1
    assert [game.id for game in client().things([13])] == [13]
    assert Limit.objects.get(name="bgg").failures == 0


def test_an_answer_that_does_not_come_is_worth_another_attempt(bgg: SandboxControl) -> None:
    bgg.fail("slow")
    impatient = Client(f"{bgg.url}/xmlapi2/", TOKEN, timeout=httpx2.Timeout(0.2))
    assert str(failure(impatient.hot)) == "hot: ReadTimeout: timed out"
    impatient.close()


def test_a_service_that_is_not_there_is_worth_another_attempt(bgg: SandboxControl) -> None:
    nowhere = Client("http://127.0.0.1:9/", TOKEN)
    assert type(failure(nowhere.hot)) is Retry
    nowhere.close()


@pytest.mark.parametrize(("attempt", "wait"), [(1, 5), (2, 10), (3, 20), (12, 300), (2000, 300)])
def test_after_a_429_everybody_stays_away_longer_each_time(bgg: SandboxControl, attempt: int, wait: float) -> None:
    bgg.fail("429")
    with pytest.raises(RateLimited, match=r"Rate limit exceeded\.") as raised:
        client().things([13], attempt=attempt)
    assert raised.value.after == wait
    with pytest.raises(Snooze) as snoozed:
        client().hot()
    assert wait - 2 < snoozed.value.after <= wait
    assert bgg.received()["total"] == 1


@pytest.mark.parametrize(("asked", "wait"), [("2", 5), ("90", 90), ("9" * 400, 24 * 3600), ("soon", 5)])
def test_how_long_to_stay_away_is_the_services_to_say_within_a_day(
    httpserver: HTTPServer, asked: str, wait: float
) -> None:
    httpserver.expect_request("/thing").respond_with_data("", 429, {"Retry-After": asked})
    asking = Client(httpserver.url_for("/"), TOKEN)
    with pytest.raises(RateLimited) as raised:
        asking.things([13])
    asking.close()
    assert raised.value.after == wait


def test_a_refused_token_pauses_the_queue_and_tells_an_admin(
    bgg: SandboxControl, caplog: pytest.LogCaptureFixture
) -> None:
    Queue.objects.get_or_create(name="bgg")
    stranger = Client(f"{bgg.url}/xmlapi2/", "not-the-token")
    with pytest.raises(Unauthorized, match="BGG_TOKEN"):
        stranger.things([13])
    stranger.close()
    queue = Queue.objects.get(name="bgg")
    assert queue.paused_at is not None
    assert "BGG_TOKEN" in queue.reason
    assert [record.levelno for record in caplog.records if record.name == "processors.bgg.client"] == [logging.ERROR]


def test_without_a_token_it_is_refused_too(bgg: SandboxControl) -> None:
    nobody = Client(f"{bgg.url}/xmlapi2/", "")
    assert type(failure(nobody.hot)) is Unauthorized
    nobody.close()


def test_what_is_wrong_with_the_request_is_final(bgg: SandboxControl) -> None:
    too_many = failure(client().things, list(range(100_000, 100_021)))
    assert (type(too_many), str(too_many)) == (Discard, "thing: 400 Cannot load more than 20 items")
    invalid = failure(client().things, [0])
    assert (type(invalid), str(invalid)) == (Discard, "thing: Invalid Item")


def test_a_wrong_address_is_final(bgg: SandboxControl) -> None:
    lost = Client(f"{bgg.url}/no-such-api/", TOKEN)
    assert type(failure(lost.hot)) is Discard
    lost.close()


def test_after_five_failures_in_a_row_nobody_asks(bgg: SandboxControl) -> None:
    bgg.fail("503", count=5)
    assert [type(failure(client().hot)) for _ in range(6)] == [Retry] * 5 + [Snooze]
    assert bgg.received()["total"] == 5


def test_all_threads_together_keep_the_pace(bgg: SandboxControl) -> None:
    with ThreadPoolExecutor(3) as pool:
        games = list(pool.map(client().things, [[game_id] for game_id in range(100_000, 100_009)]))
    assert [game.id for (game,) in games] == list(range(100_000, 100_009))
    received = bgg.received()
    assert received["statuses"] == {"200": 9}
    assert received["busiest"] == 2


def test_a_process_has_one_client_and_a_forked_child_its_own() -> None:
    script = """
import os, django; django.setup()
from processors.bgg.client import client
same = client() is client()
if os.fork() == 0:
    print(same, client.cache_info().currsize, flush=True)
    os._exit(0)
os.wait()
print(client.cache_info().currsize)
"""
    env = {**os.environ, "DJANGO_SETTINGS_MODULE": "config.settings"}
    ran = subprocess.run(
        [sys.executable, "-c", script], env=env, capture_output=True, text=True, timeout=60, check=True
    )
    assert ran.stdout.split() == ["True", "0", "1"]


def test_the_settings_name_the_upstream(settings: Settings) -> None:
    assert settings.BGG_URL == "https://boardgamegeek.com/xmlapi2/"
