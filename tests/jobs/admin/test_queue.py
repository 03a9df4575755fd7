"""Queues in the admin."""

from collections.abc import Callable

import pytest
from django.test import Client
from pytest_django import DjangoAssertNumQueries

from jobs import lifecycle
from jobs.models import Event, Queue
from jobs.processor import enqueue
from tests.jobs.admin.conftest import told

LIST = "/admin/jobs/queue/"
Staff = Callable[..., Client]


def test_the_list_shows_depths_and_states(operator: Client, django_assert_num_queries: DjangoAssertNumQueries) -> None:
    running = enqueue("greet_guest", {"guestName": "Ada"})
    lifecycle.claim_these([running.id], worker="far:1", lease=60)
    enqueue("greet_guest", {"guestName": "Grace"})
    lifecycle.pause("cpu", actor="ada", reason="maintenance")
    operator.get(LIST)
    with django_assert_num_queries(4):
        rows = {queue.name: queue for queue in operator.get(LIST).context["cl"].result_list}
    assert (rows["default"].waiting, rows["default"].running) == (1, 1)
    assert (rows["cpu"].waiting, rows["cpu"].running, rows["cpu"].reason) == (0, 0, "maintenance")


def test_selected_queues_are_paused_and_resumed(operator: Client) -> None:
    chosen = {"_selected_action": ["cpu", "default"]}
    assert told(operator.post(LIST, {"action": "pause_queues", **chosen}, follow=True)) == ["Paused: cpu, default."]
    assert told(operator.post(LIST, {"action": "pause_queues", **chosen}, follow=True)) == ["Nothing to do."]
    assert set(Queue.objects.filter(paused_by="ada").values_list("name", flat=True)) == {"cpu", "default"}
    assert told(operator.post(LIST, {"action": "resume_queues", **chosen}, follow=True)) == ["Resumed: cpu, default."]
    assert not Queue.objects.filter(paused_at__isnull=False).exists()


def test_a_queue_is_paused_with_a_reason(operator: Client) -> None:
    operator.post(f"{LIST}default/pause_queue/", {"_form_submitted": "1", "reason": "upstream is down"})
    assert Queue.objects.get(name="default").reason == "upstream is down"
    titles = [action["title"] for action in operator.get(f"{LIST}default/change/").context["actions_detail"]]
    assert titles == ["Resume"]
    operator.post(f"{LIST}default/resume_queue/", {"_form_submitted": "1"})
    assert Queue.objects.get(name="default").paused_at is None


def test_the_limit_is_changed_and_the_change_is_told(operator: Client) -> None:
    Queue.objects.filter(name="default").update(max_running=3)
    page = f"{LIST}default/change/"
    operator.post(page, {"max_running": "7"})
    operator.post(page, {"max_running": "7"})
    assert Queue.objects.get(name="default").max_running == 7
    event = Event.objects.get()
    assert (event.queue, event.actor, event.before, event.after) == (
        "default",
        "ada",
        {"max_running": 3},
        {"max_running": 7},
    )


def test_a_pause_that_came_meanwhile_is_kept(operator: Client) -> None:
    page = f"{LIST}default/change/"
    operator.get(page)
    lifecycle.pause("default", actor="grace")
    operator.post(page, {"max_running": ""})
    assert Queue.objects.get(name="default").paused_by == "grace"


def test_queues_are_neither_added_nor_deleted(operator: Client) -> None:
    assert operator.get(f"{LIST}add/").status_code == 403
    assert operator.post(f"{LIST}default/delete/", {"post": "yes"}).status_code == 403


@pytest.mark.parametrize("path", ["default/pause_queue/", "default/resume_queue/", "default/change/"])
def test_changing_a_queue_needs_a_permission(as_staff: Staff, path: str) -> None:
    viewer = as_staff("jobs.view_queue")
    assert viewer.get(LIST).status_code == 200
    assert viewer.post(LIST + path, {"_form_submitted": "1"}).status_code == 403
