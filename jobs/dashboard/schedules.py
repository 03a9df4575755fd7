"""Schedules and one schedule."""

from django.http import HttpRequest, HttpResponse

from jobs.dashboard.access import page, show


@page
def schedules(request: HttpRequest) -> HttpResponse:
    return show(request, "jobs/schedules.html", {"title": "Schedules"})


@page
def schedule(request: HttpRequest, name: str) -> HttpResponse:
    return show(request, "jobs/schedule.html", {"title": "Schedule"})
