"""Who did what: filters, pages, words."""

from uuid import uuid4

import pytest
from django.test import Client
from pytest_django import DjangoAssertNumQueries

from jobs import lifecycle
from jobs.dashboard import audit
from jobs.models import Event, Status
from tests.jobs.rows import enqueued, job_in

ADDRESS = "/jobs/audit"


def test_without_any_it_says_what_will_be_there(operator: Client) -> None:
    assert b"Nobody has done anything yet" in operator.get(ADDRESS).content


def test_each_event_says_who_what_and_how_it_was_before(
    operator: Client, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    failed = job_in(Status.FAILED)
    lifecycle.retry([failed], actor="grace", reason="try <again>")
    lifecycle.set_limit("bgg", 7, actor="ada")
    Event.objects.create(schedule="nightly sync", kind="stopped", actor="ada")
    Event.objects.create(subject="error abc", kind="resolved", actor="ada")
    Event.objects.create(subject="intake", kind="refused", actor="intake", after=["odd"])
    with django_assert_max_num_queries(8):
        text = " ".join(operator.get(ADDRESS).content.decode().split())
    assert f'<a href="/jobs/{failed}">{failed}</a>' in text
    assert "try &lt;again&gt;" in text
    assert "failed → pending" in text
    assert "3 → 7" in text
    for page in ("/jobs/queues/bgg", "/jobs/schedules/nightly%20sync", "/jobs/errors/abc"):
        assert f'href="{page}"' in text
    assert "[&#x27;odd&#x27;]" in text


@pytest.mark.parametrize(
    ("query", "kinds"),
    [
        ({"actor": "ada"}, ["resumed", "paused"]),
        ({"kind": "paused"}, ["paused"]),
        ({"about": "bgg"}, ["resumed", "paused"]),
        ({"about": "worker io"}, ["drain requested"]),
        ({"about": "worker", "actor": "grace"}, ["drain requested"]),
        ({"about": "cpu"}, []),
        ({"about": str(uuid4())}, []),
        ({"before": "x"}, ["drain requested", "resumed", "paused"]),
    ],
)
def test_filters(db: None, query: dict[str, str], kinds: list[str]) -> None:
    lifecycle.pause("bgg", actor="ada")
    lifecycle.resume("bgg", actor="ada")
    Event.objects.create(subject="worker io@host:1", kind="drain requested", actor="grace")
    assert [event.kind for event in audit.matching(**query)] == kinds


def test_a_jobs_events_stay_found_after_it_was_removed(db: None) -> None:
    job = enqueued()
    lifecycle.remove([job.id], actor="ada")
    assert [event.kind for event in audit.matching(about=str(job.id))] == ["removed"]


def test_pages_go_on_where_the_last_one_ended(operator: Client) -> None:
    Event.objects.bulk_create(Event(queue="bgg", kind=f"kind {n}", actor="ada") for n in range(audit.PAGE + 10))
    first = operator.get(ADDRESS, {"about": "bgg"})
    older = first.context["older"]
    assert f"?about=bgg&amp;before={older}" in first.content.decode()
    second = operator.get(ADDRESS, {"about": "bgg", "before": older})
    kinds = [row["event"].kind for page in (first, second) for row in page.context["events"]]
    assert kinds == [f"kind {n}" for n in reversed(range(audit.PAGE + 10))]
    assert second.context["older"] is None
    assert b"hx-trigger" not in second.content  # what is older does not change


def test_an_unheard_of_filter_keeps_its_words(operator: Client) -> None:
    page = operator.get(ADDRESS, {"kind": "<none>", "actor": "nobody"}).content.decode()
    assert "Nothing that fits." in page
    assert "<option selected>&lt;none&gt;</option>" in page
