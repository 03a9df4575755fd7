"""What the platform writes and people read: workers, events, kinds of errors, schedule runs, upstream limits."""

from datetime import timedelta
from typing import Any

from django.conf import settings
from django.contrib import admin, messages
from django.contrib.admin.utils import unquote
from django.db.models import Q, QuerySet
from django.forms import Form
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.safestring import SafeString
from django.utils.text import Truncator

from jobs import lifecycle, statistics
from jobs.admin.base import ReadOnlyAdmin, action, actor, display, go_to
from jobs.admin.formats import EMPTY, ago, job_link, label, moment, words
from jobs.admin.job_actions import ConfirmForm, dialog
from jobs.admin.job_list import OneOf
from jobs.models import ErrorGroup, Event, Limit, ScheduleRun, Worker

RECENT = 1_000  # events whose kinds and actors are offered as filters


@admin.register(Worker)
class WorkerAdmin(ReadOnlyAdmin):
    list_display = (
        "name",
        "state",
        "pool",
        "shown_queues",
        "running",
        "concurrency",
        "processed",
        "failed",
        "seen",
        "started",
    )
    fields = (
        ("name", "state"),
        ("pool", "shown_queues"),
        ("running", "concurrency", "stuck"),
        ("processed", "failed"),
        ("started", "seen"),
    )

    actions = ("drain_workers",)
    actions_detail = ("drain_worker",)

    def has_drain_permission(self, request: HttpRequest, object_id: str | None = None) -> bool:
        return request.user.has_perm("jobs.drain_worker")

    @action(description="Drain", permissions=["drain"])
    def drain_workers(self, request: HttpRequest, queryset: QuerySet[Worker]) -> None:
        names = [worker.name for worker in queryset if lifecycle.drain(worker.name, actor=actor(request))]
        told = f"Asked to finish and leave: {', '.join(names)}." if names else "Nothing to do."
        self.message_user(request, told, messages.SUCCESS if names else messages.WARNING)

    @action(
        description="Drain",
        permissions=["drain"],
        icon="logout",
        dialog=dialog(
            "Drain this worker?", "It takes no more jobs, finishes what it runs and ends.", "Drain", ConfirmForm
        ),
    )
    def drain_worker(self, request: HttpRequest, form: Form, object_id: str) -> HttpResponse:
        self.drain_workers(request, Worker.objects.filter(pk=unquote(object_id)))
        return go_to(Worker, unquote(object_id))

    @display(description="State")
    def state(self, worker: Worker) -> SafeString:
        if worker.heartbeat_at < timezone.now() - timedelta(seconds=settings.JOBS_LEASE):
            return label("lost", "danger")
        if worker.stuck:
            return label("stuck", "danger")
        leaving = worker.draining or worker.drain_requested_at
        return label("draining", "warning") if leaving else label("alive", "success")

    @display(description="Queues")
    def shown_queues(self, worker: Worker) -> str:
        return ", ".join(worker.queues)

    @display(description="Heard of")
    def seen(self, worker: Worker) -> str:
        return ago(worker.heartbeat_at)

    @display(description="Started")
    def started(self, worker: Worker) -> SafeString | str:
        return moment(worker.started_at)


class AboutFilter(admin.SimpleListFilter):
    title = parameter_name = "about"
    CHOICES = {
        "jobs": Q(job__isnull=False) | Q(subject__startswith="job "),
        "queues": ~Q(queue="") & Q(subject=""),
        "schedules": ~Q(schedule=""),
        "workers": Q(subject__startswith="worker "),
        "errors": Q(subject__startswith="error "),
        "access": Q(subject__regex="^(API key|user|group|access attempt) "),
        "alert rules": Q(subject__startswith="alert"),
    }

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(name, name.capitalize()) for name in self.CHOICES]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        chosen = self.CHOICES.get(self.value() or "")
        return queryset.filter(chosen) if chosen else queryset


class Recent(OneOf):
    """What the latest events have, rather than a look at all of them."""

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        recent = Event.objects.order_by("-id").values_list(str(self.parameter_name), flat=True)[:RECENT]
        return [(value, value) for value in sorted({*recent, self.value() or ""} - {""})]


class KindFilter(Recent):
    title = parameter_name = "kind"


class ActorFilter(Recent):
    title = parameter_name = "actor"


@admin.register(Event)
class EventAdmin(ReadOnlyAdmin):
    list_per_page = 50
    list_display = ("shown_at", "kind", "about", "actor", "reason", "shown_before", "shown_after")
    list_display_links = None
    list_filter = (AboutFilter, KindFilter, ActorFilter, ("at", admin.DateFieldListFilter))
    search_fields = ("actor", "kind", "queue", "schedule", "subject")
    sortable_by = ()

    @display(description="At")
    def shown_at(self, event: Event) -> SafeString | str:
        return moment(event.at)

    @display(description="About")
    def about(self, event: Event) -> SafeString | str:
        return job_link(event.job_id) if event.job_id else event.subject or event.queue or event.schedule or EMPTY

    @display(description="Before")
    def shown_before(self, event: Event) -> str:
        return words(event.before)

    @display(description="After")
    def shown_after(self, event: Event) -> str:
        return words(event.after)


@admin.register(ErrorGroup)
class ErrorGroupAdmin(ReadOnlyAdmin):
    list_display = ("error", "type", "message_begins", "count", "first_seen_at", "last_seen_at", "state")
    list_filter = (("resolved_at", admin.EmptyFieldListFilter),)
    search_fields = ("error", "type", "fingerprint")
    fields = ("error", "type", "message", "count", ("first_seen_at", "last_seen_at"), "shown_sample", "fingerprint")
    actions = ("resolve", "reopen")

    def has_resolve_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("jobs.change_errorgroup")

    @display(description="Message")
    def message_begins(self, group: ErrorGroup) -> str:
        return Truncator(group.message).chars(100)

    @display(description="State")
    def state(self, group: ErrorGroup) -> SafeString:
        return label(f"resolved by {group.resolved_by}", "success") if group.resolved_at else label("open", "danger")

    @display(description="Latest job")
    def shown_sample(self, group: ErrorGroup) -> SafeString:
        return job_link(group.sample)

    @action(description="Resolve", permissions=["resolve"])
    def resolve(self, request: HttpRequest, queryset: QuerySet[ErrorGroup]) -> None:
        done = sum(statistics.resolve(group.pk, actor(request)) for group in queryset)
        self.message_user(request, f"{done} resolved.", messages.SUCCESS)

    @action(description="Open again", permissions=["resolve"])
    def reopen(self, request: HttpRequest, queryset: QuerySet[ErrorGroup]) -> None:
        done = sum(statistics.reopen(group.pk, actor(request)) for group in queryset)
        self.message_user(request, f"{done} opened again.", messages.SUCCESS)


@admin.register(ScheduleRun)
class ScheduleRunAdmin(ReadOnlyAdmin):
    list_display = ("schedule", "due", "enqueued", "outcome", "shown_job", "reason")
    list_display_links = None
    list_filter = ("outcome",)
    search_fields = ("schedule__startswith",)
    sortable_by = ()

    @display(description="Due")
    def due(self, run: ScheduleRun) -> SafeString | str:
        return moment(run.due_at)

    @display(description="Enqueued")
    def enqueued(self, run: ScheduleRun) -> SafeString | str:
        return moment(run.created_at)

    @display(description="Job")
    def shown_job(self, run: ScheduleRun) -> SafeString | str:
        return job_link(run.job) if run.job else EMPTY


@admin.register(Limit)
class LimitAdmin(ReadOnlyAdmin):
    list_display = ("name", "state", "failures", "next_at", "open_until")
    list_display_links = None

    @display(description="Breaker")
    def state(self, limit: Limit) -> SafeString:
        opened = limit.open_until is not None and limit.open_until > timezone.now()
        return label("open", "danger") if opened else label("closed", "success")
