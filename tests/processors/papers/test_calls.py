"""What the paper manager called: its addresses, its fields, and its code in our words."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from django.conf import settings
from django.utils import timezone

from jobs import cancel, enqueue, health, lifecycle, metrics, retry, rollups, statistics
from jobs.models import Job, Status, Worker
from jobs.testing import perform
from processors.papers.models import Analysis, Paper
from processors.papers.tasks import ai_analysis
from tests.jobs.api.calls import curl, http
from tests.jobs.api.conftest import Api
from tests.jobs.api.conftest import api as api
from tests.jobs.conftest import uncollected as uncollected
from tests.processors.papers.sandbox import ProvidersControl

pytestmark = pytest.mark.django_db

ANALYSIS = {"paperId": "paper-123", "providers": ["openai", "anthropic"]}


@pytest.fixture(autouse=True)
def paper(papers: ProvidersControl) -> Paper:
    return Paper.objects.create(id="paper-123", title="Bees", text="Bees that are given caffeine remember flowers.")


@pytest.fixture
def worker() -> Worker:
    plain: dict[str, Any] = {"pool": "threads", "queues": list(settings.JOBS_QUEUES), "concurrency": 5}
    return Worker.objects.create(name="io@here:1", **plain, processed=12, failed=2, running=3)


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


def test_create_a_job_and_check_its_status(api: Api) -> None:
    job_id = create(api)
    status, job = curl(api, f"curl http://localhost:3000/api/jobs/{job_id}")
    assert (status, job["type"], job["payload"]) == (200, "ai_analysis", ANALYSIS)
    assert (job["status"], job["progress"], job["error"]) == ("pending", 0, None)
    perform(job_id)
    _, job = curl(api, f"curl http://localhost:3000/api/jobs/{job_id}")
    assert (job["status"], job["progress"], job["result"]["partial"]) == ("completed", 100, False)
    assert {name: told["status"] for name, told in job["result"]["providers"].items()} == {
        "openai": "done",
        "anthropic": "done",
    }


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


def test_the_health_before_and_after_a_worker_is_there(api: Api, request: pytest.FixtureRequest) -> None:
    status, body = curl(api, "curl http://localhost:3000/api/jobs/health")
    assert (status, body["healthy"]) == (503, False)
    request.getfixturevalue("worker")
    status, body = curl(api, "curl http://localhost:3000/api/jobs/health")
    assert (status, body["healthy"]) == (200, True)
    assert body["details"]["queueStatus"]["waiting"] == 0


def test_worker_statistics(api: Api, worker: Worker) -> None:
    _, (stats,) = api.get("/api/admin/jobs/workers")
    assert (stats["processed"], stats["failed"], stats["active"]) == (12, 2, 3)
    assert (stats["running"], stats["activeJobs"]) == (True, 3)


def test_error_statistics(api: Api, papers: ProvidersControl) -> None:
    papers.always("anthropic", "refusal")
    failed = perform(create(api))
    assert failed.status == Status.FAILED
    rollups.roll_up_errors()
    today = timezone.now().date()
    start, end = today - timedelta(days=1), today + timedelta(days=2)
    status, body = api.get(f"/api/admin/jobs/errors?start={start}&end={end}")
    (kind,) = body["byFingerprint"]
    assert (status, body["total"], body["byType"]) == (200, 1, {"ai_analysis": 1})
    assert (kind["count"], kind["sampleJobId"]) == (1, str(failed.id))
    assert kind["firstSeen"] == kind["lastSeen"]
    assert api.get("/api/admin/jobs/errors?start=2024-01-01&end=2024-01-02T00:00:00Z")[1]["total"] == 0
    assert statistics.error_statistics().total == 1


def test_the_manager_in_code() -> None:
    job_id = UUID(ai_analysis.delay(paper_id="paper-123", providers=["openai", "anthropic"]).id)
    assert Job.objects.get(id=job_id).payload == ANALYSIS
    assert cancel([job_id], actor="ada") == {job_id: "cancelled"}
    assert retry([job_id], actor="ada").retried == [job_id]
    assert metrics.queue_status().waiting == 1
    assert perform(job_id).status == Status.COMPLETED
    assert Analysis.objects.filter(job=job_id, status="done").count() == 2


def test_the_same_by_the_name_with_a_hyphen() -> None:
    assert perform(enqueue("ai-analysis", ANALYSIS)).status == Status.COMPLETED


def test_the_health_in_code(worker: Worker) -> None:
    assert health.report().healthy
    assert statistics.error_statistics().total == 0
