"""What schedules have beside django-celery-beat's own rows: how they treat what overlaps and what was missed."""

from typing import ClassVar

from django.db import models
from django.db.models.functions import Now
from django_celery_beat.models import PeriodicTask


class ScheduleOptions(models.Model):
    """The policies of one schedule. A schedule without this row has the defaults."""

    class Overlap(models.TextChoices):
        """What becomes of a due time while the job of an earlier one is active."""

        ALLOW = "allow"  # enqueue it
        SKIP = "skip"  # leave it out
        BUFFER_ONE = "buffer-one"  # enqueue one when the earlier job has ended, however many were due

    class MissedRuns(models.TextChoices):
        """What becomes of due times that passed while no beat ran."""

        SKIP = "skip"  # leave them out
        ONE = "one"  # enqueue the latest
        ALL = "all"  # enqueue each

    schedule = models.OneToOneField(PeriodicTask, models.CASCADE, primary_key=True, related_name="options")
    overlap = models.CharField(max_length=10, choices=Overlap.choices, default=Overlap.ALLOW)
    missed_runs = models.CharField(max_length=10, choices=MissedRuns.choices, default=MissedRuns.ONE)

    class Meta:
        verbose_name_plural = "schedule options"

    def __str__(self) -> str:
        return str(self.schedule_id)


class ScheduleRun(models.Model):
    """What became of a due time of a schedule: unique, so that no two beats fire it twice."""

    class Outcome(models.TextChoices):
        ENQUEUED = "enqueued"
        SKIPPED = "skipped"  # an earlier job was active
        BUFFERED = "buffered"  # waits for the end of an earlier job
        MISSED = "missed"  # no beat ran then, or it came too late to start
        FAILED = "failed"  # could not be enqueued

    schedule = models.CharField(max_length=200)
    due_at = models.DateTimeField()
    outcome = models.CharField(max_length=10, choices=Outcome.choices, default=Outcome.ENQUEUED, db_default="enqueued")
    job = models.UUIDField(null=True, blank=True)
    reason = models.TextField(blank=True, default="", db_default="")
    created_at = models.DateTimeField(db_default=Now())  # since when its outcome is this; when its job was enqueued

    class Meta:
        ordering: ClassVar = ["-due_at"]
        constraints: ClassVar = [
            models.UniqueConstraint(name="schedule_run_once", fields=["schedule", "due_at"]),
            models.UniqueConstraint(
                name="schedule_buffers_one", fields=["schedule"], condition=models.Q(outcome="buffered")
            ),
        ]

    def __str__(self) -> str:
        return f"{self.schedule} at {self.due_at:%Y-%m-%d %H:%M:%S}"
