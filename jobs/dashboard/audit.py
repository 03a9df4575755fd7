"""Who did what, before and after."""

from django.http import HttpRequest, HttpResponse

from jobs.dashboard.access import page, show


@page
def audit(request: HttpRequest) -> HttpResponse:
    return show(request, "jobs/audit.html", {"title": "Audit"})
