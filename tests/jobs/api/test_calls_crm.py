"""What the service CRM called: its addresses, its fields, and its code in our words."""

from datetime import UTC, datetime
from uuid import UUID

import pytest
from django.utils.dateparse import parse_datetime

from jobs import enqueue, enqueue_many, lifecycle, metrics
from jobs.models import Job, Worker
from jobs.testing import perform
from tests.jobs.api.calls import http
from tests.jobs.api.conftest import Api

pytestmark = pytest.mark.django_db

NOW = datetime.now(UTC)
PROMOTION = {"customerId": "customer-123", "promotionId": "promo-456"}


@pytest.fixture
def failed(db: None) -> Job:
    job = perform(enqueue("send_promotion", PROMOTION))  # there are no such rows
    return Job.objects.get(id=job.id)


def test_the_statistics(api: Api, failed: Job) -> None:
    for _ in range(2):
        perform(enqueue("process_opportunities"))
    enqueue("process_opportunity_offer", {"opportunityId": "8"}, delay=60)
    lifecycle.cancel([enqueue("cleanup_old_data", {"days": 30}).id], actor="ada")
    Worker.objects.create(name="io@here:1", pool="threads", queues=["default"], concurrency=3)
    status, body = http(api, "GET /api/admin/jobs/stats")
    assert body.pop("avgProcessingTime").endswith("s")
    assert (status, body) == (
        200,
        {
            "total": 4,
            "pending": 1,
            "processing": 0,
            "completed": 2,
            "failed": 1,
            "successRate": "75.0%",
            "queueLength": 0,
            "concurrency": 3,
            "approximate": False,
        },
    )


def test_without_jobs_everything_succeeds(api: Api) -> None:
    _, body = http(api, "GET /api/admin/jobs/stats")
    assert (body["total"], body["successRate"], body["avgProcessingTime"]) == (0, "100.0%", "0.0s")


def test_the_failed_jobs(api: Api, failed: Job) -> None:
    status, (job,) = http(api, "GET /api/admin/jobs/failed")
    assert status == 200
    shown = {name: job[name] for name in ("id", "type", "status", "retryCount", "errorMessage")}
    assert shown == {
        "id": str(failed.id),
        "type": "send_promotion",
        "status": "failed",
        "retryCount": 0,
        "errorMessage": "no promotion promo-456",
    }
    created = parse_datetime(job["createdAt"])
    assert created is not None
    assert abs((created - failed.created_at).total_seconds()) < 0.001


def test_a_retry(api: Api, failed: Job) -> None:
    request = f"""POST /api/admin/jobs/retry\n\n{{
        "jobId": "{failed.id}"
    }}"""
    assert http(api, request) == (202, {"jobId": str(failed.id), "status": "pending"})
    status, body = http(api, request)
    assert (status, body["detail"]) == (409, "The job cannot be retried: it is pending.")


def test_an_id_that_is_none_is_named(api: Api) -> None:
    status, body = http(api, 'POST /api/admin/jobs/retry\n\n{"jobId": "job-123"}')
    assert (status, body["errors"][0]["loc"]) == (422, ["body", "jobId"])


def test_add_job_over_http(api: Api) -> None:
    options = {"priority": 7, "maxRetries": 3, "scheduledFor": NOW.isoformat()}
    status, answer = api.post("/api/jobs/enqueue", {"type": "send_promotion", "payload": PROMOTION, **options})
    job = Job.objects.get(id=UUID(answer["jobId"]))
    assert (status, job.status, job.priority, job.max_attempts) == (202, "pending", 7, 4)


def test_add_batch_over_http(api: Api) -> None:
    jobs = [
        {"type": "process_opportunity_offer", "payload": {"opportunityId": str(n)}, "priority": 8, "maxRetries": 3}
        for n in range(3)
    ]
    status, answer = api.post("/api/jobs/bulk", {"jobs": jobs})
    found = Job.objects.in_bulk([UUID(job_id) for job_id in answer["jobIds"]])
    assert status == 202
    assert [found[UUID(job_id)].payload["opportunityId"] for job_id in answer["jobIds"]] == ["0", "1", "2"]


def test_the_queue_in_code(failed: Job) -> None:
    added = enqueue("send_promotion", PROMOTION, priority=7, max_attempts=4, scheduled_at=NOW)
    batch = enqueue_many([("process_opportunity_offer", {"opportunityId": str(n)}, {"priority": 8}) for n in range(3)])
    assert len({job.id for job in batch}) == 3
    assert lifecycle.retry([failed.id], actor="ada").retried == [failed.id]
    assert metrics.totals()[Job.Status.PENDING].number == 5
    assert Job.objects.get(id=added.id).status == "pending"


def test_a_cleanup_in_code() -> None:
    job = enqueue("cleanup_old_data", {"days": 30}, priority=3, max_attempts=3)
    assert perform(job).status == "completed"
