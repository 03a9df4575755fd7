"""pause, resume: what an operator does to a whole queue."""

from django.db import transaction
from django.db.models.functions import Now

from jobs import broker
from jobs.models import Event, Queue


def pause(queue: str, *, actor: str, reason: str = "") -> bool:
    """Let no worker claim from this queue; running jobs finish. False: it was paused already."""
    with transaction.atomic():
        running = Queue.objects.filter(name=queue, paused_at=None)
        changed = running.update(paused_at=Now(), paused_by=actor, reason=reason)
        if changed:
            Event.objects.create(queue=queue, kind="paused", actor=actor, reason=reason)
    return bool(changed)


def resume(queue: str, *, actor: str) -> bool:
    """Undo `pause`. False: it was not paused."""
    with transaction.atomic():
        paused = Queue.objects.filter(name=queue, paused_at__isnull=False)
        changed = paused.update(paused_at=None, paused_by="", reason="")
        if changed:
            Event.objects.create(queue=queue, kind="resumed", actor=actor)
            transaction.on_commit(lambda: broker.wake([queue]), robust=True)
    return bool(changed)


def limited_queues() -> set[str]:
    """The queues with a `max_running`."""
    return set(Queue.objects.filter(max_running__isnull=False).values_list("name", flat=True))
