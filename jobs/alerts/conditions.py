"""What each kind of rule looks at. A reading is something of which the rule's condition holds now."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import NamedTuple

from django.conf import settings
from django.db.models import F, Min
from django.db.models.functions import Now
from django.utils import timezone

from jobs import metrics, statistics
from jobs.models import AlertRule, Job, Leader, Queue, Status, Worker
from jobs.scheduling import overdue

FEW = 10  # ended jobs: of fewer no rate and no average is told
MOST = 1_000_000  # waiting jobs that are counted; how many more there are is estimated
WEEK = timedelta(days=7)
NEVER = 1e9  # seconds; of a worker that is not known


class Reading(NamedTuple):
    subject: str  # the queue, type or schedule; "" for all jobs together
    value: float  # in the unit of the rule's threshold
    message: str


def readings(rule: AlertRule) -> list[Reading]:
    """What the rule has to tell now, one for each subject."""
    return list(_KINDS[AlertRule.Kind(rule.kind)](rule))


def words(rule: AlertRule) -> str:
    """The rule's condition, for people."""
    if rule.kind not in AlertRule.Kind.values:
        return rule.kind  # of another release, during a deploy
    match AlertRule.Kind(rule.kind):
        case AlertRule.Kind.FAILURE_RATE:
            condition = f"more than {rule.threshold:g} % fail within {_span(rule.window)}"
        case AlertRule.Kind.BACKLOG:
            condition = f"more than {rule.threshold:,.0f} jobs wait"
        case AlertRule.Kind.BACKLOG_AGE:
            condition = f"a job waits for more than {_span(rule.threshold)}"
        case AlertRule.Kind.SLOW:
            condition = (
                f"within {_span(rule.window)} a type is more than {rule.threshold:g} times as slow as in its week"
            )
        case AlertRule.Kind.WORKER_DOWN:
            condition = f"no worker takes from a queue for more than {_span(rule.threshold)}"
        case AlertRule.Kind.SCHEDULE_MISSED:
            condition = f"a schedule is more than {_span(rule.threshold)} late"
    return condition


def _failure_rate(rule: AlertRule) -> Iterator[Reading]:
    window = timedelta(seconds=rule.window)
    summary = statistics.summary(window, type=rule.type or None, queue=rule.queue or None)
    ended = summary.completed + summary.failed
    if ended < FEW:
        return
    rate = 100 * summary.failed / ended
    if rate > rule.threshold:
        what = _of(rule)
        yield Reading(
            rule.type or rule.queue,
            rate,
            f"{rate:.1f} % of {ended:,} jobs{what} failed within {_span(rule.window)} (more than {rule.threshold:g} %)",
        )


def _backlog(rule: AlertRule) -> Iterator[Reading]:
    limit = int(min(max(rule.threshold, metrics.COUNT_LIMIT), MOST))
    for queue in _queues(rule):
        waiting = metrics.count(Job.objects.filter(status=Status.PENDING, queue=queue.name), limit)
        if waiting.number > rule.threshold or (waiting.approximate and rule.threshold <= limit):
            number = f"{'about ' if waiting.approximate else ''}{waiting.number:,}"
            more = f"(more than {rule.threshold:,.0f})"
            yield Reading(queue.name, waiting.number, f"{number} jobs wait in {queue.name} {more}{_paused(queue)}")


def _backlog_age(rule: AlertRule) -> Iterator[Reading]:
    ages = {figures.name: figures.oldest_wait_seconds for figures in metrics.queue_figures()}
    for queue in _queues(rule):
        oldest = ages.get(queue.name)
        if oldest is not None and oldest > rule.threshold:
            more = f"(more than {_span(rule.threshold)})"
            message = f"a job has waited for {_span(oldest)} in {queue.name} {more}{_paused(queue)}"
            yield Reading(queue.name, oldest, message)


def _slow(rule: AlertRule) -> Iterator[Reading]:
    before = statistics.by_type(WEEK)
    for name, now in statistics.by_type(timedelta(seconds=rule.window)).items():
        usual = before.get(name)
        if usual is None or (rule.type and rule.type != name) or now.completed < FEW:
            continue
        figures = (("average", now.avg_run_ms, usual.avg_run_ms), ("95th percentile", now.run.p95, usual.run.p95))
        word, slow, normal, times = max(
            ((word, ms, normal, ms / normal) for word, ms, normal in figures if ms and normal),
            key=lambda figure: figure[3],
            default=("", 0, 0, 0),
        )
        if times > rule.threshold:
            yield Reading(
                name,
                times,
                f"{name} takes {slow / 1000:.2f} s ({word}), {times:.1f} times the {normal / 1000:.2f} s of its week",
            )


def _worker_down(rule: AlertRule) -> Iterator[Reading]:
    alive = timedelta(seconds=settings.JOBS_LEASE)
    for queue in _queues(rule):
        workers = Worker.objects.filter(queues__contains=[queue.name])
        if workers.filter(heartbeat_at__gt=Now() - alive, draining=False).exists():
            continue
        silent = workers.aggregate(shortest=Min(Now() - F("heartbeat_at")))["shortest"]
        seconds = silent.total_seconds() if silent is not None else NEVER
        if seconds > rule.threshold:
            since = "and none is known" if silent is None else f"for {_span(seconds)}"
            yield Reading(queue.name, seconds, f"no worker takes jobs of {queue.name} {since}")


def _schedule_missed(rule: AlertRule) -> Iterator[Reading]:
    now = timezone.now()
    for late in overdue(rule.threshold):
        if rule.type in ("", late.type):
            seconds = (now - late.due_at).total_seconds()
            beat = "" if _beats() else "; no beat is running"
            reason = f": {late.reason}" if late.reason else ""
            yield Reading(
                late.name,
                seconds,
                f"schedule {late.name} was due at {late.due_at:%Y-%m-%d %H:%M} UTC and has not run{beat}{reason}",
            )


def _beats() -> bool:
    return Leader.objects.filter(duty="beat", expires_at__gt=Now()).exists()


def _queues(rule: AlertRule) -> Iterator[Queue]:
    yield from Queue.objects.filter(name=rule.queue) if rule.queue else Queue.objects.all()


def _paused(queue: Queue) -> str:
    return f"; it is paused by {queue.paused_by}" if queue.paused_at else ""


def _of(rule: AlertRule) -> str:
    parts = [f" of type {rule.type}"] if rule.type else []
    return "".join(parts + ([f" in {rule.queue}"] if rule.queue else []))


def _span(seconds: float) -> str:
    for unit, size in (("days", 86_400), ("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} seconds"


_KINDS: dict[AlertRule.Kind, Callable[[AlertRule], Iterator[Reading]]] = {
    AlertRule.Kind.FAILURE_RATE: _failure_rate,
    AlertRule.Kind.BACKLOG: _backlog,
    AlertRule.Kind.BACKLOG_AGE: _backlog_age,
    AlertRule.Kind.SLOW: _slow,
    AlertRule.Kind.WORKER_DOWN: _worker_down,
    AlertRule.Kind.SCHEDULE_MISSED: _schedule_missed,
}
