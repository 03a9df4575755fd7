"""The list of jobs and the page of one."""

from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest
from django.test import Client
from django.urls import reverse
from pytest_django import DjangoAssertNumQueries

from jobs import lifecycle, metrics
from jobs.admin.job import DELETED_AT_ONCE
from jobs.models import BatchItem, Chord, Event, Failure, Job
from jobs.processor import Enqueued, enqueue
from jobs.testing import perform
from tests.jobs.admin.conftest import told

LIST = "/admin/jobs/job/"
VIEW, DELETE = "jobs.view_job", "jobs.delete_job"
Staff = Callable[..., Client]


def page(job: Job | Enqueued) -> str:
    return reverse("admin:jobs_job_change", args=[job.id])


def greet(name: str = "Ada", **options: Any) -> Enqueued:
    return enqueue("greet_guest", {"guestName": name, "apiToken": "s3cret"}, **options)


def refused(reason: str = "full", **options: Any) -> Job:
    return perform(enqueue("refuse_guest", {"reason": reason}, max_attempts=1, **options))


def found(client: Client, query: str) -> set[UUID]:
    return {job.pk for job in client.get(LIST + query).context["cl"].result_list}


def test_every_kind_of_job_is_listed(operator: Client) -> None:
    running, done, failed, later = greet(), perform(greet()), refused(), greet(delay=60)
    lifecycle.claim_these([running.id], worker="far:1", lease=60)
    response = operator.get(LIST)
    assert [job.pk for job in response.context["cl"].result_list] == [later.id, failed.id, done.id, running.id]
    assert [status in response.content.decode() for status in ("processing", "completed", "failed", "scheduled")]


def test_the_list_asks_as_much_for_many_jobs_as_for_one(
    operator: Client, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    greet()
    operator.get(LIST)  # content types, once
    with django_assert_num_queries(5) as for_one:
        operator.get(LIST)
    for _ in range(5):
        greet()
        refused()
    with django_assert_num_queries(len(for_one)) as for_many:
        operator.get(LIST)
    rows = [query["sql"] for query in for_many if "ORDER BY" in query["sql"] and "jobs_job" in query["sql"]]
    assert len(rows) == 1
    assert '"payload"' not in rows[0]


def test_the_list_counts_no_further_than_the_limit(operator: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics, "COUNT_LIMIT", 3)
    for _ in range(5):
        greet()
    assert operator.get(LIST).context["cl"].result_count == 3


@pytest.mark.parametrize("term", ["id", "id[:13]", "id without hyphens", "seat 7", "vip", "type"])
def test_a_job_is_found_by_what_identifies_it(operator: Client, term: str) -> None:
    enqueue("refuse_guest")
    job = greet(unique_key="seat 7", tags=["vip", "evening"])
    terms = {
        "id": job.id,
        "id[:13]": str(job.id)[:35],
        "id without hyphens": job.id.hex,
        "type": "greet-guest",
    }
    assert found(operator, f"?q={terms.get(term, term)}") == {job.id}


@pytest.mark.parametrize("term", ["nobody", "%27%3B--", "x" * 500, "f" * 33])
def test_what_is_not_there_is_not_found(operator: Client, term: str) -> None:
    greet()
    assert found(operator, f"?q={term}") == set()


def test_the_list_is_filtered_by_status_queue_and_type(operator: Client) -> None:
    waiting, failed = greet(queue="cpu"), refused()
    assert found(operator, "?status__exact=failed") == {failed.id}
    assert found(operator, "?queue=cpu") == {waiting.id, failed.id}
    assert found(operator, "?queue=default") == set()
    assert found(operator, "?type=greet_guest") == {waiting.id}


def test_the_page_shows_the_job_with_its_secrets_hidden(operator: Client) -> None:
    job = perform(greet("<script>Ada</script>", tags=["vip"]))
    html = operator.get(page(job)).content.decode()
    assert "&lt;script&gt;Ada&lt;/script&gt;" in html
    assert "<script>Ada" not in html
    assert "s3cret" not in html
    assert "Hello &lt;script&gt;" in html
    assert "Save" not in html


def test_the_page_shows_failures_and_events(operator: Client) -> None:
    job = refused("<b>full</b>")
    lifecycle.retry([job.id], actor="grace", reason="a guest left")
    html = operator.get(page(job)).content.decode()
    for text in ("&lt;b&gt;full&lt;/b&gt;", "raise ValueError(payload.reason)", "Retryable", "grace", "a guest left"):
        assert text in html
    assert "<b>full" not in html


def test_the_page_links_parent_and_children(operator: Client) -> None:
    old = refused()
    new = lifecycle.rerun([old.id], actor="ada")[old.id]
    assert page(Job(id=new)) in operator.get(page(old)).content.decode()
    assert page(old) in operator.get(page(Job(id=new))).content.decode()


def test_the_page_asks_as_much_for_many_failures_as_for_one(
    operator: Client, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    one, many = refused(), refused()
    Failure.objects.bulk_create(
        Failure(job=many, run=run, attempt=1, error="E", classification="retryable", fingerprint="")
        for run in range(2, 9)
    )
    Event.objects.bulk_create(Event(job=job, kind="noted", actor="x") for job in [one] + [many] * 9)
    for number in range(5):
        Job.objects.create(type="greet_guest", queue="default", parent=many.id, unique_key=str(number))
    operator.get(page(one))
    with django_assert_num_queries(10) as for_one:
        operator.get(page(one))
    with django_assert_num_queries(len(for_one)):
        operator.get(page(many))


def test_an_unknown_job_leads_back(operator: Client) -> None:
    response = operator.get("/admin/jobs/job/00000000-0000-0000-0000-000000000000/change/")
    assert response["Location"] == "/admin/"
    assert operator.get("/admin/jobs/job/7/change/").status_code == 404


def test_nobody_adds_or_edits_jobs(operator: Client) -> None:
    job = greet()
    assert operator.get("/admin/jobs/job/add/").status_code == 403
    assert operator.post(page(job), {"priority": 1}).status_code == 403


def test_looking_needs_a_permission(as_staff: Staff) -> None:
    job = greet()
    assert as_staff().get(LIST).status_code == 403
    assert as_staff("jobs.view_queue").get(page(job)).status_code == 403
    viewer = as_staff(VIEW)
    assert viewer.get(LIST).status_code == 200
    assert viewer.get(page(job)).status_code == 200


def test_who_may_see_a_job_sees_its_failures_too(as_staff: Staff) -> None:
    assert "raise ValueError(payload.reason)" in as_staff(VIEW).get(page(refused())).content.decode()


def delete(client: Client, job: Job | Enqueued) -> Any:
    return client.post(reverse("admin:jobs_job_delete", args=[job.id]), {"post": "yes"})


def test_a_finished_job_is_deleted_with_what_belongs_to_it(as_staff: Staff) -> None:
    job = refused()
    BatchItem.objects.create(job=job.id, key="a")
    assert delete(as_staff(VIEW, DELETE), job).status_code == 302
    assert not any(model.objects.exists() for model in (BatchItem, Failure, Job))
    assert [(event.kind, event.job_id) for event in Event.objects.all()] == [("removed", None)]


def test_deleting_needs_a_permission_and_a_finished_job(as_staff: Staff) -> None:
    assert delete(as_staff(VIEW, "jobs.change_job"), refused()).status_code == 403
    assert delete(as_staff(VIEW, DELETE), greet()).status_code == 403
    assert Job.objects.count() == 2


def test_of_a_selection_with_an_active_job_nothing_is_deleted(as_staff: Staff) -> None:
    client, ids = as_staff(VIEW, DELETE), [refused().id, greet().id]
    selection = {"action": "delete_selected", "_selected_action": ids, "post": "yes"}
    response = client.post(LIST, selection)
    assert "greet_guest" in response.content.decode()
    assert Job.objects.count() == 2

    client.post(LIST, {**selection, "_selected_action": ids[:1]})
    assert [job.id for job in Job.objects.all()] == ids[1:]


def test_a_member_of_an_unfinished_chord_is_not_deleted(operator: Client) -> None:
    job = refused()
    Chord.objects.create(id=job.id, size=2, body=[])
    Job.objects.update(group=job.id)
    delete(operator, job)
    assert Job.objects.exists()
    Chord.objects.all().delete()
    delete(operator, job)
    assert not Job.objects.exists()


def test_so_many_are_deleted_at_once_as_the_form_can_name(operator: Client) -> None:
    ids = [greet().id for _ in range(DELETED_AT_ONCE + 1)]
    lifecycle.cancel(ids, actor="ada")
    everything = {"action": "delete_selected", "select_across": "1", "_selected_action": ids[:1]}
    confirm = operator.post(LIST, everything)
    assert told(confirm)[0].startswith("These are the first 500.")
    named = [job.pk for job in confirm.context["queryset"]]
    operator.post(LIST, {"action": "delete_selected", "_selected_action": named, "post": "yes"})
    assert Job.objects.count() == 1
