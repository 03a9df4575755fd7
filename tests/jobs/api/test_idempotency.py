"""`Idempotency-Key`: what is sent twice is done once."""

import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection, transaction
from django.db.models.functions import Now
from django.test import Client

from jobs import keys, upkeep
from jobs.api import idempotency
from jobs.models import ApiKey, Event, IdempotencyKey, Job, Queue
from jobs.processor import enqueue
from jobs.testing import perform
from tests.jobs.api.conftest import ALL_SCOPES, Api

ENQUEUE = "/api/jobs/enqueue"
ADA = {"type": "greet_guest", "payload": {"guestName": "Ada"}}
EVE = {"type": "greet_guest", "payload": {"guestName": "Eve"}}
PAUSE = "/api/admin/jobs/queues/default/pause"


def post(api: Api, path: str, body: Any = None, key: str = "k-1") -> tuple[int, Any]:
    response = api.client.post(path, body, content_type="application/json", headers={"Idempotency-Key": key})
    return response.status_code, response.json()


def test_the_same_request_gets_the_same_answer_and_does_nothing_more(api: Api) -> None:
    first = post(api, ENQUEUE, ADA)
    assert first[0] == 202
    assert post(api, ENQUEUE, ADA) == first
    assert Job.objects.count() == 1


def test_another_body_is_refused(api: Api) -> None:
    post(api, ENQUEUE, ADA)
    status, body = post(api, ENQUEUE, EVE)
    assert (status, body["detail"]) == (409, "This Idempotency-Key was used for another request.")
    assert post(api, "/api/jobs", ADA)[0] == 409
    assert Job.objects.count() == 1


def test_keys_of_two_callers_are_two(api: Api) -> None:
    post(api, ENQUEUE, ADA)
    other = Api(keys.create("other", ALL_SCOPES))
    assert post(other, ENQUEUE, EVE)[0] == 202
    assert Job.objects.count() == 2


def test_another_key_is_another_request(api: Api) -> None:
    assert post(api, ENQUEUE, ADA, "k-1")[1]["jobId"] != post(api, ENQUEUE, ADA, "k-2")[1]["jobId"]


def test_what_was_refused_may_be_tried_again(api: Api) -> None:
    assert post(api, ENQUEUE, {"type": "greet_guest"})[0] == 422
    assert post(api, ENQUEUE, ADA)[0] == 202
    job = enqueue("refuse_guest", max_attempts=1)
    retry = f"/api/jobs/{job.id}/retry"
    assert post(api, retry, key="k-2")[0] == 409
    perform(job)
    assert (
        post(api, retry, key="k-2") == post(api, retry, key="k-2") == (202, {"jobId": str(job.id), "status": "pending"})
    )


def test_a_bulk_is_done_once(api: Api) -> None:
    first = post(api, "/api/jobs/bulk", {"jobs": [ADA, EVE]})
    assert post(api, "/api/jobs/bulk", {"jobs": [ADA, EVE]}) == first
    assert Job.objects.count() == 2


def test_an_order_without_a_body_is_done_once(api: Api) -> None:
    first = post(api, PAUSE)
    Queue.objects.update(paused_at=None)
    assert post(api, PAUSE) == first
    assert Event.objects.filter(kind="paused").count() == 1
    assert not Queue.objects.filter(paused_at__isnull=False).exists()


@pytest.mark.parametrize("key", ["", "x" * 256, "a b", "schlüssel"])
def test_a_wrong_key_is_told(api: Api, key: str) -> None:
    status, body = post(api, ENQUEUE, ADA, key)
    assert (status, body["errors"][0]["loc"]) == (422, ["header", "Idempotency-Key"])
    assert not Job.objects.exists()


def test_after_a_day_a_key_is_new_again(api: Api) -> None:
    post(api, ENQUEUE, ADA)
    IdempotencyKey.objects.update(created_at=Now() - IdempotencyKey.KEPT - timedelta(minutes=1))
    assert post(api, ENQUEUE, EVE)[0] == 202
    assert IdempotencyKey.objects.count() == 1


def test_upkeep_deletes_old_keys(api: Api) -> None:
    post(api, ENQUEUE, ADA, "old")
    IdempotencyKey.objects.update(created_at=Now() - IdempotencyKey.KEPT - timedelta(minutes=1))
    post(api, ENQUEUE, ADA, "new")
    list(upkeep.pruning())
    assert IdempotencyKey.objects.get().key == "new"


@pytest.fixture
def committed(transactional_db: None, uncollected: None) -> str:
    """A key that other threads see, and that was used just now: its row is not written again."""
    key = keys.create("test", ApiKey.Scope.values)
    assert Api(key).get("/api/jobs/types")[0] == 200
    return key


def in_another_thread(ask: Callable[[], tuple[int, Any]]) -> tuple[threading.Thread, list[tuple[int, Any]]]:
    answers: list[tuple[int, Any]] = []

    def run() -> None:
        answers.append(ask())
        connection.close()

    thread = threading.Thread(target=run)
    thread.start()
    return thread, answers


def test_of_two_requests_at_once_one_is_done_and_the_other_waits_for_its_answer(committed: str) -> None:
    with transaction.atomic():
        first = post(Api(committed), ENQUEUE, ADA)
        thread, answers = in_another_thread(lambda: post(Api(committed), ENQUEUE, ADA))
        wait_for_a_lock()
    thread.join(20)
    assert answers == [first]
    assert Job.objects.count() == 1


def test_a_request_that_waits_too_long_is_refused(committed: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(idempotency, "PATIENCE", "50ms")
    with transaction.atomic():
        post(Api(committed), ENQUEUE, ADA)
        thread, answers = in_another_thread(lambda: post(Api(committed), ENQUEUE, ADA))
        thread.join(20)
    ((status, body),) = answers
    assert (status, body["detail"]) == (409, "A request with this Idempotency-Key is still being answered.")


def wait_for_a_lock() -> None:
    """Until another session waits for one."""
    with connection.cursor() as cursor:
        for _ in range(2000):
            cursor.execute("SELECT pg_sleep(0.01), count(*) FROM pg_locks WHERE NOT granted")
            if cursor.fetchone()[1]:
                return
    raise AssertionError("nobody waits")


def test_only_posts_have_keys(api: Api) -> None:
    client: Client = api.client
    job = enqueue("greet_guest", {"guestName": "Ada"})
    for _ in range(2):
        assert client.get(f"/api/jobs/{job.id}", headers={"Idempotency-Key": "k"}).status_code == 200
    assert not IdempotencyKey.objects.exists()
