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

    class Meta:
        ordering: ClassVar = ["-id"]
        constraints: ClassVar = [
            models.UniqueConstraint(
                name="alert_one_open", fields=["rule", "subject"], condition=models.Q(resolved_at__isnull=True)
            )
        ]

    def __str__(self) -> str:
        return self.message


class Notice(models.Model):
    """That an alert began or ended, told through one channel: tried again until it is sent or given up."""

    class About(models.TextChoices):
        BEGAN = "began"
        RESOLVED = "resolved"

    alert = models.ForeignKey(Alert, models.CASCADE, related_name="notices")
    about = models.CharField(max_length=10, choices=About.choices)
    channel = models.CharField(max_length=520)  # "mailto:ops@example.com" or the webhook's address
    tries = models.PositiveSmallIntegerField(default=0)
    next_try_at = models.DateTimeField(db_default=Now(), null=True)  # null: sent or given up
    sent_at = models.DateTimeField(null=True, blank=True)
    error = models.TextField(blank=True, default="", db_default="")  # of the last try

    class Meta:
        ordering: ClassVar = ["-id"]
        constraints: ClassVar = [
            models.UniqueConstraint(name="notice_once", fields=["alert", "about", "channel"]),
        ]
        indexes: ClassVar = [
            models.Index(fields=["next_try_at"], name="notice_to_send", condition=models.Q(next_try_at__isnull=False))
        ]

    def __str__(self) -> str:
        return f"{self.about}: {self.alert}"
