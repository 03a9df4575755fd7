"""Queues: what is refused, and what a pause says; the rest is with the calls that ask for it."""

from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.utils import timezone

from jobs import enqueue, lifecycle
from jobs.models import Event, Job, Queue
from jobs.testing import perform
from tests.jobs.api.conftest import Api

QUEUE = "/api/admin/jobs/queues/default"


def test_a_pause_may_have_a_reason_and_an_end(api: Api) -> None:
    until = timezone.now().replace(microsecond=0) + timedelta(hours=1)
    status, body = api.post(f"{QUEUE}/pause", {"reason": "a move", "until": until.isoformat()})
    assert (status, body["reason"], body["paused"]) == (200, "a move", True)
    assert Queue.objects.get(name="default").paused_until == until
    _, queue = api.get(QUEUE)
    assert (queue["isPaused"], queue["pausedReason"]) == (True, "a move")


def test_a_queue_that_is_paused_stays_as_it_is(api: Api) -> None:
    lifecycle.pause("default", actor="ada", reason="first")
    assert api.post(f"{QUEUE}/pause", {"reason": "second"})[1]["reason"] == "first"
    assert Event.objects.count() == 1


def test_a_hyphen_in_a_name_means_an_underscore(api: Api) -> None:
    assert api.get("/api/admin/jobs/queues/token-refresh")[1]["queueName"] == "token_refresh"
    assert api.post("/api/admin/jobs/queues/token-refresh/pause")[1]["queueName"] == "token_refresh"


@pytest.mark.parametrize(
    ("path", "body", "place"),
    [
        ("pause", {"until": "2001-01-01T00:00:00Z"}, ["body", "until"]),
        ("pause", {"until": "tomorrow"}, ["body", "until"]),
        ("pause", {"reason": "x" * 501}, ["body", "reason"]),
        ("pause", {"why": "?"}, ["body", "why"]),
        ("clean", {"status": "active"}, ["body", "status"]),
        ("clean", {"grace": -1}, ["body", "grace"]),
        ("clean", {"limit": 10_001}, ["body", "limit"]),
    ],
)
def test_what_is_wrong_is_named(api: Api, path: str, body: dict[str, Any], place: list[str]) -> None:
    status, answer = api.post(f"{QUEUE}/{path}", body)
    assert (status, answer["errors"][0]["loc"]) == (422, place)
    assert not Event.objects.exists()


@pytest.mark.parametrize("status", ["waiting", "delayed", "failed", "cancelled", "paused"])
def test_a_queue_is_cleaned_of_one_kind_of_job(api: Api, status: str) -> None:
    enqueue("greet_guest", {"guestName": "Ada"})
    enqueue("greet_guest", {"guestName": "Ada"}, delay=60)
    perform(enqueue("refuse_guest", max_attempts=1, queue="default"))
    lifecycle.cancel([enqueue("greet_guest", {"guestName": "Ada"}).id], actor="ada")
    if status == "paused":
        assert api.post(f"{QUEUE}/clean", {"status": "paused"}) == (200, {"removed": 0})
        lifecycle.pause("default", actor="ada")
    assert api.post(f"{QUEUE}/clean", {"status": status}) == (200, {"removed": 1})
    assert Job.objects.count() == 3


def test_a_job_of_another_queue_is_not_found(api: Api) -> None:
    job = perform(enqueue("refuse_guest", max_attempts=1))
    assert api.post(f"{QUEUE}/jobs/{job.id}/retry")[0] == 404
    assert api.delete(f"{QUEUE}/jobs/{job.id}")[0] == 404
    assert api.delete(f"/api/admin/jobs/queues/cpu/jobs/{uuid4()}")[0] == 404
    assert api.post(f"/api/admin/jobs/queues/cpu/jobs/{job.id}/retry")[0] == 202


def test_a_queue_that_is_not_there_is_not_found(api: Api) -> None:
    nowhere = "/api/admin/jobs/queues/nowhere"
    assert api.get(nowhere)[0] == api.get(f"{nowhere}/jobs")[0] == api.post(f"{nowhere}/pause")[0] == 404
    assert api.get("/api/admin/jobs/queues/%00")[0] == 422
