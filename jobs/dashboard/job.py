"""One job: timeline, attempts, log, payload and result, and what may be done to it."""

from uuid import UUID

from django.http import HttpRequest, HttpResponse

from jobs.dashboard.access import page, show


@page
def job(request: HttpRequest, job_id: UUID) -> HttpResponse:
    return show(request, "jobs/job.html", {"title": "Job"})
