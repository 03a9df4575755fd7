"""/metrics, for Prometheus: the state of jobs now, and counters of all that ever happened, from Postgres alone.

Every web process gives the same answer, so one of them is enough to ask. Counters come from roll-ups and nothing else:
these never shrink, whatever is pruned or retried, and grow once a minute. Gauges are of this moment. An answer is kept
for CACHE_SECONDS. Who may ask is decided here too: with METRICS_TOKEN whoever sends it, without it this machine.
"""

import hmac
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from functools import lru_cache
from ipaddress import ip_address
from itertools import accumulate
from typing import Final

from django.conf import settings
from django.db.models import Q, Sum
from django.db.models.functions import Now
from django.http import HttpRequest, HttpResponse, HttpResponseForbidden
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe
from django_celery_beat.models import PeriodicTask
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from jobs import metrics
from jobs.calling import processors
from jobs.histograms import BOUNDS, added
from jobs.models import ErrorRollup, Leader, Period, Rollup, Worker

CACHE_SECONDS: Final = 5
_STEP: Final = 4  # of our bounds, a bucket of Prometheus's: 1 ms, 2 ms, 4 ms … to 70 minutes
_BUCKETS: Final = range(0, 23 * _STEP, _STEP)
_ASK_FOR_TOKEN: Final = {"WWW-Authenticate": "Bearer"}
Sums = dict[str, tuple[list[int], int]]  # histogram and sum of ms, by label


class Jobs(Collector):
    """Asks the database each time it is collected."""

    def describe(self) -> list[Metric]:
        """Nothing in advance: nobody is asked when it is registered."""
        return []

    def collect(self) -> Iterator[Metric]:
        yield from _queues()
        yield from _workers()
        yield from _history()
        yield from _schedules()
        rate = metrics.cache_hit_rate({name: task.result_model for name, task in processors().items()})
        if rate is not None:
            yield _gauge("cache_hit_ratio", "Hits of the latest jobs that warm caches, 0 to 1.", rate / 100)


def _gauge(name: str, text: str, value: float | None = None, labels: Sequence[str] = ()) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"jobyard_{name}", text, value, labels=labels or None)


def _queues() -> Iterator[Metric]:
    figures = metrics.queue_figures()
    by_queue: dict[str, tuple[str, list[float]]] = {
        "queue_ready": ("Jobs that could start now.", [one.waiting for one in figures]),
        "queue_held": ("Jobs that wait in a paused queue.", [one.paused for one in figures]),
        "queue_scheduled": ("Jobs that are not due yet.", [one.delayed for one in figures]),
        "queue_running": ("Jobs that run.", [one.active for one in figures]),
        "queue_paused": ("1 while the queue is paused.", [int(one.is_paused) for one in figures]),
        "queue_workers": ("Workers alive that take from it.", [len(one.workers) for one in figures]),
        "queue_oldest_seconds": (
            "How long the oldest job that waits has been due; 0 when none waits.",
            [one.oldest_wait_seconds or 0 for one in figures],
        ),
    }
    for name, (text, values) in by_queue.items():
        family = _gauge(name, text, labels=["queue"])
        for one, value in zip(figures, values, strict=True):
            family.add_metric([one.name], value)
        yield family
    family = _gauge("jobs", "Jobs that are kept, by status; above 10,000 an estimate.", labels=["status"])
    for status, count in metrics.totals().items():
        family.add_metric([status.value], count.number)
    yield family


def _workers() -> Iterator[Metric]:
    alive = list(Worker.objects.filter(heartbeat_at__gt=Now() - timedelta(seconds=settings.JOBS_LEASE)))
    by_pool: dict[str, tuple[str, Callable[[Worker], int]]] = {
        "workers": ("Workers alive.", lambda one: 1),
        "worker_slots": ("Jobs that they can run at once.", lambda one: one.concurrency),
        "worker_slots_stuck": ("Threads past their job's timeout.", lambda one: one.stuck),
        "workers_draining": ("Workers that take no more jobs.", lambda one: int(one.draining)),
    }
    for name, (text, value) in by_pool.items():
        family = _gauge(name, text, labels=["pool"])
        for pool in sorted({worker.pool for worker in alive}):
            family.add_metric([pool], sum(value(worker) for worker in alive if worker.pool == pool))
        yield family
    leaders = dict(Leader.objects.filter(expires_at__gt=Now()).values_list("duty", "holder"))
    family = _gauge("leader", "1 while somebody does a duty that one at a time must do.", labels=["duty"])
    for duty in ("upkeep", "beat"):
        family.add_metric([duty], int(duty in leaders))
    yield family


def _schedules() -> Iterator[Metric]:
    enabled = dict(PeriodicTask.objects.values_list("name", "enabled"))
    family = _gauge("schedules", "Schedules.", labels=["enabled"])
    for state in (True, False):
        family.add_metric([str(state).lower()], sum(one == state for one in enabled.values()))
    yield family
    family = _gauge("schedule_last_run_timestamp_seconds", "When an enabled schedule fired last.", labels=["schedule"])
    fired = PeriodicTask.objects.filter(enabled=True, last_run_at__isnull=False).order_by("name")
    for name, at in fired.values_list("name", "last_run_at"):
        family.add_metric([name], at.timestamp())
    yield family


def _history() -> Iterator[Metric]:
    """The months, of which none is ever deleted: what they have together only grows."""
    enqueued = CounterMetricFamily("jobyard_jobs_enqueued", "Jobs enqueued.", labels=["type", "queue"])
    ended = CounterMetricFamily("jobyard_jobs_ended", "Jobs that ended.", labels=["type", "queue", "outcome"])
    months = Rollup.objects.filter(period=Period.MONTH)
    by_both = months.exclude(type="").exclude(queue="").values_list("type", "queue", "outcome").order_by()
    for kind, queue, outcome, number in by_both.annotate(Sum("count")):
        if outcome == Rollup.Outcome.ENQUEUED:
            enqueued.add_metric([kind, queue], number)
        else:
            ended.add_metric([kind, queue, outcome], number)
    runs: Sums = defaultdict(lambda: ([], 0))
    waits: Sums = defaultdict(lambda: ([], 0))
    for row in months.filter(Q(type="") ^ Q(queue="")):
        if row.type:
            runs[row.type] = added(runs[row.type][0], row.runs), runs[row.type][1] + row.run_ms
        else:
            waits[row.queue] = added(waits[row.queue][0], row.waits), waits[row.queue][1] + row.wait_ms
    yield from (enqueued, ended)
    yield _histogram("run", "How long the last run of completed and failed jobs took.", "type", runs)
    yield _histogram("wait", "From when a job was due to when its last run started.", "queue", waits)
    yield _failures()


def _failures() -> Metric:
    family = CounterMetricFamily(
        "jobyard_run_failures", "Runs that failed, retried ones too.", labels=["type", "classification"]
    )
    months = ErrorRollup.objects.filter(period=Period.MONTH).values_list("type", "classification").order_by()
    for kind, classification, number in months.annotate(Sum("count")):
        family.add_metric([kind, classification], number)
    return family


def _histogram(name: str, text: str, label: str, sums: Sums) -> Metric:
    family = HistogramMetricFamily(f"jobyard_job_{name}_seconds", text, labels=[label])
    for value, (counts, total) in sorted(sums.items()):
        up_to = list(accumulate(counts)) or [0]
        buckets = [(str(BOUNDS[place] / 1000), up_to[min(place, len(up_to) - 1)]) for place in _BUCKETS]
        family.add_metric([value], [*buckets, ("+Inf", up_to[-1])], total / 1000)
    return family


@lru_cache(maxsize=1)
def _text(_tick: int) -> bytes:
    registry = CollectorRegistry(auto_describe=False)
    registry.register(Jobs())
    return generate_latest(registry)


@never_cache
@require_safe
def view(request: HttpRequest) -> HttpResponse:
    """The metrics, in Prometheus's text format."""
    if settings.METRICS_TOKEN and not _has_token(request):
        return HttpResponse("The bearer token is wrong or missing.\n", "text/plain", 401, headers=_ASK_FOR_TOKEN)
    if not settings.METRICS_TOKEN and not _is_here(request):
        return HttpResponseForbidden("Set METRICS_TOKEN and send it as a bearer token.\n", content_type="text/plain")
    return HttpResponse(_text(int(time.monotonic() / CACHE_SECONDS)), content_type=CONTENT_TYPE_PLAIN_0_0_4)


def _has_token(request: HttpRequest) -> bool:
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    return scheme.lower() == "bearer" and hmac.compare_digest(token.encode(), settings.METRICS_TOKEN.encode())


def _is_here(request: HttpRequest) -> bool:
    """Whether this machine asks, and not for somebody else as a proxy does."""
    proxied = any(name in request.headers for name in ("Forwarded", "X-Forwarded-For", "X-Real-Ip"))
    address = request.META.get("REMOTE_ADDR", "")
    return not proxied and bool(address) and ip_address(address).is_loopback
