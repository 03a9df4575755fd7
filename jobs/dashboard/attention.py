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
from jobs.metrics import Backlog
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


def matters(backlogs: Sequence[Backlog]) -> list[Matter]:
    """The worst first."""
    return [
        *_platform(),
        *_alerts(),
        *_unserved(backlogs),
        *_workers(),
        *_old(backlogs),
        *_new(),
        *_paused(backlogs),
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


def _unserved(backlogs: Sequence[Backlog]) -> Iterator[Matter]:
    for backlog in backlogs:
        if not backlog.workers:
            more = _wait(backlog) if backlog.pending.number else "nothing waits there yet"
            yield Matter("error", f"No worker takes jobs of queue {backlog.queue}", more, _page(backlog))


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


def _old(backlogs: Sequence[Backlog]) -> Iterator[Matter]:
    for backlog in backlogs:
        if not backlog.queue.paused_at and (seconds := backlog.oldest_wait_seconds or 0) > OLD_BACKLOG:
            words = f"Jobs of queue {backlog.queue} have waited {shown.rough(seconds)}"
            yield Matter("warning", words, _wait(backlog), _page(backlog))


def _new() -> Iterator[Matter]:
    for group in new_kinds(timezone.now() - NEW, EACH):
        words = f"New kind of error in {group.type}: {group.error}"
        yield Matter("warning", words, group.message, reverse("dashboard:error", args=[group.pk]))


def _paused(backlogs: Sequence[Backlog]) -> Iterator[Matter]:
    for backlog in backlogs:
        queue = backlog.queue
        if queue.paused_at:
            until = f"until {timezone.localtime(queue.paused_until):%Y-%m-%d %H:%M}" if queue.paused_until else ""
            more = ", ".join(part for part in (until, queue.reason) if part)
            yield Matter("paused", f"Queue {queue} is paused, {_wait(backlog)}", more, _page(backlog))


def _wait(backlog: Backlog) -> str:
    number, approximate = backlog.pending
    return f"{'about ' if approximate else ''}{number:,} {'job waits' if number == 1 else 'jobs wait'}"


def _page(backlog: Backlog) -> str:
    return reverse("dashboard:queue", args=[backlog.queue.name])
