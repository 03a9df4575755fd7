"""Series and errors over time; the rest of the figures is with the calls that ask for them."""

import pytest

from jobs import enqueue, rollups
from jobs.testing import perform
from tests.jobs.api.conftest import Api

SERIES = "/api/admin/jobs/metrics/series"
ERRORS = "/api/admin/jobs/errors"


@pytest.fixture
def some_jobs(db: None) -> None:
    perform(enqueue("greet_guest", {"guestName": "Ada"}))
    perform(enqueue("refuse_guest", max_attempts=1))
    enqueue("refuse_guest")


@pytest.mark.parametrize(("name", "points"), [("15m", 15), ("1h", 60), ("24h", 24), ("30d", 30)])
def test_every_point_of_a_range_is_there(api: Api, some_jobs: None, name: str, points: int) -> None:
    status, body = api.get(f"{SERIES}?range={name}")
    assert (status, body["range"]) == (200, name)
    assert len(body["points"]) in (points, points + 1)  # a minute may begin meanwhile
    totals = [sum(point[word] for point in body["points"]) for word in ("enqueued", "completed", "failed")]
    assert totals == [3, 1, 1]


def test_durations_are_percentiles(api: Api, some_jobs: None) -> None:
    _, body = api.get(SERIES)
    assert set(body["points"][-1]["run"]) == set(body["points"][-1]["wait"]) == {"p50", "p95", "p99"}


def test_the_same_range_by_type_and_by_queue(api: Api, some_jobs: None) -> None:
    _, body = api.get(SERIES)
    assert {name: one["failed"] for name, one in body["byType"].items()} == {"greet_guest": 0, "refuse_guest": 1}
    assert {name: one["enqueued"] for name, one in body["byQueue"].items()} == {"default": 1, "cpu": 2}


def test_a_series_of_one_type_or_queue(api: Api, some_jobs: None) -> None:
    for query, enqueued in (("type=refuse_guest", 2), ("queue=default", 1), ("type=refuse_guest&queue=default", 0)):
        assert sum(point["enqueued"] for point in api.get(f"{SERIES}?{query}")[1]["points"]) == enqueued


def test_other_ranges_are_refused(api: Api) -> None:
    status, body = api.get(f"{SERIES}?range=2y")
    assert (status, body["errors"][0]["loc"]) == (422, ["query", "range"])


def test_errors_are_counted_by_run(api: Api, some_jobs: None) -> None:
    rollups.roll_up_errors()
    status, body = api.get(ERRORS)
    (kind,) = body["byFingerprint"]
    assert (status, body["total"]) == (200, 1)
    shown = {name: kind[name] for name in ("type", "error", "message", "count", "resolved")}
    assert shown == {"type": "refuse_guest", "error": "ValueError", "message": "no", "count": 1, "resolved": False}
    assert body["byClassification"] == {"retryable": 1}


@pytest.mark.parametrize("query", ["start=x", "end=2024-13-01", "start=0001-01-01", "start=9999-12-31T23:59:59Z"])
def test_a_time_that_is_none_is_named(api: Api, query: str) -> None:
    status, body = api.get(f"{ERRORS}?{query}")
    assert (status, body["errors"][0]["loc"]) == (422, ["query", query.partition("=")[0]])
