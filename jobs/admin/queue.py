"""Queues: how full they are, pausing them, and how many of their jobs may run at once."""

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.safestring import SafeString

from jobs import lifecycle, metrics
from jobs.admin.base import ModelAdmin, ModelForm, action, actor, display, go_to
from jobs.admin.formats import label
from jobs.admin.job_actions import ConfirmForm, ReasonForm, dialog
from jobs.models import Queue


@admin.register(Queue)
class QueueAdmin(ModelAdmin):
    list_display = (
        "name",
        "state",
        "waiting",
        "running",
        "max_running",
        "paused_at",
        "paused_until",
        "paused_by",
        "reason",
    )
    fields = (
        "name",
        "state",
        ("waiting", "running"),
        "max_running",
        ("paused_at", "paused_until", "paused_by"),
        "reason",
    )
    readonly_fields = ("name", "state", "waiting", "running", "paused_at", "paused_until", "paused_by", "reason")
    show_full_result_count = False
    actions = ("pause_queues", "resume_queues")
    actions_detail = ("pause_queue", "resume_queue")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Queue]:
        return metrics.with_depths(super().get_queryset(request))

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False  # a queue is a setting

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_pause_permission(self, request: HttpRequest, object_id: str | None = None) -> bool:
        return request.user.has_perm("jobs.pause_queue")

    @display(description="State")
    def state(self, queue: Queue) -> SafeString:
        return label("paused", "warning") if queue.paused_at else label("running", "success")

    @display(description="Waiting")
    def waiting(self, queue: Any) -> str:
        return f"{queue.waiting:,}" + ("+" if queue.waiting == metrics.COUNT_LIMIT else "")

    @display(description="Running")
    def running(self, queue: Any) -> str:
        return f"{queue.running:,}"

    def save_model(self, request: HttpRequest, obj: Queue, form: ModelForm, change: bool) -> None:
        """Write the limit alone: the rest of the row may have changed since the page was shown."""
        lifecycle.set_limit(obj.name, obj.max_running, actor=actor(request))

    def get_actions_detail(self, request: HttpRequest, object_id: str) -> Any:
        """Pause or resume, whichever makes sense."""
        paused = Queue.objects.filter(pk=object_id, paused_at__isnull=False).exists()
        actions = super().get_actions_detail(request, object_id)  # type: ignore[misc]
        return [action for action in actions if action.path == ("resume_queue" if paused else "pause_queue")]

    @action(description="Pause", permissions=["pause"])
    def pause_queues(self, request: HttpRequest, queryset: QuerySet[Queue]) -> None:
        names = [queue.name for queue in queryset if lifecycle.pause(queue.name, actor=actor(request))]
        self.tell(request, "Paused", names)

    @action(description="Resume", permissions=["pause"])
    def resume_queues(self, request: HttpRequest, queryset: QuerySet[Queue]) -> None:
        names = [queue.name for queue in queryset if lifecycle.resume(queue.name, actor=actor(request))]
        self.tell(request, "Resumed", names)

    @action(
        description="Pause",
        permissions=["pause"],
        icon="pause",
        dialog=dialog(
            "Pause this queue?", "Its running jobs finish; no worker takes another one.", "Pause", ReasonForm
        ),
    )
    def pause_queue(self, request: HttpRequest, form: forms.Form, object_id: str) -> HttpResponse:
        paused = lifecycle.pause(object_id, actor=actor(request), reason=form.cleaned_data["reason"])
        self.tell(request, "Paused", [object_id] if paused else [])
        return go_to(Queue, object_id)

    @action(
        description="Resume",
        permissions=["pause"],
        icon="play_arrow",
        dialog=dialog("Resume this queue?", "Workers take its jobs again.", "Resume", ConfirmForm),
    )
    def resume_queue(self, request: HttpRequest, form: forms.Form, object_id: str) -> HttpResponse:
        self.tell(request, "Resumed", [object_id] if lifecycle.resume(object_id, actor=actor(request)) else [])
        return go_to(Queue, object_id)

    def tell(self, request: HttpRequest, what: str, names: list[str]) -> None:
        if names:
            self.message_user(request, f"{what}: {', '.join(names)}.", messages.SUCCESS)
        else:
            self.message_user(request, "Nothing to do.", messages.WARNING)
