"""The job's row: fields, constraints, indexes and queryset adjectives."""

from __future__ import annotations

from typing import ClassVar

from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import GinIndex, OpClass
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now

from jobs.ids import new_id


class Priority(models.IntegerChoices):
    """The names of five of the ten priorities. 10 runs first."""

    BATCH = 1
    LOW = 3
    NORMAL = 5
    HIGH = 8
    CRITICAL = 10


class Status(models.TextChoices):
    SCHEDULED = "scheduled"  # not before `scheduled_at`: a delay, a backoff or a snooze
    PENDING = "pending"  # may be claimed
    PROCESSING = "processing"  # claimed by `worker`, believed until `lease_expires_at`
    COMPLETED = "completed"
    FAILED = "failed"  # the dead letter: no attempt is left, or none would help
    CANCELLED = "cancelled"


ACTIVE = (Status.SCHEDULED, Status.PENDING, Status.PROCESSING)
TERMINAL = (Status.COMPLETED, Status.FAILED, Status.CANCELLED)


class JobQuerySet(models.QuerySet["Job"]):
    def active(self) -> JobQuerySet:
        return self.filter(status__in=ACTIVE)

    def terminal(self) -> JobQuerySet:
        return self.filter(status__in=TERMINAL)

    def due(self) -> JobQuerySet:
        """Scheduled jobs whose time has come."""
        return self.filter(status=Status.SCHEDULED, scheduled_at__lte=Now())

    def stalled(self) -> JobQuerySet:
        """Running jobs whose worker has not renewed its lease."""
        return self.filter(status=Status.PROCESSING, lease_expires_at__lt=Now())

    def expired(self) -> JobQuerySet:
        """Waiting jobs that must not start any more."""
        return self.filter(status__in=(Status.SCHEDULED, Status.PENDING), expires_at__lte=Now())


class Job(models.Model):
    """A request to run a processor once to completion. All times are the database's."""

    Status = Status

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)  # also Celery's task id
    type = models.CharField(max_length=200)  # the processor's name, never a module path
    payload = models.JSONField(default=dict)  # a plain task's: {"args": [...], "kwargs": {...}}
    result = models.JSONField(null=True, blank=True)
    queue = models.CharField(max_length=100)
    priority = models.PositiveSmallIntegerField(default=Priority.NORMAL, db_default=5)
    status = models.CharField(max_length=10, choices=Status.choices, default=Status.PENDING)

    run = models.IntegerField(default=0, db_default=0)  # +1 per claim; the fence: never lowered, never reused
    attempt = models.PositiveSmallIntegerField(
        default=0, db_default=0
    )  # +1 per claim; snooze, loss, shutdown give back
    max_attempts = models.PositiveSmallIntegerField(default=1, db_default=1)
    losses = models.PositiveSmallIntegerField(default=0, db_default=0)  # workers lost under this job
    backoff = models.JSONField(null=True, blank=True)  # {"base", "factor", "max", "jitter"}; null: the processor's
    timeout = models.FloatField(default=300, db_default=300)  # seconds from start

    created_at = models.DateTimeField(db_default=Now(), editable=False)
    scheduled_at = models.DateTimeField(db_default=Now())  # not before; orders jobs of one priority
    expires_at = models.DateTimeField(null=True, blank=True)  # not started after this
    claimed_at = models.DateTimeField(null=True, blank=True)
    started_at = models.DateTimeField(null=True, blank=True)  # of the latest run
    finished_at = models.DateTimeField(null=True, blank=True)
    lease_expires_at = models.DateTimeField(null=True, blank=True)
    worker = models.CharField(max_length=255, null=True, blank=True)  # `Worker.name` of the latest claim

    progress = models.JSONField(null=True, blank=True)  # {"run", "done", "total", "percent", "note"}
    unique_key = models.CharField(max_length=255, null=True, blank=True)
    cancel_requested_at = models.DateTimeField(null=True, blank=True)
    created_by = models.CharField(max_length=150, blank=True, default="", db_default="")
    tags = ArrayField(models.CharField(max_length=100), default=list, blank=True)
    request_id = models.CharField(max_length=100, null=True, blank=True)  # of the HTTP request that enqueued it
    schedule = models.CharField(max_length=200, null=True, blank=True)  # `PeriodicTask.name`
    parent = models.UUIDField(null=True, blank=True)  # the job that enqueued this one, or whose re-run this is
    group = models.UUIDField(null=True, blank=True)  # Celery's group, which is also the chord's id
    canvas = models.JSONField(null=True, blank=True)  # what follows: see `jobs.canvas`

    objects = JobQuerySet.as_manager()

    class Meta:
        ordering: ClassVar = ["-id"]
        permissions: ClassVar = [("retry_job", "Can retry job"), ("cancel_job", "Can cancel job")]
        constraints: ClassVar = [
            models.CheckConstraint(
                name="job_finished_iff_terminal",
                condition=Q(status__in=TERMINAL, finished_at__isnull=False)
                | (Q(status__in=ACTIVE) & Q(finished_at__isnull=True)),
            ),
            models.CheckConstraint(
                name="job_leased_iff_processing",
                condition=Q(status=Status.PROCESSING, lease_expires_at__isnull=False)
                | (~Q(status=Status.PROCESSING) & Q(lease_expires_at__isnull=True)),
            ),
            models.CheckConstraint(name="job_priority_1_to_10", condition=Q(priority__range=(1, 10))),
            models.CheckConstraint(name="job_max_attempts_from_1", condition=Q(max_attempts__gte=1)),
            models.CheckConstraint(name="job_timeout_positive", condition=Q(timeout__gt=0)),
            models.UniqueConstraint(
                name="job_one_active_per_key",
                fields=["type", "unique_key"],
                condition=Q(status__in=ACTIVE, unique_key__isnull=False),
            ),
        ]
        # Few, since each change of status touches them; none over a field that progress or a lease changes.
        indexes: ClassVar = [
            models.Index(
                F("queue"),
                F("priority").desc(),
                F("scheduled_at"),
                F("id"),
                name="job_ready",
                condition=Q(status=Status.PENDING),
            ),
            models.Index(fields=["scheduled_at"], name="job_due", condition=Q(status=Status.SCHEDULED)),
            models.Index(fields=["queue"], name="job_running", condition=Q(status=Status.PROCESSING)),
            models.Index(
                fields=["expires_at"],
                name="job_expiring",
                condition=Q(expires_at__isnull=False, status__in=(Status.SCHEDULED, Status.PENDING)),
            ),
            models.Index(fields=["group"], name="job_group", condition=Q(group__isnull=False)),
            models.Index(
                fields=["group"], name="job_group_active", condition=Q(group__isnull=False, status__in=ACTIVE)
            ),
            models.Index(
                fields=["schedule"],
                name="job_schedule_active",
                condition=Q(schedule__isnull=False, status__in=ACTIVE),
            ),
            models.Index(fields=["parent"], name="job_parent", condition=Q(parent__isnull=False)),
            models.Index(fields=["status", "finished_at"], name="job_ended", condition=Q(status__in=TERMINAL)),
            models.Index(
                fields=["type", "status", "finished_at"], name="job_ended_by_type", condition=Q(status__in=TERMINAL)
            ),
            models.Index(fields=["created_at"], name="job_created"),  # with the id, Postgres would look up ids in it
            models.Index(fields=["unique_key"], name="job_keyed", condition=Q(unique_key__isnull=False)),
            models.Index(fields=["schedule"], name="job_of_schedule", condition=Q(schedule__isnull=False)),
            GinIndex(
                OpClass(F("payload"), name="jsonb_path_ops"),
                F("tags"),
                name="job_searched",
                condition=Q(status__in=TERMINAL),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.type} {self.id}"

    @property
    def is_terminal(self) -> bool:
        return self.status in TERMINAL
