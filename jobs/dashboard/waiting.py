"""Why a job does not run: what stands before it, in words for the person who looks at it."""

from collections.abc import Iterator
from datetime import timedelta
from typing import NamedTuple

from django.conf import settings
from django.db.models import Q
from django.urls import reverse
from django.utils import timezone
from django.utils.timezone import localtime

from jobs import metrics, search
from jobs.dashboard import joblist
from jobs.models import Failure, Job, Limit, Queue, Status, Worker


class Reason(NamedTuple):
    words: str
    address: str = ""  # where to see more, or to change it
    link: str = ""


def reasons(job: Job) -> list[Reason]:
    """What a scheduled or waiting job waits for, the weightiest first; nothing of any other."""
    match job.status:
        case Status.SCHEDULED:
            return [*_time(job), *_upstream(job), *_queue(job)]
        case Status.PENDING:
            found = [*_queue(job), *_upstream(job), *_others(job)]
            return found or [Reason("Nothing stands before it: a worker takes it at any moment.")]
    return []


def _time(job: Job) -> Iterator[Reason]:
    due = f"{localtime(job.scheduled_at):%Y-%m-%d %H:%M:%S %Z}"
    if job.scheduled_at <= timezone.now():
        yield Reason("Its time has come: it is on its way to the waiting ones.")
        return
    last = Failure.objects.filter(job=job.id, run=job.run).first() if job.run else None
    if last is not None and last.classification == Failure.Classification.RATE_LIMITED:
        yield Reason(f"The upstream asked us to slow down. The next attempt is due at {due}.")
    elif last is not None:
        yield Reason(f"Attempt {last.attempt} failed, the next one is due at {due}.")
    elif job.run:
        yield Reason(f"It asked to be run later: at {due}.")
    else:
        yield Reason(f"It is scheduled for {due}.")


def _queue(job: Job) -> Iterator[Reason]:
    queue = Queue.objects.filter(name=job.queue).first()
    address = reverse("dashboard:queue", args=[job.queue])
    if queue is not None and queue.paused_at is not None:
        until = f" until {localtime(queue.paused_until):%Y-%m-%d %H:%M}" if queue.paused_until else ""
        why = f": {queue.reason}" if queue.reason else ""
        yield Reason(
            f"Its queue {job.queue} was paused by {queue.paused_by or 'somebody'}{until}{why}.", address, "Queue"
        )
    alive = Worker.objects.filter(
        queues__contains=[job.queue], heartbeat_at__gt=timezone.now() - timedelta(seconds=settings.JOBS_LEASE)
    )
    taking = [worker for worker in alive if not worker.draining and not worker.drain_requested_at]
    if not taking:
        drained = "; those that are alive are draining" if alive else ""
        yield Reason(
            f"No worker takes jobs of the queue {job.queue}{drained}.", reverse("dashboard:workers"), "Workers"
        )
    if queue is not None and queue.max_running is not None:
        running = Job.objects.filter(queue=job.queue, status=Status.PROCESSING)[: queue.max_running].count()
        if running >= queue.max_running:
            yield Reason(f"{running:,} jobs of its queue run, as many as may run at once.", address, "Queue")
    if taking and all(worker.running >= worker.concurrency for worker in taking):
        yield Reason("All workers of its queue are busy.", reverse("dashboard:workers"), "Workers")


def _upstream(job: Job) -> Iterator[Reason]:
    """By the usual names: an upstream's limit is called like its queue, or as its job types begin."""
    now = timezone.now()
    for limit in Limit.objects.filter(name__in={job.queue, job.type.partition("_")[0]}):
        if limit.open_until and limit.open_until > now:
            yield Reason(
                f"The upstream {limit.name} failed {limit.failures} times in a row; it is left alone for a while."
            )
        elif limit.next_at > now + timedelta(seconds=2):
            yield Reason(f"The limit of calls to {limit.name} is used up until {localtime(limit.next_at):%H:%M:%S}.")


def _others(job: Job) -> Iterator[Reason]:
    before = Q(priority__gt=job.priority) | Q(priority=job.priority, scheduled_at__lt=job.scheduled_at)
    ahead = metrics.count(Job.objects.filter(before, queue=job.queue, status=Status.PENDING))
    if ahead.number:
        number = f"{'About ' if ahead.approximate else ''}{ahead.number:,} job{'s' * (ahead.number != 1)}"
        listed = search.understand(f"queue:{search.quoted(job.queue)} status:pending")
        yield Reason(
            f"{number} of its queue {'come' if ahead.number != 1 else 'comes'} before it.",
            joblist.address(listed, None),
            "Waiting jobs",
        )
