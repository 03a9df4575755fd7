"""What operators want to be told of, and what they were told: see `jobs.alerts`."""

from typing import ClassVar

from django.contrib.postgres.fields import ArrayField
from django.core.validators import MinValueValidator
from django.db import models
from django.db.models.functions import Now


class AlertRule(models.Model):
    """A condition that upkeep looks at, and where to tell of it."""

    class Kind(models.TextChoices):
        FAILURE_RATE = "failure-rate"  # threshold: percent of the jobs that ended within the window
        BACKLOG = "backlog"  # threshold: waiting jobs
        BACKLOG_AGE = "backlog-age"  # threshold: seconds that the oldest waiting job has been due
        SLOW = "slow"  # threshold: times its average, or its p95, of the week before
        WORKER_DOWN = "worker-down"  # no live worker on a queue; threshold: seconds since when
        SCHEDULE_MISSED = "schedule-missed"  # threshold: seconds that a due time is late

    name = models.CharField(max_length=100, unique=True)
    kind = models.CharField(max_length=20, choices=Kind.choices)
    type = models.CharField(max_length=200, blank=True, default="", help_text="Only jobs of this type. Empty: all.")
    queue = models.CharField(max_length=100, blank=True, default="", help_text="Only this queue. Empty: all.")
    threshold = models.FloatField(validators=[MinValueValidator(0)])
    window = models.PositiveIntegerField(default=3600, help_text="Seconds that a rate is taken over.")
    emails = ArrayField(models.EmailField(), default=list, blank=True)
    webhook_url = models.URLField(max_length=500, blank=True, default="", help_text="Slack-compatible.")
    enabled = models.BooleanField(default=True)
    silenced_until = models.DateTimeField(null=True, blank=True)
    silenced_by = models.CharField(max_length=150, blank=True, default="", editable=False)

    class Meta:
        ordering: ClassVar = ["name"]

    def __str__(self) -> str:
        return self.name


class Alert(models.Model):
    """A time during which a rule's condition held."""

    rule = models.ForeignKey(AlertRule, models.CASCADE, related_name="alerts")
    subject = models.CharField(max_length=200, blank=True)  # the queue, type or schedule it is about
    message = models.TextField()
    value = models.FloatField()  # when it was seen last
    started_at = models.DateTimeField(db_default=Now())
    seen_at = models.DateTimeField(db_default=Now())
    resolved_at = models.DateTimeField(null=True, blank=True)
    told_at = models.DateTimeField(null=True, blank=True)  # that it began
    told_resolved_at = models.DateTimeField(null=True, blank=True)
    delivery_error = models.TextField(blank=True, default="", db_default="")  # why it could not be told, last

    class Meta:
        ordering: ClassVar = ["-id"]
        constraints: ClassVar = [
            models.UniqueConstraint(
                name="alert_one_open", fields=["rule", "subject"], condition=models.Q(resolved_at__isnull=True)
            )
        ]

    def __str__(self) -> str:
        return self.message
