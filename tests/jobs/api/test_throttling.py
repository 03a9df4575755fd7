"""How many calls a caller may make."""

import time
from collections.abc import Iterator

import pytest
from pytest_django.fixtures import Settings

from jobs import broker, keys
from jobs.api import throttling
from tests.jobs.api.conftest import ALL_SCOPES, Api


@pytest.fixture(autouse=True)
def _counted_anew() -> Iterator[None]:
    def forget() -> None:
        for key in broker.client().scan_iter("jobs:calls:*"):
            broker.client().delete(key)

    forget()
    yield
    forget()


def test_a_call_too_many_is_refused_and_told_when_to_come_back(api: Api, settings: Settings) -> None:
    settings.API_RATE = (3, 3600)
    assert [api.get("/api/jobs/types")[0] for _ in range(3)] == [200, 200, 200]
    response = api.client.get("/api/jobs/types")
    assert (response.status_code, response["Content-Type"]) == (429, "application/problem+json")
    assert 0 < int(response["Retry-After"]) <= 3600
    assert response.json()["title"] == "Too Many Requests"


def test_callers_are_counted_apart(api: Api, settings: Settings) -> None:
    settings.API_RATE = (1, 3600)
    assert [api.get("/api/jobs/types")[0] for _ in range(2)] == [200, 429]
    assert Api(keys.create("other", ALL_SCOPES)).get("/api/jobs/types")[0] == 200


def test_the_next_period_begins_anew(api: Api, settings: Settings) -> None:
    settings.API_RATE = (1, 60)
    assert [api.get("/api/jobs/types")[0] for _ in range(2)] == [200, 429]
    (key,) = broker.client().scan_iter("jobs:calls:*")
    assert 0 < broker.client().ttl(key) <= 60
    broker.client().delete(key)  # as at its end
    assert api.get("/api/jobs/types")[0] == 200


@pytest.mark.parametrize("step", [-3 * 3600, 3 * 3600])
def test_a_clock_that_is_set_begins_no_period(
    api: Api, settings: Settings, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    settings.API_RATE = (1, 3600)
    assert api.get("/api/jobs/types")[0] == 200
    stepped = time.time() + step
    monkeypatch.setattr(time, "time", lambda: stepped)
    response = api.client.get("/api/jobs/types")
    assert response.status_code == 429
    assert 3500 < int(response["Retry-After"]) <= 3600


def test_a_count_without_an_end_gets_one(api: Api, settings: Settings) -> None:
    settings.API_RATE = (1, 60)
    api.get("/api/jobs/types")
    (key,) = broker.client().scan_iter("jobs:calls:*")
    broker.client().persist(key)  # as when a process died before it had said when the period ends
    assert api.get("/api/jobs/types")[0] == 429
    assert broker.client().ttl(key) > 0


def test_bulk_calls_have_a_rate_of_their_own(api: Api, settings: Settings) -> None:
    settings.API_BULK_RATE = (1, 3600)
    jobs = {"jobs": [{"type": "greet_guest", "payload": {"guestName": "Ada"}}]}
    assert [api.post("/api/jobs/bulk", jobs)[0] for _ in range(2)] == [202, 429]
    assert api.get("/api/jobs/types")[0] == 200


def test_without_rates_nobody_is_refused(api: Api, settings: Settings) -> None:
    settings.API_RATE = settings.API_BULK_RATE = None
    assert {api.get("/api/jobs/types")[0] for _ in range(5)} == {200}


def test_while_redis_is_away_nobody_is_refused(api: Api, settings: Settings) -> None:
    settings.API_RATE = (1, 3600)
    right = settings.REDIS_URL
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    broker.client.cache_clear()
    try:
        assert {api.get("/api/jobs/types")[0] for _ in range(3)} == {200}
    finally:
        settings.REDIS_URL = right
        broker.client.cache_clear()
        throttling.CALLS.away_until = 0.0
