"""Making and changing a schedule: the form, and what of it is shown while it is filled in."""

import json
from collections.abc import Mapping
from typing import Any
from zoneinfo import available_timezones

from django import forms
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods, require_safe
from django_celery_beat.models import PeriodicTask

from jobs import scheduling
from jobs.dashboard.access import actor, show, staff_only
from jobs.errors import InvalidSchedule, UnknownSchedule
from jobs.forms import PayloadForm
from jobs.models import Priority
from jobs.processor import processors
from jobs.scheduling import CRON_EXPRESSIONS, MissedRuns, Overlap, ScheduleFields, ScheduleState, known_payload

OVERLAPS = [
    (Overlap.ALLOW, "Enqueue anyway"),
    (Overlap.SKIP, "Leave the due time out"),
    (Overlap.BUFFER_ONE, "Let one wait for its end"),
]
MISSED = [
    (MissedRuns.SKIP, "Leave them out"),
    (MissedRuns.ONE, "Make up for the latest"),
    (MissedRuns.ALL, "Make up for each"),
]


def _types() -> list[tuple[str, str]]:
    return [("", "Choose a job type"), *((name, name) for name in processors())]


def _priorities() -> list[tuple[int | str, str]]:
    names = {int(priority): priority.name.lower() for priority in Priority}
    return [("", "That of the job type"), *((rank, f"{rank} {names.get(rank, '')}") for rank in range(10, 0, -1))]


class ScheduleForm(forms.Form):
    """The fields of a schedule but its payload, whose form its job type makes."""

    name = forms.CharField(max_length=200, help_text="It cannot be changed later.")
    description = forms.CharField(required=False, widget=forms.Textarea(attrs={"rows": 2}))
    cron = forms.CharField(
        widget=forms.TextInput(attrs={"list": "crons", "spellcheck": "false", "autocomplete": "off", "class": "mono"}),
        help_text="Minute, hour, day of month, month, day of week (Sunday is 0 or 7). All of them must fit.",
    )
    timezone = forms.CharField(
        initial="UTC", label="Time zone", widget=forms.TextInput(attrs={"list": "zones", "autocomplete": "off"})
    )
    overlap = forms.ChoiceField(choices=OVERLAPS, label="While an earlier job is active")
    missed_runs = forms.ChoiceField(
        choices=MISSED, initial=MissedRuns.ONE, label="Due times that passed while no beat ran"
    )
    type = forms.ChoiceField(choices=_types, label="Job type")
    priority = forms.TypedChoiceField(choices=_priorities, coerce=int, required=False, empty_value=None)
    enabled = forms.BooleanField(required=False, initial=True, label="On")
    run_on_init = forms.BooleanField(required=False, label="Run once now, beside its times")

    def __init__(self, data: Mapping[str, Any] | None = None, *, of: ScheduleState | None = None, **options: Any):
        super().__init__(data, **options)
        if of:
            del self.fields["name"], self.fields["run_on_init"]
            self.fields["cron"].required = bool(of.cron)

    def clean_description(self) -> str:
        text: str = self.cleaned_data["description"]
        return text.replace("\r\n", "\n")  # as browsers send lines

    def tell(self, error: InvalidSchedule) -> None:
        """Show what is wrong at its field."""
        for wrong in error.errors:
            place = [str(part) for part in wrong["loc"]]  # type: ignore[attr-defined]
            known = place[0] in self.fields
            within = ".".join(place[1:] if known else place)
            self.add_error(place[0] if known else None, f"{within}: {wrong['msg']}" if within else str(wrong["msg"]))


@staff_only("django_celery_beat.add_periodictask")
@require_http_methods(["GET", "HEAD", "POST"])
def new(request: HttpRequest) -> HttpResponse:
    form = ScheduleForm(_posted(request), initial={"type": request.GET.get("type", "")})
    if not request.user.has_perm("jobs.add_job"):
        del form.fields["run_on_init"]
    payload = _payload_form(form["type"].value(), _posted(request), given=_given(request))
    if form.is_bound and form.is_valid() and payload and payload.is_valid():
        fields = ScheduleFields(**form.cleaned_data, payload=json.loads(payload.payload))
        try:
            scheduling.create(fields, actor=actor(request))
        except InvalidSchedule as error:
            form.tell(error)
        else:
            messages.success(request, f"Schedule {fields.name} is made.")
            return redirect("dashboard:schedule", fields.name)
    return _page(request, form, payload, None)


@staff_only("django_celery_beat.change_periodictask")
@require_http_methods(["GET", "HEAD", "POST"])
def edit(request: HttpRequest, name: str) -> HttpResponse:
    state = _state(name)
    form = ScheduleForm(_posted(request), of=state, initial=vars(state))
    payload = _payload_form(form["type"].value(), _posted(request), state)
    if form.is_bound and form.is_valid() and payload and payload.is_valid():
        changes = {key: value for key, value in form.cleaned_data.items() if value != getattr(state, key)}
        if "type" in changes or payload.payload != _encoded(state):
            changes["payload"] = json.loads(payload.payload)
        try:
            scheduling.update(name, changes, actor=actor(request))
        except InvalidSchedule as error:
            form.tell(error)
        else:
            messages.success(request, f"Schedule {name} is changed." if changes else "Nothing was changed.")
            return redirect("dashboard:schedule", name)
    return _page(request, form, payload, state)


@staff_only()
@require_safe
def preview(request: HttpRequest) -> HttpResponse:
    """What the cron means that is being typed."""
    cron, zone = request.GET.get("cron", ""), request.GET.get("timezone", "") or "UTC"
    found = scheduling.validate(cron, zone) if cron.strip() else None
    return render(request, "jobs/schedule_preview.html", {"found": found, "zone": zone})


@staff_only()
@require_safe
def payload_fields(request: HttpRequest) -> HttpResponse:
    """The form for the payload of a job type: of a schedule if it is named, with what it has."""
    name = request.GET.get("schedule", "")
    if name and not request.user.has_perm("django_celery_beat.change_periodictask"):
        raise PermissionDenied
    form = _payload_form(request.GET.get("type", ""), None, _state(name) if name else None)
    return render(request, "jobs/schedule_payload.html", {"payload": form})


def _posted(request: HttpRequest) -> Mapping[str, Any] | None:
    return request.POST if request.method == "POST" else None


def _state(name: str) -> ScheduleState:
    try:
        return scheduling.state(name)
    except UnknownSchedule as error:
        raise Http404(str(error)) from None


def _given(request: HttpRequest) -> dict[str, Any] | None:
    """The payload to begin with, which the page of a new job puts into the address."""
    try:
        payload = json.loads(request.GET.get("payload", ""))
    except (ValueError, RecursionError):
        return None
    return payload if isinstance(payload, dict) else None


def _payload_form(
    type_: str,
    data: Mapping[str, Any] | None,
    state: ScheduleState | None = None,
    given: dict[str, Any] | None = None,
) -> PayloadForm | None:
    processor = processors().get(type_)
    if processor is None:
        return None
    if state is None or state.type != type_:
        return PayloadForm(processor, data, values=given)
    payload = _stored(state)
    return PayloadForm(processor, data, values=payload, secrets_of=payload)


def _stored(state: ScheduleState) -> dict[str, Any]:
    """The payload with its secrets; empty if there is no reading it."""
    task = PeriodicTask.objects.filter(name=state.name).first()
    return known_payload(task) if task else {}


def _encoded(state: ScheduleState) -> str | None:
    """The payload as its form gives it."""
    try:
        return processors()[state.type].encode_row_payload(_stored(state))
    except (KeyError, ValueError):
        return None


def _page(
    request: HttpRequest, form: ScheduleForm, payload: PayloadForm | None, state: ScheduleState | None
) -> HttpResponse:
    context = {
        "form": form,
        "payload": payload,
        "schedule": state,
        "crons": [(each.value, scheduling.words(each)) for each in CRON_EXPRESSIONS],
        "zones": sorted(zone for zone in available_timezones() if "/" in zone or zone == "UTC"),
    }
    return show(request, "jobs/schedule_form.html", context)
