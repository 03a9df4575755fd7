import pytest

from jobs import lifecycle
from jobs.models import Event, Worker

pytestmark = pytest.mark.django_db


def test_a_worker_is_asked_to_drain_once() -> None:
    Worker.objects.create(name="stage:1", pool="threads", concurrency=4)
    Worker.objects.create(name="stage:2", pool="threads", concurrency=4)
    assert lifecycle.drain("stage:1", actor="ann")
    assert not lifecycle.drain("stage:1", actor="bob")
    asked = Worker.objects.filter(drain_requested_at__isnull=False)
    assert list(asked.values_list("name", flat=True)) == ["stage:1"]
    event = Event.objects.get()
    assert (event.subject, event.kind, event.actor) == ("worker stage:1", "drain requested", "ann")


def test_a_worker_that_is_not_there_is_not_asked() -> None:
    assert not lifecycle.drain("stage:1", actor="ann")
    assert not Event.objects.exists()
