"""What all workers share: queues, themselves, who leads, how fast an upstream may be called."""

from __future__ import annotations

from datetime import timedelta
from typing import ClassVar

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models.functions import Now


class Queue(models.Model):
    """A Celery queue. Which ones exist is `JOBS_QUEUES` in the settings; migrate makes their rows."""

    name = models.CharField(max_length=100, primary_key=True)
    max_running = models.PositiveIntegerField(
        null=True,
        blank=True,
        help_text="How many jobs of this queue may run at once, over all workers. Empty: no limit.",
    )
    paused_at = models.DateTimeField(null=True, blank=True)
    paused_until = models.DateTimeField(null=True, blank=True)  # resumed then by upkeep; null: by hand
    paused_by = models.CharField(max_length=150, blank=True, default="", db_default="")
    reason = models.CharField(max_length=500, blank=True, default="", db_default="")

    class Meta:
        ordering: ClassVar = ["name"]
        permissions: ClassVar = [("pause_queue", "Can pause and resume queue")]

    def __str__(self) -> str:
        return self.name


class WorkerQuerySet(models.QuerySet["Worker"]):
    def alive(self) -> WorkerQuerySet:
        """Those that have sent a heartbeat within a lease."""
        return self.filter(heartbeat_at__gt=Now() - timedelta(seconds=settings.JOBS_LEASE))


class Worker(models.Model):
    """A worker process. Written by itself with each renewal of its leases."""

    name = models.CharField(max_length=255, primary_key=True)  # node name, ":" and the id of this boot
    pool = models.CharField(max_length=20)
    queues = ArrayField(models.CharField(max_length=100), default=list)
    concurrency = models.PositiveIntegerField()
    running = models.PositiveIntegerField(default=0)
    stuck = models.PositiveIntegerField(default=0)  # threads past their job's timeout
    processed = models.PositiveBigIntegerField(default=0)  # runs ended since boot
    failed = models.PositiveBigIntegerField(default=0)  # of those, not completed
    started_at = models.DateTimeField(db_default=Now())
    heartbeat_at = models.DateTimeField(db_default=Now())
    draining = models.BooleanField(default=False)
    drain_requested_at = models.DateTimeField(null=True, blank=True)  # by an operator; read with each heartbeat

    objects = WorkerQuerySet.as_manager()

    class Meta:
        ordering: ClassVar = ["name"]
        permissions: ClassVar = [("drain_worker", "Can drain worker")]

    def __str__(self) -> str:
        return self.name


class Leader(models.Model):
    """Who does a duty that one process at a time must do."""

    duty = models.CharField(max_length=50, primary_key=True)  # upkeep, beat
    holder = models.CharField(max_length=255)
    expires_at = models.DateTimeField()
    unbroken_since = models.DateTimeField(db_default=Now())  # somebody has led from then on

    def __str__(self) -> str:
        return f"{self.duty}: {self.holder}"


class Limit(models.Model):
    """The pace and the breaker of one upstream, shared by all workers: see `jobs.limits`."""

    name = models.CharField(max_length=100, primary_key=True)
    next_at = models.DateTimeField(db_default=Now())  # the next free slot
    failures = models.PositiveIntegerField(default=0, db_default=0)  # retryable errors in a row
    open_until = models.DateTimeField(null=True, blank=True)

    def __str__(self) -> str:
        return self.name
