"""Queues and one queue: how full, how fast, who serves them; pause, resume, limit, clean."""

from collections import defaultdict
from datetime import timedelta

from django import forms
from django.contrib import messages
from django.db.models import Sum
from django.http import Http404, HttpRequest, HttpResponse
from django.utils import timezone

from jobs import lifecycle, metrics
from jobs.dashboard import charts
from jobs.dashboard.access import action, actor, back, page, show, tell
from jobs.dashboard.audit import changes
from jobs.models import Event, Job, Period, Queue, Rollup, Status, Worker

CLEAN_AT_ONCE = 10_000
SPARK = timedelta(hours=1)
SHOWN = 10
DAYS, HOURS, MINUTES = 86_400, 3600, 60


class PauseForm(forms.Form):
    reason = forms.CharField(required=False, max_length=500)
    until = forms.DateTimeField(required=False, input_formats=["%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S"])

    def clean_until(self) -> object:
        until = self.cleaned_data["until"]
        if until and until <= timezone.now():
            raise forms.ValidationError("It is in the past.")
        return until


class LimitForm(forms.Form):
    max_running = forms.IntegerField(label="Limit", required=False, min_value=0, max_value=100_000)


class CleanForm(forms.Form):
    CLEANABLE = [(status.value, status.value) for status in Status if status != Status.PROCESSING]
    status = forms.ChoiceField(choices=CLEANABLE)
    age = forms.IntegerField(min_value=0, max_value=3650)
    unit = forms.TypedChoiceField(coerce=int, choices=[(DAYS, "days"), (HOURS, "hours"), (MINUTES, "minutes")])


DIALOGS = {"clean": CleanForm.CLEANABLE, "at_once": CLEAN_AT_ONCE, "bad_failure_rate": charts.BAD_FAILURE_RATE}


@page
def queues(request: HttpRequest) -> HttpResponse:
    throughput = ended_by_minute()
    rows = [
        {
            "figures": figures,
            "depth": depth(figures),
            "spark": throughput[figures.name],
            "spark_words": f"{sum(throughput[figures.name]):,} jobs ended in the last hour",
        }
        for figures in metrics.queue_figures()
    ]
    return show(request, "jobs/queues.html", {"rows": rows, **DIALOGS})


@page
def queue(request: HttpRequest, name: str) -> HttpResponse:
    figures = next((figures for figures in metrics.queue_figures() if figures.name == name), None)
    if figures is None:
        raise Http404("There is no such queue.")
    jobs = Job.objects.filter(queue=name)
    context = {
        "figures": figures,
        "paused_by": Queue.objects.get(name=name).paused_by,
        "depth": depth(figures),
        "workers": Worker.objects.filter(queues__contains=[name]).order_by("name"),
        "running": jobs.filter(status=Status.PROCESSING).order_by("started_at")[:SHOWN],
        "waiting": jobs.filter(status=Status.PENDING).order_by("-priority", "scheduled_at", "id")[:SHOWN],
        "events": [(event, changes(event)) for event in Event.objects.filter(queue=name, job=None)[:SHOWN]],
        "usual": charts.usual_seconds(),
        **DIALOGS,
        **charts.history(request, queue=name),
    }
    return show(request, "jobs/queue.html", context)


def depth(figures: metrics.QueueFigures) -> metrics.Count:
    """Jobs that wait, whether the queue is paused or not."""
    waiting = figures.waiting + figures.paused
    return metrics.Count(waiting, waiting > metrics.COUNT_LIMIT)


def ended_by_minute() -> dict[str, list[int]]:
    """Jobs that ended in each minute of the last hour, by queue."""
    since = timezone.now().replace(second=0, microsecond=0) - SPARK
    rows = Rollup.objects.filter(period=Period.MINUTE, at__gte=since, type="").exclude(queue="")  # of all types
    rows = rows.exclude(outcome=Rollup.Outcome.ENQUEUED)
    minutes = int(SPARK / timedelta(minutes=1))
    found: dict[str, list[int]] = defaultdict(lambda: [0] * minutes)
    for name, at, ended in rows.values_list("queue", "at").annotate(ended=Sum("count")).order_by():
        place = int((at - since) / timedelta(minutes=1))
        if place < minutes:
            found[name][place] = ended
    return found


# --- actions ----------------------------------------------------------------------------------------------------------


@action("jobs.pause_queue")
def pause(request: HttpRequest, name: str) -> HttpResponse:
    form = PauseForm(request.POST)
    if _is_valid(request, form, name):
        until = form.cleaned_data["until"]
        done = lifecycle.pause(name, actor=actor(request), reason=form.cleaned_data["reason"], until=until)
        till = f" until {until:%Y-%m-%d %H:%M}" if until else ""
        tell(request, done, f"Queue {name} is paused{till}. Running jobs finish.", "It was paused already.")
    return back(request, "dashboard:queue", name)


@action("jobs.pause_queue")
def resume(request: HttpRequest, name: str) -> HttpResponse:
    done = lifecycle.resume(name, actor=actor(request))
    tell(request, done, f"Queue {name} runs again.", "It was not paused.")
    return back(request, "dashboard:queue", name)


@action("jobs.change_queue")
def limit(request: HttpRequest, name: str) -> HttpResponse:
    form = LimitForm(request.POST)
    if _is_valid(request, form, name):
        most = form.cleaned_data["max_running"]
        done = lifecycle.set_limit(name, most, actor=actor(request))
        words = (
            f"Queue {name} has no limit now." if most is None else f"At most {most:,} jobs of queue {name} run at once."
        )
        tell(request, done, words, "That was the limit already.")
    return back(request, "dashboard:queue", name)


@action("jobs.delete_job")
def clean(request: HttpRequest, name: str) -> HttpResponse:
    form = CleanForm(request.POST)
    if _is_valid(request, form, name):
        status, age, unit = (form.cleaned_data[field] for field in ("status", "age", "unit"))
        removed = lifecycle.clean(name, Status(status), age * unit, CLEAN_AT_ONCE, actor=actor(request))
        what = f"{removed:,} {status} {'job' if removed == 1 else 'jobs'} of queue {name}"
        more = " There may be more: clean again." if removed == CLEAN_AT_ONCE else ""
        tell(request, removed, f"Deleted {what}.{more}", "None is that old.")
    return back(request, "dashboard:queue", name)


def _is_valid(request: HttpRequest, form: forms.Form, name: str) -> bool:
    """404 for a queue that is not there; what is wrong with the fields becomes a message."""
    if not Queue.objects.filter(name=name).exists():
        raise Http404("There is no such queue.")
    for field, errors in form.errors.items():
        messages.error(request, f"{form.fields[field].label or field.capitalize()}: {' '.join(map(str, errors))}")
    return form.is_valid()
