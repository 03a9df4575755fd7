"""Errors are problem+json, whatever goes wrong and wherever."""

from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from pytest_django.fixtures import Settings

from jobs import keys
from jobs.models import Job
from tests.jobs.api.conftest import ALL_SCOPES, Api

ENQUEUE = "/api/jobs/enqueue"


def send(api: Api, body: str | bytes, content_type: str = "application/json") -> tuple[int, Any]:
    response = api.client.post(ENQUEUE, body, content_type=content_type)
    assert response["Content-Type"] == "application/problem+json"
    return response.status_code, response.json()


def test_a_problem_has_all_its_members(api: Api) -> None:
    status, body = api.get("/api/jobs/00000000-0000-0000-0000-000000000000")
    assert (status, body) == (
        404,
        {
            "type": "about:blank",
            "title": "Not Found",
            "status": 404,
            "detail": "There is no job 00000000-0000-0000-0000-000000000000; finished jobs are kept for a while only.",
            "errors": [],
        },
    )


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "gameId=13",
        b"\xff",
        '{"payload": NaN}',
        '{"payload": {"x": -Infinity}}',
        '{"payload": {"x": 1e999}}',
        "[" * 100_000,
    ],
    ids=lambda text: repr(text)[:30],
)
def test_what_is_not_json_cannot_be_parsed(api: Api, text: str | bytes) -> None:
    status, body = send(api, text)
    assert (status, body["detail"]) == (400, "Cannot parse request body")


@pytest.mark.parametrize("text", ["[]", "3", '"x"', "null"])
def test_json_that_is_no_object_is_invalid(api: Api, text: str) -> None:
    status, body = send(api, text)
    assert (status, body["errors"][0]["loc"]) == (422, ["body"])


def test_no_body_is_invalid(api: Api) -> None:
    status, body = send(api, "")
    assert (status, body["errors"]) == (422, [{"loc": ["body"], "msg": "Field required"}])


def test_a_body_over_the_limit_is_too_large(api: Api, settings: Settings) -> None:
    assert settings.DATA_UPLOAD_MAX_MEMORY_SIZE == 16 * 1024 * 1024
    status, body = send(api, " " * (16 * 1024 * 1024 + 1))
    assert (status, body["detail"]) == (413, "The body is larger than 16 MiB.")


def test_several_wrong_fields_are_all_told(api: Api) -> None:
    status, body = api.post(ENQUEUE, {"priority": 0, "colour": "red"})
    assert status == 422
    assert sorted(error["loc"] for error in body["errors"]) == [
        ["body", "colour"],
        ["body", "priority"],
        ["body", "type"],
    ]
    assert body["detail"].endswith("(and 2 more)")


@pytest.mark.parametrize("path", ["/api/", "/api/nothing", "/api/jobs/x/y/z", "/api/jobs/"])
def test_other_addresses_are_not_found(api: Api, path: str) -> None:
    status, body = api.get(path)
    assert (status, body["title"]) == (404, "Not Found")


def test_a_wrong_method_is_told_with_the_right_ones(api: Api) -> None:
    response = api.client.put(ENQUEUE)
    assert (response.status_code, response["Allow"]) == (405, "POST")
    assert response["Content-Type"] == "application/problem+json"
    assert response.json()["detail"] == "This address takes POST, not PUT."


@pytest.fixture
def without_database(transactional_db: None, uncollected: None) -> Iterator[Api]:
    """The API while nothing listens where Postgres was."""
    api = Api(keys.create("test", ALL_SCOPES))
    right = dict(connection.settings_dict)
    connection.close()
    connection.settings_dict.update(HOST="127.0.0.1", PORT="1")
    yield api
    connection.close()
    connection.settings_dict.update(right)


def test_without_the_database_the_answer_is_503(without_database: Api) -> None:
    for method, path in [("get", "/api/jobs/types"), ("post", ENQUEUE), ("get", "/api/jobs/health")]:
        status, body = getattr(without_database, method)(path)
        assert (status, body["title"], body["detail"]) == (
            503,
            "Service Unavailable",
            "The database cannot be reached.",
        )


def test_a_session_cannot_be_read_without_the_database_either(without_database: Api) -> None:
    client = Client()
    client.cookies["sessionid"] = "x" * 32
    assert client.get("/api/jobs/types").status_code == 503


def test_a_fault_of_ours_is_a_problem_too_and_says_nothing_of_its_cause(api: Api) -> None:
    with connection.cursor() as cursor:  # rolled back with the test
        cursor.execute("ALTER TABLE jobs_job RENAME COLUMN payload TO cargo")
    status, body = api.get("/api/jobs/00000000-0000-0000-0000-000000000000")
    assert (status, body["detail"]) == (500, "Something went wrong here; it has been logged.")


def test_nothing_was_stored(api: Api) -> None:
    send(api, "{")
    assert not Job.objects.exists()
