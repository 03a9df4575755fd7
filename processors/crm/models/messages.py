"""What people were told. A row is unique for its effect and is written before the effect, so that it is never twice."""

from __future__ import annotations

from typing import ClassVar

from django.db import models
from django.db.models.functions import Now

from .customers import Customer
from .sales import Promotion, Visit


class SentMail(models.Model):
    """A mail to a customer. `key` names the effect, for example this promotion to this customer."""

    class Kind(models.TextChoices):
        PROMOTION = "promotion"
        REVIEW_REQUEST = "review-request"
        REMINDER = "reminder"

    class Status(models.TextChoices):
        SENDING = "sending"  # written before the server is asked; who finds it so later cannot know
        SENT = "sent"
        DEFERRED = "deferred"  # not now, said the server: tried again
        REFUSED = "refused"  # for good
        UNCONFIRMED = "unconfirmed"  # we lost the server before it answered: it may have arrived, or not

    key = models.CharField(max_length=255, unique=True)
    kind = models.CharField(max_length=20, choices=Kind.choices)
    customer = models.ForeignKey(Customer, models.SET_NULL, null=True, blank=True, related_name="mails")
    promotion = models.ForeignKey(Promotion, models.SET_NULL, null=True, blank=True, related_name="mails")
    visit = models.ForeignKey(Visit, models.SET_NULL, null=True, blank=True, related_name="mails")
    address = models.CharField(max_length=320)
    subject = models.TextField(blank=True, default="")
    message_id = models.CharField(max_length=255)  # made from the key: a second copy can be told
    status = models.CharField(max_length=12, choices=Status.choices, default=Status.SENDING)
    answer = models.TextField(blank=True, default="")  # what the server said, or what went wrong
    job = models.UUIDField()
    run = models.IntegerField()  # of the job: a later one knows by it that the earlier was lost
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    updated_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        ordering: ClassVar = ["-id"]
        indexes: ClassVar = [
            models.Index(fields=["kind", "status", "updated_at"], name="crm_sent_mail_kind"),
            models.Index(fields=["updated_at"], name="crm_sent_mail_updated"),
            models.Index(fields=["job"], name="crm_sent_mail_job"),
        ]

    def __str__(self) -> str:
        return self.key


class Notification(models.Model):
    """A message to one person or channel. In the app, the row itself is the message."""

    class Channel(models.TextChoices):
        IN_APP = "in-app"
        EMAIL = "email", "e-mail"
        WEBHOOK = "webhook"

    class Status(models.TextChoices):
        SENDING = "sending"
        SENT = "sent"
        FAILED = "failed"

    job = models.UUIDField(unique=True)  # a job tells one thing once
    channel = models.CharField(max_length=10, choices=Channel.choices)
    recipient = models.CharField(max_length=320)  # a user's name, an address, or the name of a webhook
    subject = models.CharField(max_length=200)
    body = models.TextField(blank=True, default="")
    status = models.CharField(max_length=10, choices=Status.choices, default=Status.SENDING)
    error = models.TextField(blank=True, default="")
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    sent_at = models.DateTimeField(null=True, blank=True)
    read_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering: ClassVar = ["-id"]
        indexes: ClassVar = [
            models.Index(fields=["recipient", "-id"], name="crm_notification_of"),
            models.Index(fields=["created_at"], name="crm_notification_created"),
        ]

    def __str__(self) -> str:
        return self.subject
