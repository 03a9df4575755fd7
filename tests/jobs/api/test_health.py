"""GET /api/jobs/health."""

from django.conf import settings

from jobs.models import Worker
from jobs.processor import enqueue
from tests.jobs.api.conftest import Api

QUEUES = len(settings.JOBS_QUEUES)


def test_with_a_worker_on_each_queue_all_is_well(api: Api) -> None:
    Worker.objects.create(name="here:1", pool="threads", queues=list(settings.JOBS_QUEUES), concurrency=4)
    enqueue("greet_guest", {"guestName": "Ada"})
    assert api.get("/api/jobs/health") == (
        200,
        {
            "healthy": True,
            "queues": {"healthy": True, "issues": [], "total": QUEUES, "unhealthy": 0},
            "workers": {"healthy": True, "issues": [], "total": 1, "active": 1},
            "scheduler": {"healthy": True, "issues": [], "total": 0, "running": 0, "stopped": 0},
            "database": {"healthy": True, "issues": []},
            "broker": {"healthy": True, "issues": []},
            "issues": [],
            "details": {
                "queueStatus": {
                    "waiting": 1,
                    "active": 0,
                    "completed": 0,
                    "failed": 0,
                    "delayed": 0,
                    "paused": 0,
                    "approximate": False,
                }
            },
        },
    )


def test_without_a_worker_it_is_503_and_says_so(api: Api) -> None:
    status, body = api.get("/api/jobs/health")
    assert (status, body["healthy"], body["database"]["healthy"]) == (503, False, True)
    assert body["queues"]["unhealthy"] == QUEUES
    assert "no worker is alive" in body["issues"]
    assert "no worker takes jobs of queue default" in body["queues"]["issues"]
