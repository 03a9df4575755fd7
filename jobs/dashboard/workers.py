"""Workers: what they serve and run, and draining them."""

from django.http import HttpRequest, HttpResponse

from jobs.dashboard.access import page, show


@page
def workers(request: HttpRequest) -> HttpResponse:
    return show(request, "jobs/workers.html", {"title": "Workers"})
