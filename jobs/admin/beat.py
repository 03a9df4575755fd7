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

from jobs.admin.base import ModelAdmin, TabularInline, action, actor
from jobs.errors import InvalidOption, InvalidPayload, JobError, UnknownQueue
from jobs.options import resolve
from jobs.processor import get_processor, processors

NONE = ("", "---------")


def job_types() -> list[tuple[str, str]]:
    return [NONE, *((name, name) for name in processors())]


def queues() -> list[tuple[str, str]]:
    return [("", "that of the job type"), *((name, name) for name in settings.JOBS_QUEUES)]


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
        return text

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
        ("The job", {"fields": ("queue", "priority", "expires", "expire_seconds")}),
    )
    readonly_fields = ("last_run_at",)

    def has_run_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("jobs.add_job")

    @action(description="Enable", permissions=["change"])
    def enable_tasks(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        super().enable_tasks(request, queryset)

    @action(description="Disable", permissions=["change"])
    def disable_tasks(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        super().disable_tasks(request, queryset)

    @action(description="Run now", permissions=["run"])
    def run_tasks(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        """Enqueue the schedules' jobs now, beside the times when they are due."""
        for schedule in queryset:
            options = {"queue": schedule.queue, "priority": schedule.priority, "schedule": schedule.name}
            args, kwargs = json.loads(schedule.args), json.loads(schedule.kwargs)
            try:
                get_processor(schedule.task).apply_async(args, kwargs, created_by=actor(request), **options)
            except (JobError, TypeError) as error:  # a plain task says TypeError to wrong arguments
                self.message_user(request, f"{schedule.name}: {error}", messages.ERROR)
            else:
                self.message_user(request, f"{schedule.name}: enqueued.", messages.SUCCESS)


class UsedBy(beat.PeriodicTaskInline, TabularInline):
    fields = readonly_fields = ("name", "task", "kwargs", "enabled")
    verbose_name_plural = "Used by"

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(CrontabSchedule)
class CrontabAdmin(beat.CrontabScheduleAdmin, ModelAdmin):
    inlines = (UsedBy,)


@admin.register(IntervalSchedule)
class IntervalAdmin(beat.IntervalScheduleAdmin, ModelAdmin):
    inlines = (UsedBy,)


@admin.register(ClockedSchedule)
class ClockedAdmin(beat.ClockedScheduleAdmin, ModelAdmin):
    inlines = (UsedBy,)


@admin.register(SolarSchedule)
class SolarAdmin(beat.SolarScheduleAdmin, ModelAdmin):
    inlines = (UsedBy,)
