"""The first page: how things are, how they were, and what needs attention."""

from django.http import HttpRequest, HttpResponse

from jobs.dashboard.access import page, show


@page
def overview(request: HttpRequest) -> HttpResponse:
    return show(request, "jobs/overview.html", {"title": "Overview"})
