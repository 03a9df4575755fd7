"""The list of jobs: state tabs, query bar, pages; what may be done to the jobs that it shows."""

from typing import Any, NamedTuple
from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.http import urlencode

from jobs import bulk, search
from jobs.bulk import Action
from jobs.dashboard.access import page, show
from jobs.dashboard.charts import usual_seconds
from jobs.metrics import Count
from jobs.models import Failure, Job, Priority, Status
from jobs.search import InvalidQuery, Search
from jobs.shown import last_failures

RANKS = [
    (rank, f"{rank} {Priority(rank).name.lower()}" if rank in Priority else str(rank)) for rank in range(10, 0, -1)
]
# What each tab is called. The first one is of all jobs.
TABS: dict[Status | None, str] = {
    None: "All",
    Status.SCHEDULED: "Scheduled",
    Status.PENDING: "Waiting",
    Status.PROCESSING: "Running",
    Status.COMPLETED: "Completed",
    Status.FAILED: "Failed",
    Status.CANCELLED: "Cancelled",
}
PERMISSIONS = {
    Action.RETRY: "jobs.retry_job",
    Action.CANCEL: "jobs.cancel_job",
    Action.DELETE: "jobs.delete_job",
    Action.PRIORITY: "jobs.change_job",
}


class Tab(NamedTuple):
    words: str
    address: str
    number: Count | None
    current: bool


@page
def jobs(request: HttpRequest) -> HttpResponse:
    query = request.GET.get("q", "").strip()
    try:
        found = search.understand(query)
        shown, counts = search.find_and_count(found, request.GET.get("after", ""))
    except InvalidQuery as error:
        return show(request, "jobs/jobs.html", {"query": query, "error": error, "tabs": _tabs(Search(()), None, "")})
    status = found.statuses[0] if len(found.statuses) == 1 else None
    failures = failures_of(shown.jobs)
    current = status if status or len(found.statuses) == len(Status) else "some"
    context: dict[str, object] = {
        "query": query,
        "tabs": _tabs(found, counts, current),
        "status": status,
        "rows": [(job, failures.get(job.id)) for job in shown.jobs],
        "page": shown,
        "is_first": not request.GET.get("after"),
        "count": _total(found, counts),
        "actions": possible_actions(request, found.statuses),
        "ranks": RANKS,
        "usual": usual_seconds() if status == Status.PROCESSING else {},
    }
    return show(request, "jobs/jobs.html", context)


def _tabs(found: Search, counts: dict[Status, Count] | None, current: object) -> list[Tab]:
    """`current` is a status, None for all, anything else for a mixture."""
    rest = found.without_status()
    return [
        Tab(
            words,
            address(rest, status),
            _total(rest if status is None else _only(rest, status), counts),
            current is status,
        )
        for status, words in TABS.items()
    ]


def _only(found: Search, status: Status) -> Search:
    return search.understand(f"{found} status:{status}")


def address(found: Search, status: Status | None) -> str:
    """The list of what is found in this status."""
    query = f"{found} status:{status}".strip() if status else str(found)
    return reverse("dashboard:jobs") + (f"?{urlencode({'q': query})}" if query else "")


def _total(found: Search, counts: dict[Status, Count] | None) -> Count | None:
    """Of the statuses that are left, together."""
    if counts is None:
        return None
    chosen = [counts[status] for status in found.statuses]
    return Count(sum(count.number for count in chosen), any(count.approximate for count in chosen))


def failures_of(found: list[Job]) -> dict[UUID, Failure]:
    """What went wrong last with each of these jobs, where something did; without tracebacks."""
    failed = [job.id for job in found if job.status == Status.FAILED or job.attempt > 0]
    return last_failures(failed)


def possible_actions(request: HttpRequest, statuses: list[Status]) -> list[Action]:
    """What may be done to jobs in these statuses, by this person."""
    return [action for action in Action if set(bulk.STATUSES[action]) & set(statuses) and may(request, action)]


def may(request: HttpRequest, action: Action) -> bool:
    allowed: Any = request.user.has_perm(PERMISSIONS[action])
    return bool(allowed)
