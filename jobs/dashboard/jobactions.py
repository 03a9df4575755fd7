"""The buttons of a job: cancel, retry, run now, priority, delete, run again."""

from collections.abc import Callable
from uuid import UUID

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect

from jobs import bulk, lifecycle
from jobs.dashboard.access import actor, back, staff_only, tell
from jobs.dashboard.job import job_or_404
from jobs.dashboard.joblist import RANKS
from jobs.models import Status


@staff_only()
def job_action(request: HttpRequest, job_id: UUID, action: str) -> HttpResponse:
    """Do it and go back. By GET, after a log-in that came between, just show the job."""
    if action not in ACTIONS:
        raise Http404("There is no such action.")
    permission, perform = ACTIONS[action]
    if not request.user.has_perm(permission):
        raise PermissionDenied
    job_or_404(job_id)
    if request.method != "POST":
        return redirect("dashboard:job", job_id)
    return perform(request, job_id) or back(request, "dashboard:job", job_id)


def _cancel(request: HttpRequest, job_id: UUID) -> None:
    became = lifecycle.cancel([job_id], actor=actor(request), reason=_reason(request)).get(job_id)
    if became == Status.PROCESSING:
        messages.success(request, "The job was asked to stop.")
    else:
        tell(request, became is not None, "The job is cancelled.", "The job had ended.")


def _retry(request: HttpRequest, job_id: UUID) -> None:
    answer = lifecycle.retry([job_id], actor=actor(request), reason=_reason(request))
    why = answer.skipped.get(job_id, "")
    tell(request, bool(answer.retried), "The job will run again.", f"The job cannot be retried: {why}.")


def _run_now(request: HttpRequest, job_id: UUID) -> None:
    done = lifecycle.run_now([job_id], actor=actor(request))
    tell(request, bool(done), "The job waits for the next free worker.", "The job is not scheduled for later.")


def _set_priority(request: HttpRequest, job_id: UUID) -> None:
    rank = request.POST.get("new_priority", "")
    if rank not in {str(number) for number, _ in RANKS}:
        raise Http404("That is no priority.")
    done = lifecycle.set_priority([job_id], int(rank), actor=actor(request))
    tell(request, bool(done), f"The priority is {rank} now.", "The job does not wait.")


def _delete(request: HttpRequest, job_id: UUID) -> HttpResponse | None:
    answer = lifecycle.remove([job_id], actor=actor(request))
    tell(request, bool(answer.removed), "The job is deleted.", f"Not deleted: {answer.skipped.get(job_id, '')}.")
    return redirect("dashboard:jobs") if answer.removed else None


def _run_again(request: HttpRequest, job_id: UUID) -> HttpResponse | None:
    """With the same payload. What followed the old job does not follow the new one."""
    if job_or_404(job_id).type == bulk.TYPE:
        messages.warning(request, "A bulk operation is started from the list of jobs.")
        return None
    made = lifecycle.rerun([job_id], actor=actor(request)).get(job_id)
    tell(request, made is not None, "This is the new job.", "Not run again: it is active, or another job has its key.")
    return redirect("dashboard:job", made) if made else None


def _reason(request: HttpRequest) -> str:
    return request.POST.get("reason", "")[:500]


ACTIONS: dict[str, tuple[str, Callable[[HttpRequest, UUID], HttpResponse | None]]] = {
    "cancel": ("jobs.cancel_job", _cancel),
    "retry": ("jobs.retry_job", _retry),
    "run-now": ("jobs.change_job", _run_now),
    "priority": ("jobs.change_job", _set_priority),
    "delete": ("jobs.delete_job", _delete),
    "run-again": ("jobs.add_job", _run_again),
}
