"""What the paper manager called: its addresses, its fields, and its code in our words."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from django.conf import settings
from django.utils import timezone

from jobs import cancel, enqueue, health, lifecycle, metrics, retry, rollups, statistics
from jobs.models import Job, Worker
from jobs.testing import perform
from tests.jobs.api import product_lines as product_lines  # registers the job types
from tests.jobs.api.calls import curl, http
from tests.jobs.api.conftest import Api

pytestmark = pytest.mark.django_db

ANALYSIS = {"paperId": "paper-123", "providers": ["openai", "anthropic"]}


def create(api: Api) -> str:
    status, body = curl(
        api,
        """curl -X POST http://localhost:3000/api/jobs \\
          -H "Content-Type: application/json" \\
          -d '{
            "type": "ai-analysis",
            "paperId": "paper-123",
            "providers": ["openai", "anthropic"]
          }'""",
    )
    assert status == 202
    return str(body["jobId"])


def worker(**fields: Any) -> Worker:
    plain = {"pool": "threads", "queues": list(settings.JOBS_QUEUES), "concurrency": 5}
    return Worker.objects.create(name="io@here:1", **{**plain, **fields})


def test_create_a_job_and_check_its_status(api: Api) -> None:
    job_id = create(api)
    status, job = curl(api, f"curl http://localhost:3000/api/jobs/{job_id}")
    assert (status, job["type"], job["payload"]) == (200, "ai_analysis", ANALYSIS)
    assert (job["status"], job["progress"], job["error"]) == ("pending", 0, None)
    perform(job_id)
    _, job = curl(api, f"curl http://localhost:3000/api/jobs/{job_id}")
    assert (job["status"], job["progress"], job["result"]) == ("completed", 100, {"providers": 2})


def test_the_queue_status(api: Api) -> None:
    job_id = create(api)
    status, body = curl(api, "curl http://localhost:3000/api/jobs")
    assert [job["id"] for job in body.pop("items")] == [job_id]
    assert (status, body) == (
        200,
        {
            "waiting": 1,
            "active": 0,
            "completed": 0,
            "failed": 0,
            "delayed": 0,
            "paused": 0,
            "approximate": False,
            "next": None,
        },
    )


def test_cancel_and_retry(api: Api) -> None:
    job_id = create(api)
    assert http(api, f"DELETE /api/jobs/{job_id}") == (200, {"jobId": job_id, "status": "cancelled"})
    assert http(api, f"POST /api/jobs/{job_id}/retry") == (202, {"jobId": job_id, "status": "pending"})
    lifecycle.claim_these([UUID(job_id)], worker="far:1", lease=60)
    assert http(api, f"DELETE /api/jobs/{job_id}") == (202, {"jobId": job_id, "status": "processing"})


def test_the_health(api: Api) -> None:
    status, body = curl(api, "curl http://localhost:3000/api/jobs/health")
    assert (status, body["healthy"]) == (503, False)
    worker()
    status, body = curl(api, "curl http://localhost:3000/api/jobs/health")
    assert (status, body["healthy"]) == (200, True)
    assert body["details"]["queueStatus"]["waiting"] == 0


def test_worker_statistics(api: Api) -> None:
    worker(processed=12, failed=2, running=3)
    _, (stats,) = api.get("/api/admin/jobs/workers")
    assert (stats["processed"], stats["failed"], stats["active"]) == (12, 2, 3)
    assert (stats["running"], stats["activeJobs"]) == (True, 3)


def test_error_statistics(api: Api) -> None:
    failed = perform(enqueue("refuse_guest", max_attempts=1))
    rollups.roll_up_errors()
    today = timezone.now().date()
    start, end = today - timedelta(days=1), today + timedelta(days=2)
    status, body = api.get(f"/api/admin/jobs/errors?start={start}&end={end}")
    (kind,) = body["byFingerprint"]
    assert (status, body["total"], body["byType"]) == (200, 1, {"refuse_guest": 1})
    assert (body["byClass"], kind["count"], kind["sampleJobId"]) == ({"ValueError": 1}, 1, str(failed.id))
    assert kind["firstSeen"] == kind["lastSeen"]
    assert api.get("/api/admin/jobs/errors?start=2024-01-01&end=2024-01-02T00:00:00Z")[1]["total"] == 0


def test_the_manager_in_code() -> None:
    job = enqueue("ai-analysis", ANALYSIS)
    assert Job.objects.get(id=job.id).status == "pending"
    assert cancel([job.id], actor="ada") == {job.id: "cancelled"}
    assert retry([job.id], actor="ada").retried == [job.id]
    assert metrics.queue_status().waiting == 1
    assert perform(job).result == {"providers": 2}


def test_health_and_errors_in_code() -> None:
    worker()
    assert health.report().healthy
    assert statistics.error_statistics().total == 0
