"""A new job: pick a type, fill its form, enqueue or schedule it; and an old one again with another payload."""

import json
from collections.abc import Mapping
from uuid import UUID

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.http import urlencode

from jobs import bulk, lifecycle
from jobs.dashboard.access import actor, show, staff_only
from jobs.dashboard.job import job_or_404
from jobs.errors import InvalidOption, UnknownProcessor, UnknownQueue
from jobs.forms import OptionsForm, PayloadForm, schema_of
from jobs.models import Job
from jobs.payload import secrets
from jobs.processor import Enqueued, Processor, get_processor, processors

ADD = "jobs.add_job"


def _types() -> dict[str, Processor]:
    """What a person may enqueue."""
    return {name: processor for name, processor in processors().items() if name != bulk.TYPE}


@staff_only(ADD)
def new(request: HttpRequest) -> HttpResponse:
    """The types to choose from, or the form of the one that the address names."""
    name = request.GET.get("type", "")
    if not name:
        types = [(name, one.description, one.queue or "default") for name, one in _types().items()]
        return show(request, "jobs/new.html", {"types": types})
    processor = _types().get(name)
    if processor is None:
        raise Http404(f"There is no job type {name}.")
    data = _posted(request)
    payload = PayloadForm(processor, data, as_json=_as_json(request))
    options = OptionsForm(processor, data)
    if data is not None and payload.is_valid() and options.is_valid():
        if "schedule" in data:
            return _to_schedules(request, name, payload)
        if (made := _enqueue(request, processor, payload, options)) is not None:
            return redirect("dashboard:job", made.id)
    context = {"type": name, "payload": payload, "options": options}
    return show(request, "jobs/new.html", {**context, **_ways(request, processor)})


def _posted(request: HttpRequest) -> Mapping[str, str] | None:
    return request.POST if request.method == "POST" else None


def _as_json(request: HttpRequest) -> bool:
    return request.GET.get("as") == "json"


def _ways(request: HttpRequest, processor: Processor) -> dict[str, object]:
    has_fields = bool(schema_of(processor).get("properties"))
    return {"description": processor.description, "as_json": _as_json(request), "has_fields": has_fields}


def _enqueue(request: HttpRequest, processor: Processor, payload: PayloadForm, options: OptionsForm) -> Enqueued | None:
    try:
        made = processor.enqueue(json.loads(payload.payload), created_by=actor(request), **options.options)
    except (InvalidOption, UnknownQueue) as error:
        options.tell(error)
        return None
    if made.created:
        messages.success(request, "The job is enqueued.")
    else:
        messages.warning(request, "Nothing was enqueued: this job has the unique key already.")
    return made


def _to_schedules(request: HttpRequest, name: str, payload: PayloadForm) -> HttpResponse:
    """To the form of a new schedule. Its address is seen by others, so a payload with secrets stays here."""
    if not request.user.has_perm("django_celery_beat.add_periodictask"):
        raise PermissionDenied
    known = {"type": name}
    model = payload.processor.payload_model
    if model is None or not secrets(model, json.loads(payload.payload)):
        known["payload"] = payload.payload
    return redirect(f"{reverse('dashboard:new-schedule')}?{urlencode(known)}")


@staff_only(ADD)
def rerun(request: HttpRequest, job_id: UUID) -> HttpResponse:
    """An ended job as a new one, its payload changed. Secrets that are left empty stay as they were."""
    job = job_or_404(job_id)
    processor = _of(job)
    data = _posted(request)
    form = PayloadForm(processor, data, values=job.payload, as_json=_as_json(request), secrets_of=job.payload)
    if data is not None and form.is_valid():
        made = lifecycle.rerun([job_id], actor=actor(request), payload=form.payload).get(job_id)
        if made is not None:
            messages.success(request, "This is the new job.")
            return redirect("dashboard:job", made)
        form.add_error(None, _why_not(job))
    context = {"job": job, "type": job.type, "payload": form}
    return show(request, "jobs/new.html", {**context, **_ways(request, processor)})


def _of(job: Job) -> Processor:
    if job.type == bulk.TYPE:
        raise Http404("A bulk operation is started from the list of jobs.")
    try:
        return get_processor(job.type)
    except UnknownProcessor as error:
        raise Http404(str(error)) from None


def _why_not(job: Job) -> str:
    if not job.is_terminal:
        return f"The job is {job.status}: only one that has ended can be run again."
    return f"Another job of this type has its unique key {job.unique_key!r} and is not finished."
