"""The list of jobs: state tabs, query bar, bulk operations, export."""

from django.http import HttpRequest, HttpResponse

from jobs.dashboard.access import page, show


@page
def jobs(request: HttpRequest) -> HttpResponse:
    return show(request, "jobs/jobs.html", {"title": "Jobs"})
