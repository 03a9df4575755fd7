"""Workers as clients see them, and draining one."""

from datetime import timedelta
from typing import Any

import pytest
from django.db.models.functions import Now

from jobs.models import Event, Worker
from tests.jobs.api.conftest import Api

WORKERS = "/api/admin/jobs/workers"


def worker(name: str, **fields: Any) -> Worker:
    return Worker.objects.create(**{"name": name, "pool": "threads", "queues": ["default"], "concurrency": 4, **fields})


def test_a_worker_tells_what_it_is_and_does(api: Api) -> None:
    worker("io@here:1", running=2, processed=10, failed=1)
    status, (body,) = api.get(WORKERS)
    assert body.pop("heartbeatAt") is not None
    assert (status, body) == (
        200,
        {
            "name": "io@here:1",
            "pool": "threads",
            "concurrency": 4,
            "queues": ["default"],
            "running": True,
            "activeJobs": 2,
            "active": 2,
            "processed": 10,
            "failed": 1,
            "draining": False,
        },
    )


def test_one_that_has_fallen_silent_is_not_running(api: Api) -> None:
    worker("io@here:1", heartbeat_at=Now() - timedelta(minutes=5))
    assert api.get(WORKERS)[1][0]["running"] is False


def test_draining_is_asked_for_once(api: Api) -> None:
    worker("io@here:1")
    worker("io@here:2")
    for _ in range(2):
        status, body = api.post(f"{WORKERS}/io@here:1/drain")
        assert (status, body["name"], body["draining"]) == (202, "io@here:1", True)
    assert [one["draining"] for one in api.get(WORKERS)[1]] == [True, False]
    assert Event.objects.get().actor == "key:test"


@pytest.mark.parametrize(("name", "status"), [("nobody", 404), ("%00", 422)])
def test_a_worker_that_is_not_there_is_not_found(api: Api, name: str, status: int) -> None:
    assert api.post(f"{WORKERS}/{name}/drain")[0] == status
