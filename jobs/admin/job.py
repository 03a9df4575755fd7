"""Jobs: the list and the page of one. What can be done to them is `jobs.admin.job_actions`."""

from collections.abc import Iterable
from logging import getLevelName
from typing import Any
from uuid import UUID

from django.contrib import admin, messages
from django.contrib.admin.actions import delete_selected
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from jobs import lifecycle, shown
from jobs.admin.base import ChangeList, actor, display
from jobs.admin.formats import (
    EMPTY,
    bar,
    job_link,
    json_block,
    moment,
    run_time,
    status_label,
    text_block,
    words,
)
from jobs.admin.job_actions import JobActions
from jobs.admin.job_inlines import EventInline, FailureInline
from jobs.admin.job_list import JobChangeList, QueueFilter, TypeFilter, matching
from jobs.models import Chord, Job, LogLine, Status
from jobs.shown import duration

CHILDREN_SHOWN = 20
DELETED_AT_ONCE = 500  # each is a field of a form, which may have 1,000
LINES_SHOWN = 200


@admin.register(Job)
class JobAdmin(JobActions):
    list_display = (
        "type",
        "short_id",
        "shown_status",
        "queue",
        "priority",
        "created",
        "shown_attempt",
        "shown_run_time",
        "shown_progress",
    )
    list_filter = ("status", QueueFilter, TypeFilter)
    list_per_page = 50
    sortable_by = ()  # newest first is an index; any other order would sort the whole table
    search_fields = ("id",)
    search_help_text = "Id or its beginning, type, unique key, tag"
    inlines = (FailureInline, EventInline)
    fieldsets = (
        (None, {"fields": (("shown_status", "detailed_progress"), ("type", "id"), ("queue", "priority"))}),
        ("Payload and result", {"fields": ("shown_payload", "shown_result", "shown_log")}),
        (
            "Times",
            {
                "fields": (
                    ("created", "scheduled"),
                    ("started", "finished"),
                    ("shown_run_time", "shown_timeout"),
                    ("expires", "lease"),
                )
            },
        ),
        ("Runs", {"fields": (("shown_attempt", "run"), ("losses", "shown_backoff"), ("worker", "cancel_requested"))}),
        (
            "Where it comes from",
            {
                "fields": (
                    ("created_by", "schedule", "request_id"),
                    ("unique_key", "tags"),
                    ("shown_parent", "shown_children"),
                    "group",
                )
            },
        ),
    )

    class Media:
        css = {"all": ("jobs/admin.css",)}

    # --- the list -----------------------------------------------------------------------------------------------

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return JobChangeList

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Job], search_term: str
    ) -> tuple[QuerySet[Job], bool]:
        term = search_term.strip()
        return (queryset.filter(matching(term)) if term else queryset), False

    @display(description="Id")
    def short_id(self, job: Job) -> SafeString:
        return format_html('<span class="jobs-line" title="{}">…{}</span>', job.pk, str(job.pk)[-12:])

    @display(description="Status")
    def shown_status(self, job: Job) -> SafeString:
        return status_label(job.status)

    @display(description="Created")
    def created(self, job: Job) -> SafeString | str:
        return moment(job.created_at)

    @display(description="Attempt")
    def shown_attempt(self, job: Job) -> str:
        return f"{job.attempt} of {job.max_attempts}"

    @display(description="Run time")
    def shown_run_time(self, job: Job) -> str:
        return run_time(job)

    @display(description="Progress")
    def shown_progress(self, job: Job) -> SafeString | str:
        return bar(shown.percent(job), f"{shown.percent(job)} %") if has_progress(job) else EMPTY

    # --- one job ------------------------------------------------------------------------------------------------

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> Any:
        """The job with its `children` and its log's `lines`, which unfold asks for several times."""
        job: Any = super().get_object(request, object_id, from_field)
        if job is not None:
            children = Job.objects.filter(parent=job.pk).only("id", "type", "status")
            job.children = list(children.order_by("id")[: CHILDREN_SHOWN + 1])
            job.lines = list(LogLine.objects.filter(job=job.pk).order_by("-id")[:LINES_SHOWN])
        return job

    @display(description="Progress")
    def detailed_progress(self, job: Job) -> SafeString | str:
        return bar(shown.percent(job), progress_words(job)) if has_progress(job) else EMPTY

    @display(description="Not before")
    def scheduled(self, job: Job) -> SafeString | str:
        return moment(job.scheduled_at)

    @display(description="Not after")
    def expires(self, job: Job) -> SafeString | str:
        return moment(job.expires_at)

    @display(description="Started")
    def started(self, job: Job) -> SafeString | str:
        return moment(job.started_at)

    @display(description="Finished")
    def finished(self, job: Job) -> SafeString | str:
        return moment(job.finished_at)

    @display(description="Lease until")
    def lease(self, job: Job) -> SafeString | str:
        return moment(job.lease_expires_at)

    @display(description="Cancel asked for")
    def cancel_requested(self, job: Job) -> SafeString | str:
        return moment(job.cancel_requested_at)

    @display(description="Timeout")
    def shown_timeout(self, job: Job) -> str:
        return duration(job.timeout)

    @display(description="Backoff")
    def shown_backoff(self, job: Job) -> str:
        return words(job.backoff) if job.backoff else "that of the job type"

    @display(description="Payload")
    def shown_payload(self, job: Job) -> SafeString | str:
        return json_block(shown.payload(job))

    @display(description="Result")
    def shown_result(self, job: Job) -> SafeString | str:
        return json_block(job.result)

    @display(description="Log")
    def shown_log(self, job: Any) -> SafeString | str:
        lines = [f"{line.at:%H:%M:%S} {getLevelName(line.level)} {line.message}" for line in job.lines]
        return text_block("\n".join(reversed(lines)))

    @display(description="Parent")
    def shown_parent(self, job: Job) -> SafeString | str:
        return job_link(job.parent) if job.parent else EMPTY

    @display(description="Children")
    def shown_children(self, job: Any) -> SafeString | str:
        links: list[tuple[str, str]] = [
            (job_link(child.pk, child.type), f" ({child.status})") for child in job.children[:CHILDREN_SHOWN]
        ]
        if len(job.children) > CHILDREN_SHOWN:
            links.append(("and more", ""))
        return format_html_join(", ", "{}{}", links) if links else EMPTY

    # --- deleting -----------------------------------------------------------------------------------------------

    def get_actions(self, request: HttpRequest) -> Any:
        actions: dict[str, Any] = super().get_actions(request)
        if "delete_selected" in actions:
            _, name, words = actions["delete_selected"]
            actions["delete_selected"] = delete_first, name, words
        return actions

    def has_delete_permission(self, request: HttpRequest, obj: Job | None = None) -> bool:
        return request.user.has_perm("jobs.delete_job") and (obj is None or obj.is_terminal)

    def get_deleted_objects(self, objs: Iterable[Job], request: HttpRequest) -> Any:
        """What Django asks about: jobs with their failures and events, none of them that are still needed."""
        jobs = list(objs)
        ids = [job.pk for job in jobs]
        may_go = set(deletable(ids).values_list("pk", flat=True))
        protected = [f"{job} ({job.status})" for job in jobs if job.pk not in may_go]
        return [str(job) for job in jobs], {"jobs": len(jobs)}, set(), protected

    def delete_model(self, request: HttpRequest, obj: Job) -> None:
        lifecycle.remove([obj.pk], actor=actor(request))

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Job]) -> None:
        lifecycle.remove(list(queryset.values_list("pk", flat=True)), actor=actor(request))


def delete_first(page: JobAdmin, request: HttpRequest, queryset: QuerySet[Job]) -> Any:
    """Django's action, for no more jobs than the form that confirms it can name."""
    ids = list(queryset.values_list("pk", flat=True)[: DELETED_AT_ONCE + 1])
    if len(ids) > DELETED_AT_ONCE:
        told = f"These are the first {DELETED_AT_ONCE:,}. The dashboard's list of jobs deletes any number."
        page.message_user(request, told, messages.WARNING)
    return delete_selected(page, request, Job.objects.filter(pk__in=ids[:DELETED_AT_ONCE]))


def has_progress(job: Job) -> bool:
    return job.progress is not None or job.status in (Status.PROCESSING, Status.COMPLETED)


def progress_words(job: Job) -> str:
    """`30 % · 3 of 10 · fetching`"""
    detail = job.progress or {}
    counted = f"{detail['done']:g} of {detail['total']:g}" if detail.get("total") else ""
    return " · ".join(part for part in (f"{shown.percent(job)} %", counted, detail.get("note")) if part)


def deletable(ids: Iterable[UUID]) -> QuerySet[Job]:
    """Those of these jobs that nothing waits for: ended, and no member of a chord that has yet to use their results."""
    return Job.objects.terminal().filter(pk__in=ids).exclude(group__in=Chord.objects.values("id"))
