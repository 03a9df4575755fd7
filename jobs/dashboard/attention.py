"""What an operator should look at now, and on which page. What is told by mail is `jobs.alerts`' business."""

from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Final, NamedTuple

from django.conf import settings
from django.db.models import Exists, OuterRef, Q
from django.urls import reverse
from django.utils import timezone

from jobs import health, shown
from jobs.dashboard.errors import new_kinds
from jobs.metrics import QueueFigures
from jobs.models import Alert, Job, Status, Worker

OLD_BACKLOG: Final = 300  # seconds that a due job waits in a queue that runs
NEW: Final = timedelta(hours=1)
EACH: Final = 5  # of one sort at most


class Matter(NamedTuple):
    """`state` is the word on its label, `address` where to go."""

    state: str
    words: str
    more: str
    address: str


def matters(queues: Sequence[QueueFigures]) -> list[Matter]:
    """The worst first."""
    return [
        *_platform(),
        *_alerts(),
        *_unserved(queues),
        *_workers(),
        *_backlogs(queues),
        *_new(),
        *_paused(queues),
    ]


def _platform() -> Iterator[Matter]:
    parts: dict[str, list[health.Part]] = {
        "overview": [health.database_part(), health.broker_part()],
        "schedules": [health.scheduler_part()],
    }
    for page, its in parts.items():
        for part in its:
            for state, texts in (("error", part.issues), ("warning", part.warnings)):
                for text in texts[:EACH]:
                    yield Matter(state, text[:1].upper() + text[1:], "", reverse(f"dashboard:{page}"))


def _alerts() -> Iterator[Matter]:
    silenced = Q(rule__silenced_until__gt=timezone.now()) | Q(rule__enabled=False)
    firing = Alert.objects.filter(resolved_at=None).exclude(silenced).select_related("rule").order_by("-started_at")
    for alert in firing[:EACH]:
        yield Matter("firing", alert.message, alert.rule.name, reverse("dashboard:alerts"))


def _unserved(queues: Sequence[QueueFigures]) -> Iterator[Matter]:
    for queue in queues:
        if not queue.workers:
            waiting = queue.waiting + queue.paused
            more = (
                f"{waiting:,} {'job waits' if waiting == 1 else 'jobs wait'}" if waiting else "nothing waits there yet"
            )
            yield Matter("error", f"No worker takes jobs of queue {queue.name}", more, _queue(queue.name))


def _workers() -> Iterator[Matter]:
    lost_since = timezone.now() - timedelta(seconds=settings.JOBS_LEASE)
    runs = Exists(Job.objects.filter(status=Status.PROCESSING, worker=OuterRef("name")))
    odd = Worker.objects.filter(Q(stuck__gt=0) | Q(heartbeat_at__lt=lost_since)).filter(Q(stuck__gt=0) | runs)
    for worker in odd.order_by("name")[:EACH]:
        address = reverse("dashboard:workers")
        if worker.heartbeat_at < lost_since:
            ago = shown.rough((timezone.now() - worker.heartbeat_at).total_seconds())
            yield Matter("lost", f"Worker {worker} has not been heard of for {ago}", "its jobs go to others", address)
        else:
            threads = (
                f"{worker.stuck} {'thread is' if worker.stuck == 1 else 'threads are'} past the timeout of the job"
            )
            yield Matter("stuck", f"Worker {worker} is stuck", threads, address)


def _backlogs(queues: Sequence[QueueFigures]) -> Iterator[Matter]:
    for queue in queues:
        if not queue.is_paused and (queue.oldest_wait_seconds or 0) > OLD_BACKLOG:
            age = shown.rough(queue.oldest_wait_seconds or 0)
            yield Matter(
                "warning",
                f"Jobs of queue {queue.name} have waited {age}",
                f"{queue.waiting:,} wait",
                _queue(queue.name),
            )


def _new() -> Iterator[Matter]:
    for group in new_kinds(timezone.now() - NEW, EACH):
        words = f"New kind of error in {group.type}: {group.error}"
        yield Matter("warning", words, group.message, reverse("dashboard:error", args=[group.pk]))


def _paused(queues: Sequence[QueueFigures]) -> Iterator[Matter]:
    for queue in queues:
        if queue.is_paused:
            until = f"until {timezone.localtime(queue.paused_until):%Y-%m-%d %H:%M}" if queue.paused_until else ""
            more = ", ".join(part for part in (until, queue.paused_reason) if part)
            yield Matter("paused", f"Queue {queue.name} is paused, {queue.paused:,} wait", more, _queue(queue.name))


def _queue(name: str) -> str:
    return reverse("dashboard:queue", args=[name])
