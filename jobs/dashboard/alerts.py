"""Alert rules and what they told."""

from django.http import HttpRequest, HttpResponse

from jobs.dashboard.access import page, show


@page
def alerts(request: HttpRequest) -> HttpResponse:
    return show(request, "jobs/alerts.html", {"title": "Alerts"})
