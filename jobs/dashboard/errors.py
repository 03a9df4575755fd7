"""Kinds of errors: how often, since when, a sample; retry all, resolve, reopen."""

from django.http import HttpRequest, HttpResponse

from jobs.dashboard.access import page, show


@page
def errors(request: HttpRequest) -> HttpResponse:
    return show(request, "jobs/errors.html", {"title": "Errors"})


@page
def error(request: HttpRequest, fingerprint: str) -> HttpResponse:
    return show(request, "jobs/error.html", {"title": "Error"})
