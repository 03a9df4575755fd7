"""Invoices, what was charged for them, and what the payment provider told us. Amounts are in minor units (cents)."""

from __future__ import annotations

from typing import ClassVar

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from .customers import KEY_LENGTH, Customer, new_key


class Invoice(models.Model):
    """What a customer owes us."""

    class Status(models.TextChoices):
        OPEN = "open"
        PAID = "paid"
        VOID = "void"

    id = models.CharField(primary_key=True, max_length=KEY_LENGTH, default=new_key)
    customer = models.ForeignKey(Customer, models.PROTECT, related_name="invoices")
    number = models.CharField(max_length=50, unique=True)
    amount = models.PositiveBigIntegerField(help_text="In minor units, such as cents.")
    currency = models.CharField(max_length=3, default="usd", help_text="Three letters, small.")
    status = models.CharField(max_length=10, choices=Status.choices, default=Status.OPEN)
    due_at = models.DateTimeField(null=True, blank=True)
    paid_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        ordering: ClassVar = ["-created_at"]
        indexes: ClassVar = [
            models.Index(fields=["status", "due_at"], name="crm_invoice_status"),
            models.Index(fields=["paid_at"], name="crm_invoice_paid"),
        ]
        constraints: ClassVar = [
            models.CheckConstraint(
                name="crm_invoice_paid_has_time",
                condition=Q(status="paid", paid_at__isnull=False) | (~Q(status="paid") & Q(paid_at__isnull=True)),
            )
        ]

    def __str__(self) -> str:
        return self.number


class Payment(models.Model):
    """One try to charge an invoice. While one is under way, or has succeeded, no other can be made."""

    class Status(models.TextChoices):
        STARTED = "started"  # written before the provider is asked: it may have been charged, or not
        PROCESSING = "processing"  # the provider has it, and will tell
        REQUIRES_ACTION = "requires-action"  # the customer has to confirm
        SUCCEEDED = "succeeded"
        FAILED = "failed"
        CANCELED = "canceled"

    LIVE: ClassVar = (Status.STARTED, Status.PROCESSING, Status.REQUIRES_ACTION, Status.SUCCEEDED)

    invoice = models.ForeignKey(Invoice, models.PROTECT, related_name="payments")
    provider = models.CharField(max_length=20, default="stripe")
    key = models.CharField(max_length=255, unique=True)  # the idempotency key that the provider is given
    provider_id = models.CharField(max_length=255, null=True, blank=True, unique=True)  # Stripe's PaymentIntent
    amount = models.PositiveBigIntegerField(help_text="In minor units, such as cents.")
    currency = models.CharField(max_length=3)
    status = models.CharField(max_length=20, choices=Status.choices, default=Status.STARTED)
    error_code = models.CharField(max_length=100, blank=True, default="")
    decline_code = models.CharField(max_length=100, blank=True, default="")
    advice_code = models.CharField(max_length=100, blank=True, default="")  # what the card's issuer advises
    message = models.TextField(blank=True, default="")  # for people: why it failed
    action_url = models.TextField(blank=True, default="")  # where the customer confirms
    job = models.UUIDField(null=True, blank=True)
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    updated_at = models.DateTimeField(db_default=Now(), editable=False)
    checked_at = models.DateTimeField(null=True, blank=True)  # when the provider was asked last
    told_at = models.DateTimeField(
        null=True, blank=True
    )  # when a job ended with its failure: the next one charges anew

    class Meta:
        ordering: ClassVar = ["-id"]
        constraints: ClassVar = [
            models.UniqueConstraint(
                name="crm_payment_one_live_per_invoice",
                fields=["invoice"],
                condition=Q(status__in=("started", "processing", "requires-action", "succeeded")),
            )
        ]
        indexes: ClassVar = [
            models.Index(
                fields=["updated_at"],
                name="crm_payment_open",
                condition=Q(status__in=("started", "processing", "requires-action")),
            ),
            models.Index(fields=["status", "updated_at"], name="crm_payment_status"),
        ]

    def __str__(self) -> str:
        return f"{self.invoice_id}: {self.status}"


class StripeEvent(models.Model):
    """A webhook that Stripe sent, stored once however often it came."""

    id = models.CharField(primary_key=True, max_length=255)  # Stripe's
    type = models.CharField(max_length=100)
    object_id = models.CharField(max_length=255, blank=True, default="")  # what it is about
    created_at = models.DateTimeField()  # at Stripe
    payload = models.JSONField()
    received_at = models.DateTimeField(db_default=Now(), editable=False)
    handled_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering: ClassVar = ["-received_at"]
        indexes: ClassVar = [
            models.Index(fields=["object_id"], name="crm_stripe_event_about"),
            models.Index(fields=["received_at"], name="crm_stripe_event_received"),
        ]

    def __str__(self) -> str:
        return f"{self.type} {self.id}"
