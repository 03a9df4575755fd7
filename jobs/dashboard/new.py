"""A new job: pick a type, fill its form, enqueue or schedule it."""

from django.http import HttpRequest, HttpResponse

from jobs.dashboard.access import page, show


@page
def new(request: HttpRequest) -> HttpResponse:
    return show(request, "jobs/new.html", {"title": "New job"})
