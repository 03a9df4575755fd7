"""Workers: what they serve and run, whether they are alive, and draining them."""

from collections import defaultdict
from datetime import datetime, timedelta

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.utils import timezone

from jobs import lifecycle
from jobs.dashboard.access import action, actor, back, page, show, tell
from jobs.models import Job, Status, Worker

RUNNING_SHOWN = 300  # jobs, of all workers together


def state(worker: Worker, alive_since: datetime) -> str:
    """In a word: `lost` has not been heard of for a whole lease."""
    if worker.heartbeat_at < alive_since:
        return "lost"
    if worker.draining or worker.drain_requested_at:
        return "draining"
    return "stuck" if worker.stuck else "running"


@page
def workers(request: HttpRequest) -> HttpResponse:
    alive_since = timezone.now() - timedelta(seconds=settings.JOBS_LEASE)
    running = Job.objects.filter(status=Status.PROCESSING).only("type", "worker", "started_at", "status", "progress")
    by_worker = defaultdict(list)
    for job in running.order_by("started_at")[:RUNNING_SHOWN]:
        by_worker[job.worker].append(job)
    rows = [
        {"worker": worker, "state": state(worker, alive_since), "jobs": by_worker[worker.name]}
        for worker in Worker.objects.order_by("name")
    ]
    return show(request, "jobs/workers.html", {"rows": rows})


@action("jobs.drain_worker")
def drain(request: HttpRequest, name: str) -> HttpResponse:
    done = lifecycle.drain(name, actor=actor(request))
    tell(request, done, f"Worker {name} was asked to finish what it runs and to exit.", "It was asked, or is gone.")
    return back(request, "dashboard:workers")
