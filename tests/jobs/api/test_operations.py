"""/api/jobs/admin: all in one answer, and orders for many jobs."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from django.conf import settings
from django.db.models.functions import Now
from django.utils import timezone

from jobs import enqueue, lifecycle, metrics
from jobs.models import Event, Job, Queue, Worker
from jobs.testing import perform
from tests.jobs.api.conftest import Api

ADMIN = "/api/jobs/admin"
QUEUES = sorted(settings.JOBS_QUEUES)


def failed(**options: Any) -> UUID:
    return perform(enqueue("refuse_guest", max_attempts=1, **options)).id


class TestCounts:
    def test_name_the_oldest_that_waits_and_who_works(self, api: Api) -> None:
        first = enqueue("greet_guest", {"guestName": "Ada"})
        enqueue("greet_guest", {"guestName": "Eve"})
        Worker.objects.create(name="io@here:1", pool="threads", queues=["default"], concurrency=4, running=1)
        _, body = api.get(f"{ADMIN}?details=true")
        oldest = body["oldestWaiting"]
        assert (oldest["jobId"], oldest["type"], oldest["queue"]) == (str(first.id), "greet_guest", "default")
        assert [(worker["name"], worker["activeJobs"]) for worker in body["workers"]] == [("io@here:1", 1)]

    def test_of_many_jobs_are_estimates_and_say_so(self, api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(metrics, "COUNT_LIMIT", 1)
        monkeypatch.setattr(metrics.count, "__defaults__", (1,))
        failed()
        for _ in range(3):
            enqueue("greet_guest", {"guestName": "Ada"})
        _, body = api.get(f"{ADMIN}?details=true")
        assert body["approximate"]
        by_type = {(one["type"], one["status"]): one["count"] for one in body["byType"]}
        assert by_type == {("refuse_guest", "failed"): 1, ("greet_guest", "pending"): 3}

    def test_tell_how_much_a_cache_has_served(self, api: Api) -> None:
        job = enqueue("cache_warmup", {})
        result = '{"hits": 3, "misses": 1}'
        ((_, run, *_),) = lifecycle.claim_these([job.id], worker="far:1", lease=60)
        lifecycle.finish([lifecycle.Outcome(job.id, run, lifecycle.Verb.COMPLETE, result=result)])
        assert api.get(f"{ADMIN}?details=true")[1]["cacheHitRate"] == 75.0


class TestRetryFailedJobs:
    def test_retries_all(self, api: Api) -> None:
        jobs = [failed(), failed()]
        status, body = api.post(ADMIN, {"action": "retry_failed_jobs"})
        assert (status, body["retried"], body["skipped"], body["more"]) == (200, 2, 0, False)
        assert set(Job.objects.filter(id__in=jobs).values_list("status", flat=True)) == {"pending"}
        assert set(Event.objects.values_list("kind", "actor")) == {("retried", "key:test")}

    def test_or_those_of_a_type_or_queue(self, api: Api) -> None:
        failed()
        failed(queue="default")
        assert api.post(ADMIN, {"action": "retry_failed_jobs", "type": "greet-guest"})[1]["retried"] == 0
        assert api.post(ADMIN, {"action": "retry_failed_jobs", "queue": "default"})[1]["retried"] == 1
        assert api.post(ADMIN, {"action": "retry_failed_jobs", "type": "refuse-guest"})[1]["retried"] == 1

    def test_up_to_a_limit(self, api: Api) -> None:
        for _ in range(3):
            failed()
        body = api.post(ADMIN, {"action": "retry_failed_jobs", "limit": 2})[1]
        assert (body["retried"], body["more"]) == (2, True)

    def test_skips_what_cannot_be_retried(self, api: Api) -> None:
        failed(unique_key="a")
        enqueue("refuse_guest", unique_key="a")
        body = api.post(ADMIN, {"action": "retry_failed_jobs"})[1]
        assert (body["retried"], body["skipped"]) == (0, 1)


class TestCleanup:
    def test_keeps_what_is_to_be_kept(self, api: Api) -> None:
        old, fresh = failed(), failed()
        Job.objects.filter(id=old).update(finished_at=Now() - timedelta(days=8))
        status, body = api.post(ADMIN, {"action": "cleanup"})
        assert (status, body["removed"], body["more"]) == (200, 1, False)
        assert Job.objects.get().id == fresh

    def test_or_what_is_younger_than_it_is_told(self, api: Api) -> None:
        perform(enqueue("greet_guest", {"guestName": "Ada"}))
        failed()
        failed(queue="default")
        waiting = enqueue("greet_guest", {"guestName": "Ada"})
        assert api.post(ADMIN, {"action": "cleanup", "olderThan": 0, "status": "completed"})[1]["removed"] == 1
        assert api.post(ADMIN, {"action": "cleanup", "olderThan": 0, "queue": "default"})[1]["removed"] == 1
        assert api.post(ADMIN, {"action": "cleanup", "older_than": 0})[1]["removed"] == 1
        assert Job.objects.get().id == waiting.id

    def test_up_to_a_limit(self, api: Api) -> None:
        for _ in range(3):
            failed()
        body = api.post(ADMIN, {"action": "cleanup", "olderThan": 0, "limit": 2})[1]
        assert (body["removed"], body["more"], Job.objects.count()) == (2, True, 1)


class TestPauseAndResume:
    def test_all_queues(self, api: Api) -> None:
        assert api.post(ADMIN, {"action": "pause", "reason": "a move"})[1]["queues"] == QUEUES
        assert set(Queue.objects.values_list("reason", flat=True)) == {"a move"}
        assert api.post(ADMIN, {"action": "resume"})[1]["queues"] == QUEUES
        assert api.post(ADMIN, {"action": "resume"})[1]["queues"] == []

    def test_one_queue_for_a_while(self, api: Api) -> None:
        until = timezone.now() + timedelta(hours=1)
        body = {"action": "pause", "queue": "default", "until": until.isoformat()}
        assert api.post(ADMIN, body)[1]["queues"] == ["default"]
        assert Queue.objects.get(paused_at__isnull=False).paused_until == until


@pytest.mark.parametrize(
    ("body", "place"),
    [
        ({}, ["body"]),
        ({"action": "explode"}, ["body"]),
        ({"action": "pause", "queue": "nowhere"}, ["body", "queue"]),
        ({"action": "pause", "until": "2001-01-01T00:00:00Z"}, ["body", "until"]),
        ({"action": "resume", "until": None}, ["body", "resume", "until"]),
        ({"action": "cleanup", "status": "pending"}, ["body", "cleanup", "status"]),
        ({"action": "retry_failed_jobs", "limit": 0}, ["body", "retry_failed_jobs", "limit"]),
    ],
)
def test_what_is_wrong_is_named(api: Api, body: dict[str, Any], place: list[str]) -> None:
    status, answer = api.post(ADMIN, body)
    assert (status, answer["errors"][0]["loc"]) == (422, place)
    assert not Event.objects.exists()
