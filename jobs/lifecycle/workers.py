"""drain: what an operator asks of a worker."""

from django.db import transaction
from django.db.models.functions import Now

from jobs.models import Event, Worker


def drain(worker: str, *, actor: str) -> bool:
    """Ask a worker, by its `Worker.name`, to claim nothing more, finish what it runs and exit with 0.

    It sees this with its next heartbeat. False: it was asked before, or there is no such worker.
    """
    with transaction.atomic():
        changed = Worker.objects.filter(name=worker, drain_requested_at=None).update(drain_requested_at=Now())
        if changed:
            Event.objects.create(subject=f"worker {worker}", kind="drain requested", actor=actor)
    return bool(changed)
