"""Invoices, what was charged for them, and what the payment provider told us. Amounts are in minor units (cents)."""

from __future__ import annotations

from typing import ClassVar, Final

from django.contrib.postgres.fields import ArrayField
from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from .customers import KEY_LENGTH, Customer, new_key

CURRENCY: Final = Q(currency__regex=r"^[a-z]{3}$")  # "EUR" beside "eur" would be two currencies in every sum


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
            ),
            models.CheckConstraint(name="crm_invoice_currency", condition=CURRENCY),
        ]

    def __str__(self) -> str:
        return self.number

    def clean(self) -> None:
        """Raises ValidationError when what is being charged, or has been, is no longer what the invoice says."""
        self.currency = self.currency.lower()
        before = Invoice.objects.filter(pk=self.pk).first()
        if before is None or not Payment.objects.filter(Payment.CHARGED, invoice=before).exists():
            return
        charged = {"amount": "amount", "currency": "currency", "customer_id": "customer"}
        wrong = [field for name, field in charged.items() if getattr(self, name) != getattr(before, name)]
        if wrong:
            raise ValidationError(dict.fromkeys(wrong, "This invoice is being charged, or has been."))


class Payment(models.Model):
    """One try to charge an invoice. While one is under way, or has succeeded, no other can be made.

    What is charged to whom is written here once: a retry has to ask for the same, or its key is of no use.
    """

    class Status(models.TextChoices):
        STARTED = "started"  # written before the provider is asked: it may have been charged, or not
        PROCESSING = "processing"  # the provider has it, and will tell
        REQUIRES_ACTION = "requires-action"  # the customer has to confirm
        SUCCEEDED = "succeeded"
        PAID_BESIDE = "paid-beside"  # paid although there is another one: somebody has to look at both
        FAILED = "failed"
        CANCELED = "canceled"

    UNDER_WAY: ClassVar = (Status.STARTED, Status.PROCESSING, Status.REQUIRES_ACTION)
    LIVE: ClassVar = (*UNDER_WAY, Status.SUCCEEDED)
    PAID: ClassVar = (Status.SUCCEEDED, Status.PAID_BESIDE)
    OPEN: ClassVar = Q(status=Status.FAILED, provider_id__isnull=False, closed_at__isnull=True)  # could still be paid
    CHARGED: ClassVar = Q(status__in=(*LIVE, Status.PAID_BESIDE)) | OPEN

    invoice = models.ForeignKey(Invoice, models.PROTECT, related_name="payments")
    provider = models.CharField(max_length=20, default="stripe")
    key = models.CharField(max_length=255, unique=True)  # the idempotency key that the provider is given
    provider_id = models.CharField(max_length=255, null=True, blank=True, unique=True)  # Stripe's PaymentIntent
    provider_customer = models.CharField(max_length=255)  # as the customer was when it began
    payment_method = models.CharField(max_length=255)
    amount = models.PositiveBigIntegerField(help_text="In minor units, such as cents.")
    currency = models.CharField(max_length=3)
    status = models.CharField(max_length=20, choices=Status.choices, default=Status.STARTED)
    error_code = models.CharField(max_length=100, blank=True, default="")
    decline_code = models.CharField(max_length=100, blank=True, default="")
    advice_code = models.CharField(max_length=100, blank=True, default="")  # what the card's issuer advises
    message = models.TextField(blank=True, default="")  # for people: why it failed
    action_url = models.TextField(blank=True, default="")  # where the customer confirms
    job = models.UUIDField(null=True, blank=True)  # that began it
    waiting = ArrayField(models.UUIDField(), default=list, blank=True)  # jobs whose outcome it is
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    updated_at = models.DateTimeField(db_default=Now(), editable=False)
    said_at = models.DateTimeField(null=True, blank=True)  # when the provider said the status, to the second
    closed_at = models.DateTimeField(null=True, blank=True)  # it failed, and since then nobody can pay it any more

    class Meta:
        ordering: ClassVar = ["-id"]
        constraints: ClassVar = [
            models.UniqueConstraint(
                name="crm_payment_one_live_per_invoice",
                fields=["invoice"],
                condition=Q(status__in=("started", "processing", "requires-action", "succeeded")),
            ),
            models.CheckConstraint(name="crm_payment_currency", condition=CURRENCY),
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

    @property
    def reason(self) -> str:
        """Why it failed, with the codes that say so."""
        codes = ", ".join(filter(None, dict.fromkeys((self.error_code, self.decline_code))))
        advice = f"the issuer advises: {self.advice_code}" if self.advice_code else ""
        details = "; ".join(filter(None, (codes, advice)))
        return (self.message or "The payment failed.") + (f" ({details})" if details else "")


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
