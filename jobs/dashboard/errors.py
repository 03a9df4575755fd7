"""Kinds of errors: how often, since when, a sample with its traceback; retry all, resolve, reopen."""

from datetime import datetime, timedelta
from typing import Final

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.utils import timezone

from jobs import bulk, statistics
from jobs.dashboard.access import action, actor, back, page, show, tell
from jobs.dashboard.audit import changes
from jobs.models import ErrorGroup, Event, Failure

SHOWN = 50
FAILURES_SHOWN = 20
EVER: Final = "ever"
RANGES: Final = {"1h": "1 h", "24h": "24 h", "7d": "7 d", "30d": "30 d", EVER: "ever"}
USUAL: Final = "7d"
STATES: Final = {"open": False, "resolved": True, "all": None}


@page
def errors(request: HttpRequest) -> HttpResponse:
    asked = request.GET.get("range", USUAL)
    span = asked if asked in RANGES else USUAL
    state = request.GET.get("state", "open")
    state = state if state in STATES else "open"
    job_type = request.GET.get("type", "").strip()
    found = _page(span, STATES[state], job_type, request.GET.get("cursor", ""))
    context = {
        "groups": found[:SHOWN],
        "next": found[SHOWN - 1].cursor if len(found) > SHOWN else None,
        "is_first": "cursor" not in request.GET,
        "span": span,
        "ranges": RANGES,
        "state": state,
        "states": STATES,
        "type": job_type,
        "new_since": timezone.now() - timedelta(days=1),
    }
    return show(request, "jobs/errors.html", context)


def _page(span: str, resolved: bool | None, job_type: str, cursor: str) -> list[statistics.SeenError]:
    """One more than is shown. A cursor that is none begins anew."""
    start = None if span == EVER else timezone.now() - statistics.RANGES[span]
    try:
        return statistics.error_groups(start, None, resolved, job_type or None, SHOWN + 1, cursor or None)
    except ValueError:
        return statistics.error_groups(start, None, resolved, job_type or None, SHOWN + 1)


@page
def error(request: HttpRequest, fingerprint: str) -> HttpResponse:
    group = get_object_or_404(ErrorGroup, pk=fingerprint)
    failures = Failure.objects.filter(fingerprint=fingerprint).order_by("-failed_at")
    context = {
        "group": group,
        "failures": failures.select_related("job").defer("traceback", "job__payload", "job__result")[:FAILURES_SHOWN],
        "sample": failures.first(),
        "events": [(event, changes(event)) for event in Event.objects.filter(subject=f"error {fingerprint}")[:SHOWN]],
    }
    return show(request, "jobs/error.html", context)


def _failed(fingerprint: str) -> str:
    return f"error:{fingerprint} status:failed"


@action("jobs.retry_job")
def retry_all(request: HttpRequest, fingerprint: str) -> HttpResponse:
    """Start a bulk operation, and go to its page."""
    group = get_object_or_404(ErrorGroup, pk=fingerprint)
    reason = request.POST.get("reason", "").strip()[:500] or f"all with {group}"
    started = bulk.start(bulk.Action.RETRY, _failed(fingerprint), actor(request), reason)
    messages.success(request, "This job retries the failed jobs, a few hundred at a time.")
    return redirect("dashboard:job", started.id)


@action("jobs.change_errorgroup")
def resolve(request: HttpRequest, fingerprint: str) -> HttpResponse:
    done = statistics.resolve(fingerprint, actor(request))
    tell(request, done, "Resolved. It opens again when a job fails with it.", "It was resolved already.")
    return back(request, "dashboard:error", fingerprint)


@action("jobs.change_errorgroup")
def reopen(request: HttpRequest, fingerprint: str) -> HttpResponse:
    tell(request, statistics.reopen(fingerprint, actor(request)), "Open again.", "It was open.")
    return back(request, "dashboard:error", fingerprint)


def new_kinds(since: datetime, most: int) -> list[ErrorGroup]:
    """Open kinds that were never seen before."""
    return list(ErrorGroup.objects.filter(resolved_at=None, first_seen_at__gte=since).order_by("-first_seen_at")[:most])
