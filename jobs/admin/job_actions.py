"""What an operator does to jobs, from the list and from a job's page. All of it goes through `lifecycle`."""

from collections import Counter
from collections.abc import Callable, Collection
from typing import Any, NamedTuple
from uuid import UUID

from django import forms
from django.contrib import messages
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextInputWidget

from jobs import lifecycle
from jobs.admin.base import DialogForm, ReadOnlyAdmin, action, actor, go_to
from jobs.models import TERMINAL, Job, Priority, Status

AT_ONCE = 10_000
WAITING = (Status.PENDING, Status.SCHEDULED)
PRIORITY_CHOICES = [
    (value, f"{value} ({Priority(value).name.lower()})" if value in Priority.values else value)
    for value in range(10, 0, -1)
]
REASONS_TOLD = 5


class Done(NamedTuple):
    """What became of a request about several jobs."""

    what: str
    jobs: int
    skipped: Counter[str]


class ReasonForm(DialogForm):
    reason = forms.CharField(
        required=False, max_length=500, widget=UnfoldAdminTextInputWidget, help_text="Kept with the job."
    )


class ConfirmForm(DialogForm):
    pass


class PriorityForm(DialogForm):
    priority = forms.TypedChoiceField(coerce=int, choices=PRIORITY_CHOICES, initial=5, widget=UnfoldAdminSelectWidget)


def dialog(title: str, description: str, submit: str, form_class: type[forms.Form]) -> dict[str, Any]:
    return {"title": title, "description": description, "form_submit_text": submit, "form_class": form_class}


def retry(ids: Collection[UUID], by: str, reason: str = "") -> Done:
    answer = lifecycle.retry(ids, actor=by, reason=reason)
    return Done("retried", len(answer.retried), Counter(answer.skipped.values()))


def cancel(ids: Collection[UUID], by: str, reason: str = "") -> Done:
    answer = lifecycle.cancel(ids, actor=by, reason=reason)
    asked = sum(status == Status.PROCESSING for status in answer.values())
    what = f"cancelled ({asked} of them run and were asked to stop)" if asked else "cancelled"
    return Done(what, len(answer), Counter({"it has ended": len(ids) - len(answer)}))


def rerun(ids: Collection[UUID], by: str) -> Done:
    made = lifecycle.rerun(ids, actor=by)
    left = Job.objects.filter(pk__in=set(ids) - made.keys()).values_list("status", flat=True)
    reasons = Counter(
        "an active job has its unique key" if status in TERMINAL else f"it is {status}" for status in left
    )
    return Done("re-run", len(made), reasons)


def set_priority(ids: Collection[UUID], by: str, priority: int) -> Done:
    changed = lifecycle.set_priority(ids, priority, actor=by)
    return Done(f"given priority {priority}", len(changed), Counter({"it does not wait": len(ids) - len(changed)}))


def _to_priority(priority: Priority) -> Callable[[Any, HttpRequest, QuerySet[Job]], None]:
    """A list action for one of the named priorities."""

    @action(description=f"Set priority to {priority.value} ({priority.name.lower()})", permissions=["prioritise"])
    def change(self: "JobActions", request: HttpRequest, queryset: QuerySet[Job]) -> None:
        self.do(request, queryset, lambda ids: set_priority(ids, actor(request), priority))

    change.__name__ = f"priority_{priority.name.lower()}"
    return change


class JobActions(ReadOnlyAdmin):
    """Retry, cancel, re-run and priority; each asks for a permission of its own."""

    actions = ("retry_jobs", "cancel_jobs", "rerun_jobs", *(_to_priority(p) for p in reversed(Priority)))
    actions_detail = ("retry_job", "cancel_job", "rerun_job", "prioritise_job")

    def has_retry_permission(self, request: HttpRequest, object_id: str | None = None) -> bool:
        return request.user.has_perm("jobs.retry_job")

    def has_cancel_permission(self, request: HttpRequest, object_id: str | None = None) -> bool:
        return request.user.has_perm("jobs.cancel_job")

    def has_prioritise_permission(self, request: HttpRequest, object_id: str | None = None) -> bool:
        return request.user.has_perm("jobs.change_job")

    def has_rerun_permission(self, request: HttpRequest, object_id: str | None = None) -> bool:
        return request.user.has_perm("jobs.add_job")

    def get_actions_detail(self, request: HttpRequest, object_id: str) -> Any:
        """The buttons that make sense for this job's status."""
        status = Job.objects.filter(pk=job_id(object_id)).values_list("status", flat=True).first()
        sensible = {
            "retry_job": status in (Status.FAILED, Status.CANCELLED),
            "cancel_job": status not in TERMINAL,
            "rerun_job": status in TERMINAL,
            "prioritise_job": status in WAITING,
        }
        actions = super().get_actions_detail(request, object_id)  # type: ignore[misc]
        return [action for action in actions if sensible[action.path]]

    # --- the list -----------------------------------------------------------------------------------------------

    @action(description="Retry", permissions=["retry"])
    def retry_jobs(self, request: HttpRequest, queryset: QuerySet[Job]) -> None:
        self.do(request, queryset, lambda ids: retry(ids, actor(request)))

    @action(description="Cancel", permissions=["cancel"])
    def cancel_jobs(self, request: HttpRequest, queryset: QuerySet[Job]) -> None:
        self.do(request, queryset, lambda ids: cancel(ids, actor(request)))

    @action(description="Re-run as new jobs", permissions=["rerun"])
    def rerun_jobs(self, request: HttpRequest, queryset: QuerySet[Job]) -> None:
        self.do(request, queryset, lambda ids: rerun(ids, actor(request)))

    def do(self, request: HttpRequest, queryset: QuerySet[Job], work: Callable[[list[UUID]], Done]) -> None:
        """Run one action on the first jobs of a selection, and tell what it did."""
        ids = list(queryset.values_list("pk", flat=True)[: AT_ONCE + 1])
        self.tell(request, work(ids[:AT_ONCE]))
        if len(ids) > AT_ONCE:
            self.message_user(
                request, f"Only the first {AT_ONCE:,} were looked at: run it again for the rest.", messages.WARNING
            )

    def tell(self, request: HttpRequest, done: Done) -> None:
        if done.jobs:
            self.message_user(
                request, f"{done.jobs:,} {'job' if done.jobs == 1 else 'jobs'} {done.what}.", messages.SUCCESS
            )
        skipped = +done.skipped  # without zero counts
        if skipped:
            most = sorted(skipped.items(), key=lambda item: (-item[1], item[0]))
            why = "; ".join(f"{reason} ({count:,})" for reason, count in most[:REASONS_TOLD])
            more = "; …" if len(skipped) > REASONS_TOLD else ""
            self.message_user(request, f"{skipped.total():,} skipped: {why}{more}.", messages.WARNING)

    # --- one job: confirmed in a dialog, so that it is a POST with a CSRF token ---------------------------------------

    @action(
        description="Retry",
        permissions=["retry"],
        icon="replay",
        dialog=dialog("Retry this job?", "It keeps its id and gets all its attempts anew.", "Retry", ReasonForm),
    )
    def retry_job(self, request: HttpRequest, form: forms.Form, object_id: str) -> HttpResponse:
        return self.do_one(request, object_id, retry([job_id(object_id)], actor(request), form.cleaned_data["reason"]))

    @action(
        description="Cancel",
        permissions=["cancel"],
        icon="cancel",
        dialog=dialog("Cancel this job?", "A running job is asked to stop.", "Cancel the job", ReasonForm),
    )
    def cancel_job(self, request: HttpRequest, form: forms.Form, object_id: str) -> HttpResponse:
        return self.do_one(request, object_id, cancel([job_id(object_id)], actor(request), form.cleaned_data["reason"]))

    @action(
        description="Re-run",
        permissions=["rerun"],
        icon="content_copy",
        dialog=dialog(
            "Run it again as a new job?",
            "With the same payload. What followed the old one does not follow it.",
            "Re-run",
            ConfirmForm,
        ),
    )
    def rerun_job(self, request: HttpRequest, form: forms.Form, object_id: str) -> HttpResponse:
        return self.do_one(request, object_id, rerun([job_id(object_id)], actor(request)))

    @action(
        description="Priority",
        permissions=["prioritise"],
        icon="low_priority",
        dialog=dialog("Change the priority", "10 runs first.", "Change", PriorityForm),
    )
    def prioritise_job(self, request: HttpRequest, form: forms.Form, object_id: str) -> HttpResponse:
        return self.do_one(
            request, object_id, set_priority([job_id(object_id)], actor(request), form.cleaned_data["priority"])
        )

    def do_one(self, request: HttpRequest, object_id: str, done: Done) -> HttpResponse:
        self.tell(request, done)
        return go_to(Job, object_id)


def job_id(object_id: str) -> UUID:
    try:
        return UUID(object_id)
    except ValueError:
        raise Http404 from None
