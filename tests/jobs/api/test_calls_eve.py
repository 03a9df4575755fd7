"""What the EVE companion called: its addresses, its fields, and its code in our words, about its own job types."""

from uuid import UUID

import pytest
from django.conf import settings

from jobs import enqueue, health, lifecycle, metrics, scheduling
from jobs.models import Job, Queue, Worker
from jobs.processor import CRON_EXPRESSIONS, Backoff, Enqueued, get_processor
from jobs.schedules import declared as declared_schedules
from jobs.scheduling import ScheduleFields
from jobs.testing import perform
from tests.jobs.api import product_lines as product_lines  # registers the job types
from tests.jobs.api.calls import curl, http
from tests.jobs.api.conftest import Api

pytestmark = pytest.mark.django_db

CUSTOM = {"userId": 1, "action": "process_data", "params": {"foo": "bar"}}
REASON = "characterId: user 1 has no character 1337512245"
DATA = {"characterId": 1337512245, "userId": 1}
METRICS = {"waiting": 1, "active": 0, "completed": 1, "failed": 1, "delayed": 0, "paused": 0, "total": 3}
RATES = {"completionRate": 33.33, "failureRate": 33.33}


@pytest.fixture
def failed(db: None) -> Job:
    return perform(enqueue("token-refresh", DATA, queue="token-refresh"))  # nobody has this character


@pytest.fixture
def three(failed: Job) -> Enqueued:
    """A queue with a job that failed, one that is completed and one that waits: this one."""
    perform(enqueue("token-refresh-due"))
    return enqueue("token-refresh", DATA)


@pytest.fixture
def schedule(db: None) -> ScheduleFields:
    hourly = ScheduleFields("my-scheduled-job", CRON_EXPRESSIONS.EVERY_HOUR, "my_custom_job", "UTC", CUSTOM)
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
    (default,) = [queue for queue in queues if queue["queueName"] == "token_refresh"]
    assert default.pop("avgProcessingTime") >= 0
    assert default == {"queueName": "token_refresh", **METRICS, **RATES, "approximate": False}
    (empty,) = [queue for queue in queues if queue["queueName"] == "cpu"]
    assert (empty["total"], empty["completionRate"], empty["failureRate"]) == (0, 100, 0)


def test_queues(api: Api, three: Enqueued) -> None:
    worker()
    status, queues = http(api, "GET /admin/jobs/queues")
    assert (status, {queue["queueName"] for queue in queues}) == (200, set(settings.JOBS_QUEUES))
    status, queue = http(api, "GET /admin/jobs/queues/token-refresh")
    assert status == 200
    assert {**queue, **METRICS, **RATES} == queue
    assert (queue["isPaused"], queue["workers"]) == (False, ["io@here:1"])
    assert queue["oldestWaitingSeconds"] >= 0
    assert http(api, "GET /admin/jobs/queues/nowhere")[0] == 404


def test_jobs_of_a_queue(api: Api, three: Enqueued, failed: Job) -> None:
    status, (job,) = http(api, "GET /admin/jobs/queues/token-refresh/jobs?status=waiting&limit=10")
    assert (status, job["id"], job["payload"]) == (200, str(three.id), DATA)
    expected = {"waiting": 1, "active": 0, "completed": 1, "failed": 1, "delayed": 0, "paused": 0}
    for word, number in expected.items():
        assert len(http(api, f"GET /admin/jobs/queues/token-refresh/jobs?status={word}")[1]) == number
    lifecycle.pause("token_refresh", actor="ada")
    assert http(api, "GET /admin/jobs/queues/token-refresh/jobs?status=paused")[1][0]["id"] == str(three.id)
    assert http(api, "GET /admin/jobs/queues/token-refresh/jobs?status=waiting") == (200, [])


def test_failed_and_active_jobs(api: Api, failed: Job, three: Enqueued) -> None:
    status, (job,) = curl(api, "curl http://localhost:3000/admin/jobs/failed")
    assert status == 200
    shown = {name: job[name] for name in ("queueName", "jobId", "failedReason", "attemptsMade")}
    assert shown == {"queueName": "token_refresh", "jobId": str(failed.id), "failedReason": REASON, "attemptsMade": 1}
    assert http(api, "GET /admin/jobs/failed?limit=50")[1] == [job]

    assert http(api, "GET /admin/jobs/active?limit=50") == (200, [])
    lifecycle.claim_these([three.id], worker="io@here:1", lease=60)
    _, (active,) = http(api, "GET /admin/jobs/active?limit=50")
    assert (active["jobId"], active["progress"], active["worker"]) == (str(three.id), 0, "io@here:1")


def test_retry_and_remove_a_job(api: Api, failed: Job) -> None:
    job = f"/admin/jobs/queues/token-refresh/jobs/{failed.id}"
    assert http(api, f"POST {job}/retry") == (202, {"jobId": str(failed.id), "status": "pending"})
    lifecycle.claim_these([failed.id], worker="io@here:1", lease=60)
    assert http(api, f"DELETE {job}")[0] == 409
    lifecycle.finish([lifecycle.Outcome(failed.id, 2, lifecycle.Verb.COMPLETE, result="null")])
    assert http(api, f"DELETE {job}") == (200, {"jobId": str(failed.id), "removed": True})
    assert not Job.objects.exists()
    assert http(api, f"DELETE {job}")[0] == 404


def test_pause_resume_and_clean_a_queue(api: Api, three: Enqueued) -> None:
    status, body = http(api, "POST /admin/jobs/queues/token-refresh/pause")
    assert (status, body["paused"], body["pausedBy"]) == (200, True, "key:test")
    assert Queue.objects.get(name="token_refresh").paused_at is not None
    status, body = http(api, "POST /admin/jobs/queues/token-refresh/resume")
    assert (status, body["paused"], body["pausedAt"]) == (200, False, None)
    clean = """POST /admin/jobs/queues/token-refresh/clean
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
    job = enqueue("token-refresh", DATA, priority="high", max_attempts=3, backoff=backoff)
    row = Job.objects.get(id=job.id)
    assert (row.priority, row.max_attempts, row.backoff) == (8, 3, backoff.as_dict())
    (default,) = [queue for queue in metrics.queue_figures() if queue.name == "token_refresh"]
    assert (default.waiting, default.active, default.completed, default.failed) == (1, 0, 0, 1)
    assert list(Job.objects.filter(queue="token_refresh", status="pending")[0:10]) == [row]
    assert lifecycle.retry([failed.id], actor="ada").retried == [failed.id]
    assert lifecycle.remove([job.id], actor="ada").removed == [job.id]
    perform(failed.id)
    assert lifecycle.clean("token_refresh", Job.Status.FAILED, 0, 1000, actor="ada") == 1
    assert lifecycle.pause("token_refresh", actor="ada")
    assert lifecycle.resume("token_refresh", actor="ada")


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
    (default,) = [queue for queue in metrics.queue_figures() if queue.name == "token_refresh"]
    assert (default.total, default.completion_rate, default.failure_rate) == (3, 33.33, 33.33)
    assert default.avg_run_ms is not None
    report = health.report()
    assert (report.healthy, report.workers.active, report.queues.unhealthy) == (True, 1, 0)


def test_a_job_type_of_ones_own(db: None) -> None:
    job = enqueue("my-custom-job", CUSTOM, queue="default", priority="high", max_attempts=3, backoff=Backoff(base=2))
    assert perform(job).result == {"success": True, "message": "Job completed"}


def test_the_job_types_with_their_queues_priorities_and_retries() -> None:
    declared = {
        name: (task.queue, task.priority, task.max_attempts, (task.backoff.base, task.backoff.jitter))
        for name in ("token_refresh", "esi_refresh", "historical_data", "cache_cleanup")
        if isinstance((task := get_processor(name)).backoff, Backoff)
    }
    assert {name: values[:3] for name, values in declared.items()} == {
        "token_refresh": ("token_refresh", 8, 3),
        "esi_refresh": ("esi_refresh", None, 3),  # it goes by who asked
        "historical_data": ("historical_data", 3, 2),
        "cache_cleanup": ("cache_cleanup", 3, 1),
    }
    assert [values[3] for values in declared.values()][:3] == [(2, True), (2, True), (5, True)]
    limits = {name: options.get("max_running") for name, options in settings.JOBS_QUEUES.items()}
    assert [limits[name] for name in declared] == [5, 10, 3, 1]


def test_what_its_code_asked_for_by_name(api: Api) -> None:
    ours = {"characterId": 1337512245, "userId": 1}
    asked = [
        ("token-refresh", ours, "critical", 10),
        (
            "esi-refresh",
            {**ours, "endpoint": "/latest/characters/{character_id}/wallet/", "skipCache": True},
            "high",
            8,
        ),
        ("esi-refresh", {**ours, "group": "CHARACTER_SKILLS", "skipCache": False}, "normal", 5),
        ("esi-refresh", {**ours, "group": "CHARACTER_WALLET", "requestedBy": "user"}, None, 8),
        ("esi-refresh", {**ours, "group": "CHARACTER_WALLET", "requestedBy": "schedule"}, None, 5),
        ("historical-data", {**ours, "dataType": "wallet_journal", "fromDate": "2025-01-01"}, "low", 3),
        ("historical-data", {**ours, "dataType": "all", "fromDate": "2025-01-01", "toDate": "2025-10-18"}, "batch", 1),
        ("cache-cleanup", {"mode": "expired", "dryRun": True}, None, 3),
        ("cache-cleanup", {"mode": "pattern", "pattern": "esi:characters:*"}, None, 3),
        ("cache-cleanup", {"mode": "lru", "maxSize": 10000}, None, 3),
    ]
    for type_, payload, priority, number in asked:
        options = {"priority": priority} if priority else {}
        status, job = api.post("/api/jobs/enqueue", {"type": type_, "payload": payload, "queue": type_, **options})
        assert (status, Job.objects.get(id=job["jobId"]).priority) == (202, number), job


def test_its_schedules() -> None:
    crons = {each.type: (each.cron, each.timezone, each.enabled) for each in declared_schedules()}
    assert crons["token_refresh_due"] == (CRON_EXPRESSIONS.EVERY_2_HOURS, "UTC", True)
    assert crons["cache_cleanup"] == (CRON_EXPRESSIONS.DAILY_3AM, "UTC", True)
    assert "esi_refresh_due" in crons
