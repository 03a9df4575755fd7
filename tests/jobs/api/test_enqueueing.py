"""POST /api/jobs/enqueue and POST /api/jobs."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from django.conf import settings

from jobs.models import Job, Status
from tests.jobs.api.conftest import Api

ENQUEUE = "/api/jobs/enqueue"


def the_job(body: dict[str, Any]) -> Job:
    return Job.objects.get(id=UUID(body["jobId"]))


def loc_and_msg(body: dict[str, Any]) -> list[tuple[list[Any], str]]:
    return [(error["loc"], error["msg"]) for error in body["errors"]]


def test_a_job_is_enqueued_and_waits(api: Api) -> None:
    status, body = api.post(ENQUEUE, {"type": "greet_guest", "payload": {"guestName": "Ada"}, "priority": "normal"})

    job = the_job(body)
    assert (status, body) == (202, {"jobId": str(job.id), "status": "pending", "created": True})
    assert (job.type, job.status, job.queue, job.priority) == ("greet_guest", Status.PENDING, "default", 5)
    assert job.payload == {"guestName": "Ada", "times": 1, "apiToken": ""}
    assert job.created_by == "key:test"


def test_every_option_reaches_the_row(api: Api) -> None:
    options = {
        "priority": 8,
        "scheduledFor": "2040-01-02T03:04:05+01:00",
        "maxRetries": 4,
        "backoff": {"type": "fixed", "delay": 1500},
        "queue": "cpu",
        "uniqueKey": "ada",
        "tags": ["vip", "evening"],
    }
    _, body = api.post(ENQUEUE, {"type": "greet_guest", "payload": {"guestName": "Ada"}, **options})

    job = the_job(body)
    assert body["status"] == job.status == "scheduled"
    assert job.scheduled_at == datetime(2040, 1, 2, 2, 4, 5, tzinfo=UTC)
    assert (job.priority, job.max_attempts, job.queue, job.unique_key, job.tags) == (
        8,
        5,
        "cpu",
        "ada",
        ["vip", "evening"],
    )
    assert job.backoff == {"base": 1.5, "max": 1.5, "factor": 1.0, "jitter": False}


def test_exponential_backoff_starts_at_its_delay(api: Api) -> None:
    backoff = {"type": "exponential", "delay": 90_000}
    _, body = api.post(ENQUEUE, {"type": "greet_guest", "payload": {"guestName": "Ada"}, "backoff": backoff})
    assert the_job(body).backoff == {"base": 90.0, "max": 90.0, "factor": 2.0, "jitter": True}


@pytest.mark.parametrize("name", ["maxAttempts", "attempts", "max_attempts"])
def test_attempts_count_runs(api: Api, name: str) -> None:
    _, body = api.post(ENQUEUE, {"type": "greet_guest", "payload": {"guestName": "Ada"}, name: 7})
    assert the_job(body).max_attempts == 7


def test_snake_case_is_read_too(api: Api) -> None:
    body = {
        "type": "greet_guest",
        "payload": {"guest_name": "Ada"},
        "unique_key": "u",
        "scheduled_for": "2040-01-01T00:00:00Z",
    }
    status, body = api.post(ENQUEUE, body)
    assert (status, the_job(body).unique_key, the_job(body).payload["guestName"]) == (202, "u", "Ada")


def test_a_hyphen_in_the_type_means_an_underscore(api: Api) -> None:
    _, body = api.post(ENQUEUE, {"type": "greet-guest", "payload": {"guestName": "Ada"}})
    assert the_job(body).type == "greet_guest"


def test_a_unique_key_finds_the_active_job(api: Api) -> None:
    job = {"type": "greet_guest", "payload": {"guestName": "Ada"}, "uniqueKey": "ada"}
    _, first = api.post(ENQUEUE, job)
    status, second = api.post(ENQUEUE, job)
    assert (status, second) == (202, {**first, "created": False})
    assert Job.objects.count() == 1


def test_a_payload_may_lie_flat_beside_the_type(api: Api) -> None:
    status, body = api.post("/api/jobs", {"type": "greet-guest", "guestName": "Ada", "times": 2, "priority": "high"})
    assert status == 202
    assert (the_job(body).payload, the_job(body).priority) == ({"guestName": "Ada", "times": 2, "apiToken": ""}, 8)


def test_a_payload_may_be_nested_there_as_well(api: Api) -> None:
    _, body = api.post("/api/jobs", {"type": "greet_guest", "payload": {"guestName": "Ada"}})
    assert the_job(body).payload["guestName"] == "Ada"


def test_not_both(api: Api) -> None:
    status, body = api.post("/api/jobs", {"type": "greet_guest", "payload": {"guestName": "Ada"}, "times": 2})
    assert (status, body["errors"]) == (422, [{"loc": ["body"], "msg": "not beside payload: times"}])
    assert not Job.objects.exists()


def test_a_plain_celery_task_takes_args_and_kwargs(api: Api) -> None:
    _, body = api.post(ENQUEUE, {"type": "add_guests", "payload": {"args": [3], "kwargs": {"arriving": 2}}})
    assert the_job(body).payload == {"args": [3], "kwargs": {"arriving": 2}}


def test_a_plain_celery_task_refuses_arguments_it_does_not_take(api: Api) -> None:
    for payload in ({"kwargs": {"there": 3}}, {"here": 3}, {"args": 3}):
        status, body = api.post(ENQUEUE, {"type": "add_guests", "payload": payload})
        assert (status, body["errors"][0]["loc"]) == (422, ["body", "payload"])


WRONG = [
    ({"type": "no_such_type"}, ["body", "type"], "unknown job type 'no_such_type'"),
    ({"type": "celery.chunks"}, ["body", "type"], "unknown job type 'celery.chunks'"),
    ({}, ["body", "type"], "Field required"),
    ({"payload": {}}, ["body", "payload", "guestName"], "Field required"),
    ({"payload": {"guestName": 1}}, ["body", "payload", "guestName"], "Input should be a valid string"),
    ({"payload": {"guestName": "A", "x": 1}}, ["body", "payload", "x"], "Extra inputs are not permitted"),
    ({"payload": []}, ["body", "payload"], "Input should be a valid dictionary"),
    ({"payload": {"guestName": "\0"}}, ["body", "payload"], "not storable: a NUL character in a string"),
    (
        {"payload": {"guestName": "x" * 300_000}},
        ["body", "payload"],
        "too large: 300,040 bytes of JSON, the limit is 262,144",
    ),
    (
        {"queue": "nowhere"},
        ["body", "queue"],
        f"unknown queue 'nowhere': the queues are {', '.join(sorted(settings.JOBS_QUEUES))}",
    ),
    ({"priority": 11}, ["body", "priority"], "Input should be less than or equal to 10"),
    (
        {"priority": "urgent"},
        ["body", "priority"],
        "a number from 1 to 10 or one of batch, low, normal, high, critical",
    ),
    ({"priority": True}, ["body", "priority"], "Input should be a valid integer"),
    ({"scheduledFor": "2040-01-01T00:00:00"}, ["body", "scheduledFor"], "Input should have timezone info"),
    ({"scheduledFor": 1}, ["body", "scheduledFor"], "a date and time in ISO 8601 with its UTC offset, as a string"),
    ({"scheduledFor": "9999-12-31T23:00:00-05:00"}, ["body", "scheduledFor"], "outside the years 1 to 9999"),
    ({"maxRetries": -1}, ["body", "maxRetries"], "Input should be greater than or equal to 0"),
    ({"maxRetries": 1, "attempts": 2}, ["body"], "give one of maxRetries and attempts, they say the same thing"),
    (
        {"backoff": {"type": "linear", "delay": 1}},
        ["body", "backoff", "type"],
        "Input should be 'exponential' or 'fixed'",
    ),
    ({"backoff": {"type": "fixed"}}, ["body", "backoff", "delay"], "Field required"),
    ({"uniqueKey": ""}, ["body", "uniqueKey"], "String should have at least 1 character"),
    ({"uniqueKey": "a\0"}, ["body", "uniqueKey"], "String should match pattern '^[^\\x00]*$'"),
    ({"tags": ["x" * 101]}, ["body", "tags", 0], "String should have at most 100 characters"),
    ({"colour": "red"}, ["body", "colour"], "Extra inputs are not permitted"),
]


@pytest.mark.parametrize(("change", "loc", "msg"), WRONG, ids=lambda value: str(value)[:40])
def test_what_is_wrong_is_named_and_nothing_is_stored(
    api: Api, change: dict[str, Any], loc: list[Any], msg: str
) -> None:
    body = {"type": "greet_guest", "payload": {"guestName": "Ada"}} | change if change else {"payload": {}}
    status, answer = api.post(ENQUEUE, body)
    assert (status, loc_and_msg(answer)) == (422, [(loc, msg)])
    assert answer["detail"] == f"{'.'.join(map(str, loc))}: {msg}"
    assert not Job.objects.exists()


def test_a_flat_payload_field_is_named_where_it_stands(api: Api) -> None:
    status, body = api.post("/api/jobs", {"type": "greet_guest", "guestName": "Ada", "times": 11})
    assert (status, loc_and_msg(body)) == (422, [(["body", "times"], "Input should be less than or equal to 10")])


def test_the_body_is_json_whatever_the_content_type_says(api: Api) -> None:
    for content_type in ("application/x-www-form-urlencoded", "text/plain", "multipart/form-data; boundary=x"):
        text = '{"type": "greet_guest", "payload": {"guestName": "Ada"}}'
        assert api.client.post(ENQUEUE, text, content_type=content_type).status_code == 202
