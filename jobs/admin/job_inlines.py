"""What belongs to a job, on its page: its failed runs, and what people and sweeps did to it."""

from typing import Any

from django.http import HttpRequest
from django.utils.safestring import SafeString

from jobs.admin.base import StackedInline, TabularInline, display
from jobs.admin.formats import moment, text_block, words
from jobs.models import Event, Failure


class SeenWithTheJob:
    """Whoever may see a job may see what belongs to it; nobody writes it."""

    extra = 0
    can_delete = False
    per_page = 10

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.has_perm("jobs.view_job")

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class FailureInline(SeenWithTheJob, StackedInline):
    model = Failure
    verbose_name_plural = "Failed runs"
    ordering = ("-run",)
    fields = (
        ("run", "attempt"),
        ("started", "failed"),
        ("classification", "worker"),
        "shown_message",
        "shown_traceback",
    )
    readonly_fields = ("started", "failed", "shown_message", "shown_traceback")

    @display(description="Started")
    def started(self, failure: Failure) -> SafeString | str:
        return moment(failure.started_at)

    @display(description="Failed")
    def failed(self, failure: Failure) -> SafeString | str:
        return moment(failure.failed_at)

    @display(description="Message")
    def shown_message(self, failure: Failure) -> SafeString | str:
        return text_block(failure.message)

    @display(description="Traceback")
    def shown_traceback(self, failure: Failure) -> SafeString | str:
        return text_block(failure.traceback)


class EventInline(SeenWithTheJob, TabularInline):
    model = Event
    verbose_name_plural = "What people and sweeps did"
    if hasattr(TabularInline, "hide_title"):  # unfold for Python 3.11
        hide_title = True
    else:
        show_title = False
    fields = readonly_fields = ("shown_at", "kind", "actor", "reason", "shown_before", "shown_after")

    @display(description="At")
    def shown_at(self, event: Event) -> SafeString | str:
        return moment(event.at)

    @display(description="Before")
    def shown_before(self, event: Event) -> str:
        return words(event.before)

    @display(description="After")
    def shown_after(self, event: Event) -> str:
        return words(event.after)
