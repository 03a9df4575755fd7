"""A new job, and an old one again with another payload."""

import json
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, urlsplit

from django.test import Client

from jobs import bulk
from jobs.models import Event, Job
from jobs.processor import enqueue
from jobs.testing import perform
from tests.jobs.admin.conftest import told
from tests.jobs.rows import enqueued

Staff = Callable[..., Client]
NEW = "/jobs/new"
GREET = {"payload-guestName": "Bob", "payload-times": "2", "payload-apiToken": "sesame"}


def errors(page: Any, form: str = "payload") -> dict[str, list[str]]:
    assert page.status_code == 200
    return {name: list(map(str, told)) for name, told in page.context[form].errors.items()}


def test_the_types_to_choose_from(operator: Client) -> None:
    page = operator.get(NEW).content.decode()
    assert "/jobs/new?type=greet_guest" in page
    assert "Greet a guest." in page
    assert "/jobs/new?type=add_guests" in page
    assert "bulk_operation" not in page
    assert operator.get(NEW, {"type": "bulk_operation"}).status_code == 404
    assert operator.get(NEW, {"type": "unheard_of"}).status_code == 404


def test_a_job_is_enqueued(operator: Client) -> None:
    form = operator.get(NEW, {"type": "greet_guest"}).content.decode()
    assert "Guest name" in form
    options = {"options-priority": "9", "options-delay": "60", "options-tags": "a, b", "options-unique_key": "k"}
    answer = operator.post(f"{NEW}?type=greet_guest", GREET | options)
    job = Job.objects.get()
    assert answer.headers["Location"] == f"/jobs/{job.id}"
    assert job.payload == {"guestName": "Bob", "times": 2, "apiToken": "sesame"}
    assert (job.priority, job.status, job.tags, job.unique_key) == (9, "scheduled", ["a", "b"], "k")
    assert job.created_by == "ada"
    again = operator.post(f"{NEW}?type=greet_guest", GREET | options, follow=True)
    assert told(again)[-1] == "Nothing was enqueued: this job has the unique key already."


def test_what_is_wrong_stands_at_its_field(operator: Client) -> None:
    page = operator.post(f"{NEW}?type=greet_guest", GREET | {"payload-times": "99"})
    assert errors(page) == {"times": ["Ensure this value is less than or equal to 10."]}
    assert "sesame" not in page.content.decode()
    page = operator.post(f"{NEW}?type=greet_guest", GREET | {"options-tags": "x" * 101})
    assert list(errors(page, "options")) == ["tags"]
    assert Job.objects.count() == 0


def test_a_plain_task_and_json(operator: Client) -> None:
    operator.post(f"{NEW}?type=add_guests", {"payload-json": '{"args": [1], "kwargs": {"arriving": 2}}'})
    operator.post(f"{NEW}?type=greet_guest&as=json", {"payload-json": '{"guestName": "Eve"}'})
    assert [job.payload for job in Job.objects.order_by("id")] == [
        {"args": [1], "kwargs": {"arriving": 2}},
        {"guestName": "Eve", "times": 1, "apiToken": ""},
    ]
    page = operator.post(f"{NEW}?type=greet_guest&as=json", {"payload-json": "{"})
    assert errors(page) == {"json": ["Enter a valid JSON."]}


def test_a_schedule_begins_with_what_was_filled_in(operator: Client, as_staff: Staff) -> None:
    without = {**GREET, "payload-apiToken": "", "schedule": "1"}
    answer = operator.post(f"{NEW}?type=greet_guest", without)
    place = urlsplit(answer.headers["Location"])
    assert place.path == "/jobs/new-schedule"
    known = parse_qs(place.query)
    assert (known["type"], json.loads(known["payload"][0])["guestName"]) == (["greet_guest"], "Bob")
    assert 'value="Bob"' in operator.get(answer.headers["Location"]).content.decode()
    secret = operator.post(f"{NEW}?type=greet_guest", {**GREET, "schedule": "1"})
    assert secret.headers["Location"] == "/jobs/new-schedule?type=greet_guest"
    assert Job.objects.count() == 0
    some = as_staff("jobs.view_job", "jobs.add_job")
    assert some.post(f"{NEW}?type=greet_guest", without).status_code == 403


def test_edit_and_run_again(operator: Client) -> None:
    old = perform(enqueue("greet_guest", {"guestName": "Bob", "apiToken": "sesame"}, tags=["a"], priority=8))
    page = operator.get(f"/jobs/{old.id}/rerun").content.decode()
    assert 'value="Bob"' in page
    assert "sesame" not in page
    answer = operator.post(
        f"/jobs/{old.id}/rerun", {"payload-guestName": "Eve", "payload-times": "3", "payload-apiToken": ""}
    )
    new = Job.objects.get(parent=old.id)
    assert answer.headers["Location"] == f"/jobs/{new.id}"
    assert new.payload == {"guestName": "Eve", "times": 3, "apiToken": "sesame"}
    assert (new.tags, new.priority, new.created_by) == (["a"], 8, "ada")
    event = Event.objects.get(job=old.id)
    assert (event.kind, event.actor, event.after) == ("re-run", "ada", {"job": str(new.id)})
    wrong = operator.post(f"/jobs/{old.id}/rerun", {"payload-guestName": "", "payload-times": "3"})
    assert errors(wrong) == {"guestName": ["This field is required."]}


def test_what_cannot_be_run_again(operator: Client) -> None:
    active = enqueue("greet_guest", {"guestName": "Bob"}).id
    page = operator.post(f"/jobs/{active}/rerun", GREET)
    assert errors(page)["__all__"] == ["The job is pending: only one that has ended can be run again."]
    old = perform(enqueue("greet_guest", {"guestName": "Bob"}, unique_key="k"))
    enqueue("greet_guest", {"guestName": "Eve"}, unique_key="k")
    page = operator.post(f"/jobs/{old.id}/rerun", GREET)
    assert "has its unique key 'k'" in errors(page)["__all__"][0]
    assert operator.get(f"/jobs/{enqueued(type='forgotten').id}/rerun").status_code == 404
    assert operator.get(f"/jobs/{bulk.start('retry', '', 'ada').id}/rerun").status_code == 404


def test_who_may(as_staff: Staff) -> None:
    job = perform(enqueue("refuse_guest", max_attempts=1)).id
    for address in (NEW, f"/jobs/{job}/rerun"):
        assert as_staff("jobs.view_job").get(address).status_code == 403
        assert as_staff("jobs.view_job").post(address).status_code == 403
        assert as_staff("jobs.view_job", "jobs.add_job").get(address).status_code == 200
        assert Client().get(address).status_code == 302
        assert Client(enforce_csrf_checks=True).post(address).status_code == 403
