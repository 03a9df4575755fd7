"""What the board-game marketplace called: its addresses, its fields, and its code in our words."""

from uuid import UUID

import pytest

from jobs import enqueue, metrics, scheduling
from jobs.models import Job, Worker
from jobs.scheduling import ScheduleFields
from jobs.testing import perform
from tests.jobs.api.calls import curl
from tests.jobs.api.conftest import Api

pytestmark = pytest.mark.django_db


@pytest.fixture
def failed(db: None) -> UUID:
    return perform(enqueue("refuse_guest", max_attempts=1)).id


def test_enqueue_a_job_and_check_its_status(api: Api) -> None:
    status, body = curl(
        api,
        """curl -X POST http://localhost:3000/api/jobs/enqueue \\
          -H "Content-Type: application/json" \\
          -d '{
            "type": "bgg_sync",
            "payload": {"gameId": "13"},
            "priority": "normal"
          }'""",
    )
    assert (status, body["status"], body["created"]) == (202, "pending", True)

    status, job = curl(api, f"curl http://localhost:3000/api/jobs/status/{body['jobId']}")
    assert status == 200
    shown = {name: job[name] for name in ("id", "type", "payload", "status", "priority", "result", "error")}
    assert shown == {
        "id": body["jobId"],
        "type": "bgg_sync",
        "payload": {"gameId": "13", "forceUpdate": False, "includeDetails": True},
        "status": "pending",
        "priority": 5,
        "result": None,
        "error": None,
    }


def test_the_statistics(api: Api, failed: UUID) -> None:
    perform(enqueue("greet_guest", {"guestName": "Ada"}))
    enqueue("greet_guest", {"guestName": "Eve"}, delay=60)
    counts = {
        "total": 3,
        "pending": 0,
        "processing": 0,
        "completed": 1,
        "failed": 1,
        "cancelled": 0,
        "scheduled": 1,
        "approximate": False,
    }
    assert curl(api, "curl http://localhost:3000/api/jobs/admin") == (200, counts)

    status, body = curl(api, "curl http://localhost:3000/api/jobs/admin?details=true")
    assert status == 200
    assert {name: body[name] for name in counts} == counts
    by_type = {(one["type"], one["status"]): (one["count"], one["avgDurationSeconds"]) for one in body["byType"]}
    assert by_type["greet_guest", "scheduled"] == (1, None)
    assert by_type["greet_guest", "completed"][0] == 1
    assert by_type["refuse_guest", "failed"][1] >= 0
    assert {queue["queueName"] for queue in body["byQueue"]} >= {"default", "cpu"}
    assert (body["workers"], body["oldestWaiting"], body["cacheHitRate"]) == ([], None, None)


def test_retry_failed_jobs_with_a_body_that_curl_calls_a_form(api: Api, failed: UUID) -> None:
    status, body = curl(
        api, """curl -X POST http://localhost:3000/api/jobs/admin -d '{"action": "retry_failed_jobs"}'"""
    )
    assert (status, body["action"], body["retried"], body["more"]) == (200, "retry_failed_jobs", 1, False)
    assert Job.objects.get(id=failed).status == "pending"


def test_the_queue_in_code() -> None:
    one = enqueue("bgg_sync", {"gameId": "13", "forceUpdate": False}, priority="normal")
    many = enqueue(
        "bgg_bulk_sync",
        {"gameIds": ["13", "9209", "266192"], "batchSize": 3, "delayBetweenBatches": 2000},
        priority="high",
    )
    assert Job.objects.get(id=one.id).status == "pending"
    assert Job.objects.get(id=many.id).priority == 8
    totals = metrics.totals()
    assert sum(count.number for count in totals.values()) == totals[Job.Status.PENDING].number == 2


def test_a_recurring_job_in_code() -> None:
    warmup = ScheduleFields(
        name="nightly warmup",
        cron="0 2 * * *",
        type="cache_warmup",
        payload={"popularGames": True, "limit": 50},
        priority="low",
    )
    made = scheduling.create(warmup, actor="ada")
    assert (made.running, made.words, made.priority) == (True, "At 02:00", 3)


def test_the_state_of_a_worker_in_code() -> None:
    Worker.objects.create(name="io@here:1", pool="threads", queues=["bgg"], concurrency=3, running=2)
    worker = Worker.objects.alive().get()
    assert (worker.running, worker.concurrency) == (2, 3)
