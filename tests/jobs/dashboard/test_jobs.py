"""The list of jobs: tabs, query bar, pages, and what may be done to what it shows."""

from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest
from django.test import Client
from django.urls import reverse
from pytest_django import DjangoAssertNumQueries

from jobs.dashboard import joblist
from jobs.models import Event, Job, Status
from tests.jobs.admin.conftest import told
from tests.jobs.rows import enqueued, job_in, row, statuses

ADDRESS = "/jobs/"
SELECTED = "/jobs/selected"
VIEW = "jobs.view_job"
NEEDED = {
    "retry": "jobs.retry_job",
    "cancel": "jobs.cancel_job",
    "delete": "jobs.delete_job",
    "priority": "jobs.change_job",
}
Staff = Callable[..., Client]


def listed(page: Any) -> list[UUID]:
    return [job.id for job, _ in page.context["rows"]]


def test_without_jobs_it_says_so(operator: Client) -> None:
    assert "There is no job yet" in operator.get(ADDRESS).content.decode()
    assert "No job fits" in operator.get(ADDRESS, {"q": "type:x"}).content.decode()


def test_tabs_count_and_lead_to_each_status(operator: Client) -> None:
    jobs = {status: job_in(status, tags=["a"]) for status in Status}
    page = operator.get(ADDRESS)
    tabs = page.context["tabs"]
    assert [(tab.words, tab.number.number, tab.current) for tab in tabs] == [
        ("All", 6, True),
        ("Scheduled", 1, False),
        ("Waiting", 1, False),
        ("Running", 1, False),
        ("Completed", 1, False),
        ("Failed", 1, False),
        ("Cancelled", 1, False),
    ]
    for tab, status in zip(tabs[1:], Status, strict=True):
        found = operator.get(tab.address)
        assert listed(found) == [jobs[status]]
        assert [each.words for each in found.context["tabs"] if each.current] == [tab.words]
    of_a_query = operator.get(ADDRESS, {"q": "tag:a -type:x"}).context["tabs"]
    assert of_a_query[5].address == "/jobs/?q=tag%3Aa+-type%3Ax+status%3Afailed"
    assert [tab.number.number for tab in of_a_query] == [6, 1, 1, 1, 1, 1, 1]
    mixed = operator.get(ADDRESS, {"q": "status:failed,cancelled"})
    assert not any(tab.current for tab in mixed.context["tabs"])


def test_what_was_not_understood_is_said_at_the_query(operator: Client) -> None:
    text = operator.get(ADDRESS, {"q": "colour:<b>"}).content.decode()
    assert "The query was not understood." in text
    assert 'aria-invalid="true"' in text
    assert "colour:&lt;b&gt;" in text
    assert "<b>" not in text


def test_pages(operator: Client, django_assert_max_num_queries: DjangoAssertNumQueries) -> None:
    ids = [enqueued(type="sing").id for _ in range(55)]
    with django_assert_max_num_queries(20):
        first = operator.get(ADDRESS, {"q": "type:sing"})
    assert listed(first) == ids[:4:-1]
    second = operator.get(ADDRESS, {"q": "type:sing", "after": first.context["page"].next})
    assert listed(second) == ids[4::-1]
    assert "First page" in second.content.decode()


def test_a_search_without_an_index_tells_how_far_it_looked(operator: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jobs.search.pages.WINDOW", 2)
    for _ in range(3):
        enqueued()
    text = operator.get(ADDRESS, {"q": "attempt:7"}).content.decode()
    assert "None of the 2 jobs that were looked at fits." in text
    assert "Look further" in text


def test_each_status_has_columns_of_its_own(operator: Client) -> None:
    job_in(Status.FAILED)
    text = operator.get(ADDRESS, {"q": "status:failed"}).content.decode()
    assert "the set fell down" in text
    assert "/jobs/errors/" in text
    for status in Status:
        job_in(status)
        assert operator.get(ADDRESS, {"q": f"status:{status}"}).status_code == 200
    assert "In the order in which they will run" not in text


def test_hostile_rows_are_shown_as_text(operator: Client) -> None:
    enqueued(type="<script>x</script>", tags=['"><script>'], queue="default")
    text = operator.get(ADDRESS).content.decode()
    assert "<script>x" not in text
    assert '"><script>' not in text


def test_buttons_are_there_for_those_who_may_press_them(operator: Client, as_staff: Staff) -> None:
    for status in Status:
        job_in(status)
    assert [str(action) for action in operator.get(ADDRESS).context["actions"]] == list(NEEDED)
    failed = operator.get(ADDRESS, {"q": "status:failed"}).context["actions"]
    assert [str(action) for action in failed] == ["retry", "delete"]
    reader = as_staff(VIEW).get(ADDRESS)
    assert reader.context["actions"] == []
    assert b'<form method="post" action="/jobs/' not in reader.content
    assert b'type="checkbox"' not in reader.content


@pytest.mark.parametrize("action", NEEDED)
def test_what_was_ticked_needs_the_permission(action: str, as_staff: Staff) -> None:
    job = job_in(Status.FAILED)
    others = [permission for name, permission in NEEDED.items() if name != action]
    data = {"action": action, "job": [str(job)], "new_priority": "9"}
    assert as_staff(VIEW, *others).post(SELECTED, data).status_code == 403
    assert as_staff(NEEDED[action]).post(SELECTED, data).status_code == 403  # who may not see jobs
    assert as_staff(VIEW, NEEDED[action]).post(SELECTED, data).status_code == 302
    assert Client().post(SELECTED, data).headers["Location"].startswith("/admin/login/")
    assert Client(enforce_csrf_checks=True).post(SELECTED, data).status_code == 403


def test_ticked_jobs_are_retried_at_once(operator: Client) -> None:
    first, second, done = job_in(Status.FAILED), job_in(Status.CANCELLED), job_in(Status.COMPLETED)
    data = {"action": "retry", "job": [str(first), str(second), str(done)], "next": "/jobs/?q=status:failed"}
    answer = operator.post(SELECTED, data, follow=True)
    assert answer.redirect_chain == [("/jobs/?q=status:failed", 302)]
    assert told(answer) == ["2 jobs retried.", "1 job could not be retried: it is completed."]
    assert statuses(first, second, done) == ["pending", "pending", "completed"]
    assert set(Event.objects.values_list("kind", "actor")) == {("retried", "ada")}


def test_ticked_jobs_are_cancelled_deleted_and_changed(operator: Client) -> None:
    first, second, third = (enqueued().id for _ in range(3))
    operator.post(SELECTED, {"action": "cancel", "job": [str(first)]})
    operator.post(SELECTED, {"action": "delete", "job": [str(second)]})
    operator.post(SELECTED, {"action": "priority", "job": [str(third)], "new_priority": "9"})
    assert statuses(first) == ["cancelled"]
    assert not Job.objects.filter(id=second).exists()
    assert row(third).priority == 9


@pytest.mark.parametrize(
    "data",
    [
        {"action": "explode"},
        {"action": "retry", "job": ["x"]},
        {"action": "priority", "job": [], "new_priority": "11"},
        {},
    ],
)
def test_nonsense_is_refused(data: dict[str, Any], operator: Client) -> None:
    assert operator.post(SELECTED, data).status_code == 404


def test_nothing_ticked(operator: Client) -> None:
    assert told(operator.post(SELECTED, {"action": "retry"}, follow=True)) == ["No job was ticked."]
    assert operator.get(SELECTED).headers["Location"] == ADDRESS


def test_all_that_match_is_a_bulk_operation_after_a_look(operator: Client) -> None:
    jobs = [job_in(Status.FAILED, tags=["a"]) for _ in range(3)]
    answer = operator.post(SELECTED, {"action": "retry", "all": "1", "q": "tag:a", "job": [str(jobs[0])]})
    assert answer.headers["Location"] == "/jobs/bulk?action=retry&q=tag%3Aa"
    page = operator.get(answer.headers["Location"])
    assert "Retry 3 jobs?" in page.content.decode()
    assert statuses(*jobs) == ["failed"] * 3
    started = operator.post(answer.headers["Location"], {"reason": "mended"})
    operation = Job.objects.get(type="bulk_operation")
    assert started.headers["Location"] == reverse("dashboard:job", args=[operation.id])
    assert {name: operation.payload[name] for name in ("action", "query", "actor", "reason")} == {
        "action": "retry",
        "query": "tag:a",
        "actor": "ada",
        "reason": "mended",
    }


def test_a_bulk_operation_asks_what_it_needs(operator: Client, as_staff: Staff) -> None:
    enqueued(tags=["a"])
    address = "/jobs/bulk?action=priority&q=tag:a"
    assert b"new_priority" in operator.get(address).content
    assert operator.post(address, {"new_priority": "70"}).status_code == 200
    assert operator.post(address, {"new_priority": "7"}).status_code == 302
    assert Job.objects.get(type="bulk_operation").payload["newPriority"] == 7
    assert as_staff(VIEW).get(address).status_code == 403
    assert as_staff(VIEW).post(address, {"new_priority": "7"}).status_code == 403
    assert operator.get("/jobs/bulk?action=explode").status_code == 404
    nothing = operator.get("/jobs/bulk?action=retry&q=tag:a").content.decode()
    assert "Nothing to do" in nothing
    wrong = operator.get("/jobs/bulk?action=retry&q=colour:red", follow=True)
    assert told(wrong)[0].startswith("The query was not understood.")


def test_every_status_has_a_tab() -> None:
    assert set(joblist.TABS) == {None, *Status}
