"""django-celery-beat's models in unfold's clothes: a schedule enqueues a job type with a payload that fits it."""

import json
from typing import Any

from django import forms
from django.conf import settings
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django_celery_beat import admin as beat
from django_celery_beat.models import (
    ClockedSchedule,
    CrontabSchedule,
    IntervalSchedule,
    PeriodicTask,
    SolarSchedule,
)
from unfold.widgets import UnfoldAdminIntegerFieldWidget, UnfoldAdminSelectWidget, UnfoldAdminTextareaWidget

from jobs import schedules, scheduling
from jobs.admin.audit import Audited
from jobs.admin.base import ModelAdmin, TabularInline, action, actor, display
from jobs.errors import InvalidOption, InvalidPayload, JobError, UnknownProcessor, UnknownQueue
from jobs.models import ScheduleOptions
from jobs.options import resolve
from jobs.payload import REDACTED, uncovered
from jobs.processor import get_processor, processors
from jobs.schedules import options_of

NONE = ("", "---------")


def job_types() -> list[tuple[str, str]]:
    return [NONE, *((name, name) for name in processors())]


def queues() -> list[tuple[str, str]]:
    return [("", "that of the job type"), *((name, name) for name in settings.JOBS_QUEUES)]


def shown_kwargs(task: PeriodicTask) -> str:
    """The row's text, without secrets."""
    try:
        kwargs = json.loads(task.kwargs or "{}")
        shown = get_processor(task.task).redact(kwargs)
    except ValueError:
        return str(task.kwargs)
    except UnknownProcessor:
        shown = dict.fromkeys(kwargs, REDACTED)  # nobody knows which of them are secret
    return str(task.kwargs) if shown == kwargs else json.dumps(shown)


class ScheduleForm(beat.PeriodicTaskForm):
    """A schedule whose job type exists and takes this payload."""

    regtask = None  # beat's second field for the same thing
    task = forms.ChoiceField(label="Job type", choices=job_types, widget=UnfoldAdminSelectWidget)
    kwargs = forms.CharField(
        label="Payload",
        required=False,
        widget=UnfoldAdminTextareaWidget({"rows": 6}),
        help_text='JSON, such as {"gameId": "13"}.',
    )
    queue = forms.ChoiceField(choices=queues, required=False, widget=UnfoldAdminSelectWidget)
    priority = forms.IntegerField(
        min_value=1,
        max_value=10,
        required=False,
        widget=UnfoldAdminIntegerFieldWidget,
        help_text="1 to 10, 10 runs first. Empty: that of the job type.",
    )

    overlap = forms.ChoiceField(
        choices=ScheduleOptions.Overlap.choices,
        required=False,
        widget=UnfoldAdminSelectWidget,
        help_text="What becomes of a due time while the job of an earlier one is active.",
    )
    missed_runs = forms.ChoiceField(
        choices=ScheduleOptions.MissedRuns.choices,
        required=False,
        widget=UnfoldAdminSelectWidget,
        help_text="Which of the due times that passed while no beat ran are made up for.",
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.instance.pk:
            self.initial["kwargs"] = shown_kwargs(self.instance)
        policies = options_of(self.instance)
        for name in ("overlap", "missed_runs"):
            if name in self.fields:  # not where the schedule may only be looked at
                self.fields[name].initial = getattr(policies, name)

    def clean_name(self) -> str:
        """A slash would lead elsewhere on the dashboard and in the API."""
        name: str = self.cleaned_data["name"]
        if "/" in name or not name.isprintable():
            raise forms.ValidationError("A name has no slash and no control characters.")
        return name

    def clean_overlap(self) -> str:
        return self.cleaned_data["overlap"] or options_of(self.instance).overlap

    def clean_missed_runs(self) -> str:
        return self.cleaned_data["missed_runs"] or options_of(self.instance).missed_runs

    def clean_queue(self) -> str | None:
        return self.cleaned_data["queue"] or None

    def clean_kwargs(self) -> str:
        """The payload as text, an object for certain."""
        text = self.cleaned_data["kwargs"].strip() or "{}"
        try:
            payload = json.loads(text)
        except ValueError as error:
            raise forms.ValidationError(f"This is not JSON: {error}") from None
        if not isinstance(payload, dict):
            raise forms.ValidationError("A payload is a JSON object: {…}")
        if self.instance.pk and self.cleaned_data.get("task") == self.instance.task:
            return self._with_secrets(payload, text)
        return text

    def _with_secrets(self, payload: dict[str, Any], text: str) -> str:
        """With those of the row, which are not shown; as it was written where it needs none."""
        try:
            model = get_processor(self.instance.task).payload_model
            kept = uncovered(model, payload, scheduling.known_payload(self.instance))
        except (InvalidPayload, UnknownProcessor) as error:
            raise forms.ValidationError(str(error)) from None
        return text if kept == payload else json.dumps(kept)

    def clean(self) -> dict[str, Any]:
        data: dict[str, Any] = super().clean() if "task" in self.cleaned_data else self.cleaned_data
        if not self.errors:
            self._try(data)
        return data

    def _try(self, data: dict[str, Any]) -> None:
        """Ask the core what it would say when the time has come."""
        processor = get_processor(data["task"])
        try:
            payload = processor.encode_payload(tuple(json.loads(self.instance.args)), json.loads(data["kwargs"]))
            resolve(processor, payload, {name: data[name] for name in ("queue", "priority")})
        except InvalidPayload as error:
            for wrong in error.errors or [{"loc": [], "msg": str(error)}]:
                place = ".".join(map(str, wrong["loc"]))  # type: ignore[call-overload]
                self.add_error("kwargs", f"{place}: {wrong['msg']}" if place else str(wrong["msg"]))
        except TypeError as error:  # a plain task's signature
            self.add_error("kwargs", str(error))
        except UnknownQueue as error:
            self.add_error("queue", str(error))
        except InvalidOption as error:
            self.add_error(error.field if error.field in self.fields else None, str(error))


admin.site.unregister([PeriodicTask, CrontabSchedule, IntervalSchedule, ClockedSchedule, SolarSchedule])


@admin.register(PeriodicTask)
class ScheduleAdmin(beat.PeriodicTaskAdmin, ModelAdmin):
    form = ScheduleForm
    change_form_template = None  # beat's has an inline script
    date_hierarchy = None
    list_display = ("name", "task", "enabled", "scheduler", "last_run_at", "one_off")
    list_filter = ("enabled", "one_off")
    actions = ("enable_tasks", "disable_tasks", "run_tasks")
    fieldsets = (
        (None, {"fields": ("name", "task", "kwargs", "enabled", "description")}),
        (
            "When",
            {"fields": ("crontab", "interval", "clocked", "solar", "start_time", "one_off", "last_run_at")},
        ),
        ("If it is late", {"fields": ("overlap", "missed_runs")}),
        ("The job", {"fields": ("queue", "priority", "expires", "expire_seconds")}),
    )
    readonly_fields = ("last_run_at", "shown_kwargs")

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        """Who may only look gets no form: the payload without secrets, and the policies from their own row."""
        (name, first), *others = super().get_fieldsets(request, obj)
        if obj is not None and not self.has_change_permission(request, obj):
            first = {"fields": tuple("shown_kwargs" if each == "kwargs" else each for each in first["fields"])}
        return [(name, first), *others]

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        """A schedule keeps its name: its jobs and its history have it."""
        fields = super().get_readonly_fields(request, obj)
        return fields if obj is None else (*fields, "name")

    @display(description="Payload")
    def shown_kwargs(self, schedule: PeriodicTask) -> str:
        return shown_kwargs(schedule)

    @display(description="Overlap")
    def overlap(self, schedule: PeriodicTask) -> str:
        return options_of(schedule).overlap

    @display(description="Missed runs")
    def missed_runs(self, schedule: PeriodicTask) -> str:
        return options_of(schedule).missed_runs

    def has_run_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("jobs.add_job")

    # Whatever is done here leaves the event that it would leave elsewhere.

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        form.before = scheduling.snapshot(schedules.rows().get(pk=obj.pk)) if change else None
        super().save_model(request, obj, form, change)

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        super().save_related(request, form, formsets, change)
        policies = {name: form.cleaned_data[name] for name in ("overlap", "missed_runs")}
        ScheduleOptions.objects.update_or_create(schedule=form.instance, defaults=policies)
        scheduling.record_saved(form.instance.name, form.before, actor=actor(request))

    def delete_model(self, request: HttpRequest, obj: Any) -> None:
        scheduling.delete(obj.name, actor=actor(request))

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        for schedule in queryset:
            self.delete_model(request, schedule)

    @action(description="Enable", permissions=["change"])
    def enable_tasks(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        for schedule in queryset:
            scheduling.start(schedule.name, actor=actor(request))
        self.message_user(request, f"Enabled: {', '.join(schedule.name for schedule in queryset)}.", messages.SUCCESS)

    @action(description="Disable", permissions=["change"])
    def disable_tasks(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        for schedule in queryset:
            scheduling.stop(schedule.name, actor=actor(request))
        self.message_user(request, f"Disabled: {', '.join(schedule.name for schedule in queryset)}.", messages.SUCCESS)

    @action(description="Run now", permissions=["run"])
    def run_tasks(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        """Enqueue the schedules' jobs now, beside the times when they are due."""
        for schedule in queryset:
            try:
                scheduling.run(schedule.name, actor=actor(request))
            except JobError as error:
                self.message_user(request, f"{schedule.name}: {error}", messages.ERROR)
            else:
                self.message_user(request, f"{schedule.name}: enqueued.", messages.SUCCESS)


class UsedBy(beat.PeriodicTaskInline, TabularInline):
    fields = readonly_fields = ("name", "task", "enabled")
    verbose_name_plural = "Used by"

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(CrontabSchedule)
class CrontabAdmin(beat.CrontabScheduleAdmin, Audited):
    inlines = (UsedBy,)


@admin.register(IntervalSchedule)
class IntervalAdmin(beat.IntervalScheduleAdmin, Audited):
    inlines = (UsedBy,)


@admin.register(ClockedSchedule)
class ClockedAdmin(beat.ClockedScheduleAdmin, Audited):
    inlines = (UsedBy,)


@admin.register(SolarSchedule)
class SolarAdmin(beat.SolarScheduleAdmin, Audited):
    inlines = (UsedBy,)
