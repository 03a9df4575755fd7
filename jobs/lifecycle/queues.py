"""pause, resume, set_limit: what an operator does to a whole queue."""

from datetime import datetime

from django.db import transaction
from django.db.models.functions import Now

from jobs import broker, events
from jobs.models import Event, Queue


def pause(queue: str, *, actor: str, reason: str = "", until: datetime | None = None) -> bool:
    """Let no worker claim from this queue; running jobs finish. Upkeep resumes it at `until`, else a person does.

    False: it was paused already, and stays as it is.
    """
    with transaction.atomic():
        running = Queue.objects.filter(name=queue, paused_at=None)
        changed = running.update(paused_at=Now(), paused_until=until, paused_by=actor, reason=reason)
        if changed:
            after = {"until": until.isoformat()} if until else None
            Event.objects.create(queue=queue, kind="paused", actor=actor, reason=reason, after=after)
            transaction.on_commit(events.changed, robust=True)
    return bool(changed)


def resume(queue: str, *, actor: str) -> bool:
    """Undo `pause`. False: it was not paused."""
    with transaction.atomic():
        paused = Queue.objects.filter(name=queue, paused_at__isnull=False)
        changed = paused.update(paused_at=None, paused_until=None, paused_by="", reason="")
        if changed:
            _resumed([queue], actor, "")
    return bool(changed)


def resume_due() -> int:
    """Resume the queues whose pause is over. Returns how many."""
    with transaction.atomic():
        over = Queue.objects.filter(paused_at__isnull=False, paused_until__lte=Now())
        names = list(over.order_by("name").select_for_update().values_list("name", flat=True))
        if names:
            Queue.objects.filter(name__in=names).update(paused_at=None, paused_until=None, paused_by="", reason="")
            _resumed(names, "upkeep", "the pause is over")
    return len(names)


def _resumed(names: list[str], actor: str, reason: str) -> None:
    Event.objects.bulk_create(Event(queue=name, kind="resumed", actor=actor, reason=reason) for name in names)
    transaction.on_commit(lambda: broker.wake(names), robust=True)
    transaction.on_commit(events.changed, robust=True)


def set_limit(queue: str, max_running: int | None, *, actor: str) -> bool:
    """How many jobs of this queue may run at once, over all workers; None: any number.

    False: that was the limit already, or there is no such queue.
    """
    with transaction.atomic():
        row = Queue.objects.select_for_update(no_key=True).filter(name=queue).first()
        if row is None or row.max_running == max_running:
            return False
        Queue.objects.filter(name=queue).update(max_running=max_running)
        change = {"before": {"max_running": row.max_running}, "after": {"max_running": max_running}}
        Event.objects.create(queue=queue, kind="limit changed", actor=actor, **change)
        transaction.on_commit(lambda: broker.wake([queue]), robust=True)
        transaction.on_commit(events.changed, robust=True)
    return True


def limited_queues() -> set[str]:
    """The queues with a `max_running`."""
    return set(Queue.objects.filter(max_running__isnull=False).values_list("name", flat=True))
