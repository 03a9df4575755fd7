"""Kinds of errors: the list, one of them, and what operators do about it."""

from collections.abc import Callable
from datetime import timedelta
from uuid import UUID

import pytest
from django.test import Client
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from jobs import rollups
from jobs.lifecycle import Error, Verb
from jobs.models import ErrorGroup, ErrorRollup, Event, Failure, Job, Period
from tests.jobs.admin.conftest import told
from tests.jobs.rows import ended, started

LIST = "/jobs/errors"


def failed(error: str, message: str = "no", type_name: str = "refuse_guest") -> UUID:
    run = started(type=type_name)
    ended(run, Verb.FAIL, error=Error(error, message, "Traceback: <module>", "retryable"))
    return run.id


def group_of(job: UUID, *, count: int = 1, age: timedelta = timedelta(0), **fields: object) -> ErrorGroup:
    """As the sweep writes it."""
    failure = Failure.objects.get(job=job)
    seen = timezone.now() - age
    for period in Period:
        at = rollups.floor(seen, period)
        kind = {"fingerprint": failure.fingerprint, "type": failure.job.type, "error": failure.error}
        ErrorRollup.objects.create(period=period, at=at, classification="retryable", count=count, **kind)
    plain = {"message": failure.message, "sample": job, "count": count, "first_seen_at": seen, "last_seen_at": seen}
    return ErrorGroup.objects.create(**{**kind, **plain, **fields})


def shown(page: object) -> list[str]:
    return [found.group.error for found in page.context["groups"]]  # type: ignore[attr-defined]


def test_without_errors_all_is_well(operator: Client) -> None:
    assert b"No errors in this time." in operator.get(LIST).content


def test_the_list_filters_by_state_range_and_type(
    operator: Client, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    group_of(failed("KeyError", "<script>alert(1)</script>"), count=1234)
    group_of(failed("ReadTimeout", type_name="greet_guest"), age=timedelta(days=3))
    group_of(failed("OSError"), resolved_at=timezone.now(), resolved_by="grace")
    with django_assert_max_num_queries(8):
        page = operator.get(LIST)
    text = page.content.decode()
    assert shown(page) == ["KeyError", "ReadTimeout"]
    assert "&lt;script&gt;alert(1)" in text
    assert f'<a href="/jobs/?q=error%3A{page.context["groups"][0].group.pk}">1,234</a>' in text
    assert text.count(">new<") == 1
    assert shown(operator.get(LIST, {"range": "24h"})) == ["KeyError"]
    assert shown(operator.get(LIST, {"state": "resolved"})) == ["OSError"]
    assert len(shown(operator.get(LIST, {"state": "all", "range": "ever"}))) == 3
    assert shown(operator.get(LIST, {"type": "greet_guest"})) == ["ReadTimeout"]
    assert shown(operator.get(LIST, {"range": "x", "state": "x", "cursor": "x"})) == ["KeyError", "ReadTimeout"]


def test_pages_go_on_where_the_last_one_ended(operator: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jobs.dashboard.errors.SHOWN", 2)
    for number in range(5):
        group_of(failed(f"Error{number}"), age=timedelta(minutes=number))
    seen: list[str] = []
    cursor: dict[str, str] = {}
    for _ in range(3):
        page = operator.get(LIST, cursor)
        seen += shown(page)
        cursor = {"cursor": page.context["next"]}
    assert seen == [f"Error{number}" for number in range(5)]
    assert cursor == {"cursor": None}


def test_one_shows_its_sample_and_newest_failures(
    operator: Client, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    jobs = [failed("KeyError") for _ in range(3)]
    group = group_of(jobs[-1], count=3)
    with django_assert_max_num_queries(16):
        page = operator.get(f"{LIST}/{group.pk}")
    text = page.content.decode()
    assert "Traceback: &lt;module&gt;" in text
    assert all(f'href="/jobs/{job}"' in text for job in jobs)
    assert f'href="/jobs/?q=error%3A{group.pk}+status%3Afailed"' in text
    assert operator.get(f"{LIST}/nosuch").status_code == 404


def test_one_whose_jobs_are_gone_still_has_a_page(operator: Client) -> None:
    group = group_of(failed("KeyError"))
    Failure.objects.all().delete()
    assert b"no longer kept" in operator.get(f"{LIST}/{group.pk}").content


def test_retrying_all_starts_an_operation_and_goes_to_its_page(operator: Client) -> None:
    group = group_of(failed("KeyError"))
    answer = operator.post(f"{LIST}/{group.pk}/retry", {"reason": "the site is back"})
    operation = Job.objects.get(type="bulk_operation")
    assert answer.headers["Location"] == f"/jobs/{operation.id}"
    assert operation.payload["query"] == f"error:{group.pk} status:failed"
    event = Event.objects.get(job=operation)
    assert (event.actor, event.reason) == ("ada", "the site is back")


def test_resolving_and_reopening(operator: Client) -> None:
    group = group_of(failed("KeyError"))
    page = operator.post(f"{LIST}/{group.pk}/resolve", follow=True)
    assert told(page) == ["Resolved. It opens again when a job fails with it."]
    assert b"Resolved by ada" in page.content
    assert told(operator.post(f"{LIST}/{group.pk}/resolve", follow=True)) == ["It was resolved already."]
    assert told(operator.post(f"{LIST}/{group.pk}/reopen", {"next": LIST}, follow=True)) == ["Open again."]
    assert told(operator.post(f"{LIST}/{group.pk}/reopen", follow=True)) == ["It was open."]
    assert list(Event.objects.filter(job=None).values_list("kind", "actor").order_by("id")) == [
        ("resolved", "ada"),
        ("reopened", "ada"),
    ]


@pytest.mark.parametrize(
    ("action", "permission"),
    [("retry", "jobs.retry_job"), ("resolve", "jobs.change_errorgroup"), ("reopen", "jobs.change_errorgroup")],
)
def test_buttons_and_actions_are_for_those_who_may(
    action: str, permission: str, as_staff: Callable[..., Client]
) -> None:
    group = group_of(failed("KeyError"), resolved_at=timezone.now() if action == "reopen" else None)
    address = f"{LIST}/{group.pk}/{action}"
    reader = as_staff("jobs.view_job")
    assert address not in reader.get(f"{LIST}/{group.pk}").content.decode()
    assert reader.post(address).status_code == 403
    allowed = as_staff("jobs.view_job", permission)
    assert address in allowed.get(f"{LIST}/{group.pk}").content.decode()
    assert allowed.get(address).status_code == 405
    assert allowed.post(address).status_code == 302
