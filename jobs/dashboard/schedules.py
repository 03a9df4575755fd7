"""Schedules and one schedule: when they are due, what became of that; switching, running and deleting them."""

from datetime import datetime

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.dateparse import parse_datetime

from jobs import scheduling
from jobs.dashboard.access import action, actor, back, page, show, staff_only
from jobs.dashboard.audit import changes
from jobs.errors import JobError, UnknownSchedule
from jobs.models import Event
from jobs.scheduling import ScheduleState

LATE = 60  # seconds after a due time of which nothing has become
SCHEDULES = 30  # on one page
CELLS = 20  # of each one's strip
PAGE = 30  # due times
EVENTS = 20
SHOWN = {"": "All", "running": "Running", "stopped": "Stopped"}

may_view = staff_only("django_celery_beat.view_periodictask")


@page
@may_view
def schedules(request: HttpRequest) -> HttpResponse:
    chosen, after = request.GET.get("show", ""), request.GET.get("after", "")
    if chosen not in SHOWN:
        chosen = ""
    enabled = {"": None, "running": True, "stopped": False}[chosen]
    found = scheduling.states(enabled=enabled, after=after, limit=SCHEDULES + 1, history=CELLS)
    running, stopped = scheduling.counts()
    counts = {"": running + stopped, "running": running, "stopped": stopped}
    context = {
        "schedules": found[:SCHEDULES],
        "next": found[SCHEDULES - 1].name if len(found) > SCHEDULES else None,
        "after": after,
        "late": {each.name for each in scheduling.overdue(LATE)},
        "tabs": [{"name": name, "words": words, "count": counts[name]} for name, words in SHOWN.items()],
        "chosen": chosen,
    }
    return show(request, "jobs/schedules.html", context)


@page
@may_view
def schedule(request: HttpRequest, name: str) -> HttpResponse:
    found = _state(name)
    before = _moment(request.GET.get("before", ""))
    runs = scheduling.history(name, PAGE + 1, before)
    events = Event.objects.filter(schedule=name).order_by("-id")[:EVENTS]
    context = {
        "schedule": found,
        "late": {each.name for each in scheduling.overdue(LATE)},
        "runs": runs[:PAGE],
        "older": runs[PAGE - 1].due_at.isoformat() if len(runs) > PAGE else None,
        "before": before,
        "events": [{"event": event, "changes": changes(event)} for event in events],
    }
    return show(request, "jobs/schedule.html", context)


def _state(name: str) -> ScheduleState:
    try:
        return scheduling.state(name)
    except UnknownSchedule as error:
        raise Http404(str(error)) from None


def _moment(text: str) -> datetime | None:
    try:
        found = parse_datetime(text)
    except ValueError:
        return None
    return found if found and found.tzinfo else None


@action("django_celery_beat.change_periodictask")
def start(request: HttpRequest, name: str) -> HttpResponse:
    _state(name)
    scheduling.start(name, actor=actor(request))
    messages.success(request, f"Schedule {name} is on.")
    return back(request, "dashboard:schedule", name)


@action("django_celery_beat.change_periodictask")
def stop(request: HttpRequest, name: str) -> HttpResponse:
    _state(name)
    scheduling.stop(name, actor=actor(request))
    messages.success(request, f"Schedule {name} is off. Jobs that it has enqueued go on.")
    return back(request, "dashboard:schedule", name)


@action("jobs.add_job")
@may_view
def run(request: HttpRequest, name: str) -> HttpResponse:
    _state(name)
    try:
        job = scheduling.run(name, actor=actor(request))
    except JobError as error:
        messages.error(request, f"{name}: {error}")
        return back(request, "dashboard:schedule", name)
    messages.success(request, f"Job {job.id} of schedule {name} is enqueued.")
    return back(request, "dashboard:schedule", name)


@action("django_celery_beat.delete_periodictask")
def delete(request: HttpRequest, name: str) -> HttpResponse:
    _state(name)
    scheduling.delete(name, actor=actor(request))
    messages.success(request, f"Schedule {name} is deleted.")
    return redirect("dashboard:schedules")
