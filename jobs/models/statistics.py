"""What is kept of jobs in numbers: written by the sweep `jobs.rollups`, read by `jobs.statistics`."""

from typing import ClassVar

from django.contrib.postgres.fields import ArrayField
from django.db import models


class Period(models.IntegerChoices):
    """How long a roll-up is, in seconds."""

    MINUTE = 60
    HOUR = 3600
    DAY = 86_400
    MONTH = 30 * 86_400  # counted from 1970-01-01; kept for ever, for counters that only grow


class Rollup(models.Model):
    """How many jobs of a type and queue were enqueued, or ended so, within a period of UTC.

    Where type or queue is empty, the row is about all of them.
    """

    class Outcome(models.TextChoices):
        ENQUEUED = "enqueued"
        COMPLETED = "completed"
        FAILED = "failed"
        CANCELLED = "cancelled"

    period = models.PositiveIntegerField(choices=Period.choices)
    at = models.DateTimeField()  # its begin
    type = models.CharField(max_length=200)
    queue = models.CharField(max_length=100)
    outcome = models.CharField(max_length=10, choices=Outcome.choices)
    count = models.PositiveBigIntegerField()
    wait_ms = models.PositiveBigIntegerField(default=0)  # sum, from due to started
    run_ms = models.PositiveBigIntegerField(default=0)  # sum, from started to finished, of the last run
    waits = ArrayField(models.PositiveBigIntegerField(), default=list)  # histogram: see `jobs.rollups`
    runs = ArrayField(models.PositiveBigIntegerField(), default=list)

    class Meta:
        ordering: ClassVar = ["period", "at"]
        constraints: ClassVar = [
            models.UniqueConstraint(name="rollup_once", fields=["period", "at", "type", "queue", "outcome"])
        ]

    def __str__(self) -> str:
        return f"{self.count} {self.type} {self.outcome} at {self.at:%Y-%m-%d %H:%M}"


class ErrorRollup(models.Model):
    """How many runs of a type failed with one kind of error within a period of UTC."""

    period = models.PositiveIntegerField(choices=Period.choices)
    at = models.DateTimeField()
    fingerprint = models.CharField(max_length=32)
    type = models.CharField(max_length=200)
    error = models.CharField(max_length=255)
    classification = models.CharField(max_length=12)
    count = models.PositiveBigIntegerField()

    class Meta:
        ordering: ClassVar = ["period", "at"]
        constraints: ClassVar = [
            models.UniqueConstraint(
                name="error_rollup_once", fields=["period", "at", "fingerprint", "type", "error", "classification"]
            )
        ]

    def __str__(self) -> str:
        return f"{self.count} {self.error} of {self.type} at {self.at:%Y-%m-%d %H:%M}"


class RolledUp(models.Model):
    """Up to when jobs are rolled up: one row, locked by who does it. A minute before then without rows was quiet."""

    id = models.PositiveSmallIntegerField(primary_key=True, default=1, editable=False)
    until = models.DateTimeField()

    class Meta:
        verbose_name_plural = "rolled up"

    def __str__(self) -> str:
        return f"until {self.until:%Y-%m-%d %H:%M}"


class ErrorGroup(models.Model):
    """A kind of error: what has one fingerprint, whatever the type of job. Resolved until it is seen again."""

    fingerprint = models.CharField(max_length=32, primary_key=True)
    type = models.CharField(max_length=200)  # of the sample, as error and message
    error = models.CharField(max_length=255)
    message = models.TextField(blank=True)
    sample = models.UUIDField()  # the job that had it last
    count = models.PositiveBigIntegerField(default=0)  # runs that ended so, ever
    first_seen_at = models.DateTimeField()
    last_seen_at = models.DateTimeField()
    resolved_at = models.DateTimeField(null=True, blank=True)
    resolved_by = models.CharField(max_length=150, blank=True, default="", db_default="")

    class Meta:
        ordering: ClassVar = ["-last_seen_at"]
        indexes: ClassVar = [models.Index(fields=["-last_seen_at"], name="error_group_recent")]

    def __str__(self) -> str:
        return f"{self.type}: {self.error}"
