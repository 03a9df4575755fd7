"""One job: timeline, attempts, log, payload and result, what it waits for and belongs to.

Its buttons are `jobactions`'.
"""

import logging
from collections.abc import Iterator
from typing import Any, NamedTuple
from uuid import UUID

from django.contrib.auth.models import AnonymousUser, User
from django.http import Http404, HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme

from jobs import bulk, shown
from jobs.dashboard.access import page, show
from jobs.dashboard.charts import usual_seconds
from jobs.dashboard.joblist import RANKS
from jobs.dashboard.timeline import legend, timeline
from jobs.dashboard.waiting import reasons
from jobs.errors import UnknownProcessor
from jobs.models import Failure, Job, LogLine, Status
from jobs.processor import get_processor

LINES = 500  # of the log, the last ones
RELATED = 20  # children shown
EVENTS = 50


class Line(NamedTuple):
    line: LogLine
    level: str


class File(NamedTuple):
    """Something that the job made, to download from this site."""

    name: str
    url: str
    size: int | None  # bytes


class Next(NamedTuple):
    """A job that will follow."""

    words: str
    type: str
    id: UUID


def job_or_404(job_id: UUID) -> Job:
    job = Job.objects.filter(id=job_id).first()
    if job is None:
        raise Http404(f"There is no job {job_id}. Finished jobs are kept for a while only.")
    return job


@page
def job(request: HttpRequest, job_id: UUID) -> HttpResponse:
    found = job_or_404(job_id)
    failures = list(Failure.objects.filter(job=job_id).order_by("run"))
    children = list(Job.objects.filter(parent=job_id).defer("payload", "result", "canvas")[: RELATED + 1])
    parts = timeline(found, failures)
    context: dict[str, object] = {
        "job": found,
        "description": _description(found),
        "parts": parts,
        "legend": legend(parts),
        "reasons": reasons(found),
        "failures": failures[::-1],
        "last_failure": failures[-1] if failures and found.status == Status.FAILED else None,
        "lines": _lines(job_id),
        "payload": shown.payload(found),
        "files": list(_files(found.result, request.user)),
        "children": children[:RELATED],
        "more_children": len(children) > RELATED,
        "parent": Job.objects.filter(id=found.parent).only("type", "status").first() if found.parent else None,
        "followers": list(_followers(found)),
        "events": list(found.events.order_by("-id")[:EVENTS]),
        "flower": f"{reverse('flower')}task/{job_id}",
        "usual": usual_seconds() if found.status == Status.PROCESSING else {},
        "ranks": RANKS,
        "is_bulk": found.type == bulk.TYPE,
    }
    return show(request, "jobs/job.html", context)


def _description(job: Job) -> str:
    try:
        return get_processor(job.type).description
    except UnknownProcessor:
        return "No code for this type is deployed any more."


def _lines(job_id: UUID) -> list[Line]:
    """The last lines of the log, oldest first."""
    latest = list(LogLine.objects.filter(job=job_id).order_by("-id")[:LINES])
    return [Line(line, logging.getLevelName(line.level).lower()) for line in reversed(latest)]


def _files(result: Any, user: User | AnonymousUser) -> Iterator[File]:
    """The `files` of a result: each `{name, url, size}`, and with `permission` only for users who have it."""
    files = result.get("files") if isinstance(result, dict) else None
    for file in files if isinstance(files, list) else []:
        match file:
            case {"name": str(name), "url": str(url)} if url_has_allowed_host_and_scheme(url, None):
                if user.has_perm(file["permission"]) if file.get("permission") else True:
                    size = file.get("size")
                    yield File(name, url, size if isinstance(size, int) else None)


def _followers(job: Job) -> Iterator[Next]:
    """The jobs that its canvas names: they come to be when it ends so."""
    canvas: dict[str, Any] = job.canvas or {}
    steps = [("on success", step) for step in canvas.get("then", [])]
    steps += [("on failure", step) for step in canvas.get("on_error", [])]
    steps += [("when the whole group is completed", step) for step in canvas.get("chord", {}).get("body", [])]
    for words, step in steps:
        yield Next(words, step["type"], UUID(step["id"]))
