"""What is kept of a job beside its row, and of what was done to it."""

from __future__ import annotations

from typing import ClassVar

from django.db import models
from django.db.models.functions import Now

from jobs.models.job import Job


class Chord(models.Model):
    """A group of jobs with a body that runs once when all of them are completed."""

    id = models.UUIDField(primary_key=True)  # the members' `Job.group`
    size = models.PositiveIntegerField()
    body = models.JSONField()  # steps: see `jobs.canvas`
    fired_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(db_default=Now())

    def __str__(self) -> str:
        return str(self.id)


class Failure(models.Model):
    """A run that did not complete. The success path writes none."""

    class Classification(models.TextChoices):
        RETRYABLE = "retryable"
        PERMANENT = "permanent"
        RATE_LIMITED = "rate-limited"
        CANCELLED = "cancelled"
        TIMEOUT = "timeout"
        WORKER_LOST = "worker-lost"

    job = models.ForeignKey(Job, models.CASCADE, related_name="failures", db_constraint=False, db_index=False)
    run = models.IntegerField()
    attempt = models.PositiveSmallIntegerField()
    error = models.CharField(max_length=255)  # the exception's class
    message = models.TextField(blank=True)
    traceback = models.TextField(blank=True)
    classification = models.CharField(max_length=12, choices=Classification.choices)
    fingerprint = models.CharField(max_length=32)  # equal for errors of one kind
    worker = models.CharField(max_length=255, blank=True)
    started_at = models.DateTimeField(null=True, blank=True)
    failed_at = models.DateTimeField(db_default=Now())

    class Meta:
        ordering: ClassVar = ["job", "run"]
        constraints: ClassVar = [models.UniqueConstraint(name="failure_one_per_run", fields=["job", "run"])]
        indexes: ClassVar = [
            models.Index(fields=["failed_at"], name="failure_recent"),
            models.Index(fields=["fingerprint", "-failed_at"], name="failure_of_kind"),
        ]

    def __str__(self) -> str:
        return f"{self.error}: {self.message}"


class LogLine(models.Model):
    """A line that a job wrote with `job.log`. Kept apart from the row, so many a job at most: see `jobs.joblog`."""

    job = models.UUIDField()
    run = models.IntegerField()
    level = models.PositiveSmallIntegerField()  # of Python's logging
    message = models.TextField()
    at = models.DateTimeField(db_default=Now())

    class Meta:
        ordering: ClassVar = ["id"]
        indexes: ClassVar = [models.Index(fields=["job", "id"], name="log_line_of_job")]

    def __str__(self) -> str:
        return self.message


class BatchItem(models.Model):
    """An item of a job's batch that is done, so that the next attempt passes it over: see `jobs.batching`."""

    job = models.UUIDField()
    key = models.CharField(max_length=200)
    result = models.JSONField(null=True)
    error = models.TextField(blank=True)  # empty: it succeeded

    class Meta:
        constraints: ClassVar = [models.UniqueConstraint(name="batch_item_once", fields=["job", "key"])]

    def __str__(self) -> str:
        return f"{self.job} {self.key}"


class Event(models.Model):
    """What a person or a sweep did to a job, a queue, a schedule or something else: the audit trail."""

    job = models.ForeignKey(Job, models.CASCADE, related_name="events", null=True, blank=True, db_constraint=False)
    queue = models.CharField(max_length=100, blank=True, default="", db_default="")
    schedule = models.CharField(max_length=200, blank=True, default="", db_default="")
    subject = models.CharField(max_length=300, blank=True, default="", db_default="")  # what else it is about
    kind = models.CharField(max_length=40)  # retried, cancelled, paused …
    actor = models.CharField(max_length=150)  # a user, an API key, or the sweep
    before = models.JSONField(null=True, blank=True)
    after = models.JSONField(null=True, blank=True)
    reason = models.TextField(blank=True, default="", db_default="")
    at = models.DateTimeField(db_default=Now())

    class Meta:
        ordering: ClassVar = ["-id"]
        indexes: ClassVar = [
            models.Index(fields=["schedule", "id"], name="event_of_schedule", condition=~models.Q(schedule="")),
            models.Index(fields=["queue", "id"], name="event_of_queue", condition=~models.Q(queue="")),
            models.Index(fields=["subject"], name="event_of_subject", opclasses=["varchar_pattern_ops"]),
            models.Index(fields=["actor", "id"], name="event_by_actor"),
            models.Index(fields=["kind", "id"], name="event_of_kind"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} by {self.actor}"
