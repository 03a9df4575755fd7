"""The first page: what needs attention, how things are, how they were, what runs, fails and comes next.

It is refreshed in three parts, each at its own pace; a refresh computes its own part only.
"""

from typing import Any, Final

from django.db.models import OuterRef, Subquery
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from jobs import metrics, scheduling, statistics
from jobs.dashboard import charts
from jobs.dashboard.access import page, show
from jobs.dashboard.attention import matters
from jobs.models import Failure, Job, Status

SHOWN: Final = 10
SCHEDULES_SHOWN: Final = 5


@page
def overview(request: HttpRequest) -> HttpResponse:
    part = request.htmx.target if request.htmx else None  # type: ignore[attr-defined]
    if part in PARTS:
        return render(request, f"jobs/overview/{part}.html", PARTS[part](request))
    context = {name: value for make in PARTS.values() for name, value in make(request).items()}
    return show(request, "jobs/overview.html", context)


def now(request: HttpRequest) -> dict[str, Any]:
    """What needs attention, and how many jobs are in each state."""
    backlogs = metrics.backlogs()
    return {
        "matters": matters(backlogs),
        "totals": [(status.value, count) for status, count in metrics.totals().items()],
        "oldest": metrics.oldest_waiting(),
        "paused": sum(backlog.pending.number for backlog in backlogs if backlog.queue.paused_at),
        "workers": len({name for backlog in backlogs for name in backlog.workers}),
    }


def lists(request: HttpRequest) -> dict[str, Any]:
    """What runs, what failed last, what comes next."""
    running = Job.objects.filter(status=Status.PROCESSING).defer("payload", "result", "canvas")
    types = statistics.by_type()
    busiest = sorted(types.items(), key=lambda item: (-item[1].completed - item[1].failed, item[0]))
    states = [state for state in scheduling.states(enabled=True, history=0) if state.next_runs]
    return {
        "running": running.order_by("started_at")[:SHOWN],
        "usual": charts.usual_seconds(types),
        "types": busiest[:SHOWN],
        "bad_failure_rate": charts.BAD_FAILURE_RATE,
        "failed": newest_failures(),
        "schedules": sorted(states, key=lambda state: state.next_runs[0])[:SCHEDULES_SHOWN],
    }


def newest_failures() -> list[Any]:
    """The jobs that ended failed last, each with `error` and `message` of its last run."""
    last = Failure.objects.filter(job=OuterRef("pk")).order_by("-run")
    failed = Job.objects.filter(status=Status.FAILED).defer("payload", "result", "canvas")
    newest = failed.annotate(error=Subquery(last.values("error")[:1]), message=Subquery(last.values("message")[:1]))
    return list(newest.order_by("-finished_at", "-id")[:SHOWN])


PARTS: Final = {"now": now, "history": charts.history, "lists": lists}
