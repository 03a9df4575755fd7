"""What an operator does to jobs, from the list and from a job's page."""

from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest
from django.test import Client

from jobs import lifecycle
from jobs.admin import job_actions
from jobs.models import Event, Job, Status
from jobs.processor import Enqueued, enqueue
from jobs.testing import perform
from tests.jobs.admin.conftest import told

LIST = "/admin/jobs/job/"
VIEW = "jobs.view_job"
NEEDED = {
    "retry_job": "jobs.retry_job",
    "cancel_job": "jobs.cancel_job",
    "prioritise_job": "jobs.change_job",
    "rerun_job": "jobs.add_job",
}
Staff = Callable[..., Client]


def waiting(**options: Any) -> Enqueued:
    return enqueue("greet_guest", {"guestName": "Ada"}, **options)


def running() -> Enqueued:
    job = waiting()
    lifecycle.claim_these([job.id], worker="far:1", lease=60)
    return job


def failed(**options: Any) -> Job:
    return perform(enqueue("refuse_guest", max_attempts=1, **options))


def choose(client: Client, action: str, *jobs: Job | Enqueued) -> list[str]:
    """Run an action of the list; returns what it said."""
    return told(client.post(LIST, {"action": action, "_selected_action": [job.id for job in jobs]}, follow=True))


def confirm(client: Client, action: str, job: Job | Enqueued | UUID, **fields: Any) -> Any:
    """Open the dialog of a button on a job's page, and submit it."""
    address = f"{LIST}{getattr(job, 'id', job)}/{action}/"
    client.get(address)
    return client.post(address, {"_form_submitted": "1", **fields})


def status(job: Job | Enqueued) -> str:
    return Job.objects.get(id=job.id).status


def test_selected_jobs_are_retried_and_the_others_explained(operator: Client) -> None:
    jobs: list[Job | Enqueued] = [failed(), failed(), running(), perform(waiting())]
    assert choose(operator, "retry_jobs", *jobs) == [
        "2 jobs retried.",
        "2 skipped: it is completed (1); it is processing (1).",
    ]
    assert [status(job) for job in jobs] == ["pending", "pending", "processing", "completed"]
    assert {event.actor for event in Event.objects.all()} == {"ada"}


def test_selected_jobs_are_cancelled(operator: Client) -> None:
    jobs: list[Job | Enqueued] = [waiting(), waiting(delay=60), running(), failed()]
    assert choose(operator, "cancel_jobs", *jobs) == [
        "3 jobs cancelled (1 of them run and were asked to stop).",
        "1 skipped: it has ended (1).",
    ]
    assert [status(job) for job in jobs] == ["cancelled", "cancelled", "processing", "failed"]


def test_selected_jobs_are_run_again_as_new_ones(operator: Client) -> None:
    done, busy, taken = perform(waiting()), waiting(), failed(unique_key="seat 7")
    enqueue("refuse_guest", unique_key="seat 7")
    assert choose(operator, "rerun_jobs", done, busy, taken) == [
        "1 job re-run.",
        "2 skipped: an active job has its unique key (1); it is pending (1).",
    ]
    copy = Job.objects.get(parent=done.id)
    assert (copy.payload, copy.status, copy.created_by) == (done.payload, Status.PENDING, "ada")


def test_selected_jobs_are_given_another_priority(operator: Client) -> None:
    jobs = [waiting(), running()]
    assert choose(operator, "priority_critical", *jobs) == [
        "1 job given priority 10.",
        "1 skipped: it does not wait (1).",
    ]
    assert [Job.objects.get(id=job.id).priority for job in jobs] == [10, 5]


def test_a_large_selection_is_taken_in_parts(operator: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job_actions, "AT_ONCE", 2)
    jobs = [waiting() for _ in range(3)]
    assert choose(operator, "cancel_jobs", *jobs) == [
        "2 jobs cancelled.",
        "Only the first 2 were looked at: run it again for the rest.",
    ]


def test_actions_ask_for_their_permissions(as_staff: Staff) -> None:
    def offered(*permissions: str) -> set[str]:
        choices = as_staff(*permissions).get(LIST).context["action_form"]
        return {name.partition("_")[0] for name, _ in choices.fields["action"].choices if name} if choices else set()

    waiting()
    assert offered(VIEW) == set()
    assert offered(VIEW, "jobs.retry_job") == {"retry"}
    assert offered(VIEW, "jobs.cancel_job") == {"cancel"}
    assert offered(VIEW, "jobs.change_job") == {"priority"}
    assert offered(VIEW, "jobs.add_job") == {"rerun"}


def test_an_action_that_is_not_offered_does_nothing(as_staff: Staff) -> None:
    job = waiting()
    choose(as_staff(VIEW, "jobs.retry_job"), "cancel_jobs", job)
    assert status(job) == "pending"


def buttons(client: Client, job: Job | Enqueued) -> set[str]:
    actions = client.get(f"{LIST}{job.id}/change/").context["actions_detail"]
    return {action["title"] for action in actions}


def test_a_jobs_page_has_the_buttons_that_make_sense(operator: Client, as_staff: Staff) -> None:
    assert buttons(operator, waiting()) == {"Cancel", "Priority"}
    assert buttons(operator, running()) == {"Cancel"}
    assert buttons(operator, failed()) == {"Retry", "Re-run"}
    assert buttons(operator, perform(waiting())) == {"Re-run"}
    assert buttons(as_staff(VIEW), failed()) == set()


def test_a_button_is_confirmed_with_a_reason(operator: Client) -> None:
    job = waiting()
    response = confirm(operator, "cancel_job", job, reason="no guests today")
    assert response["HX-Redirect"] == f"{LIST}{job.id}/change/"
    assert status(job) == "cancelled"
    assert Event.objects.get().reason == "no guests today"
    assert told(operator.get(LIST)) == ["1 job cancelled."]


def test_opening_the_dialog_changes_nothing(operator: Client) -> None:
    job = waiting()
    assert operator.get(f"{LIST}{job.id}/cancel_job/").status_code == 200
    assert status(job) == "pending"


def test_a_dialog_needs_its_csrf_token(operator: Client) -> None:
    job = waiting()
    strict = Client(enforce_csrf_checks=True)
    strict.cookies = operator.cookies
    assert strict.post(f"{LIST}{job.id}/cancel_job/", {"_form_submitted": "1"}).status_code == 403
    assert status(job) == "pending"


def test_the_other_buttons_work_too(operator: Client) -> None:
    job, other = failed(), waiting()
    confirm(operator, "retry_job", job, reason="again")
    assert status(job) == "pending"
    confirm(operator, "prioritise_job", other, priority="8")
    assert Job.objects.get(id=other.id).priority == 8
    perform(other)
    confirm(operator, "rerun_job", other)
    assert Job.objects.filter(parent=other.id).count() == 1


def test_a_wrong_priority_is_told_in_the_dialog(operator: Client) -> None:
    job = waiting()
    response = confirm(operator, "prioritise_job", job, priority="11")
    assert "11 is not one of the available choices" in response.content.decode()
    assert Job.objects.get(id=job.id).priority == 5


@pytest.mark.parametrize("action", NEEDED)
def test_a_button_asks_for_its_permission(as_staff: Staff, action: str) -> None:
    job = waiting()
    others = set(NEEDED.values()) - {NEEDED[action]}
    assert confirm(as_staff(VIEW, *others), action, job, reason="", priority="8").status_code == 403
    assert confirm(as_staff(VIEW, NEEDED[action]), action, job, reason="", priority="8").status_code != 403


def test_a_button_of_no_job_is_not_found(operator: Client) -> None:
    assert operator.post(f"{LIST}7/cancel_job/", {"_form_submitted": "1"}).status_code == 404
