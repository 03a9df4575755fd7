"""Who did what, before and after: the events of jobs, queues, schedules and all else, newest first."""

from typing import Any, NamedTuple
from uuid import UUID

from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import reverse

from jobs.dashboard.access import page, show
from jobs.models import Event

PAGE = 50
RECENT = 2_000  # events whose kinds and actors are offered to choose from


class Change(NamedTuple):
    """A value that an action changed."""

    name: str
    before: object
    after: object


@page
def audit(request: HttpRequest) -> HttpResponse:
    asked = {name: request.GET.get(name, "").strip() for name in ("actor", "kind", "about", "before")}
    found = list(matching(**asked)[: PAGE + 1])
    recent = list(Event.objects.order_by("-id").values_list("kind", "actor")[:RECENT])
    context = {
        "asked": asked,
        "filtered": any(asked[name] for name in ("actor", "kind", "about")),
        "events": [{"event": event, "changes": changes(event), "link": link(event)} for event in found[:PAGE]],
        "older": found[PAGE - 1].pk if len(found) > PAGE else None,
        "kinds": sorted({kind for kind, _ in recent} | {asked["kind"]} - {""}),
        "actors": sorted({actor for _, actor in recent}),
    }
    return show(request, "jobs/audit.html", context)


def matching(actor: str = "", kind: str = "", about: str = "", before: str = "") -> QuerySet[Event]:
    """Newest first. `about` is a job's id, a queue, a schedule, or the begin of another subject; `before` an event."""
    events = Event.objects.order_by("-id")
    if actor:
        events = events.filter(actor=actor)
    if kind:
        events = events.filter(kind=kind)
    if about:
        events = events.filter(_about(about))
    return events.filter(id__lt=int(before)) if before.isdecimal() and len(before) < 19 else events


def _about(text: str) -> Q:
    try:
        return Q(job=UUID(text)) | Q(subject=f"job {text}")
    except ValueError:
        return Q(queue=text) | Q(schedule=text) | Q(subject__startswith=text)


def changes(event: Event) -> list[Change]:
    """What differs, by name."""
    before, after = event.before or {}, event.after or {}
    if not (isinstance(before, dict) and isinstance(after, dict)):
        return [Change("", event.before, event.after)]
    return [Change(name, before.get(name), after.get(name)) for name in {**before, **after}]


def link(event: Event) -> dict[str, Any]:
    """What it is about: words and, where it has a page, the address."""
    what, _, name = event.subject.partition(" ")
    if event.job_id:
        return {"kind": "job", "words": str(event.job_id), "address": reverse("dashboard:job", args=[event.job_id])}
    if event.schedule:
        address = reverse("dashboard:schedule", args=[event.schedule])
        return {"kind": "schedule", "words": event.schedule, "address": address}
    if what == "error" and name:
        return {"kind": "error", "words": name, "address": reverse("dashboard:error", args=[name])}
    if what == "worker" and name:
        return {"kind": "worker", "words": name, "address": reverse("dashboard:workers")}
    if event.subject:
        return {"kind": "", "words": event.subject, "address": None}
    if event.queue:
        return {"kind": "queue", "words": event.queue, "address": reverse("dashboard:queue", args=[event.queue])}
    return {"kind": "", "words": "", "address": None}
