"""What the EVE companion called: its addresses, its fields, and its code in our words."""

from uuid import UUID

import pytest
from django.conf import settings

from jobs import enqueue, health, lifecycle, metrics, scheduling
from jobs.models import Job, Queue, Worker
from jobs.processor import CRON_EXPRESSIONS, Backoff, Enqueued
from jobs.scheduling import ScheduleFields
from jobs.testing import perform
from tests.jobs.api import product_lines as product_lines  # registers the job types
from tests.jobs.api.calls import curl, http
from tests.jobs.api.conftest import Api

pytestmark = pytest.mark.django_db

DATA = {"userId": 1, "action": "process_data", "params": {"foo": "bar"}}
METRICS = {"waiting": 1, "active": 0, "completed": 1, "failed": 1, "delayed": 0, "paused": 0, "total": 3}
RATES = {"completionRate": 33.33, "failureRate": 33.33}


@pytest.fixture
def failed(db: None) -> Job:
    return perform(enqueue("refuse_guest", max_attempts=1, queue="default"))


@pytest.fixture
def three(failed: Job) -> Enqueued:
    """A queue with a job that failed, one that is completed and one that waits: this one."""
    perform(enqueue("my-custom-job", DATA))
    return enqueue("my-custom-job", DATA)


@pytest.fixture
def schedule(db: None) -> ScheduleFields:
    hourly = ScheduleFields("my-scheduled-job", CRON_EXPRESSIONS.EVERY_HOUR, "my_custom_job", "UTC", DATA)
    scheduling.create(hourly, actor="ada")
    return hourly


def worker() -> Worker:
    queues = list(settings.JOBS_QUEUES)
    return Worker.objects.create(name="io@here:1", pool="threads", queues=queues, concurrency=5)


def test_health(api: Api, schedule: ScheduleFields) -> None:
    scheduling.stop(schedule.name, actor="ada")
    status, body = http(api, "GET /admin/jobs/health")
    assert (status, body["healthy"]) == (503, False)
    worker()
    queues = len(settings.JOBS_QUEUES)
    assert curl(api, "curl http://localhost:3000/admin/jobs/health") == (
        200,
        {
            "healthy": True,
            "queues": {"total": queues, "healthy": queues, "unhealthy": 0, "issues": []},
            "scheduledJobs": {"total": 1, "running": 0, "stopped": 1, "issues": []},
            "workers": {"total": 1, "active": 1, "issues": []},
        },
    )


def test_metrics(api: Api, three: Enqueued) -> None:
    status, body = curl(api, "curl http://localhost:3000/admin/jobs/metrics")
    assert status == 200
    queues = body.pop("queues")
    assert body == {
        "totalJobs": 3,
        "activeJobs": 0,
        "completedJobs": 1,
        "failedJobs": 1,
        "waitingJobs": 1,
        "overallCompletionRate": 33.33,
        "overallFailureRate": 33.33,
        "approximate": False,
    }
    (default,) = [queue for queue in queues if queue["queueName"] == "default"]
    assert default.pop("avgProcessingTime") >= 0
    assert default == {"queueName": "default", **METRICS, **RATES, "approximate": False}
    (empty,) = [queue for queue in queues if queue["queueName"] == "cpu"]
    assert (empty["total"], empty["completionRate"], empty["failureRate"]) == (0, 100, 0)


def test_queues(api: Api, three: Enqueued) -> None:
    worker()
    status, queues = http(api, "GET /admin/jobs/queues")
    assert (status, {queue["queueName"] for queue in queues}) == (200, set(settings.JOBS_QUEUES))
    status, queue = http(api, "GET /admin/jobs/queues/default")
    assert status == 200
    assert {**queue, **METRICS, **RATES} == queue
    assert (queue["isPaused"], queue["workers"]) == (False, ["io@here:1"])
    assert queue["oldestWaitingSeconds"] >= 0
    assert http(api, "GET /admin/jobs/queues/nowhere")[0] == 404


def test_jobs_of_a_queue(api: Api, three: Enqueued, failed: Job) -> None:
    status, (job,) = http(api, "GET /admin/jobs/queues/default/jobs?status=waiting&limit=10")
    assert (status, job["id"], job["payload"]) == (200, str(three.id), DATA)
    expected = {"waiting": 1, "active": 0, "completed": 1, "failed": 1, "delayed": 0, "paused": 0}
    for word, number in expected.items():
        assert len(http(api, f"GET /admin/jobs/queues/default/jobs?status={word}")[1]) == number
    lifecycle.pause("default", actor="ada")
    assert http(api, "GET /admin/jobs/queues/default/jobs?status=paused")[1][0]["id"] == str(three.id)
    assert http(api, "GET /admin/jobs/queues/default/jobs?status=waiting") == (200, [])


def test_failed_and_active_jobs(api: Api, failed: Job, three: Enqueued) -> None:
    status, (job,) = curl(api, "curl http://localhost:3000/admin/jobs/failed")
    assert status == 200
    shown = {name: job[name] for name in ("queueName", "jobId", "failedReason", "attemptsMade")}
    assert shown == {"queueName": "default", "jobId": str(failed.id), "failedReason": "no", "attemptsMade": 1}
    assert http(api, "GET /admin/jobs/failed?limit=50")[1] == [job]

    assert http(api, "GET /admin/jobs/active?limit=50") == (200, [])
    lifecycle.claim_these([three.id], worker="io@here:1", lease=60)
    _, (active,) = http(api, "GET /admin/jobs/active?limit=50")
    assert (active["jobId"], active["progress"], active["worker"]) == (str(three.id), 0, "io@here:1")


def test_retry_and_remove_a_job(api: Api, failed: Job) -> None:
    job = f"/admin/jobs/queues/default/jobs/{failed.id}"
    assert http(api, f"POST {job}/retry") == (202, {"jobId": str(failed.id), "status": "pending"})
    lifecycle.claim_these([failed.id], worker="io@here:1", lease=60)
    assert http(api, f"DELETE {job}")[0] == 409
    lifecycle.finish([lifecycle.Outcome(failed.id, 2, lifecycle.Verb.COMPLETE, result="null")])
    assert http(api, f"DELETE {job}") == (200, {"jobId": str(failed.id), "removed": True})
    assert not Job.objects.exists()
    assert http(api, f"DELETE {job}")[0] == 404


def test_pause_resume_and_clean_a_queue(api: Api, three: Enqueued) -> None:
    status, body = http(api, "POST /admin/jobs/queues/default/pause")
    assert (status, body["paused"], body["pausedBy"]) == (200, True, "key:test")
    assert Queue.objects.get(name="default").paused_at is not None
    status, body = http(api, "POST /admin/jobs/queues/default/resume")
    assert (status, body["paused"], body["pausedAt"]) == (200, False, None)
    clean = """POST /admin/jobs/queues/default/clean
Content-Type: application/json

{
  "grace": %d,
  "status": "completed",
  "limit": 1000
}"""
    assert http(api, clean % 3_600_000) == (200, {"removed": 0})
    assert http(api, clean % 0) == (200, {"removed": 1})


def test_the_scheduler(api: Api, schedule: ScheduleFields) -> None:
    status, body = http(api, "GET /admin/jobs/scheduler")
    assert (status, body["total"], body["running"], body["stopped"]) == (200, 1, 1, 0)
    (job,) = body["jobs"]
    shown = {name: job[name] for name in ("name", "cron", "timezone", "enabled", "exists", "running", "lastRun")}
    assert shown == {
        "name": "my-scheduled-job",
        "cron": "0 * * * *",
        "timezone": "UTC",
        "enabled": True,
        "exists": True,
        "running": True,
        "lastRun": None,
    }
    assert (len(job["nextRuns"]), job["nextRun"]) == (5, job["nextRuns"][0])

    status, body = http(api, "POST /admin/jobs/scheduler/my-scheduled-job/stop")
    assert (status, body["running"], body["nextRun"]) == (200, False, None)
    status, body = http(api, "POST /admin/jobs/scheduler/my-scheduled-job/start")
    assert (status, body["running"]) == (200, True)


def test_the_queue_service_in_code(failed: Job) -> None:
    backoff = Backoff(base=2)
    job = enqueue("my-custom-job", DATA, priority="high", max_attempts=3, backoff=backoff)
    row = Job.objects.get(id=job.id)
    assert (row.priority, row.max_attempts, row.backoff) == (8, 3, backoff.as_dict())
    (default,) = [queue for queue in metrics.queue_figures() if queue.name == "default"]
    assert (default.waiting, default.active, default.completed, default.failed) == (1, 0, 0, 1)
    assert list(Job.objects.filter(queue="default", status="pending")[0:10]) == [row]
    assert lifecycle.retry([failed.id], actor="ada").retried == [failed.id]
    assert lifecycle.remove([job.id], actor="ada").removed == [job.id]
    perform(failed.id)
    assert lifecycle.clean("default", Job.Status.FAILED, 0, 1000, actor="ada") == 1
    assert lifecycle.pause("default", actor="ada")
    assert lifecycle.resume("default", actor="ada")


def test_the_scheduler_service_in_code(schedule: ScheduleFields) -> None:
    state = scheduling.state("my-scheduled-job")
    assert (state.exists, state.running, state.last_run) == (True, True, None)
    assert not scheduling.stop("my-scheduled-job", actor="ada").running
    assert scheduling.start("my-scheduled-job", actor="ada").running
    job = scheduling.run("my-scheduled-job", actor="ada")
    assert isinstance(job.id, UUID)
    assert scheduling.state("my-scheduled-job").last_job_id == job.id
    assert [state.name for state in scheduling.states()] == ["my-scheduled-job"]
    assert scheduling.validate("0 */2 * * *").valid
    assert not scheduling.validate("every now and then").valid
    assert len(scheduling.next_runs("0 */2 * * *", 5)) == 5


def test_the_cron_expressions() -> None:
    assert {name: expression.value for name, expression in CRON_EXPRESSIONS.__members__.items()} == {
        "EVERY_MINUTE": "* * * * *",
        "EVERY_5_MINUTES": "*/5 * * * *",
        "EVERY_15_MINUTES": "*/15 * * * *",
        "EVERY_30_MINUTES": "*/30 * * * *",
        "EVERY_HOUR": "0 * * * *",
        "EVERY_2_HOURS": "0 */2 * * *",
        "EVERY_6_HOURS": "0 */6 * * *",
        "DAILY_MIDNIGHT": "0 0 * * *",
        "DAILY_3AM": "0 3 * * *",
        "WEEKLY_MONDAY": "0 0 * * 1",
        "MONTHLY_FIRST": "0 0 1 * *",
    }


def test_the_metrics_service_in_code(three: Enqueued) -> None:
    worker()
    (default,) = [queue for queue in metrics.queue_figures() if queue.name == "default"]
    assert (default.total, default.completion_rate, default.failure_rate) == (3, 33.33, 33.33)
    assert default.avg_run_ms is not None
    report = health.report()
    assert (report.healthy, report.workers.active, report.queues.unhealthy) == (True, 1, 0)
