"""What the platform writes and people read: workers, events, schedule runs, upstream limits."""

from datetime import timedelta

from django.conf import settings
from django.contrib import admin
from django.utils import timezone
from django.utils.safestring import SafeString

from jobs.admin.base import ReadOnlyAdmin, display
from jobs.admin.formats import EMPTY, ago, job_link, label, moment, words
from jobs.models import Event, Limit, ScheduleRun, Worker


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

    @display(description="State")
    def state(self, worker: Worker) -> SafeString:
        if worker.heartbeat_at < timezone.now() - timedelta(seconds=settings.JOBS_LEASE):
            return label("lost", "danger")
        if worker.stuck:
            return label("stuck", "danger")
        return label("draining", "warning") if worker.draining else label("alive", "success")

    @display(description="Queues")
    def shown_queues(self, worker: Worker) -> str:
        return ", ".join(worker.queues)

    @display(description="Heard of")
    def seen(self, worker: Worker) -> str:
        return ago(worker.heartbeat_at)

    @display(description="Started")
    def started(self, worker: Worker) -> SafeString | str:
        return moment(worker.started_at)


@admin.register(Event)
class EventAdmin(ReadOnlyAdmin):
    list_display = ("shown_at", "kind", "about", "actor", "reason", "shown_before", "shown_after")
    list_display_links = None
    list_filter = (("at", admin.DateFieldListFilter),)
    search_fields = ("actor", "kind", "queue", "schedule")
    sortable_by = ()

    @display(description="At")
    def shown_at(self, event: Event) -> SafeString | str:
        return moment(event.at)

    @display(description="About")
    def about(self, event: Event) -> SafeString | str:
        return job_link(event.job_id) if event.job_id else event.queue or event.schedule or EMPTY

    @display(description="Before")
    def shown_before(self, event: Event) -> str:
        return words(event.before)

    @display(description="After")
    def shown_after(self, event: Event) -> str:
        return words(event.after)


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
