"""Whether the platform can do its work now, from rows and one ping: nothing asks a worker.

`report` is for people and monitoring; `check_ready` for whoever decides if this process gets requests.
What is merely slow or getting worse is for alerts.
"""

from dataclasses import dataclass, field
from datetime import timedelta
from functools import cache

import redis
from django.conf import settings
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from django.db.models.functions import Now
from django_celery_beat.models import PeriodicTask

from jobs import broker, leadership, scheduling
from jobs.metrics import QueueStatus, queue_status
from jobs.models import Leader, Queue, Worker

LATE = 60.0  # seconds; what was due so long ago while a beat leads does not fire
OLD_SNAPSHOT = 60.0  # seconds; vacuum cannot clean behind a snapshot, and claims slow down


@dataclass
class Part:
    """One part of the platform. Issues make it unhealthy, warnings do not."""

    issues: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    @property
    def healthy(self) -> bool:
        return not self.issues


@dataclass
class Queues(Part):
    total: int = 0
    unhealthy: int = 0


@dataclass
class Workers(Part):
    total: int = 0
    active: int = 0  # of these, taking jobs


@dataclass
class Scheduler(Part):
    total: int = 0
    running: int = 0  # schedules that are enabled

    @property
    def stopped(self) -> int:
        return self.total - self.running


@dataclass
class Report:
    queues: Queues
    workers: Workers
    scheduler: Scheduler
    database: Part
    broker: Part
    queue_status: QueueStatus

    @property
    def parts(self) -> list[Part]:
        return [self.database, self.broker, self.workers, self.queues, self.scheduler]

    @property
    def healthy(self) -> bool:
        return all(part.healthy for part in self.parts)

    @property
    def issues(self) -> list[str]:
        """Everything there is to say, warnings too."""
        return [text for part in self.parts for text in part.issues + part.warnings]


def report() -> Report:
    """Ask the database about everything. Raises OperationalError when it does not answer."""
    workers = list(Worker.objects.filter(heartbeat_at__gt=Now() - timedelta(seconds=settings.JOBS_LEASE)))
    return Report(_queues(workers), _workers(workers), scheduler_part(), database_part(), broker_part(), queue_status())


def _queues(workers: list[Worker]) -> Queues:
    served = {queue for worker in workers if not worker.draining for queue in worker.queues}
    queues = list(Queue.objects.all())
    unserved = [queue.name for queue in queues if queue.name not in served]
    warnings = [f"queue {queue.name} is paused" for queue in queues if queue.paused_at]
    issues = [f"no worker takes jobs of queue {name}" for name in unserved]
    return Queues(issues, warnings, len(queues), len(unserved))


def _workers(workers: list[Worker]) -> Workers:
    stuck = [
        f"worker {worker} has {worker.stuck} threads past their job's timeout" for worker in workers if worker.stuck
    ]
    issues = [] if workers else ["no worker is alive"]
    return Workers(issues, stuck, len(workers), sum(not worker.draining for worker in workers))


def scheduler_part() -> Scheduler:
    """Whether schedules fire, and when they should."""
    enabled = list(PeriodicTask.objects.values_list("enabled", flat=True))
    beating = Leader.objects.filter(duty="beat", expires_at__gt=Now()).exists()
    issues = ["no beat is running, schedules do not fire"] if any(enabled) and not beating else []
    # A beat that has just begun has yet to see to what was due before it.
    overdue = scheduling.overdue(LATE) if beating and leadership.unbroken("beat") >= LATE else []
    late = [
        f"schedule {each.name} was due at {each.due_at:%Y-%m-%d %H:%M:%S} UTC" for each in overdue if not each.reason
    ]
    failed = [f"schedule {each.name} could not enqueue its job: {each.reason}" for each in overdue if each.reason]
    return Scheduler(issues + late, failed, len(enabled), sum(enabled))


def database_part() -> Part:
    """Whether something slows the database down."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT coalesce(max(extract(epoch FROM clock_timestamp() - xact_start)), 0)::float FROM pg_stat_activity"
            " WHERE backend_xmin IS NOT NULL AND backend_type = 'client backend' AND datname = current_database()"
        )
        (age,) = cursor.fetchone()
    old = f"a transaction has kept its snapshot for {age:.0f} s, which slows claims down"
    return Part(warnings=[old] if age > OLD_SNAPSHOT else [])


def broker_part() -> Part:
    """Whether Redis answers."""
    return Part(["Redis does not answer: jobs run, wake-ups and live progress do not"] if broker_is_away() else [])


def broker_is_away() -> bool:
    try:
        broker.client().ping()
    except redis.RedisError:
        return True
    return False


class NotReady(Exception):
    """This process cannot serve requests yet."""


def check_ready() -> None:
    """Raise NotReady, or OperationalError without a database."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    _check_migrated()


@cache  # of a success only: what is migrated stays so
def _check_migrated() -> None:
    executor = MigrationExecutor(connection)
    if executor.migration_plan(executor.loader.graph.leaf_nodes()):
        raise NotReady("the database lacks migrations")
