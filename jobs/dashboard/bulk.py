"""One action on many jobs: on those that were ticked at once, on all that match after a look at what they are."""

from uuid import UUID

from django import forms
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.http import urlencode

from jobs import bulk as operations
from jobs import lifecycle
from jobs.bulk import Action
from jobs.dashboard.access import actor, back, show, staff_only
from jobs.dashboard.joblist import RANKS, may
from jobs.models import Priority
from jobs.search import InvalidQuery

MOST_TICKED = 1000
DONE = {Action.RETRY: "retried", Action.CANCEL: "cancelled", Action.DELETE: "deleted", Action.PRIORITY: "changed"}


class ConfirmForm(forms.Form):
    """How to do it to all of them."""

    new_priority = forms.TypedChoiceField(choices=RANKS, coerce=int, initial=int(Priority.NORMAL))
    reason = forms.CharField(required=False, max_length=500, help_text="Kept with each job.")

    def __init__(self, action: Action, data: object = None) -> None:
        super().__init__(data)  # type: ignore[arg-type]
        if action is not Action.PRIORITY:
            del self.fields["new_priority"]
        if action in (Action.DELETE, Action.PRIORITY):
            del self.fields["reason"]


def _action(request: HttpRequest, name: str | None) -> Action:
    try:
        action = Action(name or "")
    except ValueError:
        raise Http404("There is no such action.") from None
    if not may(request, action):
        raise PermissionDenied
    return action


@staff_only()
def bulk(request: HttpRequest) -> HttpResponse:
    """What would be done to how many jobs, and, confirmed, doing it."""
    action = _action(request, request.GET.get("action"))
    query = request.GET.get("q", "")
    form = ConfirmForm(action, request.POST if request.method == "POST" else None)
    try:
        if form.is_valid():
            reason = form.cleaned_data.get("reason", "")
            priority = form.cleaned_data.get("new_priority")
            started = operations.start(action, query, actor(request), reason, new_priority=priority)
            return redirect("dashboard:job", started.id)
        preview = operations.preview(query, action)
    except InvalidQuery as error:
        messages.error(request, f"The query was not understood. {error}")
        return redirect(f"{reverse('dashboard:jobs')}?{urlencode({'q': query})}")
    context = {"action": action, "query": query, "form": form, "preview": preview}
    return show(request, "jobs/bulk.html", context)


@staff_only()
def selected(request: HttpRequest) -> HttpResponse:
    """The buttons of the list: for the jobs that were ticked, or on to `bulk` for all that match."""
    if request.method != "POST":
        return redirect("dashboard:jobs")
    action = _action(request, request.POST.get("action"))
    if request.POST.get("all"):
        address = {"action": action.value, "q": request.POST.get("q", "")}
        return redirect(f"{reverse('dashboard:bulk')}?{urlencode(address)}")
    ids = _ids(request.POST.getlist("job"))
    changed, reasons = _perform(action, ids, request)
    if changed:
        messages.success(request, f"{changed:,} job{'s' * (changed != 1)} {DONE[action]}.")
    if left := len(ids) - changed:
        why = f": {reasons[0]}" if reasons else ""
        messages.warning(request, f"{left:,} job{'s' * (left != 1)} could not be {DONE[action]}{why}.")
    if not ids:
        messages.warning(request, "No job was ticked.")
    return back(request, "dashboard:jobs")


def _ids(texts: list[str]) -> list[UUID]:
    try:
        return [UUID(text) for text in texts[:MOST_TICKED]]
    except ValueError:
        raise Http404("That is no job.") from None


def _perform(action: Action, ids: list[UUID], request: HttpRequest) -> tuple[int, list[str]]:
    """How many were changed, and why others were not."""
    match action:
        case Action.RETRY:
            retried = lifecycle.retry(ids, actor=actor(request))
            return len(retried.retried), list(retried.skipped.values())
        case Action.CANCEL:
            return len(lifecycle.cancel(ids, actor=actor(request))), ["they had ended"]
        case Action.DELETE:
            removed = lifecycle.remove(ids, actor=actor(request))
            return len(removed.removed), list(removed.skipped.values())
    rank = request.POST.get("new_priority", "")
    if rank not in {str(number) for number, _ in RANKS}:
        raise Http404("That is no priority.")
    return len(lifecycle.set_priority(ids, int(rank), actor=actor(request))), ["they do not wait"]
