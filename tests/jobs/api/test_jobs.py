"""Looking at one job, cancelling it, retrying it."""

from typing import Any
from uuid import UUID, uuid4

import pytest

from jobs import lifecycle
from jobs.models import Event, Job, Status
from jobs.processor import Enqueued, enqueue
from jobs.testing import perform
from tests.jobs.api.conftest import Api


@pytest.fixture
def waiting(db: None) -> Enqueued:
    return enqueue("greet_guest", {"guestName": "Ada", "apiToken": "s3cret"}, tags=["vip"])


@pytest.fixture
def failed(db: None) -> Job:
    return perform(enqueue("refuse_guest", {"reason": "full"}, max_attempts=1))


def claim(job_id: UUID) -> None:
    """The job runs on a worker that says nothing."""
    lifecycle.claim_these([job_id], worker="far:1", lease=60)


def the_job(api: Api, job_id: UUID, query: str = "") -> dict[str, Any]:
    status, body = api.get(f"/api/jobs/{job_id}{query}")
    assert status == 200
    return body  # type: ignore[no-any-return]


def test_a_waiting_job_is_shown_with_its_secrets_hidden(api: Api, waiting: Enqueued) -> None:
    body = the_job(api, waiting.id)
    assert body.pop("createdAt") is not None
    assert body.pop("scheduledFor") is not None
    assert body == {
        "id": str(waiting.id),
        "type": "greet_guest",
        "status": "pending",
        "queue": "default",
        "priority": 5,
        "payload": {"guestName": "Ada", "times": 1, "apiToken": "***"},
        "result": None,
        "error": None,
        "progress": 0,
        "progressDetail": None,
        "attempt": 0,
        "maxAttempts": 3,
        "startedAt": None,
        "finishedAt": None,
    }


def test_both_addresses_show_the_same(api: Api, waiting: Enqueued) -> None:
    assert api.get(f"/api/jobs/status/{waiting.id}") == api.get(f"/api/jobs/{waiting.id}")


def test_a_completed_job_has_its_result(api: Api, waiting: Enqueued) -> None:
    perform(waiting)
    body = the_job(api, waiting.id)
    shown = {name: body[name] for name in ("status", "result", "error", "progress", "attempt")}
    assert shown == {
        "status": "completed",
        "result": {"text": "Hello Ada!"},
        "error": None,
        "progress": 100,
        "attempt": 1,
    }


def test_progress_is_a_whole_percentage_with_its_detail_beside_it(api: Api, waiting: Enqueued) -> None:
    claim(waiting.id)
    progress = {"run": 1, "done": 1, "total": 3, "percent": 33, "note": "thinking"}
    Job.objects.filter(id=waiting.id).update(progress=progress)
    body = the_job(api, waiting.id)
    assert (body["progress"], body["progressDetail"]) == (33, {"done": 1, "total": 3, "note": "thinking"})


def test_progress_of_unknown_length_is_0_percent(api: Api, waiting: Enqueued) -> None:
    claim(waiting.id)
    progress = {"run": 1, "done": 7, "total": None, "percent": None, "note": ""}
    Job.objects.filter(id=waiting.id).update(progress=progress)
    body = the_job(api, waiting.id)
    assert (body["progress"], body["progressDetail"]) == (0, {"done": 7, "total": None, "note": ""})


def test_the_last_failure_is_the_error(api: Api, failed: Job) -> None:
    body = the_job(api, failed.id)
    assert (body["status"], body["error"], body["result"]) == ("failed", "full", None)


def test_an_error_that_a_later_attempt_made_good_is_history(api: Api, failed: Job) -> None:
    lifecycle.retry([failed.id], actor="ada")
    assert the_job(api, failed.id)["error"] == "full"
    claim(failed.id)
    done = lifecycle.Outcome(failed.id, 2, lifecycle.Verb.COMPLETE, result="null")
    lifecycle.finish([done])

    body = the_job(api, failed.id, "?include=history")
    assert (body["status"], body["error"]) == ("completed", None)
    assert [(a["run"], a["outcome"], a["error"], a["message"]) for a in body["attempts"]] == [
        (1, "failed", "ValueError", "full"),
        (2, "completed", None, None),
    ]
    assert [(e["kind"], e["actor"], e["before"], e["after"]) for e in body["events"]] == [
        ("retried", "ada", {"status": "failed"}, {"status": "pending"})
    ]


def test_history_tells_where_and_when_a_success_ran(api: Api, waiting: Enqueued) -> None:
    job = perform(waiting)
    body = the_job(api, waiting.id, "?include=history")
    (attempt,) = body["attempts"]
    assert attempt["worker"] == job.worker
    assert (attempt["startedAt"], attempt["finishedAt"]) == (body["startedAt"], body["finishedAt"])


def test_history_tells_the_traceback_of_a_failure(api: Api, failed: Job) -> None:
    (attempt,) = the_job(api, failed.id, "?include=history")["attempts"]
    assert "raise ValueError(payload.reason)" in attempt["traceback"]
    assert attempt["classification"] == "retryable"


def test_history_tells_the_run_that_goes_on(api: Api, waiting: Enqueued) -> None:
    claim(waiting.id)
    (attempt,) = the_job(api, waiting.id, "?include=history")["attempts"]
    assert (attempt["outcome"], attempt["worker"], attempt["finishedAt"]) == ("processing", "far:1", None)


def test_nothing_else_can_be_included(api: Api, waiting: Enqueued) -> None:
    status, body = api.get(f"/api/jobs/{waiting.id}?include=everything")
    assert (status, body["errors"]) == (422, [{"loc": ["query", "include"], "msg": "Input should be 'history'"}])


def test_a_job_whose_code_is_gone_shows_no_value_of_its_payload(api: Api, waiting: Enqueued) -> None:
    Job.objects.filter(id=waiting.id).update(type="forgotten")
    assert the_job(api, waiting.id)["payload"] == {"guestName": "***", "times": "***", "apiToken": "***"}


def test_a_waiting_job_is_cancelled_at_once(api: Api, waiting: Enqueued) -> None:
    assert api.delete(f"/api/jobs/{waiting.id}") == (200, {"jobId": str(waiting.id), "status": "cancelled"})
    assert Job.objects.get().status == Status.CANCELLED
    assert Event.objects.get().actor == "key:test"


def test_a_running_job_is_asked_to_stop(api: Api, waiting: Enqueued) -> None:
    claim(waiting.id)
    assert api.delete(f"/api/jobs/{waiting.id}") == (202, {"jobId": str(waiting.id), "status": "processing"})
    assert Job.objects.get().cancel_requested_at is not None


def test_a_finished_job_is_not_cancelled(api: Api, failed: Job) -> None:
    status, body = api.delete(f"/api/jobs/{failed.id}")
    assert (status, body["detail"]) == (409, "The job is failed already.")


@pytest.mark.parametrize("status", ["failed", "cancelled"])
def test_a_job_that_ended_badly_is_retried(api: Api, waiting: Enqueued, failed: Job, status: str) -> None:
    lifecycle.cancel([waiting.id], actor="ada")
    job_id = failed.id if status == "failed" else waiting.id
    assert api.post(f"/api/jobs/{job_id}/retry") == (202, {"jobId": str(job_id), "status": "pending"})
    assert Job.objects.get(id=job_id).attempt == 0


def test_a_running_job_is_not_retried(api: Api, waiting: Enqueued) -> None:
    claim(waiting.id)
    status, body = api.post(f"/api/jobs/{waiting.id}/retry")
    assert (status, body["detail"]) == (409, "The job cannot be retried: it is processing.")


def test_a_job_whose_key_is_taken_is_not_retried(api: Api, db: None) -> None:
    old = perform(enqueue("refuse_guest", unique_key="seat 7", max_attempts=1))
    enqueue("refuse_guest", unique_key="seat 7")
    status, body = api.post(f"/api/jobs/{old.id}/retry")
    assert (status, body["detail"]) == (409, "The job cannot be retried: another job has its unique key 'seat 7'.")


@pytest.mark.parametrize(("verb", "path"), [("get", ""), ("delete", ""), ("post", "/retry")])
def test_an_unknown_job_is_not_found(api: Api, verb: str, path: str) -> None:
    unknown = uuid4()
    status, body = getattr(api, verb)(f"/api/jobs/{unknown}{path}")
    assert (status, body["title"]) == (404, "Not Found")
    assert str(unknown) in body["detail"]


@pytest.mark.parametrize("path", ["/api/jobs/7", "/api/jobs/status/7"])
def test_a_bad_id_is_named(api: Api, path: str) -> None:
    status, body = api.get(path)
    assert (status, body["errors"][0]["loc"]) == (422, ["path", "jobId"])
