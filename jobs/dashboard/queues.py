"""Queues and one queue: how full, how fast, who serves them; pause, resume, limit, clean."""

from django.http import HttpRequest, HttpResponse

from jobs.dashboard.access import page, show


@page
def queues(request: HttpRequest) -> HttpResponse:
    return show(request, "jobs/queues.html", {"title": "Queues"})


@page
def queue(request: HttpRequest, name: str) -> HttpResponse:
    return show(request, "jobs/queue.html", {"title": "Queue"})
