"""GET /api/jobs/types."""

from typing import Any

import pytest

from tests.jobs.api.conftest import Api


@pytest.fixture
def types(api: Api) -> dict[str, Any]:
    status, body = api.get("/api/jobs/types")
    assert status == 200
    return {job_type["type"]: job_type for job_type in body}


def test_a_job_type_tells_how_it_runs(types: dict[str, Any]) -> None:
    told = dict(types["refuse_guest"])
    del told["payloadSchema"]
    assert told == {
        "type": "refuse_guest",
        "description": "Fail, saying why.",
        "queue": "cpu",
        "priority": 3,
        "maxAttempts": 2,
        "backoff": {"base": 1.0, "max": 60.0, "factor": 2.0, "jitter": True},
        "timeout": 300.0,
        "resultSchema": None,
    }


def test_payload_and_result_have_schemas(types: dict[str, Any]) -> None:
    payload = types["greet_guest"]["payloadSchema"]
    assert payload["required"] == ["guestName"]
    assert payload["additionalProperties"] is False
    assert payload["properties"]["times"] == {
        "default": 1,
        "maximum": 10,
        "minimum": 1,
        "title": "Times",
        "type": "integer",
    }
    assert payload["properties"]["apiToken"]["writeOnly"] is True
    assert list(types["greet_guest"]["resultSchema"]["properties"]) == ["text"]


def test_plain_celery_tasks_are_there_and_celerys_own_are_not(types: dict[str, Any]) -> None:
    assert types["add_guests"]["description"] == "A plain Celery task."
    assert not [name for name in types if name.startswith("celery.")]
