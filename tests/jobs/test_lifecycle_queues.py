from datetime import timedelta

import pytest
from pytest_django import DjangoCaptureOnCommitCallbacks

from jobs import lifecycle
from jobs.models import Event, Queue
from jobs.processor import pause_queue
from tests.jobs.rows import claim, enqueued, now, started, statuses

pytestmark = pytest.mark.django_db


def test_a_paused_queue_says_who_paused_it_and_why() -> None:
    assert lifecycle.pause("default", actor="ann", reason="the upstream moves")
    queue = Queue.objects.get(name="default")
    assert queue.paused_at is not None
    assert (queue.paused_by, queue.reason) == ("ann", "the upstream moves")
    event = Event.objects.get()
    assert (event.queue, event.kind, event.actor, event.reason) == ("default", "paused", "ann", "the upstream moves")


def test_a_pause_may_have_an_end() -> None:
    assert lifecycle.pause("default", actor="ann", until=now() + timedelta(hours=1))
    assert lifecycle.pause("cpu", actor="ann", until=now())
    assert Queue.objects.get(name="default").paused_until == now() + timedelta(hours=1)
    assert Event.objects.get(queue="cpu").after == {"until": now().isoformat()}
    assert lifecycle.resume_due() == 1
    assert set(Queue.objects.filter(paused_at__isnull=False).values_list("name", flat=True)) == {"default"}
    event = Event.objects.get(kind="resumed")
    assert (event.queue, event.actor, event.reason) == ("cpu", "upkeep", "the pause is over")
    assert lifecycle.resume_due() == 0


def test_a_pause_without_an_end_is_for_a_person_to_end() -> None:
    lifecycle.pause("default", actor="ann")
    assert lifecycle.resume_due() == 0


def test_a_queue_that_is_resumed_in_time_is_not_resumed_again() -> None:
    lifecycle.pause("default", actor="ann", until=now())
    lifecycle.resume("default", actor="bob")
    assert Queue.objects.get(name="default").paused_until is None
    assert lifecycle.resume_due() == 0


def test_the_end_of_a_pause_wakes_the_queue(django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks) -> None:
    lifecycle.pause("default", actor="ann", until=now())
    with django_capture_on_commit_callbacks() as wake_ups:
        lifecycle.resume_due()
    assert len(wake_ups) == 2  # and one to who looks at it


def test_a_limit_is_set_changed_and_lifted() -> None:
    assert [lifecycle.set_limit("default", limit, actor="ann") for limit in (3, 3, 5, None)] == [
        True,
        False,
        True,
        True,
    ]
    assert "default" not in lifecycle.limited_queues()
    changes = Event.objects.order_by("id").values_list("queue", "kind", "before__max_running", "after__max_running")
    assert list(changes) == [
        ("default", "limit changed", None, 3),
        ("default", "limit changed", 3, 5),
        ("default", "limit changed", 5, None),
    ]


def test_a_queue_that_does_not_exist_gets_no_limit() -> None:
    assert not lifecycle.set_limit("nowhere", 3, actor="ann")
    assert not Event.objects.exists()


def test_a_queue_is_paused_once() -> None:
    assert lifecycle.pause("default", actor="ann")
    assert not lifecycle.pause("default", actor="bob")
    assert Queue.objects.get(name="default").paused_by == "ann"
    assert Event.objects.count() == 1


def test_a_resumed_queue_is_as_before(django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks) -> None:
    lifecycle.pause("default", actor="ann", reason="x")
    with django_capture_on_commit_callbacks() as wake_ups:
        assert lifecycle.resume("default", actor="bob")
    queue = Queue.objects.get(name="default")
    assert (queue.paused_at, queue.paused_by, queue.reason) == (None, "", "")
    assert list(Event.objects.order_by("id").values_list("kind", "actor")) == [("paused", "ann"), ("resumed", "bob")]
    assert len(wake_ups) == 2  # and one to who looks at it


def test_a_queue_that_is_not_paused_is_not_resumed() -> None:
    assert not lifecycle.resume("default", actor="ann")
    assert Event.objects.count() == 0


def test_a_queue_that_does_not_exist_is_neither_paused_nor_resumed() -> None:
    assert not lifecycle.pause("nowhere", actor="ann")
    assert not lifecycle.resume("nowhere", actor="ann")
    assert Event.objects.count() == 0


def test_a_pause_lets_running_jobs_finish_and_new_ones_wait() -> None:
    running = started()
    lifecycle.pause("default", actor="ann")
    waiting = enqueued()
    assert claim() == []
    assert statuses(running, waiting) == ["processing", "pending"]


def test_a_job_may_pause_its_queue_until_a_person_resumes_it() -> None:
    assert pause_queue("default", reason="the token was refused")
    assert not pause_queue("default", reason="the token was refused")
    assert Queue.objects.get(name="default").paused_by == "processor"


def test_a_job_may_give_any_text_as_the_reason() -> None:
    assert pause_queue("default", reason="\x00\ud800" + "x" * 1000)
    assert Queue.objects.get(name="default").reason == "\N{REPLACEMENT CHARACTER}" * 2 + "x" * 498
